import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import SCORE, SpotNetwork, checkpoint, picture, spot_detector

import centernet
from centernet.errors import InputError
from centernet.inference.config import InferenceConfig
from centernet.inference.detector import Detector
from centernet.inference.engines import EngineInfo, EngineResult, load_engine
from centernet.inference.engines.torch_engine import CompiledEngine, TorchEngine

INFO = EngineInfo(
    class_names=("cat", "dog"),
    thresholds=(0.8, None),
    stride=4,
    size_multiple=32,
    image_size=(64, 64),
    top_k=5,
    has_heatmaps=True,
)


class OtherEngine:
    """An engine without PyTorch; finds one object of each class in the middle of an input."""

    name, info, device = "other", INFO, "cpu"

    def __init__(self) -> None:
        self.seen = []

    def run(self, images, *, heatmaps=False):
        self.seen.append((images.shape, images.dtype, heatmaps))
        found = {
            "boxes": np.float32([[16, 16, 48, 48]] * 2),
            "scores": np.float32([0.75, 0.5]),
            "labels": np.array([0, 1]),
        }
        maps = np.full((len(images), 2, 16, 16), -4, np.float32) if heatmaps else None
        return EngineResult([found] * len(images), maps, 0.0)


def test_a_detector_needs_nothing_but_an_engine():
    engine = OtherEngine()
    detector = Detector(engine)
    assert (detector.class_names, detector.top_k) == (("cat", "dog"), 5)
    image = np.zeros((128, 128, 3), np.uint8)
    found = detector(image)
    assert found.xyxy.tolist() == [[32, 32, 96, 96]] * 2
    assert found["class_name"].tolist() == ["cat", "dog"]
    assert detector(image, threshold="best")["class_name"].tolist() == ["dog"]
    assert len(detector.batch([image] * 3)) == 3
    maps = detector.heatmaps(image)
    assert maps.probabilities.shape == (2, 16, 16) and maps.matrix[0, 0] == 8
    assert engine.seen == [
        ((1, 64, 64, 3), np.uint8, False),
        ((1, 64, 64, 3), np.uint8, False),
        ((3, 64, 64, 3), np.uint8, False),
        ((1, 64, 64, 3), np.uint8, True),
    ]


def test_raw_outputs_need_the_torch_engine():
    detector = Detector(OtherEngine())
    with pytest.raises(InputError, match=r"network .*torch.*other"):
        _ = detector.network
    with pytest.raises(InputError, match=r"outputs\(\) .*torch.*other"):
        detector.outputs(np.zeros((8, 8, 3), np.uint8))
    torch_detector = spot_detector()
    assert isinstance(torch_detector.network, SpotNetwork)
    pixels, view, outputs = torch_detector.outputs(picture())
    assert pixels.shape == view.pixels.shape == (128, 128, 3)
    assert outputs["heatmap"].shape == (1, 3, 32, 32)


def test_the_torch_engine_runs_a_batch():
    engine = TorchEngine(
        SpotNetwork(), ("red", "blue", "white"), image_size=None, device="cpu",
        config=InferenceConfig(top_k=1),
    )  # fmt: skip
    assert engine.info.top_k == 1 and engine.info.has_heatmaps
    images = np.stack([picture(("red", 40, 64)), picture(("blue", 8, 8))])
    result = engine.run(images, heatmaps=True)
    assert [found["labels"].tolist() for found in result.detections] == [[0], [1]]
    assert result.detections[0]["boxes"].tolist() == [[34, 62, 50, 70]]
    assert result.detections[0]["scores"].tolist() == pytest.approx([SCORE])
    assert result.heatmaps.shape == (2, 3, 32, 32) and result.heatmaps[0, 0, 16, 10] == 10
    assert result.network_seconds > 0 and engine.run(images).heatmaps is None


def test_weights_are_loaded_into_an_engine_by_name(tmp_path):
    torch.save(checkpoint(), tmp_path / "w.ckpt")
    for name in ("auto", "torch"):
        engine = load_engine(tmp_path / "w.ckpt", engine=name, device="cpu")
        assert engine.name == "torch" and engine.info.image_size == (64, 96)
    with pytest.raises(InputError, match=r"engine .*torch, .*got 'tensor'"):
        Detector.load(tmp_path / "w.ckpt", device="cpu", engine="tensor")


def test_a_failed_compilation_is_one_line(monkeypatch):
    def fail(images):
        raise RuntimeError("no C++ compiler\nsecond line")

    monkeypatch.setattr(torch, "compile", lambda network, dynamic: fail)
    engine = CompiledEngine(SpotNetwork(), ("a", "b", "c"), image_size=None, device="cpu")
    with pytest.raises(InputError, match=r"compile .*\(no C\+\+ compiler\).*torch"):
        engine.run(picture()[None])


def test_the_package_offers_its_main_parts():
    from centernet import CenterNet, Detector, official

    assert (CenterNet.__name__, Detector.__name__) == ("CenterNet", "Detector")
    assert callable(official.load) and callable(official.convert)
    with pytest.raises(AttributeError, match=r"'centernet'.*'Retina'"):
        _ = centernet.Retina


@pytest.mark.guard
def test_importing_the_detector_imports_no_slow_libraries():
    program = (
        "import sys\nfrom centernet import Detector\n"
        "print(*{name.split('.')[0] for name in sys.modules}, 'torch._dynamo' in sys.modules)"
    )
    root = Path(centernet.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    *modules, dynamo = done.stdout.split()
    slow = {
        "av", "faster_coco_eval", "jinja2", "lightning", "matplotlib", "pandas", "pycocotools",
        "scipy", "supervision", "sympy", "timm", "torch", "torchvision",
    }  # fmt: skip
    assert "numpy" in modules and not slow & set(modules)
    assert dynamo == "False"  # takes as long as the rest of PyTorch
