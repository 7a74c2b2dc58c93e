"""The examples detect what the Detector detects, and the recipes of the deployment page run."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from fakes import COLORS, spot_detector
from spot_model import spot_onnx

from centernet import Detector
from centernet.data.images import read_image

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PYTHON = EXAMPLES / "python" / "detect_onnx.py"


def spot_model(path: Path, **metadata) -> Path:
    """Write the exported SpotNetwork."""
    known = {"class_names": list(COLORS), "stride": 4, "size_multiple": 32, "thresholds": None}
    known |= {"image_size": [128, 128], "top_k": 100, "version": "0"} | metadata
    model = onnx.load_from_string(spot_onnx(maps=False))
    values = {key: json.dumps(value, ensure_ascii=False) for key, value in known.items()}
    onnx.helper.set_model_props(model, values)
    onnx.save(model, path)
    return path


def photo(path: Path, size: tuple[int, int], *, seed: int = 0) -> Path:
    """Write an image of (height, width) with colored spots; noise makes all scores differ."""
    rng = np.random.default_rng(seed)
    image = np.zeros((*size, 3), np.uint8)
    for color in [*COLORS.values()] * 3:
        y, x = rng.integers(0, size)
        side = max(4, max(size) // 16)
        image[y : y + side, x : x + side] = np.multiply(color, rng.uniform(0.4, 1))
    image = (image * rng.uniform(0.7, 1, image.shape)).astype(np.uint8)
    cv2.imwrite(str(path), cv2.GaussianBlur(image[..., ::-1], (5, 5), 0))
    return path


def printed(text: str) -> list[tuple]:
    """(class name, score, box) of each line of an example."""
    rows = [line.split(None, 5) for line in text.splitlines()]
    return [(row[5], float(row[0]), [float(value) for value in row[1:5]]) for row in rows]


def assert_same(rows: list[tuple], expected: list, *, box: float = 0.01, score: float = 1e-5):
    """Compare detections; those of nearly the same score may change places."""
    assert sorted(rows, key=lambda row: -row[1]) == rows
    wanted = [(found.class_name, found.score, found.box) for found in expected]
    rows, wanted = (sorted(each, key=lambda row: (row[0], *row[2])) for each in (rows, wanted))
    assert [name for name, *_ in rows] == [name for name, *_ in wanted]
    assert [row[1] for row in rows] == pytest.approx([row[1] for row in wanted], abs=score)
    assert np.ravel([row[2] for row in rows]) == pytest.approx(
        np.ravel([row[2] for row in wanted]), abs=box
    )


@pytest.fixture(scope="module")
def example():
    """The Python example as a module."""
    spec = importlib.util.spec_from_file_location("detect_onnx", PYTHON)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Same size; a bar of half a pixel; enlarged; reduced; to less than half; to a quarter; one row.
SIZES = [(128, 128), (128, 127), (97, 61), (131, 200), (280, 290), (300, 520), (1, 90)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    "metadata",
    [{}, {"image_size": [100, 150]}, {"image_size": None, "thresholds": [0.9, None, 0.5]}],
    ids=["fixed", "rounded up", "own size"],
)
def test_the_python_example_equals_the_detector(example, tmp_path, capsys, size, metadata):
    model, image = spot_model(tmp_path / "m.onnx", **metadata), photo(tmp_path / "i.png", size)
    example.main(str(model), str(image), str(tmp_path / "out.png"))
    image_size = tuple(metadata.get("image_size", (128, 128)) or ()) or None
    thresholds = [value or 0.3 for value in metadata.get("thresholds", [None] * 3)]
    detector = spot_detector(image_size=image_size)
    expected = detector.predict(image, threshold=thresholds, heatmaps=False).objects
    assert len(expected) >= (0 if min(size) == 1 else 3)
    assert_same(printed(capsys.readouterr().out), expected)
    assert read_image(tmp_path / "out.png").shape == read_image(image).shape


def test_a_threshold_replaces_those_of_the_model(example, tmp_path, capsys):
    model = spot_model(tmp_path / "m.onnx", thresholds=[1.0, 1.0, 1.0])
    image = photo(tmp_path / "i.png", (128, 128))
    counts = []
    for threshold in (None, "0", "0.9"):
        example.main(str(model), str(image), str(tmp_path / "out.png"), threshold)
        counts.append(len(printed(capsys.readouterr().out)))
    assert counts[0] == 0 and counts[1] == 100 > counts[2] > 0


def test_the_python_example_drops_what_is_no_detection(example):
    """Boxes in the padding, and rows of score 0 that fill the list."""
    boxes = [[10, 10, 30, 20], [10, 1, 30, 15], [10, 10, 30, 90], [10, 10, 30, 20]]
    metadata = {"class_names": '["a"]', "image_size": "[64, 64]", "size_multiple": "32"}

    class Session:
        def get_modelmeta(self):
            return SimpleNamespace(custom_metadata_map=metadata | {"thresholds": "null"})

        def run(self, outputs, inputs):
            assert inputs["images"].shape == (1, 64, 64, 3)
            scores = np.array([[0.9, 0.8, 0.7, 0.0]], np.float32)
            return np.array([boxes], np.float32), scores, np.zeros((1, 4), np.int64)

    found = example.detect(Session(), np.zeros((32, 64, 3), np.uint8), 0)  # 16 rows of padding
    assert [box.tolist() for _, box, _ in found] == [[10, 0, 30, 4], [10, 0, 30, 32]]


@pytest.mark.parametrize("missing", ["m.onnx", "i.png"])
def test_the_python_example_names_a_missing_file(example, tmp_path, missing):
    spot_model(tmp_path / "m.onnx"), photo(tmp_path / "i.png", (32, 32))
    (tmp_path / missing).unlink()
    with pytest.raises(SystemExit, match=missing) as error:
        example.main(*[str(tmp_path / name) for name in ("m.onnx", "i.png", "out.png")])
    assert "\n" not in str(error.value)


def test_the_python_example_needs_three_packages_only():
    tree = ast.parse(PYTHON.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [node.names[0].name])
    }
    assert imported - sys.stdlib_module_names == {"cv2", "numpy", "onnxruntime"}


def run(command: list, **options) -> subprocess.CompletedProcess:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, encoding="utf-8", **options)


def check_program(command: list, folder: Path, **tolerance: float) -> None:
    """Compare a program with the Detector, for several sizes and metadata."""
    names = ["rot <ä>", "a b", "細胞"]  # JSON of the metadata is UTF-8
    thresholds = [0.95, None, 0.5]
    for number, size in enumerate(SIZES):
        metadata = {"image_size": None if number == 3 else (128, 128)}
        model = spot_model(folder / "m.onnx", class_names=names, thresholds=thresholds, **metadata)
        image = photo(folder / "i.png", size, seed=number)
        result = run([*command, model, image, folder / "out.png"], check=True)
        detector = spot_detector(names, **metadata)
        expected = detector.predict(image, threshold=[0.95, 0.3, 0.5], heatmaps=False).objects
        assert_same(printed(result.stdout), expected, **tolerance)
        assert read_image(folder / "out.png").shape == (*size, 3)
    missing = run([*command, folder / "none.onnx", image, folder / "out.png"])
    assert missing.returncode == 1 and missing.stderr.strip().endswith("none.onnx")
    assert len(missing.stderr.splitlines()) == 1


def test_the_node_example(tmp_path):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    script = EXAMPLES / "node" / "detect.mjs"
    run(["node", "--check", script], check=True)
    if not (script.parent / "node_modules" / "onnxruntime-node").is_dir():
        pytest.skip("its packages are not installed: npm install in examples/node")
    check_program(["node", script], tmp_path, box=0.1, score=0.003)


@pytest.mark.slow
def test_the_cpp_example(tmp_path):
    """Set ONNXRUNTIME to the folder of a release archive, unless a package has installed it."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    folder = os.environ.get("ONNXRUNTIME", "")
    configure = run(["cmake", "-S", EXAMPLES / "cpp", "-B", tmp_path, f"-DONNXRUNTIME={folder}"])
    if configure.returncode:
        pytest.skip(f"a library or compiler is not installed: {configure.stderr[:300]}")
    run(["cmake", "--build", tmp_path], check=True)
    check_program([tmp_path / "detect"], tmp_path)


def test_the_docker_image_copies_files_that_exist():
    sources = re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
    copied = {source for line in sources for source in line.split()}
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    assert copied == kept and all((ROOT / source).exists() for source in copied)


def page_blocks(language: str) -> list[str]:
    page = (ROOT / "docs" / "deployment.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_python_snippets_of_the_page_run(tmp_path):
    pytest.importorskip("openvino")
    spot_model(tmp_path / "model.onnx", image_size=[256, 320])
    photo(tmp_path / "photo.jpg", (240, 320))
    snippets = [text for text in page_blocks("python") if "coremltools" not in text]
    assert snippets
    paths = os.pathsep.join([str(ROOT), str(PYTHON.parent)])
    for snippet in snippets:
        result = run(
            [sys.executable, "-c", snippet],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": paths},
        )
        assert result.returncode == 0, result.stderr


def test_the_detector_reads_the_model(tmp_path):
    model, image = spot_model(tmp_path / "m.onnx"), photo(tmp_path / "i.png", (97, 61))
    found = Detector.load(model, device="cpu").predict(image, heatmaps=False).objects
    rows = [(each.class_name, each.score, each.box) for each in found]
    assert_same(rows, spot_detector().predict(image, heatmaps=False).objects)
