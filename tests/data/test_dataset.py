import re
import traceback
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fakes import BCCD
from torch.utils.data import DataLoader

from centernet import geometry
from centernet.data.augment import NONE, Augment
from centernet.data.dataset import DetectionDataset, collate
from centernet.data.images import read_image
from centernet.data.preprocess import make_view
from centernet.data.regions import parse_segmentation
from centernet.data.sampler import EpochSampler
from centernet.errors import InputError

SIZES = [(40, 60), (75, 50), (64, 64), (30, 90), (33, 47), (64, 128)]
POLYGON = {"bbox": [5, 3, 40, 27], "segmentation": [[5, 3, 45, 10, 30, 30]], "iscrowd": 1}
OBJECTS = [
    {"bbox": [10, 5, 20, 30]},
    {"bbox": [30, 10, 25, 8], "category_id": 7},
    POLYGON,
    {"bbox": [5, 5, 20, 20], "image_id": 30, "category_id": 7},
    {"bbox": [8, 9, 10, 11], "image_id": 40},
]


@pytest.fixture
def dataset(tiny_coco):
    def make(annotations=OBJECTS, sizes=SIZES, input_size=(64, 96), **options) -> DetectionDataset:
        files = tiny_coco(annotations, sizes=sizes)
        return DetectionDataset(*files, input_size=input_size, **options)

    return make


def equal(a, b) -> bool:
    """Whether two samples or batches are the same through and through."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, torch.Tensor | np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    return a == b


def test_a_sample_without_augmentation_is_scaled_to_fit(dataset):
    # 40x60 in 64x96: everything 1.6 times as large.
    pixels, target = dataset()[0]
    assert pixels.shape == (3, 64, 96) and pixels.dtype == torch.uint8
    assert target["boxes"].dtype == torch.float32 and target["labels"].dtype == torch.int64
    np.testing.assert_allclose(target["boxes"], [[16, 8, 48, 56], [48, 16, 88, 28.8]], rtol=1e-6)
    assert target["labels"].tolist() == [0, 1]
    assert target["image_id"] == 10 and target["file"].endswith("1.png")
    np.testing.assert_allclose(target["matrix"], [[1.6, 0, 0], [0, 1.6, 0]])
    ((label, mask),) = target["ignore"]
    assert label == 0 and mask.shape == (16, 24) and mask.dtype == torch.bool


def test_colors_are_rgb(dataset):
    data = dataset([], sizes=[(64, 96)], augment=NONE)
    expected = cv2.imread(str(data.paths[0]), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(data[0][0].permute(1, 2, 0), expected)


def test_the_matrix_is_the_one_that_drew_the_sample(dataset):
    # 64 / 33 times as large, 33x47 is 91.15 wide: drawn from pixel 2 to 94.
    _, target = dataset(augment=NONE)[4]
    np.testing.assert_allclose(target["matrix"], [[92 / 47, 0, 2], [0, 64 / 33, 0]])


def test_augmentation_changes_colors(dataset):
    only = Augment(0, 0, (1, 1), False, brightness=0.4, contrast=0, saturation=0, lighting=0)
    plain, brighter = dataset()[0][0].double(), dataset(augment=only)[0][0].double()
    factor = (brighter / plain).median().item()
    assert 0.02 < abs(factor - 1) < 0.4
    assert (brighter - (factor * plain).clamp(max=255)).abs().max() < 3


def test_images_without_objects_are_samples(dataset):
    data = dataset()
    assert len(data) == 6 and data.num_objects == 4
    counts = [len(data[i][1]["boxes"]) for i in range(6)]
    assert counts == [2, 0, 1, 1, 0, 0]
    empty = data[1][1]
    assert empty["boxes"].shape == (0, 4) and empty["labels"].shape == (0,) and not empty["ignore"]


@pytest.mark.parametrize(
    ("names", "labels", "ids"),
    [
        (None, [0, 1], [3, 7]),
        (["dog", "cat"], [1, 0], [7, 3]),
        (["cat", "bird", "dog"], [0, 2], [3, None, 7]),
    ],
)
def test_labels_follow_the_class_names(dataset, names, labels, ids):
    data = dataset(class_names=names)
    assert data[0][1]["labels"].tolist() == labels
    assert data.category_ids == ids
    assert data.class_names == tuple(names or ("cat", "dog"))


def test_boxes_are_clipped_to_the_input_and_invisible_ones_left_out(dataset):
    boxes = [
        [-10, 8, 20, 16],
        [50, 36, 100, 100],
        [0, 0, 60, 40],
        [-20, 3, 20.5, 3],
        [8, -9, 4, 10],
    ]
    how = {"sizes": [(40, 60)], "input_size": (40, 60), "augment": NONE}
    _, target = dataset([{"bbox": box} for box in boxes], **how)[0]
    assert target["boxes"].tolist() == [
        [0, 8, 10, 24], [50, 36, 60, 40], [0, 0, 60, 40], [0, 3, 0.5, 6], [8, 0, 12, 1],
    ]  # fmt: skip


@pytest.mark.parametrize(("min_visible", "kept"), [(0.0, 2), (0.24, 2), (0.26, 1)])
def test_objects_that_are_hardly_visible_are_ignored(dataset, min_visible, kept):
    """A sample of an image twice as large, around its middle, sees a quarter of the first box."""
    boxes = [{"bbox": [22, 22, 20, 20]}, {"bbox": [50, 50, 20, 20]}]
    crop = NONE.__dict__ | {"scale": (0.5, 0.5), "min_visible": min_visible}
    data = dataset(boxes, sizes=[(128, 128)], input_size=(64, 64), augment=Augment(**crop))
    _, target = data[0]
    expected = [[0, 0, 10, 10], [18, 18, 38, 38]][2 - kept :]
    np.testing.assert_allclose(target["boxes"], expected)
    ignored = np.zeros((16, 16), bool)
    ignored[:2, :2] = True  # the cells with their middle in the visible part
    masks = [mask.numpy() for label, mask in target["ignore"] if label == 0]
    assert len(masks) == 2 - kept and all((mask == ignored).all() for mask in masks)


def test_augmented_boxes_lie_in_the_input_and_keep_their_labels(dataset):
    boxes = np.float32([[5, 5, 25, 25], [250, 260, 290, 290]])  # cat and dog in opposite corners
    cat, dog = ([x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in boxes.tolist())
    objects = [{"bbox": cat}, {"bbox": dog, "category_id": 7}]
    data = dataset(objects, sizes=[(300, 300)], augment=Augment(vertical_flip=0.5))
    seen = set()
    for epoch in range(60):
        _, target = data[epoch, 0]
        whole = geometry.transform_boxes(boxes, target["matrix"])[target["labels"].numpy()]
        found = target["boxes"].numpy()
        np.testing.assert_allclose(found, whole.clip(0, [96, 64, 96, 64]), atol=1e-4)
        assert (found[:, 2:] > found[:, :2]).all()
        seen.add(tuple(target["labels"].tolist()))
    assert seen == {(), (0,), (1,), (0, 1)}


def test_a_sample_depends_on_seed_epoch_and_index_alone(dataset):
    data, again, other = (dataset(augment=Augment(), seed=seed) for seed in (3, 3, 4))
    keys = [(epoch, index) for epoch in range(2) for index in range(6)]
    first = {key: data[key] for key in keys}
    assert all(equal(again[key], first[key]) for key in reversed(keys))
    for index in range(6):
        assert equal(data[index], first[0, index])
        assert not equal(first[0, index][0], first[1, index][0])
        assert not equal(other[0, index][0], first[0, index][0])
    alike = dataset([], sizes=[(64, 64)] * 2, augment=Augment())
    assert not equal(alike[0][1]["matrix"], alike[1][1]["matrix"])


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_the_batches(dataset, workers):
    data = dataset(augment=Augment())
    sampler = EpochSampler(len(data), batch_size=2, shuffle=True)
    sampler.set_epoch(5)
    alone, shared = (
        list(DataLoader(data, 2, sampler=sampler, num_workers=count, collate_fn=collate))
        for count in (0, workers)
    )
    assert len(alone) == 3 and equal(alone, shared)


def test_regions_follow_flips_and_crops(dataset):
    data = dataset(augment=Augment(vertical_flip=0.5))
    region = parse_segmentation(POLYGON["segmentation"])
    region = region.contains(*map(np.arange, SIZES[0])).astype(np.uint8)
    pixels = np.repeat(255 * region[..., None], 3, 2)
    flips, compared = set(), 0
    for epoch in range(40):
        matrix = data[epoch, 0][1]["matrix"]
        found = dict(data[epoch, 0][1]["ignore"]).get(0, torch.zeros(16, 24, dtype=bool)).numpy()
        drawn, _ = geometry.warp_to_input(pixels, matrix, (64, 96))
        # The four pixels around a cell's center; on the region's edge they disagree.
        around = np.stack([drawn[y::4, x::4, 0] for y in (1, 2) for x in (1, 2)])
        assert found[around.min(0) == 255].all() and not found[around.max(0) == 0].any()
        compared += (around.min(0) == 255).sum()
        flips.add(tuple(np.diag(matrix) < 0))
    assert len(flips) == 4 and compared > 500


def test_a_missing_image_is_named_at_once(tiny_coco):
    files = tiny_coco(OBJECTS, sizes=SIZES)
    (files.images / "3.png").unlink()
    (files.images / "5.png").unlink()
    message = f"^2 of 6 images are missing, the first is {re.escape(str(files.images / '3.png'))}"
    with pytest.raises(InputError, match=message):
        DetectionDataset(*files)
    with pytest.raises(InputError, match="6 of 6"):
        DetectionDataset(files.images / "elsewhere", files.annotations)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_breaks_later_is_named(dataset, workers):
    data = dataset()
    data.paths[2].write_bytes(data.paths[2].read_bytes()[:-20])
    with pytest.raises(
        InputError, match=f"image {re.escape(str(data.paths[2]))} is truncated"
    ) as error:
        list(DataLoader(data, 6, num_workers=workers, collate_fn=collate))
    traceback.clear_frames(error.tb)  # or torch waits five seconds for its worker, in a later test


@pytest.mark.parametrize("index", range(len(SIZES)))
def test_validation_sees_what_training_without_variation_sees(dataset, index):
    """And what the Detector makes of the image."""
    pixels, target = dataset()[index]
    trained, _ = dataset(augment=NONE)[index]
    assert torch.equal(pixels, trained) and pixels.shape == (3, 64, 96)
    view = make_view(read_image(target["file"]), (64, 96), 32)
    np.testing.assert_array_equal(pixels.permute(1, 2, 0), view.pixels)
    np.testing.assert_array_equal(target["matrix"], view.matrix)


def test_collate_stacks_images_and_keeps_targets_apart(dataset):
    samples = [dataset(augment=NONE)[i] for i in range(3)]
    images, targets = collate(samples)
    assert images.shape == (3, 3, 64, 96) and images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)
    for i, (pixels, target) in enumerate(samples):
        assert torch.equal(images[i], pixels)
        assert targets[i] is target


def epoch_of(processes: int, length: int, *, batch_size=8, epoch=0, **options) -> list[list[int]]:
    """The indices of each batch of all processes together."""
    order = []
    for rank in range(processes):
        sampler = EpochSampler(
            length, batch_size=batch_size, rank=rank, world_size=processes, **options
        )
        sampler.set_epoch(epoch)
        pairs = list(sampler)
        assert len(pairs) == len(sampler) and {e for e, _ in pairs} <= {epoch}
        order.append([index for _, index in pairs])
    each = batch_size // processes
    return [
        sorted(index for own in order for index in own[at : at + each])
        for at in range(0, len(order[0]), each)
    ]


@pytest.mark.parametrize("length", [8, 30, 32])
def test_batches_do_not_depend_on_the_number_of_processes(length):
    alone = epoch_of(1, length, shuffle=True)
    assert alone == epoch_of(2, length, shuffle=True) == epoch_of(4, length, shuffle=True)
    assert [len(batch) for batch in alone] == [8] * (length // 8)  # the rest is left out
    drawn = [index for batch in alone for index in batch]
    assert len(set(drawn)) == len(drawn) and set(drawn) <= set(range(length))


@pytest.mark.parametrize(
    ("processes", "length", "count"),
    [(1, 5, 5), (2, 5, 6), (4, 5, 8), (4, 3, 4), (4, 1, 4), (2, 1, 2)],
)
def test_less_than_a_batch_is_repeated_for_every_process(processes, length, count):
    (batch,) = epoch_of(processes, length, shuffle=True)
    assert len(batch) == count and set(batch) == set(range(length))


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("length", [3, 8, 30])
def test_unshuffled_every_index_comes_and_the_first_ones_fill_up(processes, length):
    samplers = [
        EpochSampler(length, batch_size=4, shuffle=False, rank=rank, world_size=processes)
        for rank in range(processes)
    ]
    indices = sorted(index for sampler in samplers for _, index in sampler)
    fill = -length % processes
    assert indices == sorted([*range(length), *range(fill)])
    assert len({len(list(sampler)) for sampler in samplers}) == 1
    assert len(samplers[0]) == len(list(samplers[0]))


def test_the_order_changes_with_epoch_and_seed_only():
    orders = [list(EpochSampler(50, batch_size=1, shuffle=True, seed=seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    epochs = [epoch_of(1, 50, batch_size=1, shuffle=True, epoch=epoch) for epoch in (0, 1, 1)]
    assert epochs[0] != epochs[1] == epochs[2]


def test_every_sample_of_the_excerpt_of_bccd_loads():
    annotations = BCCD / "annotations" / "instances_train.json"
    data = DetectionDataset(BCCD / "images", annotations, input_size=(192, 192))
    samples = [data[i] for i in range(len(data))]
    assert len(samples) == 8 and data.class_names == ("RBC", "WBC", "Platelets")
    assert sum(len(target["boxes"]) for _, target in samples) == data.num_objects == 115
    # Smears are bright; a border of 24 rows above and below is filled.
    assert all(image[:, 24:-24].float().mean() > 100 for image, _ in samples)


@pytest.mark.parametrize(
    ("split", "count", "crowds"), [("train2017", 150, 25), ("val2017", 120, 20)]
)
def test_every_sample_of_coco_loads(test_data_root: Path, split, count, crowds):
    root = test_data_root / "coco_mini"
    data = DetectionDataset(
        root / split, root / "annotations" / f"instances_{split}.json", input_size=(192, 192)
    )
    assert len(data) == count and len(data.class_names) == 80
    targets = [data[i][1] for i in range(count)]
    assert sum(len(target["boxes"]) for target in targets) == data.num_objects
    masks = [mask for target in targets for _, mask in target["ignore"]]
    assert crowds - 2 <= len(masks) <= crowds and all(mask.any() for mask in masks)
    assert all(0 <= label < 80 for target in targets for label, _ in target["ignore"])


def test_a_training_image_that_cannot_be_read_is_replaced_alike_every_time(dataset):
    data = dataset(augment=NONE, seed=3)
    data.paths[2].write_bytes(data.paths[2].read_bytes()[:300])
    samples = [data[epoch, 2] for epoch in (0, 1, 0)]
    assert equal(samples[0], samples[2])
    assert len({target["image_id"] for _, target in [data[e, 2] for e in range(20)]}) == 5
    for _, target in samples:
        assert target["image_id"] != 30
        file, reason = target["unreadable"][0]
        assert file == str(data.paths[2]) and "truncated" in reason
    assert data[0, 1][1]["unreadable"] == []


def test_a_dataset_without_a_readable_image_ends_with_an_error(dataset):
    data = dataset(augment=NONE)
    for path in data.paths:
        path.write_bytes(b"")
    with pytest.raises(InputError):
        data[0, 0]


def test_an_epoch_is_resumed_at_a_position_and_the_next_ones_are_whole():
    for rank in range(2):
        options = {"batch_size": 4, "shuffle": True, "seed": 1, "rank": rank, "world_size": 2}
        unbroken, resumed = EpochSampler(13, **options), EpochSampler(13, **options)
        resumed.start(2, 4)
        for epoch in (2, 3):
            unbroken.set_epoch(epoch)
            resumed.set_epoch(epoch)
            expected = list(unbroken)
            assert list(resumed) == (expected[4:] if epoch == 2 else expected)
            assert len(resumed) == len(expected) == 6
