"""One head that the project does not have, from its definition to its place in the detections."""

import pytest
import torch
from fakes import checkpoint

from centernet import CenterNet, Detector
from centernet.decode import decode
from centernet.errors import InputError
from centernet.evaluation.ground_truth_maps import ground_truth_outputs
from centernet.heads import HEADS, Head, Sides, register, select_heads
from centernet.inference.engines.torch_engine import flip_forward
from centernet.losses import CenterNetLoss
from centernet.models.checkpoints import DESCRIPTION, build_network, checkpoint_of
from centernet.models.registry import make_loss
from centernet.targets import encode_targets

TARGET = {
    "boxes": torch.tensor([[0.0, 0.0, 32.0, 16.0], [32.0, 32.0, 40.0, 64.0]]),
    "labels": torch.tensor([0, 1]),
}
SMALL = {"backbone": "test_efficientnet", "neck_channels": [8, 8, 8], "head_channels": 8}


class Aspect(Head):
    """Logarithm of width / height of an object."""

    name = "aspect"
    channels = 1
    loss_weight = 0.5

    def encode(self, targets):
        width, height = targets.size.unbind(1)
        return (width / height).log()[:, None]

    def decode(self, outputs, cells):
        return {"aspects": cells.read(outputs[self.name])[..., 0].exp()}


class Turn(Head):
    """A direction: x changes its sign in the mirrored image, and elsewhere it is something else."""

    name = "turn"
    channels = 2

    def encode(self, targets):
        return torch.cat([torch.as_tensor(a["turn"]) for a in targets.annotations])

    def flip(self, output, mirrored):
        return super().flip(output, mirrored * torch.tensor([-1.0, 1.0]).view(2, 1, 1))

    def truth(self, values, away=None):
        return values if away is None else values + away


@pytest.fixture(autouse=True)
def further_heads(monkeypatch):
    for head in (Aspect, Turn):
        monkeypatch.setitem(HEADS, head.name, head())


def test_a_further_head_is_trained():
    torch.manual_seed(0)
    network = CenterNet(2, **SMALL, heads=["aspect"]).train()
    stacks = network.forward_stacks(torch.rand(2, 3, 64, 64))
    wide = {name: values[:1] for name, values in TARGET.items()}
    terms = make_loss(network)(stacks, network.encode([wide, wide], stacks[-1]))
    terms["loss"].backward()
    for name, parameter in network.heads["aspect"].named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
    others = terms["heatmap"] + 0.1 * terms["size"] + terms["offset"]
    assert terms["aspect"] > 0
    assert terms["loss"].item() == pytest.approx((others + 0.5 * terms["aspect"]).item())


def test_its_loss_is_the_mean_error_at_the_centers():
    targets = encode_targets([TARGET], (1, 2, 16, 16))
    outputs = {"heatmap": torch.zeros(1, 2, 16, 16), "sides": torch.ones(1, 4, 16, 16)}
    outputs["aspect"] = torch.zeros(1, 1, 16, 16)
    terms = CenterNetLoss({"aspect": 3}, box_head="sides", heads=["aspect"])([outputs], targets)
    # Widths and heights are 8 x 4 and 2 x 8 cells.
    expected = (torch.tensor(2.0).log() + torch.tensor(4.0).log()) / 2
    assert terms["aspect"].item() == pytest.approx(expected.item())
    assert CenterNetLoss(heads=["aspect"]).weights["aspect"] == 0.5


def test_a_head_learns_from_its_own_annotations():
    target = TARGET | {"turn": [[1.0, 0.0], [0.0, -3.0]]}
    targets = encode_targets([target, target], (2, 2, 16, 16))
    outputs = {name: torch.zeros(2, 2, 16, 16) for name in ("heatmap", "size", "offset", "turn")}
    terms = CenterNetLoss(heads=["turn"])([outputs], targets)
    assert terms["turn"].item() == pytest.approx((1 + 3) / 4)


def test_decode_adds_its_field_without_a_change_to_the_others():
    targets = encode_targets([TARGET], (1, 2, 16, 16))
    plain = {"heatmap": targets.heatmap.logit(), "size": torch.ones(1, 2, 16, 16)}
    outputs = plain | {"aspect": torch.zeros(1, 1, 16, 16)}
    outputs |= ground_truth_outputs({"aspect": outputs["aspect"]}, targets)
    (found,), (expected,) = decode(outputs, top_k=2), decode(plain, top_k=2)
    assert found["aspects"].tolist() == pytest.approx(
        [2.0, 0.25] if found["labels"][0] == 0 else [0.25, 2.0]
    )
    assert found.keys() == expected.keys() | {"aspects"}
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_flip_averages_and_mirrors():
    class Sloped(torch.nn.Module):
        def forward(self, images):
            ramp = torch.arange(4.0).expand(len(images), 1, 1, 4)
            return {"aspect": ramp, "turn": ramp.expand(-1, 2, -1, -1)}

    outputs = flip_forward(Sloped(), torch.zeros(1, 3, 4, 16))
    assert outputs["aspect"].flatten().tolist() == 4 * [1.5]
    assert outputs["turn"][0, 0, 0].tolist() == [-1.5, -0.5, 0.5, 1.5]
    assert outputs["turn"][0, 1, 0].tolist() == 4 * [1.5]


def test_its_ground_truth_comes_from_the_nearest_center():
    target = TARGET | {"turn": [[1.0, 2.0], [5.0, 5.0]]}
    targets = encode_targets([target], (1, 2, 16, 16))
    outputs = {"aspect": torch.zeros(1, 1, 16, 16), "turn": torch.zeros(1, 2, 16, 16)}
    truth = ground_truth_outputs(outputs | {"unknown": torch.zeros(1)}, targets)
    assert truth.keys() == outputs.keys()
    # The centers are in the cells (4, 2) and (9, 12).
    assert truth["aspect"][0, 0, 0, 0].exp().item() == pytest.approx(2)
    assert truth["aspect"][0, 0, 15, 15].exp().item() == pytest.approx(0.25)
    assert truth["turn"][0, :, 2, 4].tolist() == [1, 2]
    assert truth["turn"][0, :, 4, 1].tolist() == [1 - 3, 2 + 2]


def test_detections_with_a_further_field_are_merged_over_scales(tmp_path):
    network = CenterNet(2, **SMALL, heads=["aspect"])
    torch.nn.init.constant_(network.heads["size"][-1].bias, 5)
    torch.save(checkpoint_of(network, (64, 64)), tmp_path / "w.ckpt")
    detector = Detector.load(tmp_path / "w.ckpt", device="cpu", flip=True, scales=(0.5, 1))
    image = torch.zeros(64, 64, 3, dtype=torch.uint8).numpy()
    assert len(detector(image, threshold=0)) > 0


def test_a_checkpoint_names_its_heads(tmp_path):
    network = CenterNet(2, **SMALL, box_head="sides", heads=["aspect"])
    assert network.architecture["heads"] == ["aspect"]
    torch.save(checkpoint_of(network, (64, 64)), tmp_path / "w.ckpt")
    again = build_network(torch.load(tmp_path / "w.ckpt", weights_only=True))
    assert again.architecture == network.architecture
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())


def test_a_checkpoint_of_an_earlier_version_named_channels():
    network = CenterNet(2, **SMALL, heads=["aspect"])
    content = checkpoint_of(network, (64, 64))
    content[DESCRIPTION]["model"] = network.architecture | {"heads": {"aspect": 1}}
    assert build_network(content).architecture == network.architecture
    content = checkpoint()  # without further heads
    content[DESCRIPTION]["model"] |= {"heads": {"size": 2}}
    assert "heads" not in checkpoint()[DESCRIPTION]["model"]
    assert list(build_network(content).heads) == ["heatmap", "size", "offset"]


@pytest.mark.parametrize("heads", [["depth"], {"depth": 1}, {"aspect": 2}, "aspect"])
def test_a_checkpoint_with_an_unknown_head_is_refused_in_one_line(heads):
    content = checkpoint()
    content[DESCRIPTION]["model"] |= {"heads": heads}
    with pytest.raises(InputError, match=r"heads.*heatmap, .*aspect") as error:
        build_network(content)
    assert "\n" not in str(error.value)


def test_unknown_heads_are_named():
    with pytest.raises(InputError, match=r"'depth'.*heatmap, size"):
        CenterNet(2, **SMALL, heads=["depth"])
    with pytest.raises(InputError, match="'depth'"):
        CenterNetLoss(heads=["depth"])
    with pytest.raises(InputError, match=r"'corners'.*size or sides"):
        select_heads("corners")


@pytest.mark.parametrize("name", ["aspect", "heatmap", "a.b", ""])
def test_names_of_heads_are_unique_identifiers(name):
    with pytest.raises(ValueError, match=repr(name)):
        register(type("Again", (Aspect,), {"name": name}))


def test_registered_heads_are_found_by_name(monkeypatch):
    monkeypatch.delitem(HEADS, "aspect")
    assert register(Aspect) is Aspect
    assert list(select_heads("sides", ["aspect"])) == ["heatmap", "sides", "aspect"]


def test_the_exponential_of_sides_is_limited():
    """To what float16 can hold, and so that no gradient is infinite."""
    layers = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 1))
    Sides().init(layers)
    layers[0].weight.data.fill_(1)
    x = torch.full((1, 1, 1, 1), 100.0, requires_grad=True)
    distances = layers(x)
    assert distances.max().item() == pytest.approx(1096.6, abs=0.1)
    assert distances.half().isfinite().all()
    distances.sum().backward()
    assert x.grad.isfinite().all()
