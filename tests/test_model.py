import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from centernet import CenterNet
from centernet.errors import InputError

GOLDEN = Path(__file__).parent / "golden"


def weight_by_rule(key, shape):
    """A tensor that depends on its released name alone, so that no file of weights is needed."""
    z = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith("running_var"):
        return torch.tensor(1 + 0.2 * np.abs(z))
    if len(shape) == 4:
        return torch.tensor(z * np.sqrt(2 / np.prod(shape[1:])).astype(np.float32))
    if key.endswith("weight"):
        return torch.tensor(1 + 0.1 * z)
    return torch.tensor(0.1 * z)


def our_name(key):
    for released, ours in (("hm.", "heatmap."), ("wh.", "size."), ("reg.", "offset.")):
        if key.startswith(released):
            return "heads." + ours + key.removeprefix(released)
    return key.replace("deconv_layers.", "neck.") if key.startswith("deconv") else "backbone." + key


def test_outputs_equal_the_release():
    about = json.loads((GOLDEN / "network_res_18.json").read_text())
    network = CenterNet(
        about["num_classes"], neck_channels=(256, 256, 256), head_channels=about["head_channels"]
    )
    released = {our_name(k): weight_by_rule(k, tuple(s)) for k, s in about["state_dict"].items()}
    buffers = {"mean": network.mean, "std": network.std}
    network.load_state_dict(released | buffers)
    images = np.random.default_rng(about["input_seed"]).standard_normal(about["input_shape"])
    images = torch.tensor(images.astype(np.float32)) * network.std + network.mean
    with torch.inference_mode():
        outputs = network.eval()(images)
    expected = np.load(GOLDEN / "network_res_18.npz")
    for ours, name in (("heatmap", "hm"), ("size", "wh"), ("offset", "reg")):
        error = np.abs(outputs[ours].numpy() - expected[name]).max()
        assert error < 1e-4 * np.abs(expected[name]).max()


@pytest.mark.parametrize(
    ("backbone", "neck"),
    [
        ("resnet18", "deconv"),
        ("resnet18", "fpn"),
        ("resnet50", "deconv"),
        ("mobilenetv4_conv_small", "fpn"),
    ],
)
def test_shapes(backbone, neck):
    network = CenterNet(5, backbone, neck=neck).eval()
    outputs = network(torch.zeros(2, 3, 64, 96, dtype=torch.uint8))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "heatmap": (2, 5, 16, 24),
        "size": (2, 2, 16, 24),
        "offset": (2, 2, 16, 24),
    }


def test_uint8_and_float_images_agree_and_are_not_changed():
    network = CenterNet(2).eval()
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    scaled = images / 255
    before = scaled.clone()
    with torch.inference_mode():
        ours, theirs = network(images), network(scaled)
    assert all(torch.allclose(ours[k], theirs[k], atol=1e-5) for k in ours)
    assert torch.equal(scaled, before)


def test_starts_with_a_tenth_everywhere():
    network = CenterNet(3).eval()
    network.heads["heatmap"][-1].weight.data.zero_()
    heatmap = network(torch.zeros(1, 3, 32, 32))["heatmap"].sigmoid()
    assert heatmap.mean().item() == pytest.approx(0.1, abs=1e-3)


def test_further_heads():
    outputs = CenterNet(1, heads={"depth": 1}).eval()(torch.zeros(1, 3, 32, 32))
    assert outputs["depth"].shape == (1, 1, 8, 8)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"backbone": "resnet19"}, "resnet19"),
        ({"neck": "spine"}, "spine"),
        ({"neck_channels": (64,)}, r"\[64\]"),
    ],
)
def test_what_cannot_be_built_is_said(arguments, said):
    with pytest.raises(InputError, match=said):
        CenterNet(2, **arguments)


def test_image_size_must_fit():
    with pytest.raises(ValueError, match="33x64"):
        CenterNet(2)(torch.zeros(1, 3, 33, 64))
