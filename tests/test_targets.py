from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from centernet.decode import decode
from centernet.targets import Targets, encode_targets, gaussian_radius, render_heatmap

GOLDEN = Path(__file__).parent / "golden"


def boxes_and_labels(*rows):
    """Rows of x1, y1, x2, y2, label."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
    return {"boxes": table[:, :4], "labels": table[:, 4].long()}


def outputs_of(targets: Targets, shape):
    """Maps that a perfect network would predict."""
    batch, _, rows, columns = shape
    maps = {"heatmap": torch.logit(targets.heatmap)}
    for name in ("size", "offset"):
        values = torch.zeros(batch, rows * columns, 2)
        values[targets.batch_index, targets.cell_index] = getattr(targets, name)
        maps[name] = values.transpose(1, 2).reshape(batch, 2, rows, columns)
    return maps


def test_radius_equals_the_release():
    golden = np.load(GOLDEN / "gaussian_radius.npz")
    height, width = torch.tensor(golden["height_width"]).T
    assert np.abs(gaussian_radius(height, width).numpy() - golden["radius"]).max() < 1e-12
    ceiled = gaussian_radius(height.ceil(), width.ceil()).numpy()
    assert np.abs(ceiled - golden["radius_ceil"]).max() < 1e-12


@pytest.mark.parametrize(
    ("height", "width", "released", "corrected"),
    [(1, 1, 0.273, 0.082), (4, 4, 1.093, 0.327), (20, 40, 7.356, 2.155), (5, 50, 2.637, 0.700)],
)
def test_radius_of_known_boxes(height, width, released, corrected):
    assert gaussian_radius(height, width).item() == pytest.approx(released, abs=1e-3)
    textbook = gaussian_radius(height, width, corrected=True).item()
    assert textbook == pytest.approx(corrected, abs=1e-3)


@pytest.mark.parametrize("overlap", [0.3, 0.7])
@pytest.mark.parametrize(("height", "width"), [(10.0, 10.0), (20.0, 40.0), (5.0, 50.0)])
def test_corrected_radius_keeps_the_overlap(height, width, overlap):
    """A box whose corners moved by the radius, in the worst of three ways, has exactly that IoU."""
    r = gaussian_radius(height, width, overlap, corrected=True).item()
    area = height * width
    inner, outer = (height - 2 * r) * (width - 2 * r), (height + 2 * r) * (width + 2 * r)
    shared = (height - r) * (width - r)
    worst = min(inner / area, area / outer, shared / (2 * area - shared))
    assert worst == pytest.approx(overlap, abs=1e-9)


@pytest.mark.parametrize("case", [f"case{i}" for i in range(5)])
def test_targets_equal_the_release(case):
    golden = {
        key.removeprefix(f"{case}_"): value
        for key, value in np.load(GOLDEN / "targets.npz").items()
        if key.startswith(case)
    }
    classes, rows, columns = map(int, golden["shape"])
    valid = golden["valid"].astype(bool)
    boxes = torch.tensor(golden["boxes"][valid], dtype=torch.float32)
    boxes[:, 0::2].clamp_(0, columns - 1)
    boxes[:, 1::2].clamp_(0, rows - 1)
    target = {"boxes": 4 * boxes, "labels": torch.tensor(golden["labels"][valid]).long()}
    made = encode_targets([target], (1, classes, rows, columns))
    assert np.abs(made.heatmap[0].numpy() - golden["heatmap"]).max() <= 6e-8
    assert ((made.heatmap[0].numpy() == 1) == (golden["heatmap"] == 1)).all()
    assert (made.cell_index.numpy() == golden["index"][valid]).all()
    assert np.allclose(made.size, golden["size"][valid], atol=1e-6)
    assert np.allclose(made.offset, golden["offset"][valid], atol=1e-6)


def test_one_object_by_hand():
    # 8x8 pixels at (6, 10): 2x2 cells, center (2.5, 3.5) in cells, radius 0.547 -> 0
    made = encode_targets([boxes_and_labels((6, 10, 14, 18, 1))], (1, 2, 6, 5))
    expected = torch.zeros(1, 2, 6, 5)
    expected[0, 1, 3, 2] = 1
    assert torch.equal(made.heatmap, expected)
    assert made.cell_index.tolist() == [3 * 5 + 2]
    assert made.size.tolist() == [[2, 2]]
    assert made.offset.tolist() == [[0.5, 0.5]]
    assert made.mask is None


def test_gaussian_by_hand():
    # 4x4 cells: radius 1, sigma 0.5, so exp(-2) beside the center and exp(-4) at its corners
    heatmap = render_heatmap(*boxes_and_labels((8, 8, 24, 24, 0)).values(), (1, 8, 8))
    side, corner = np.exp(-2), np.exp(-4)
    window = [[corner, side, corner], [side, 1, side], [corner, side, corner]]
    assert np.allclose(heatmap[0, 3:6, 3:6], window, atol=1e-7)
    assert heatmap.count_nonzero() == 9


def test_no_objects_and_no_images_with_objects():
    empty = boxes_and_labels()
    made = encode_targets([empty, empty], (2, 3, 4, 4))
    assert made.heatmap.shape == (2, 3, 4, 4) and not made.heatmap.any()
    assert made.size.shape == (0, 2) and made.offset.shape == (0, 2)


def test_center_on_the_far_border_stays_inside():
    made = encode_targets([boxes_and_labels((15.9999999, 0, 16, 8, 0))], (1, 1, 4, 4))
    assert made.cell_index.tolist() == [1 * 4 + 3]
    assert (made.offset < 1).all()


def test_out_is_cleared_and_used_again():
    shape = (1, 2, 16, 16)
    first = encode_targets([boxes_and_labels((0, 0, 40, 40, 0), (20, 20, 60, 60, 1))], shape)
    other = [boxes_and_labels((30, 10, 60, 50, 1))]
    again = encode_targets(other, shape, out=first)
    assert again.heatmap.data_ptr() == first.heatmap.data_ptr()
    assert torch.equal(again.heatmap, encode_targets(other, shape).heatmap)


def test_wrong_arguments_say_what_they_are():
    target = boxes_and_labels((0, 0, 8, 8, 2))
    with pytest.raises(ValueError, match=r"0\.\.1, got 2"):
        encode_targets([target], (1, 2, 4, 4))
    with pytest.raises(ValueError, match="2 images"):
        encode_targets([target], (2, 3, 4, 4))
    with pytest.raises(ValueError, match="shape"):
        made = encode_targets([target], (1, 3, 4, 4))
        encode_targets([target], (1, 3, 8, 8), out=made)


def test_ignore_regions_by_class_and_for_all():
    left, top = torch.zeros(4, 4, dtype=torch.bool), torch.zeros(4, 4, dtype=torch.bool)
    left[:, :2], top[0] = True, True
    target = boxes_and_labels((0, 0, 8, 8, 0)) | {"ignore": [(0, left), (None, top)]}
    mask = encode_targets([target], (1, 2, 4, 4)).mask[0]
    expected = torch.stack([~(left | top), ~top])
    expected[0, 1, 1] = True  # the object's own center is never ignored
    assert torch.equal(mask, expected)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_decoding_the_targets_gives_the_boxes_back(data):
    """For objects in distinct cells, on input sizes of any shape."""
    rows, columns, classes = (data.draw(st.integers(1, high)) for high in (20, 20, 4))
    count = data.draw(st.integers(0, min(12, rows * columns)))
    seed = data.draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    cell = rng.choice(rows * columns, count, replace=False)
    center = np.stack([cell % columns, cell // columns], 1) + rng.uniform(0.01, 0.99, (count, 2))
    reach = np.minimum(center, [columns, rows] - center)
    half = reach * rng.uniform(0.3, 1, (count, 2))
    boxes = torch.tensor(4 * np.hstack([center - half, center + half]), dtype=torch.float32)
    labels = torch.from_numpy(rng.integers(0, classes, count))
    shape = (1, classes, rows, columns)
    made = encode_targets([{"boxes": boxes, "labels": labels}], shape)
    (found,) = decode(outputs_of(made, shape))
    certain = found["scores"] == 1
    assert certain.sum() == count
    assert sorted(found["labels"][certain].tolist()) == sorted(labels.tolist())
    distance = torch.cdist(boxes, found["boxes"][certain], p=torch.inf)
    if count:
        assert distance.min(1).values.max() < 1e-3
        assert (found["labels"][certain][distance.argmin(1)] == labels).all()
