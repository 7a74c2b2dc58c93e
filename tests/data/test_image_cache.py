import copy
import multiprocessing

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from centernet.data import dataset as dataset_module
from centernet.data.augment import Augment
from centernet.data.dataset import DetectionDataset, collate
from centernet.data.image_cache import ImageCache
from centernet.data.sampler import EpochSampler

SIZES = [(40, 60), (75, 50), (64, 64), (33, 47)]
BOXES = [{"bbox": [10, 5, 20, 20], "image_id": 10 * (i + 1)} for i in range(len(SIZES))]
forks = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="workers are not forked"
)


def image(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_images_stay_as_they_were_added():
    cache = ImageCache(3, 100, shared=False)
    assert cache.get(1) is None
    added = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    cache.add(1, added, (20, 40))
    cache.add(2, image(5, 5, 7), (5, 5))
    cache.add(1, image(1, 1, 9), (1, 1))  # another process was first
    for index, wanted, size in ((1, added, (20, 40)), (2, image(5, 5, 7), (5, 5))):
        pixels, found = cache.get(index)
        np.testing.assert_array_equal(pixels, wanted)
        assert found == size and not pixels.flags.writeable


def test_a_full_cache_keeps_what_it_has():
    cache = ImageCache(3, 12, shared=False)
    cache.add(0, image(1, 3, 1), (1, 3))
    cache.add(1, image(1, 2, 2), (1, 2))  # 6 bytes, 3 are left
    cache.add(2, image(1, 1, 3), (1, 1))
    assert [cache.get(i) is None for i in range(3)] == [False, True, False]


def test_a_copy_is_empty():
    cache = ImageCache(1, 100, shared=True)
    cache.add(0, image(1, 1, 1), (1, 1))
    copied = copy.deepcopy(cache)
    copied.add(0, image(1, 1, 1), (1, 1))
    assert copied.get(0) is None


@forks
def test_forked_processes_share_the_images():
    cache = ImageCache(2, 100, shared=True)
    add = multiprocessing.get_context("fork").Process(
        target=cache.add, args=(1, image(2, 3, 5), (4, 6))
    )
    add.start()
    add.join()
    pixels, size = cache.get(1)
    assert pixels.tolist() == image(2, 3, 5).tolist() and size == (4, 6)


@pytest.mark.parametrize("capacity", [0, 10_000, 10**6])
@pytest.mark.parametrize("augment", [Augment(), None])
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=forks)])
def test_samples_are_the_same_and_read_once(tiny_coco, monkeypatch, augment, capacity, workers):
    def make() -> DetectionDataset:
        return DetectionDataset(*files, input_size=(64, 96), augment=augment)

    read, reads = dataset_module.read_image_and_size, multiprocessing.Value("i", 0)

    def counted(*arguments, **options):
        with reads.get_lock():
            reads.value += 1
        return read(*arguments, **options)

    files = tiny_coco(BOXES, sizes=SIZES)
    plain, kept = make(), make()
    kept.keep_images(capacity, shared=workers > 0)
    monkeypatch.setattr(dataset_module, "read_image_and_size", counted)
    sampler = EpochSampler(len(kept), batch_size=2, shuffle=False, seed=0)
    loader = DataLoader(
        kept,
        2,
        sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
        multiprocessing_context="fork" if workers else None,
    )
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        epochs.append([sample for batch in loader for sample in zip(*batch, strict=True)])
    # 10,000 bytes have room for some of the images, or none of the network inputs.
    assert (reads.value == len(SIZES)) == (capacity == 10**6)
    for epoch, samples in enumerate(epochs):
        for index, (pixels, target) in enumerate(samples):
            wanted, wanted_target = plain[epoch, index]
            assert torch.equal(pixels, wanted)
            assert torch.equal(target["boxes"], wanted_target["boxes"])
            np.testing.assert_array_equal(target["matrix"], wanted_target["matrix"])
            assert target["image_size"] == wanted_target["image_size"] == SIZES[index]


def test_a_substitute_is_the_same_with_kept_images(tiny_coco):
    files = tiny_coco(BOXES, sizes=SIZES)
    data = DetectionDataset(*files, input_size=(64, 96), augment=Augment())
    data.paths[2].write_bytes(b"broken")
    wanted = [data[epoch, 2] for epoch in range(3)]
    data.keep_images(10**6, shared=False)
    for epoch, (pixels, target) in enumerate(wanted):
        found, found_target = data[epoch, 2]
        assert torch.equal(found, pixels)
        assert found_target["unreadable"] == target["unreadable"] != []
