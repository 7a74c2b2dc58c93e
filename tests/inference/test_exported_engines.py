"""Exported models in ONNX Runtime and OpenVINO, with the network of colored spots."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from fakes import BCCD, SCORE, checkpoint, picture, run_centernet, spot_detector
from spot_model import INFO, write_model

import centernet
from centernet import Detector
from centernet.errors import InputError
from centernet.inference.engines import engines_of, load_engine
from centernet.inference.engines.exported import metadata_of, read_info

ENGINES = ("onnxruntime", "openvino")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("exported") / "spots.onnx")


@pytest.fixture(params=ENGINES)
def engine(request) -> str:
    pytest.importorskip(request.param)
    return request.param


def test_the_metadata_are_read_as_they_were_written():
    metadata = metadata_of(INFO, "1.2.3")
    assert metadata["class_names"] == '["red", "blue", "weiß"]'
    assert metadata["thresholds"] == "[0.8, null, 0.3]" and metadata["image_size"] == "[128, 128]"
    assert metadata["version"] == '"1.2.3"'
    outputs = ["boxes", "scores", "labels", "heatmap"]
    assert read_info("m.onnx", metadata, outputs) == INFO
    assert not read_info("m.onnx", metadata, outputs[:3]).has_heatmaps
    unsized = metadata | {"image_size": "null", "thresholds": "null"}
    info = read_info("m.onnx", unsized, outputs)
    assert info.image_size is None and info.thresholds is None


def assert_same(found, expected) -> None:
    """The same detections; the order of equal scores is free."""
    first, second = (
        sorted(zip(d.class_id.tolist(), *d.xyxy.T.tolist(), d.confidence.tolist(), strict=True))
        for d in (found, expected)
    )
    assert len(first) == len(second)
    assert np.array(first) == pytest.approx(np.array(second), abs=1e-4)


def test_an_exported_model_detects_what_the_network_detects(model, engine):
    exported = Detector.load(model, engine=engine, device="cpu")
    assert exported.engine.name == engine and exported.device == "cpu"
    assert exported.class_names == INFO.class_names
    images = [
        picture(("red", 40, 60), ("blue", 8, 12), ("white", 100, 100)),
        np.kron(picture(("blue", 100, 28)), np.ones((2, 2, 1), np.uint8)),  # is shrunk by half
        np.zeros((1, 1, 3), np.uint8),
    ]
    for image in images:
        assert_same(exported(image), spot_detector()(image))
    assert len(exported(images[0])) == 3 and len(exported(images[2])) == 0
    assert sorted(exported(images[0], threshold="best")["class_name"]) == ["blue", "red", "weiß"]
    batch = exported.batch(images)
    assert [len(found) for found in batch] == [3, 1, 0]


def test_an_exported_model_has_heatmaps(model, engine):
    image = picture(("red", 40, 60))
    expected, found = spot_detector().heatmaps(image), Detector.load(
        model, engine=engine
    ).heatmaps(image)  # fmt: skip
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert found.matrix.tolist() == expected.matrix.tolist()
    assert found.peaks()["score"] == pytest.approx([SCORE], abs=1e-6)


def test_a_model_without_heatmaps(tmp_path, engine):
    detector = Detector.load(write_model(tmp_path / "m.onnx", maps=False), engine=engine)
    assert len(detector(picture(("red", 40, 60)))) == 1
    assert detector.predict(picture()).heatmaps is None
    with pytest.raises(InputError, match=r"heatmaps\(\).*--maps"):
        detector.heatmaps(picture())


def test_options_of_an_exported_model(model, engine):
    image = picture(("red", 40, 60), ("blue", 8, 12))
    one = Detector.load(model, engine=engine, top_k=1)
    assert len(one(image)) == 1
    found = one.engine.run(np.stack([image, image])).detections
    assert [len(each["scores"]) for each in found] == [1, 1]
    scaled = {"resolution": "keep", "nms": 0.5}
    assert_same(
        Detector.load(model, engine=engine, **scaled)(image), spot_detector(**scaled)(image)
    )
    for options, message in [
        ({"top_k": 101}, "top_k .*100.*--top-k 101"),
        ({"flip": True}, "flip"),
        ({"precision": "float16"}, "precision float16"),
        ({"device": "tpu"}, f"'tpu'.*{engine}"),
    ]:
        with pytest.raises(InputError, match=message):
            Detector.load(model, engine=engine, **options)
    with pytest.raises(InputError, match=r"33x64.*32"):
        load_engine(model, engine=engine).run(np.zeros((1, 64, 33, 3), np.uint8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": None}, "class_names"),
        ({"thresholds": "[0.5]"}, "thresholds"),
        ({"stride": "four"}, "damaged"),
        ({"stride": "0"}, "stride=0"),
        ({"image_size": "[128]"}, "damaged"),
        ({"class_names": "7"}, "damaged"),
    ],
)
def test_damaged_metadata_are_named(tmp_path, changes, message):
    path = write_model(tmp_path / "m.onnx", **changes)
    for engine in ENGINES:
        with pytest.raises(InputError, match=rf"m\.onnx.*{message}"):
            Detector.load(path, engine=engine)


def foreign_model() -> bytes:
    """A valid model of another project."""
    text = '<ir_version: 9, opset_import: ["" : 18]> f (float[n] x) => (float[n] y) { y = Relu(x) }'
    return onnx.parser.parse_model(text).SerializeToString()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda model: model[: len(model) // 2], "damaged or not an ONNX model"),
        (lambda model: b"", "damaged or not an ONNX model"),
        (lambda model: b"hello" * 100, "damaged or not an ONNX model"),
        (lambda model: foreign_model(), r"centernet export.*boxes"),
        (None, "No such file"),
    ],
)
def test_files_that_are_no_exported_model(tmp_path, capsys, model, content, message, engine):
    path = tmp_path / "m.onnx"
    if content:
        path.write_bytes(content(model.read_bytes()))
    with pytest.raises(InputError, match=message) as error:
        Detector.load(path, engine=engine)
    assert "m.onnx" in str(error.value) and "\n" not in str(error.value)
    arguments = ["detect", BCCD, "--weights", path, "--output", tmp_path / "out"]
    status, _, stderr = run_centernet(arguments, capsys)
    assert str(status).startswith("error: ") and "\n" not in str(status).strip() and not stderr


def test_each_kind_of_file_has_its_engines(tmp_path, model):
    assert engines_of(Path("a/best.ckpt")) == ["torch", "compile"]
    assert engines_of(Path("a/MODEL.ONNX")) == list(ENGINES)
    assert load_engine(model).name == "onnxruntime"
    torch.save(checkpoint(), tmp_path / "w.ckpt")
    with pytest.raises(InputError, match=r"openvino .*w\.ckpt.*centernet export .*w\.onnx"):
        load_engine(tmp_path / "w.ckpt", engine="openvino")
    with pytest.raises(InputError, match=r"engine torch .*spots\.onnx.*onnxruntime"):
        load_engine(model, engine="torch")


def test_a_missing_library_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"onnxruntime .*\[onnx\]"):
        load_engine(model)


def test_detect_runs_an_exported_model(tmp_path, capsys, model):
    arguments = ["detect", BCCD / "images", "--weights", model, "--output", tmp_path / "out"]
    status, text, _ = run_centernet([*arguments, "--heatmaps", "--json"], capsys)
    assert status == 0 and "12 pictures" in text
    assert len(list((tmp_path / "out").glob("*.npz"))) == 12


@pytest.mark.guard
def test_an_exported_model_runs_without_pytorch(model):
    program = (
        "import sys\n"
        "absent = ('torch', 'torchvision', 'timm', 'pycocotools', 'faster_coco_eval', 'onnx')\n"
        "sys.modules |= dict.fromkeys(absent)\n"
        "from centernet import Detector\n"
        f"detector = Detector.load({str(model)!r}, nms=0.5, scales=(1, 2))\n"
        f"found = detector.predict({str(sorted((BCCD / 'images').iterdir())[0])!r}, threshold=0)\n"
        "print(len(found.detections), found.drawn.shape, found.heatmaps.peaks(0.1).shape)"
    )
    root = Path(centernet.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("100 ") or int(done.stdout.split()[0]) > 0
