import json

import numpy as np
import pytest
import torch
from fakes import GOLDEN, released_weights

from centernet import CenterNet, Detector, geometry
from centernet.decode import decode
from centernet.errors import InputError
from centernet.models import official

OUTPUTS = {"heatmap": "hm", "size": "wh", "offset": "reg"}


def normalized_bgr(network, images):
    """What the release's networks are fed, as the RGB images that ours take."""
    return torch.tensor(images)[:, [2, 1, 0]] * network.std + network.mean


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("res_18", {"backbone": "resnet18", "neck": "deconv", "deformable": False}),
        ("resdcn_18", {"backbone": "resnet18", "neck": "deconv", "deformable": True}),
        ("dla_34", {"backbone": "dla34", "neck": "dla", "deformable": True}),
        pytest.param("hourglass", {"backbone": "hourglass104"}, marks=pytest.mark.slow),
    ],
)
def test_outputs_equal_the_release(name, architecture):
    about = json.loads((GOLDEN / f"network_{name}.json").read_text())
    network = official.convert({f"module.{k}": t for k, t in released_weights(name).items()})
    assert network.architecture.items() >= architecture.items() and not network.training
    images = np.random.default_rng(about["input_seed"]).standard_normal(about["input_shape"])
    with torch.inference_mode():
        stacks = network.forward_stacks(normalized_bgr(network, images.astype(np.float32)))
    expected = np.load(GOLDEN / f"network_{name}.npz")
    for outputs, suffix in zip(stacks[::-1], ("", "_0"), strict=False):
        for ours, theirs in OUTPUTS.items():
            value = expected[theirs + suffix]
            assert np.abs(outputs[ours].numpy() - value).max() < 1e-4 * np.abs(value).max()


def rows(found):
    return np.column_stack([found.class_id, found.xyxy, found.confidence])


def assert_same(found, expected, count=100):
    found, expected = found[:count], expected[:count]
    assert np.array_equal(found[:, 0], expected[:, 0])
    assert np.abs(found[:, 1:5] - expected[:, 1:5]).max() < 0.05
    assert np.abs(found[:, 5] - expected[:, 5]).max() < 1e-4


@pytest.fixture(scope="module", params=["resdcn_18", "dla_34"])
def pipeline(request, tmp_path_factory):
    """A released file of five classes, in the format of its time, and what the release makes."""
    path = tmp_path_factory.mktemp("released") / f"{request.param}.pth"
    state = {f"module.{k}": t for k, t in released_weights(request.param, num_classes=5).items()}
    torch.save({"epoch": 140, "state_dict": state}, path, _use_new_zipfile_serialization=False)
    return path, np.load(GOLDEN / f"pipeline_{request.param}.npz")


def test_detections_at_a_fixed_size_equal_the_release(pipeline):
    path, expected = pipeline
    network = official.load(path)
    with torch.inference_mode():
        (found,) = decode(network(normalized_bgr(network, expected["fix_input"])))
    matrix = geometry.letterbox(expected["image"].shape[:2], (256, 256))
    boxes = geometry.transform_boxes(found["boxes"].numpy(), geometry.invert(matrix))
    assert_same(
        np.column_stack([found["labels"], boxes, found["scores"]]), expected["fix_detections"]
    )


def test_the_input_at_the_image_size_equals_the_release(pipeline):
    path, expected = pipeline
    network, image = official.load(path), expected["image"]
    input_size = expected["keep_input"].shape[2:]
    pixels, _ = geometry.warp_to_input(
        image, geometry.center_pad(image.shape[:2], input_size), input_size
    )
    rgb = torch.from_numpy(pixels[..., ::-1].copy()).permute(2, 0, 1)[None]
    seen = network.normalize(rgb)[:, [2, 1, 0]].numpy()
    assert np.abs(seen - expected["keep_input"]).max() < 1e-5


@pytest.mark.guard
@pytest.mark.parametrize(
    ("mode", "options", "count"),
    [
        ("keep", {}, 100),
        ("flip", {"flip": True}, 100),
        pytest.param(
            "multi", {"flip": True, "scales": (0.75, 1, 1.25)}, 50, marks=pytest.mark.slow
        ),
    ],
)
def test_detections_equal_the_release(pipeline, mode, options, count):
    path, expected = pipeline
    detector = Detector.load(path, device="cpu", **options)
    found = detector(expected["image"], bgr=True, clip=False, threshold=0)
    assert_same(rows(found), expected[f"{mode}_detections"], count)
    (batched,) = detector.batch([expected["image"]], bgr=True, clip=False, threshold=0)
    assert_same(rows(batched), rows(found))


@pytest.mark.parametrize(
    "backbone",
    [
        "resnet34",
        "resnet50",
        pytest.param("resnet101", marks=pytest.mark.slow),
        pytest.param("resnet152", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("deformable", [False, True])
def test_depth_widths_and_number_of_classes_are_derived(backbone, deformable):
    options = {"neck_channels": (24, 16, 8), "head_channels": 12, "deformable": deformable}
    network = CenterNet(7, backbone, **options)
    family = "resdcn" if deformable else "res"
    released = {
        official._released_name(name, family): value
        for name, value in network.state_dict().items()
        if name not in ("mean", "std")
    }
    # Some released by hand, so that both ways cannot be wrong together.
    last = "layer4.2.conv2.weight" if backbone == "resnet34" else "layer4.2.conv3.weight"
    assert {last, "wh.2.bias", f"deconv_layers.{16 if deformable else 7}.running_var"} <= set(
        released
    )
    again = official.convert(released)
    assert again.architecture == network.architecture
    turned = again.state_dict()
    turned["backbone.conv1.weight"] = turned["backbone.conv1.weight"].flip(1)
    for name, value in network.state_dict().items():
        assert name in ("mean", "std") or torch.equal(value, turned[name]), name


def test_class_names():
    assert official.convert(released_weights("res_18")).class_names[79] == "toothbrush"
    voc = official.convert(released_weights("res_18", num_classes=20))
    assert voc.class_names[0] == "aeroplane"
    assert official.convert(released_weights("res_18", num_classes=3)).class_names == tuple("012")


def test_mean_and_std_default_to_the_coco_models(tmp_path):
    path = tmp_path / "voc.pth"
    torch.save(released_weights("res_18", num_classes=20), path)
    network = official.load(path)
    assert network.mean.flatten().tolist() == pytest.approx([0.470, 0.447, 0.408])
    network = official.load(path, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    assert network.mean.flatten().tolist() == pytest.approx([0.406, 0.456, 0.485])
    assert network.std.flatten().tolist() == pytest.approx([0.225, 0.224, 0.229])


def test_unused_tensors_are_accepted_and_batch_counters_may_be_missing():
    state = released_weights("dla_34")
    state["base.fc.weight"] = torch.zeros(1000, 512, 1, 1)
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    complete = official.convert(released_weights("dla_34")).state_dict()
    assert all(torch.equal(v, complete[k]) for k, v in official.convert(state).state_dict().items())


def without(name):
    return lambda state: state.pop(name)


def without_layer(prefix):
    def change(state):
        for name in [name for name in state if name.startswith(prefix)]:
            del state[name]

    return change


def with_tensor(name, *shape):
    return lambda state: state.__setitem__(name, torch.zeros(shape))


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("res_18", without("hm.2.bias"), "hm.2.bias is missing"),
        ("res_18", without("hm.2.weight"), "hm.2.weight is missing"),
        ("res_18", without("deconv_layers.3.weight"), "deconv_layers.3.weight is missing"),
        ("res_18", without("layer2.1.conv1.weight"), "layer2.1.conv1.weight is missing"),
        ("res_18", with_tensor("fc.weight", 1000, 512), "fc.weight"),
        ("res_18", with_tensor("base.fc.weight", 2), "base.fc.weight"),
        ("res_18", with_tensor("layer4.2.conv1.weight", 2), "layer4.2.conv1.weight"),
        ("res_18", with_tensor("layer1.0.conv3.weight", 2), "layer1.0.conv3.weight"),
        ("res_18", without_layer("layer4."), r"\[2, 2, 2, 0\] blocks"),
        ("res_18", with_tensor("hm.0.weight", 32, 256, 3, 3), r"hm.0.weight has shape \(32, 256"),
        ("res_18", with_tensor("hm.0.bias", 1), "hm.0.bias has shape"),
        ("res_18", with_tensor("hm.2.weight", 5, 64, 1, 1), r"hm.2.weight has shape \(5, 64"),
        ("res_18", with_tensor("deconv_layers.0.weight", 7), r"deconv_layers.0.weight has shape"),
        ("res_18", with_tensor("deconv_layers.1.weight", 7), r"deconv_layers.1.weight has shape"),
        ("res_18", with_tensor("hm.2.weight"), r"hm.2.weight has shape \(\)"),
        ("res_18", with_tensor("wh.2.weight", 160, 64, 1, 1), r"wh.2.weight has shape \(160, 64"),
        ("resdcn_18", without("deconv_layers.6.conv_offset_mask.bias"), "offset_mask.bias is mis"),
        ("resdcn_18", with_tensor("hps.2.weight", 34, 64, 1, 1), "hps.2.weight"),
        ("dla_34", without("dla_up.ida_2.proj_3.actf.0.running_var"), "ida_2.proj_3.actf.0.runn"),
        ("dla_34", without("ida_up.up_2.weight"), "ida_up.up_2.weight is missing"),
        ("dla_34", with_tensor("base.level1.0.weight", 32, 16, 5, 5), r"instead of \(32, 16, 3, 3"),
    ],
)
def test_a_tensor_that_is_missing_unknown_or_misshapen_is_named(tmp_path, name, change, expected):
    state = released_weights(name)
    change(state)
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "weights.pth")
    for load in (official.load, lambda path: Detector.load(path, device="cpu")):
        with pytest.raises(InputError, match=expected) as error:
            load(tmp_path / "weights.pth")
        assert "weights.pth" in str(error.value) and "\n" not in str(error.value)
        # One error, so one tensor is named.
        assert "(1 in total)" in str(error.value) or "blocks" in str(error.value)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    for old_format in (False, True):
        state = {"state_dict": released_weights("res_18", num_classes=1)}
        torch.save(state, path, _use_new_zipfile_serialization=not old_format)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match="damaged"):
            official.load(path)


class Bomb:
    def __reduce__(self):
        return print, ("boom",)


def test_code_in_a_file_is_not_executed(tmp_path, capsys):
    path = tmp_path / "weights.pth"
    for old_format in (False, True):
        state = {"state_dict": released_weights("res_18"), "optimizer": Bomb()}
        torch.save(state, path, _use_new_zipfile_serialization=not old_format)
        with pytest.raises(InputError, match=r"weights\.pth.*\bcode\b"):
            official.load(path)
    assert "boom" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", [{}, {"a": torch.zeros(1)}, {0: torch.zeros(1)}, [1], {"state_dict": {"a": 1}}, 3]
)
def test_other_content_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"weights\.pth"):
        official.load(tmp_path / "weights.pth")
