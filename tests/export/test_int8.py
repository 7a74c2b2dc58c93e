"""Quantization to int8."""

import onnx
import pytest
import torch
from fakes import BCCD, checkpoint, run_centernet
from onnx.parser import parse_model

from centernet import Detector
from centernet.errors import InputError
from centernet.export.int8 import Accuracy, calibration_and_test, check_loss, last_convolutions

CLASSES = ("Platelets", "RBC", "WBC")


@pytest.mark.guard
def test_a_checkpoint_is_quantized(tmp_path, capsys):
    torch.save(checkpoint(CLASSES, box_head="sides"), tmp_path / "w.ckpt")
    path = tmp_path / "int8.onnx"
    arguments = ["export", tmp_path / "w.ckpt", path, "--int8", BCCD, "--force"]
    status, text, _ = run_centernet(arguments, capsys)
    assert status in (0, None) and "int8.onnx" in text
    assert "AP 0.0" in text and "AP50 0.0" in text and "images" in text
    nodes = onnx.load(str(path)).graph.node
    producer = {name: node.op_type for node in nodes for name in node.output}
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    quantized = [n for n in convolutions if producer.get(n.input[1]) == "DequantizeLinear"]
    assert len(convolutions) - len(quantized) == 2  # the last one of heatmap and of sides
    detector = Detector.load(path)
    assert detector.class_names == CLASSES and detector.engine.info.image_size == (64, 96)
    assert len(detector(sorted((BCCD / "images").iterdir())[0], threshold=0)) > 10


def test_images_to_calibrate_on_and_to_measure_with():
    images, test = calibration_and_test(BCCD, CLASSES)
    assert (len(images), len(test)) == (8, 4)
    assert set(images.paths).isdisjoint(test.paths)
    with pytest.raises(InputError, match=r"RBC"):
        calibration_and_test(BCCD, ("cat", "dog"))


def test_a_large_loss_is_refused():
    small = Accuracy({"AP": 0.5, "AP50": 0.9}, {"AP": 0.491, "AP50": 0.7}, 87, "val")
    large = Accuracy({"AP": 0.5, "AP50": 0.9}, {"AP": 0.489, "AP50": 0.9}, 87, "val")
    assert str(large) == "AP 0.500 -> 0.489, AP50 0.900 -> 0.900 on 87 images (val)"
    check_loss(small, force=False)
    check_loss(large, force=True)
    with pytest.raises(InputError, match=r"0\.01 .*0\.500 -> 0\.489.*--force"):
        check_loss(large, force=False)


def test_the_last_convolutions(tmp_path):
    model = parse_model(
        '<ir_version: 9, opset_import: ["" : 18]> net (float[1, 1, 8, 8] x, float[1, 1, 1, 1] w)'
        " => (float[1, 1, 8, 8] y, float[1, 1, 8, 8] z)"
        "{ [a] p = Conv (x, w) q = Relu (p) [b] y = Conv (q, w) [c] r = Conv (q, w) z = Exp (r) }"
    )
    for node, name in zip((n for n in model.graph.node if n.op_type == "Conv"), "abc", strict=True):
        node.name = name
    onnx.save(model, str(tmp_path / "m.onnx"))
    assert sorted(last_convolutions(tmp_path / "m.onnx")) == ["b", "c"]
