import pytest
import torch
import torch.nn.functional as F

from centernet import CenterNet
from centernet.errors import InputError
from centernet.losses import CenterNetLoss
from centernet.targets import encode_targets


@pytest.mark.parametrize(
    ("backbone", "neck"),
    [
        ("resnet18", "deconv"),
        ("resnet18", "fpn"),
        ("resnet18", "dla"),
        ("resnet50", "deconv"),
        ("dla34", "dla"),
        ("mobilenetv4_conv_small", "fpn"),
        ("mobilenetv4_conv_small", "dla"),
        ("convnext_tiny", "deconv"),
        ("convnext_tiny", "fpn"),
        ("hrnet_w18", "dla"),
    ],
)
@pytest.mark.parametrize("deformable", [False, True])
def test_shapes(backbone, neck, deformable):
    network = CenterNet(5, backbone, neck=neck, deformable=deformable).eval()
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


def test_sides_in_place_of_size_and_offset():
    network = CenterNet(2, box_head="sides").eval()
    outputs = network(torch.rand(1, 3, 64, 32))
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {
        "heatmap": (1, 2, 16, 8),
        "sides": (1, 4, 16, 8),
    }
    assert (outputs["sides"] > 0).all()
    network.heads["sides"][-2].weight.data.zero_()
    assert torch.allclose(network(torch.rand(1, 3, 32, 32))["sides"], torch.tensor(2.0))


@pytest.mark.parametrize(
    ("options", "count"),
    [({}, 2), ({"head_norm": True}, 2), ({"neck": "fpn", "pyramid_heads": True}, 5)],
)
def test_the_class_tensors_are_those_whose_size_depends_on_the_classes(options, count):
    networks = [CenterNet(n, box_head="sides", **options) for n in (2, 3)]
    two, three = (network.state_dict() for network in networks)
    differ = [name for name in two if two[name].shape != three[name].shape]
    assert set(networks[0].classifier_parameter_names()) == set(differ)
    assert len(differ) == count


def test_pyramid_heads_add_coarser_maps_before_the_activation():
    network = CenterNet(2, "resnet10t", neck="fpn", box_head="sides", pyramid_heads=True).eval()
    images = torch.rand(1, 3, 64, 96)
    assert not any(weight.any() for weight in network.coarse_heads.parameters())
    with torch.inference_mode():
        for weight in network.coarse_heads.parameters():
            weight.normal_(0, 0.1)
        whole = network(images)
        ((finest, *coarser),) = network.features(images)
        assert [m.shape[-2:] for m in coarser] == [(8, 12), (4, 6), (2, 3)]
        for name, inverse in {"heatmap": torch.nn.Identity(), "sides": torch.log}.items():
            added = sum(
                F.interpolate(conv(m), size=(16, 24), mode="bilinear")
                for conv, m in zip(network.coarse_heads[name], coarser, strict=True)
            )
            alone = network.heads[name](finest)
            assert torch.allclose(inverse(whole[name]), inverse(alone) + added, atol=1e-5)
            assert added.std() > 0.01


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"backbone": "resnet19"}, "resnet19"),
        ({"neck": "spine"}, "spine"),
        ({"neck_channels": (64,)}, r"\[64\]"),
        ({"box_head": "corners"}, "'corners': choose size or sides"),
        ({"head_channels": 0}, "head_channels 0"),
        ({"pyramid_heads": True}, "pyramid_heads needs the neck fpn, got deconv"),
        ({"backbone": "swin_tiny_patch4_window7_224"}, "channels last"),
    ],
)
def test_what_cannot_be_built_is_said(arguments, said):
    with pytest.raises(InputError, match=said):
        CenterNet(2, **arguments)


def test_image_size_must_fit():
    with pytest.raises(ValueError, match="64x33"):
        CenterNet(2)(torch.zeros(1, 3, 33, 64))


def test_the_architecture_makes_the_same_network_again():
    network = CenterNet(
        2,
        neck="dla",
        deformable=True,
        head_channels=8,
        head_norm=True,
        box_head="sides",
    )
    again = CenterNet(**network.architecture)
    assert again.architecture == network.architecture
    again.load_state_dict(network.state_dict())


@pytest.mark.slow
def test_the_hourglass_has_two_stacks_and_wants_larger_multiples():
    network = CenterNet(3, "hourglass104").eval()
    with torch.inference_mode():
        images = torch.zeros(1, 3, 128, 256)
        stacks = network.forward_stacks(images)
        assert [s["heatmap"].shape for s in stacks] == 2 * [(1, 3, 32, 64)]
        assert torch.equal(network(images)["size"], stacks[-1]["size"])
    network.train()
    terms = CenterNetLoss()(
        network.forward_stacks(images[..., :128].repeat(2, 1, 1, 1)),
        encode_targets(
            2 * [{"boxes": torch.tensor([[8.0, 8, 60, 90]]), "labels": torch.tensor([1])}],
            (2, 3, 32, 32),
        ),
    )
    terms["loss"].backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in network.earlier_heads.parameters())
    assert all(p.grad is not None for p in network.parameters())
    with pytest.raises(ValueError, match="multiples of 128"):
        network(torch.zeros(1, 3, 128, 192))
    with pytest.raises(InputError, match="no ImageNet weights"):
        CenterNet(3, "hourglass104", pretrained=True)
