import time

import cv2
import numpy as np
import pytest
from fakes import BCCD
from sample_datasets import photograph

from centernet.data.images import read_image
from centernet.data.similar_images import (
    Fingerprint,
    Groups,
    fingerprint,
    group_similar,
    original_name,
)


def symmetric(pixels):
    """The eight: turned by quarters, and the mirror image turned."""
    return [np.rot90(side, k) for side in (pixels, pixels[:, ::-1]) for k in range(4)]


def saved_again(pixels):
    """Scaled to 0.7 and saved as JPEG."""
    pixels = cv2.resize(np.ascontiguousarray(pixels), None, fx=0.7, fy=0.7)
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 75])[1], 1)


def groups_of(pictures, **options):
    return group_similar(list(map(fingerprint, pictures)), **options).several()


def thumbnails(count, *, contrast=None, seed=0):
    """Fingerprints of unrelated smooth pictures; with a contrast, all of one brightness."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        values = cv2.resize(rng.uniform(0, 255, (4, 4)), (16, 16))
        if contrast:
            values = (values - values.mean()) / values.std() * contrast + 128
        found.append(Fingerprint(b"%d %d" % (seed, i), values.clip(0, 255).astype(np.uint8)))
    return found


def test_nothing_is_similar_to_nothing():
    assert groups_of([], turned=True) == []
    assert group_similar([None, None], turned=True).several() == []
    assert groups_of([photograph(0)], turned=True) == []


@pytest.mark.parametrize("size", [(96, 160), (301, 163), (64, 64)])
def test_all_eight_symmetries_are_found(size):
    copies = [saved_again(p) for p in symmetric(photograph(1, size))]
    pictures = [photograph(0, size), photograph(1, size), *copies, photograph(2, size)]
    assert groups_of(pictures, turned=True) == [list(range(1, 10))]
    assert groups_of(pictures, turned=False) == [[1, 2]]


def test_similarity_is_transitive():
    # The first and the last differ by 4 of 255, more than the limit of 3.
    pictures = [np.clip(photograph(0), 20, 200) + np.uint8(shift) for shift in (0, 4, 2)]
    assert groups_of(pictures[:2], turned=True) == []
    assert groups_of(pictures, turned=True) == [[0, 1, 2]]


def test_flat_pictures_are_the_same_only_with_the_same_pixels():
    pictures = [np.full((40, 60, 3), value, np.uint8) for value in (128, 129, 128)]
    assert groups_of(pictures, turned=True) == [[0, 2]]
    slope = np.tile(np.linspace(124, 132, 60).astype(np.uint8)[:, None], (40, 1, 3))
    other = slope.copy()
    other[0, 0] += 1
    assert groups_of([slope, other, slope[:, ::-1]], turned=True) == []


@pytest.mark.guard
def test_a_brute_force_comparison_finds_the_same_groups():
    rng = np.random.default_rng(1)
    pictures = thumbnails(60, contrast=9) + thumbnails(60, seed=1)
    for i in rng.integers(0, 120, 80):
        turned = symmetric(pictures[i].thumbnail)[rng.integers(8)]
        noisy = turned + rng.normal(0, rng.choice([0.5, 1, 3, 5]), (16, 16))
        thumbnail = noisy.round().clip(0, 255).astype(np.uint8)
        pictures.append(Fingerprint(b"%d" % (1000 + len(pictures)), thumbnail))
    expected = Groups(len(pictures))
    values = [picture.thumbnail.astype(int) for picture in pictures]
    for i, a in enumerate(values):
        for j, b in enumerate(values[:i]):
            most = min(3, 0.2 * a.std(), 0.2 * b.std())
            differences = [np.abs(a - turned) for turned in symmetric(b)]
            if any(d.mean() < most and d.max() < 12 for d in differences):
                expected.join([i], [j])
    assert 20 < len(expected.several()) < 80
    assert group_similar(pictures, turned=True).several() == expected.several()


def test_unrelated_pictures_of_low_contrast_are_not_similar():
    assert group_similar(thumbnails(1000, contrast=5), turned=True).several() == []


@pytest.mark.slow
@pytest.mark.parametrize("contrast", [None, 5])
def test_five_thousand_pictures_take_seconds(contrast):
    pictures = thumbnails(5000, contrast=contrast)
    start = time.process_time()
    assert group_similar(pictures, turned=True).several() == []
    assert time.process_time() - start < 10


@pytest.mark.slow
def test_frames_of_one_scene_take_seconds():
    rng = np.random.default_rng(0)
    scene = thumbnails(1)[0].thumbnail.astype(int)
    frames = [
        Fingerprint(
            b"%d" % i, (scene + rng.integers(-3, 4, (16, 16))).clip(0, 255).astype(np.uint8)
        )
        for i in range(10_000)
    ]
    start = time.process_time()
    groups = group_similar(frames, turned=True)
    # All are one view, so similarity says nothing about copies: only identical ones are grouped.
    assert groups.fixed_view == 10_000 and groups.several() == []
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("file_name", "original"),
    [
        ("IMG_1_jpg.rf.0123456789abcdef0123456789abcdef.jpg", "IMG_1_jpg"),
        ("train/IMG_1_jpg.rf.01.jpg", "IMG_1_jpg"),
        ("a_jpg.rf.01_jpg.rf.02.jpg", "a_jpg"),
        ("IMG_1.jpg", None),
        (".rf.01.jpg", None),
        ("x.rf.d/IMG_1.jpg", None),
    ],
)
def test_original_names_of_augmented_copies(file_name, original):
    assert original_name(file_name) == original


def test_groups_join_transitively():
    groups = Groups(6)
    groups.join([], [])
    assert groups.several() == []
    groups.join([5, 3], [4, 2])
    groups.join([4], [3])
    assert groups.several() == [[2, 3, 4, 5]] and groups.every() == [[0], [1], [2, 3, 4, 5]]
    groups.join_equal(["a", None, None, "b", None, "a"])
    assert groups.every() == [[0, 2, 3, 4, 5], [1]]


def test_of_the_excerpt_only_the_true_pair_is_similar():
    paths = sorted((BCCD / "images").glob("*.jpg"))
    (pair,) = groups_of(map(read_image, paths), turned=True)
    assert [paths[i].name for i in pair] == ["BloodImage_00037.jpg", "BloodImage_00038.jpg"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "similar"),
    [("bccd/images", [["BloodImage_00037.jpg", "BloodImage_00038.jpg"]]), ("coco_mini", [])],
)
def test_of_real_photographs_only_true_pairs_are_similar(test_data_root, folder, similar):
    paths = sorted((test_data_root / folder).rglob("*.jpg"))
    found = groups_of(map(read_image, paths), turned=True)
    assert len(paths) >= 270
    assert [[paths[i].name for i in group] for group in found] == similar
