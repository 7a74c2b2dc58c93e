import csv

import pytest
import torch
import torch.nn.functional as F
from fakes import TINY_CONFIG

from centernet import Detector
from centernet.data.shapes import make_shapes
from centernet.errors import InputError
from centernet.losses.detection import averaged_counts
from centernet.models.centernet import CenterNet
from centernet.models.checkpoints import DESCRIPTION, build_network, checkpoint_of, read_checkpoint
from centernet.models.pretrained import load_pretrained
from centernet.models.registry import make_loss, make_network
from centernet.models.retinanet.anchors import encode_anchors
from centernet.models.retinanet.loss import RetinaNetLoss
from centernet.models.retinanet.network import RetinaNet
from centernet.training.train_cli import main

SMALL = "test_resnet"


def a_target(boxes=(), labels=(), ignore=()):
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.long),
        "ignore": list(ignore),
    }


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50", SMALL])
def test_shapes_and_the_number_of_anchors(backbone):
    network = RetinaNet(3, backbone).eval()
    outputs = network(torch.zeros(2, 3, 96, 160, dtype=torch.uint8))
    # 12 x 20, 6 x 10, 3 x 5, 2 x 3 and 1 x 2 places.
    assert outputs["level_sizes"].tolist() == [9 * 240, 9 * 60, 9 * 15, 9 * 6, 9 * 2]
    assert outputs["classification"].shape == (2, 2907, 3)
    assert outputs["boxes"].shape == (2, 2907, 4)
    assert outputs["anchors"].shape == (2907, 4)
    assert outputs["classification"].sigmoid().mean().item() == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("backbone", ["dla46_c", SMALL])  # the first ends as wide as the pyramid
def test_p6_is_made_of_the_backbone_s_last_features(backbone):
    network, seen = RetinaNet(1, backbone).eval(), []
    network.pyramid.extra_blocks.p6.register_forward_pre_hook(lambda _, x: seen.append(*x))
    images = torch.rand(1, 3, 64, 64)
    network(images)
    assert torch.equal(seen[0], network.backbone(network.normalize(images))[-1])


def test_everything_learns_batch_norms_too():
    network = RetinaNet(3, SMALL)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and all(p.requires_grad for p in network.parameters())
    network.train()(torch.rand(2, 3, 64, 64))
    assert all(norm.num_batches_tracked == 1 for norm in norms)


def test_anchors_are_whole_strides_apart_whatever_the_canvas():
    levels = RetinaNet(1, SMALL).anchors([(1, 1)] * 4 + [(2, 3)], "cpu")
    # Of the first place: three scales of height / width 0.5, then of 1, then of 2.
    assert levels[0][3:6].tolist() == [
        [-16, -16, 16, 16],
        [-20, -20, 20, 20],
        [-25, -25, 25, 25],
    ]
    wide, tall = levels[0][0], levels[0][6]
    assert (wide[2:] - wide[:2]).tolist() == [46, 22] and (tall[2:] - tall[:2]).tolist() == [22, 46]
    # Sizes 512, 645 and 812 on the last level, a place every 128 pixels, row by row.
    centers = (levels[4][:, :2] + levels[4][:, 2:]) / 2
    places = [[x, y] for y in (0, 128) for x in (0, 128, 256)]
    assert centers[::9].tolist() == places and centers[8::9].tolist() == places


# One object of class 1, and anchors that overlap it by 1, 0.6, 0.45, 0.3 and 0.
OBJECT = [0.0, 0.0, 20.0, 20.0]
ANCHORS = torch.tensor(
    [OBJECT, [0, 0, 20, 12], [0, 0, 20, 9], [0, 0, 20, 6], [40, 40, 60, 60]]
).float()


def test_matching_by_hand():
    found = encode_anchors([a_target([OBJECT], [1])], ANCHORS, 2)
    assert found.classification[0].tolist() == [[0, 1], [0, 1], [0, 0], [0, 0], [0, 0]]
    assert found.mask[0].tolist() == [[1, 1], [1, 1], [0, 0], [1, 1], [1, 1]]
    assert found.batch_index.tolist() == [0, 0] and found.anchor_index.tolist() == [0, 1]
    # The second anchor's centre is 4 pixels, a third of its height, too high.
    expected = [[0, 0, 0, 0], [0, 4 / 12, 0, torch.tensor(20 / 12).log()]]
    assert torch.allclose(found.boxes, torch.tensor(expected), atol=1e-6)


def test_an_object_that_no_anchor_fits_has_its_best_one():
    found = encode_anchors([a_target([[0, 0, 20, 2]], [0])], ANCHORS, 2)
    assert found.anchor_index.tolist() == [3] and found.mask.all()


def test_ignore_regions_are_neither_background_nor_forbidden_to_objects():
    region = torch.zeros(16, 16, dtype=torch.bool)
    region[:5, :5] = True  # canvas pixels below 20: the centres of all anchors but the last
    for label, ignored in ((1, [[0, 1]]), (0, [[1, 0]]), (None, [[1, 1]])):
        found = encode_anchors([a_target([OBJECT], [1], [(label, region)])], ANCHORS, 2)
        expected = torch.tensor([*ignored * 2, [1, 1], *ignored, [0, 0]]).bool().logical_not()
        expected[2] = False  # in between
        expected |= found.classification[0]
        assert found.classification[0, :2, 1].all()
        assert torch.equal(found.mask[0], expected)


def test_labels_out_of_range_are_said():
    with pytest.raises(ValueError, match=r"0\.\.1, got 2\.\.2"):
        encode_anchors([a_target([OBJECT], [2])], ANCHORS, 2)


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
    # The anchor in between, number 2, plays no part; two are positive.
    examples = [(p[0, i, c], (i, c) in ((0, 1), (1, 1))) for i in (0, 1, 3, 4) for c in (0, 1)]
    classification = sum(by_hand(*example) for example in examples).item() / 2
    off = 4 * 0.5 + 2 * 0.5 + (0.5 - 4 / 12) + abs(0.5 - torch.tensor(20 / 12).log().item())
    assert loss["classification"].item() == pytest.approx(classification, rel=1e-5)
    assert loss["boxes"].item() == pytest.approx(off / 2, rel=1e-5)
    assert loss["loss"].item() == pytest.approx(classification + off, rel=1e-5)


def test_the_harmonised_loss_by_hand():
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


def test_decode_gives_encoded_boxes_back():
    network = RetinaNet(3, SMALL).eval()
    outputs = network(torch.zeros(2, 3, 128, 192))
    boxes = [[3.0, 5, 40, 60], [60, 20, 190, 120], [100, 100, 112, 110]]
    targets = network.encode([a_target(boxes, [2, 0, 1]), a_target()], outputs)
    perfect = outputs | {"classification": 20.0 * targets.classification - 10}
    perfect["boxes"] = torch.zeros_like(outputs["boxes"])
    perfect["boxes"][targets.batch_index, targets.anchor_index] = targets.boxes
    found, _ = network.decode(perfect, top_k=3)
    order = found["labels"].argsort()
    assert found["labels"][order].tolist() == [0, 1, 2] and (found["scores"] > 0.99).all()
    assert torch.allclose(found["boxes"][order], torch.tensor([boxes[i] for i in (1, 2, 0)]))
    assert found["boxes"].dtype == found["scores"].dtype == torch.float32
    assert network.decode(perfect, top_k=1)[0]["boxes"].shape == (1, 4)


def test_the_weaker_of_two_boxes_of_a_class_is_dropped():
    network = RetinaNet(2, SMALL).eval()
    outputs = network(torch.zeros(1, 3, 64, 64))
    outputs["classification"] = torch.full_like(outputs["classification"], -10)
    outputs["boxes"] = torch.zeros_like(outputs["boxes"])
    # Neighbouring scales of one place overlap by 0.64, of two classes they may.
    for anchor, label, logit in ((3, 0, 2.0), (4, 0, 3.0), (4, 1, 1.0)):
        outputs["classification"][0, anchor, label] = logit
    (found,) = network.decode(outputs, top_k=2)
    assert found["labels"].tolist() == [0, 1]
    assert found["scores"].tolist() == pytest.approx(torch.tensor([3.0, 1]).sigmoid().tolist())
    assert torch.equal(found["boxes"], outputs["anchors"][[4, 4]])


@pytest.mark.slow
def test_one_image_is_learned_by_heart():
    torch.manual_seed(0)
    network, loss = RetinaNet(2, SMALL), RetinaNetLoss()
    image = torch.zeros(1, 3, 64, 64)
    image[:, 0, 8:40, 8:40] = image[:, 2, 30:60, 34:64] = 1
    target = a_target([[8, 8, 40, 40], [34, 30, 64, 60]], [0, 1])
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    for _ in range(60):
        (outputs,) = stacks = network.forward_stacks(image)
        terms = loss(stacks, network.encode([target], outputs))
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    (found,) = network.decode(outputs, top_k=2)
    order = found["labels"].argsort()
    assert found["labels"][order].tolist() == [0, 1] and (found["scores"] > 0.3).all()
    assert torch.allclose(found["boxes"][order], target["boxes"], atol=3)


def test_a_checkpoint_says_that_it_is_a_retinanets():
    network = RetinaNet(2, SMALL)
    checkpoint = checkpoint_of(network, (64, 96))
    assert checkpoint[DESCRIPTION]["model"]["detector"] == "retinanet"
    again = build_network(checkpoint)
    images = torch.rand(1, 3, 64, 64)
    assert isinstance(again, RetinaNet) and not again.training
    assert torch.equal(again(images)["boxes"], network.eval()(images)["boxes"])
    assert "detector" not in CenterNet(2, SMALL).architecture
    assert isinstance(build_network(checkpoint_of(CenterNet(2, SMALL), None)), CenterNet)


def test_weights_of_other_classes_are_a_start():
    trained, fresh = RetinaNet(2, SMALL), RetinaNet(3, SMALL)
    start = load_pretrained(fresh, trained)
    last = "head.classification_head.cls_logits"
    assert start.new == (f"{last}.weight", f"{last}.bias")
    first = "head.classification_head.conv.0.0.weight"
    assert torch.equal(fresh.state_dict()[first], trained.state_dict()[first])


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ({"backbone": "hourglass104"}, "'hourglass104' lacks features of stride 8, 16 and 32"),
        ({"backbone": "resnet19"}, "resnet19"),
        ({"detector": "yolo"}, "'yolo': choose centernet or retinanet"),
    ],
)
def test_what_a_retinanet_cannot_be(architecture, said):
    with pytest.raises(InputError, match=said):
        make_network({"detector": "retinanet", "num_classes": 2} | architecture)


def test_options_of_a_centernet_alone_are_left_out():
    unused = {"neck": "fpn", "neck_channels": [64, 64, 64], "head_channels": 128}
    network = make_network(
        {"detector": "retinanet", "num_classes": 2, "backbone": SMALL, "deformable": False} | unused
    )
    assert isinstance(make_loss(network), RetinaNetLoss)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"heatmap_loss": "penalty_reduced_focal"}, "penalty_reduced_focal' needs a heatmap"),
        ({"heatmap_loss": "hinge"}, "'hinge': choose focal, focal_star, ghm"),
        ({"weights": {"heatmap": 1.0}}, "heatmap: the terms are classification, boxes"),
        ({"heatmap_loss_options": {"gamma": -1}}, "got -1"),
    ],
)
def test_losses_that_a_retinanet_does_not_have(options, said):
    with pytest.raises(InputError, match=said):
        RetinaNetLoss(**options)


def test_flip_and_heatmaps_are_refused():
    network = RetinaNet(2, SMALL)
    with pytest.raises(InputError, match="flip needs heatmaps"):
        Detector(network, ("a", "b"), device="cpu", flip=True)
    detector = Detector(network, ("a", "b"), device="cpu", image_size=(64, 64))
    image = torch.zeros(64, 64, 3, dtype=torch.uint8).numpy()
    assert detector.predict(image).heatmaps is None
    with pytest.raises(InputError, match="needs heatmaps"):
        detector.heatmaps(image)


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_shapes(tmp_path / "shapes", train=8, val=2, size=64)
    (tmp_path / "tiny.yaml").write_text(TINY_CONFIG)
    return tmp_path / "shapes"


def train(command, *options):
    main([command, "--config=tiny.yaml", "--data.root=shapes", *options])


@pytest.mark.slow
def test_fit_validate_and_detect(shapes, tmp_path, capsys):
    train("fit", "--model.detector=retinanet", "--model.heatmap_loss=ghm")
    run = tmp_path / "runs" / "tiny"
    with (run / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["loss/classification"]) > 0 and float(row["loss/boxes"]) > 0 and row["AP"]
    description = read_checkpoint(run / "best.ckpt")[DESCRIPTION]
    assert description["model"] == {
        "detector": "retinanet",
        "num_classes": 4,
        "backbone": "test_resnet",
    }
    # The checkpoint decides the network, and no loss is needed.
    train(
        "validate", f"--ckpt_path={run / 'best.ckpt'}", "--model.neck=fpn",
        "--model.heatmap_loss=penalty_reduced_focal", "--model.loss_weights={heatmap: 2}",
        "--model.test.scales=[0.5,1]",
    )  # fmt: skip
    assert (run / "validate-instances_val" / "metrics.json").exists()
    assert "triangle" in capsys.readouterr().out
    found = Detector.load(run / "best.ckpt", device="cpu")(
        shapes / "val" / "000000.png", threshold=0
    )
    assert 0 < len(found) <= 100 and set(found["class_name"]) <= set(description["class_names"])
    train("fit", "--ckpt_path=last", "--model.heatmap_loss=ghm", "--trainer.max_epochs=2")
    assert len((run / "metrics.csv").read_text().splitlines()) == 3
    # A file of weights decides the network, also when the run that began with it is resumed.
    train("fit", f"--model.weights={run / 'best.ckpt'}", "--model.neck=fpn")
    train("fit", "--ckpt_path=last", "--model.neck=fpn", "--trainer.max_epochs=2")
    description = read_checkpoint(tmp_path / "runs" / "tiny-2" / "last.ckpt")[DESCRIPTION]
    assert description["model"]["detector"] == "retinanet"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--model.heatmap_loss=penalty_reduced_focal", "needs a heatmap"),
        ("--trainer.callbacks+=CenterAUROC", "CenterAUROC looks at heatmaps"),
        ("--trainer.callbacks+=GradientByDifficulty", "GradientByDifficulty looks at heatmaps"),
    ],
)
def test_mistakes_are_said_in_one_line(shapes, tmp_path, option, said):
    with pytest.raises(InputError, match=said) as raised:
        train("fit", "--model.detector=retinanet", option)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("runs/*"))


def test_demo_refuses_heatmaps(shapes, tmp_path):
    from centernet.cli import main as centernet

    torch.save(checkpoint_of(RetinaNet(2, SMALL), (64, 64)), "weights.ckpt")
    detect = ["detect", "shapes/val", "--weights=weights.ckpt", "--output=out", "--device=cpu"]
    with pytest.raises(SystemExit) as exited:
        centernet([*detect, "--heatmaps"])
    assert str(exited.value).startswith("error: --heatmaps needs heatmaps")
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit) as exited:
        centernet([*detect, "--threshold=0.001"])
    assert not exited.value.code and len(list((tmp_path / "out").iterdir())) == 2
