import pytest
import torch
from anchor_samples import ANCHORS, OBJECT, a_target
from torchvision.ops import box_iou

from centernet.models.retinanet import anchors
from centernet.models.retinanet.anchors import (
    BACKGROUND,
    IGNORED,
    decode_anchors,
    decode_boxes,
    encode_anchors,
    encode_boxes,
    match_anchors,
)
from centernet.models.retinanet.network import RetinaNet

SMALL = "test_resnet"


def test_matching_by_hand():
    found = encode_anchors([a_target([OBJECT], [1])], ANCHORS, 2)
    assert found.classification[0].tolist() == [[0, 1], [0, 1], [0, 0], [0, 0], [0, 0]]
    assert found.mask[0].tolist() == [[1, 1], [1, 1], [0, 0], [1, 1], [1, 1]]
    assert found.batch_index.tolist() == [0, 0] and found.anchor_index.tolist() == [0, 1]
    # The second anchor's center is 4 pixels, a third of its height, too high.
    expected = [[0, 0, 0, 0], [0, 4 / 12, 0, torch.tensor(20 / 12).log()]]
    assert torch.allclose(found.boxes, torch.tensor(expected), atol=1e-6)


def test_an_object_below_the_iou_has_its_best_anchor():
    found = encode_anchors([a_target([[0, 0, 20, 2]], [0])], ANCHORS, 2)
    assert found.anchor_index.tolist() == [3] and found.mask.all()


def test_ignore_regions_are_no_background_and_may_contain_objects():
    region = torch.zeros(16, 16, dtype=torch.bool)
    region[:5, :5] = True  # input pixels below 20: the centers of all anchors but the last
    for label, ignored in ((1, [[0, 1]]), (0, [[1, 0]]), (None, [[1, 1]])):
        found = encode_anchors([a_target([OBJECT], [1], [(label, region)])], ANCHORS, 2)
        expected = torch.tensor([*ignored * 2, [1, 1], *ignored, [0, 0]]).bool().logical_not()
        expected[2] = False  # in between
        expected |= found.classification[0]
        assert found.classification[0, :2, 1].all()
        assert torch.equal(found.mask[0], expected)


def test_labels_out_of_range():
    with pytest.raises(ValueError, match=r"\b1\b.*\b2\b"):
        encode_anchors([a_target([OBJECT], [2])], ANCHORS, 2)


def test_matching_and_box_coding_equal_torchvision():
    # The reference is not public: where it has moved, this comparison is skipped.
    reference = pytest.importorskip("torchvision.models.detection._utils")
    matcher = reference.Matcher(0.5, 0.4, allow_low_quality_matches=True)
    coder = reference.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
    generator = torch.Generator().manual_seed(0)
    anchors = torch.cat(
        RetinaNet(1, SMALL).anchors([(8, 8), (4, 4), (2, 2), (1, 1), (1, 1)], "cpu")
    )
    corners = 70 * torch.rand(2, 12, 2, generator=generator)
    boxes = torch.cat([corners.amin(0), corners.amax(0) + 1], 1)
    matches = match_anchors(boxes, anchors)
    assert torch.equal(matches, matcher(box_iou(boxes, anchors)))
    assert {BACKGROUND, IGNORED} < set(matches.tolist())
    positive = matches >= 0
    relative = encode_boxes(boxes[matches[positive]], anchors[positive])
    expected = coder.encode_single(boxes[matches[positive]], anchors[positive])
    assert torch.allclose(relative, expected, rtol=1e-6, atol=1e-6)
    relative = 3 * torch.randn(len(anchors), 4, generator=generator)  # some beyond the limit
    assert torch.allclose(decode_boxes(relative, anchors), coder.decode_single(relative, anchors))


@pytest.mark.parametrize(("overlap", "kept"), [(0.45, [0, 1]), (0.55, [0])])
def test_nms_removes_boxes_above_an_iou_of_one_half(overlap, kept):
    anchors = torch.tensor([[0.0, 0, 20, 20], [0, 0, 20, 20 * overlap]])
    logits = torch.tensor([[[2.0], [1.0]]])
    (found,) = decode_anchors(logits, torch.zeros(1, 2, 4), [anchors])
    assert torch.equal(found["boxes"], anchors[kept])


def test_decode_inverts_encode():
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


def test_a_batch_of_many_classes_with_a_huge_box_is_decoded_like_each_image():
    torch.manual_seed(0)
    generator = anchors.anchor_generator((8, 128))
    generator.set_cell_anchors(torch.float32, "cpu")
    levels = generator.grid_anchors([(16, 16), (1, 1)], [(8, 8), (128, 128)])
    count = sum(map(len, levels))
    logits, boxes = torch.randn(16, count, 80) - 6, 0.3 * torch.randn(16, count, 4)
    logits[..., 0] += 6
    logits[0, -1, 0], boxes[0, -1, 2:] = 9, 10
    batch = anchors.decode_anchors_batch(logits, boxes, torch.cat(levels), top_k=50)
    for image, found in enumerate(anchors.decode_anchors(logits, boxes, levels, top_k=50)):
        assert torch.equal(batch["labels"][image], found["labels"])
        assert torch.allclose(batch["scores"][image], found["scores"])
        assert torch.allclose(batch["boxes"][image], found["boxes"], atol=1e-2)
