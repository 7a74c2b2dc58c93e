import pytest
import torch
import torch.nn.functional as F
from anchor_samples import ANCHORS, OBJECT, a_target

from centernet import Detector
from centernet.errors import InputError
from centernet.losses.detection import averaged_counts
from centernet.models.centernet import CenterNet
from centernet.models.checkpoints import DESCRIPTION, build_network, checkpoint_of
from centernet.models.pretrained import load_pretrained
from centernet.models.registry import make_loss, make_network
from centernet.models.retinanet.anchors import (
    encode_anchors,
)
from centernet.models.retinanet.loss import RetinaNetLoss
from centernet.models.retinanet.network import RetinaNet

SMALL = "test_resnet"


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50", SMALL])
def test_shapes_and_number_of_anchors(backbone):
    network = RetinaNet(3, backbone).eval()
    outputs = network(torch.zeros(2, 3, 96, 160, dtype=torch.uint8))
    # 12 x 20, 6 x 10, 3 x 5, 2 x 3 and 1 x 2 places.
    assert outputs["level_sizes"].tolist() == [9 * 240, 9 * 60, 9 * 15, 9 * 6, 9 * 2]
    assert outputs["classification"].shape == (2, 2907, 3)
    assert outputs["boxes"].shape == (2, 2907, 4)
    assert outputs["anchors"].shape == (2907, 4)
    assert outputs["classification"].sigmoid().mean().item() == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("backbone", ["dla46_c", SMALL])  # the first ends as wide as the pyramid
def test_p6_uses_the_last_features_of_the_backbone(backbone):
    network, seen = RetinaNet(1, backbone).eval(), []
    network.pyramid.extra_blocks.p6.register_forward_pre_hook(lambda _, x: seen.append(*x))
    images = torch.rand(1, 3, 64, 64)
    network(images)
    assert torch.equal(seen[0], network.backbone(network.normalize(images))[-1])


def test_all_layers_are_trained_batch_norms_too():
    network = RetinaNet(3, SMALL)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and all(p.requires_grad for p in network.parameters())
    network.train()(torch.rand(2, 3, 64, 64))
    assert all(norm.num_batches_tracked == 1 for norm in norms)


def test_anchors_are_one_stride_apart_at_every_input_size():
    levels = RetinaNet(1, SMALL).anchors([(1, 1)] * 4 + [(2, 3)], "cpu")
    # First cell: three scales of height / width 0.5, then of 1, then of 2.
    assert levels[0][3:6].tolist() == [
        [-16, -16, 16, 16],
        [-20, -20, 20, 20],
        [-25, -25, 25, 25],
    ]
    wide, tall = levels[0][0], levels[0][6]
    assert (wide[2:] - wide[:2]).tolist() == [46, 22] and (tall[2:] - tall[:2]).tolist() == [22, 46]
    # Sizes 512, 645 and 812 on the last level, a cell every 128 pixels, row by row.
    centers = (levels[4][:, :2] + levels[4][:, 2:]) / 2
    places = [[x, y] for y in (0, 128) for x in (0, 128, 256)]
    assert centers[::9].tolist() == places and centers[8::9].tolist() == places


def outputs_of(logits, boxes=None):
    boxes = torch.zeros(*logits.shape[:2], 4) if boxes is None else boxes
    return {"classification": logits, "boxes": boxes}


def focal_by_hand(p, y):
    p_t, alpha = (p, 0.25) if y else (1 - p, 0.75)
    return -alpha * (1 - p_t) ** 2 * p_t.log()


def star_by_hand(p, y):
    x_t = torch.logit(p) * (1 if y else -1)
    return F.softplus(-(2 * x_t + 1)) / 2


@pytest.mark.parametrize(
    ("name", "by_hand"), [("focal", focal_by_hand), ("focal_star", star_by_hand)]
)
def test_the_loss_by_hand(name, by_hand):
    targets = encode_anchors([a_target([OBJECT], [1])], ANCHORS, 2)
    p = torch.linspace(0.05, 0.95, 10).reshape(1, 5, 2)
    boxes = torch.full((1, 5, 4), 0.5)
    loss = RetinaNetLoss({"boxes": 2.0}, name)([outputs_of(p.logit(), boxes)], targets)
    # The anchor in between, number 2, is ignored; two are positive.
    examples = [(p[0, i, c], (i, c) in ((0, 1), (1, 1))) for i in (0, 1, 3, 4) for c in (0, 1)]
    classification = sum(by_hand(*example) for example in examples).item() / 2
    off = 4 * 0.5 + 2 * 0.5 + (0.5 - 4 / 12) + abs(0.5 - torch.tensor(20 / 12).log().item())
    assert loss["classification"].item() == pytest.approx(classification, rel=1e-5)
    assert loss["boxes"].item() == pytest.approx(off / 2, rel=1e-5)
    assert loss["loss"].item() == pytest.approx(classification + off, rel=1e-5)


def test_the_harmonized_loss_by_hand():
    targets = encode_anchors([a_target([OBJECT], [1])], ANCHORS, 2)
    p = torch.full((1, 5, 2), 0.25)
    # Two positives with |p - 1| = 0.75, six negatives with 0.25: two regions, each as a mean.
    p_positive, p_negative = torch.tensor([0.25, 0.75]).log()
    expected = -(p_positive + p_negative).item() / 10
    found = RetinaNetLoss(heatmap_loss="ghm")([outputs_of(p.logit())], targets)
    assert found["classification"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["focal", "focal_star", "ghm"])
def test_ignored_anchors_get_no_gradient(name):
    everywhere = torch.ones(16, 16, dtype=torch.bool)
    targets = encode_anchors([a_target(ignore=[(0, everywhere)])], ANCHORS, 2)
    logits = torch.randn(1, 5, 2, requires_grad=True)
    RetinaNetLoss(heatmap_loss=name)([outputs_of(logits)], targets)["loss"].backward()
    assert not logits.grad[..., 0].any() and logits.grad[..., 1].all()


@pytest.mark.parametrize("name", ["focal", "focal_star", "ghm"])
def test_an_image_without_objects(name):
    network = RetinaNet(2, SMALL)
    outputs = network(torch.rand(2, 3, 64, 64))
    loss = RetinaNetLoss(heatmap_loss=name)
    terms = loss([outputs], network.encode([a_target(), a_target()], outputs))
    assert terms["boxes"] == 0 and terms["classification"] > 0
    terms["loss"].backward()
    # Under several processes every parameter must take part in every step.
    assert all(p.grad is not None for p in network.parameters())


def test_counts_are_at_least_one():
    assert [c.item() for c in averaged_counts(torch.tensor(0), torch.tensor(7))] == [1, 7]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"heatmap_loss": "penalty_reduced_focal"}, "penalty_reduced_focal"),
        ({"heatmap_loss": "hinge"}, "'hinge'.*focal, focal_star, ghm"),
        ({"weights": {"heatmap": 1.0}}, "heatmap.*classification, boxes"),
        ({"heatmap_loss_options": {"gamma": -1}}, "gamma.*-1"),
    ],
)
def test_invalid_losses_and_terms(options, expected):
    with pytest.raises(InputError, match=expected):
        RetinaNetLoss(**options)


def test_nms_removes_the_lower_scoring_box_of_a_class_only():
    network = RetinaNet(2, SMALL).eval()
    outputs = network(torch.zeros(1, 3, 64, 64))
    outputs["classification"] = torch.full_like(outputs["classification"], -10)
    outputs["boxes"] = torch.zeros_like(outputs["boxes"])
    # Neighboring scales of one place overlap by 0.64, of two classes they may.
    for anchor, label, logit in ((3, 0, 2.0), (4, 0, 3.0), (4, 1, 1.0)):
        outputs["classification"][0, anchor, label] = logit
    (found,) = network.decode(outputs, top_k=2)
    assert found["labels"].tolist() == [0, 1]
    assert found["scores"].tolist() == pytest.approx(torch.tensor([3.0, 1]).sigmoid().tolist())
    assert torch.equal(found["boxes"], outputs["anchors"][[4, 4]])


@pytest.mark.slow
def test_one_image_is_overfitted():
    torch.manual_seed(0)
    network, loss = RetinaNet(2, SMALL), RetinaNetLoss()
    image = torch.zeros(1, 3, 64, 64)
    image[:, 0, 8:40, 8:40] = image[:, 2, 30:60, 34:64] = 1
    target = a_target([[8, 8, 40, 40], [34, 30, 64, 60]], [0, 1])
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    for _ in range(200):
        (outputs,) = stacks = network.forward_stacks(image)
        terms = loss(stacks, network.encode([target], outputs))
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    (found,) = network.decode(outputs, top_k=2)
    order = found["labels"].argsort()
    assert found["labels"][order].tolist() == [0, 1] and (found["scores"] > 0.3).all()
    assert torch.allclose(found["boxes"][order], target["boxes"], atol=3)


def test_a_checkpoint_names_the_detector():
    network = RetinaNet(2, SMALL)
    checkpoint = checkpoint_of(network, (64, 96))
    assert checkpoint[DESCRIPTION]["model"]["detector"] == "retinanet"
    again = build_network(checkpoint)
    images = torch.rand(1, 3, 64, 64)
    assert isinstance(again, RetinaNet) and not again.training
    assert torch.equal(again(images)["boxes"], network.eval()(images)["boxes"])
    assert "detector" not in CenterNet(2, SMALL).architecture
    assert isinstance(build_network(checkpoint_of(CenterNet(2, SMALL), None)), CenterNet)


def test_weights_of_other_classes_are_loaded_except_for_the_last_layer():
    trained, fresh = RetinaNet(2, SMALL), RetinaNet(3, SMALL)
    report = load_pretrained(fresh, trained)
    last = "head.classification_head.cls_logits"
    assert report.reinitialized == (f"{last}.weight", f"{last}.bias")
    first = "head.classification_head.conv.0.0.weight"
    assert torch.equal(fresh.state_dict()[first], trained.state_dict()[first])


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ({"backbone": "hourglass104"}, "'hourglass104'.*8, 16 and 32"),
        ({"backbone": "resnet19"}, "resnet19"),
        ({"detector": "yolo"}, "'yolo'.*centernet or retinanet"),
    ],
)
def test_invalid_architectures(architecture, expected):
    with pytest.raises(InputError, match=expected):
        make_network({"detector": "retinanet", "num_classes": 2} | architecture)


def test_options_that_only_a_centernet_has_are_dropped():
    unused = {"neck": "fpn", "neck_channels": [64, 64, 64], "head_channels": 128}
    network = make_network(
        {"detector": "retinanet", "num_classes": 2, "backbone": SMALL, "deformable": False} | unused
    )
    assert isinstance(make_loss(network), RetinaNetLoss)


def test_flip_and_heatmaps_are_refused():
    network = RetinaNet(2, SMALL)
    with pytest.raises(InputError, match="flip needs heatmaps"):
        Detector.from_network(network, ("a", "b"), device="cpu", flip=True)
    detector = Detector.from_network(network, ("a", "b"), device="cpu", image_size=(64, 64))
    image = torch.zeros(64, 64, 3, dtype=torch.uint8).numpy()
    assert detector.predict(image).heatmaps is None
    with pytest.raises(InputError, match="needs heatmaps"):
        detector.heatmaps(image)
