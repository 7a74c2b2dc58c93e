"""Images of one photograph in two splits, as exports of Roboflow have them."""

import cv2
import numpy as np
import pytest
from sample_datasets import photograph, text

from centernet.analysis.check.check_dataset import check_dataset


def export(root, train, valid):
    """A YOLO export of pictures by name, one box each."""
    for folder, pictures in (("train", train), ("valid", valid)):
        (root / folder / "images").mkdir(parents=True)
        for name, pixels in pictures.items():
            pixels = np.ascontiguousarray(pixels)
            cv2.imwrite(str(root / folder / "images" / f"{name}.jpg"), pixels)
            text(root / folder / "labels" / f"{name}.txt", "0 .5 .5 .4 .4\n")
    text(root / "data.yaml", "train: train/images\nval: valid/images\nnames: [cat]\n")
    return root


def found(root, **options):
    """(kind, split, file, what) of the images that are there twice."""
    report = check_dataset(root, input_size=(64, 64), **options)
    return sorted(
        (f.kind, f.split, f.file.rpartition("/")[2], f.what)
        for f in report.findings
        if f.kind in ("image-leak", "image-duplicate")
    )


def name(photo, copy):
    return f"IMG_{photo}_jpg.rf.{copy:032x}"


@pytest.mark.parametrize("read_images", [True, False])
def test_copies_of_one_photograph_by_name(tmp_path, read_images):
    train = {name(i, k): photograph(10 * i + k) for i in range(4) for k in range(3)}
    valid = {name(i, 9): photograph(10 * i + 9) for i in (2, 3, 4, 5)}
    leaks = found(export(tmp_path, train, valid), read_images=read_images)
    assert [(kind, split, file) for kind, split, file, _ in leaks] == [
        ("image-leak", "val", f"{name(i, 9)}.jpg") for i in (2, 3)
    ]
    for (*_, what), i in zip(leaks, (2, 3), strict=True):
        assert "in train" in what and name(i, 0) in what


def test_mirrored_and_turned_pictures_leak(tmp_path):
    train = {f"t{i}": photograph(i) for i in range(5)}
    valid = {"mirrored": photograph(1)[:, ::-1], "turned": np.rot90(photograph(2)),
             "same": photograph(3), "other": photograph(9)}  # fmt: skip
    leaks = found(export(tmp_path, train, valid))
    named = {file: what for _, _, file, what in leaks}
    assert list(named) == ["mirrored.jpg", "same.jpg", "turned.jpg"]
    assert {kind for kind, *_ in leaks} == {"image-leak"}
    for file, origin in (("mirrored", "t1"), ("same", "t3"), ("turned", "t2")):
        what = named[f"{file}.jpg"]
        assert f"{origin}.jpg" in what and ("mirrored" in what) == (file != "same")


def test_an_image_that_is_found_several_ways_is_one_finding(tmp_path):
    train = {name(1, 0): photograph(0), name(1, 1): photograph(0)[::-1], "other": photograph(2)}
    valid = {name(1, 2): photograph(0), name(1, 3): photograph(3)}
    found_ways = {file: what for *_, file, what in found(export(tmp_path, train, valid))}
    assert len(found(tmp_path)) == len(found_ways) == 2
    # By picture, which says more, and by name.
    assert "mirrored" not in found_ways[f"{name(1, 2)}.jpg"]
    assert "copy" in found_ways[f"{name(1, 3)}.jpg"]


def test_within_a_split_only_upright_pictures_are_duplicates(tmp_path):
    train = {name(1, 0): photograph(0), name(1, 1): photograph(0)[::-1],
             name(1, 2): photograph(5), "again": photograph(0)}  # fmt: skip
    duplicates = found(export(tmp_path, train, {"v": photograph(7)}))
    (only,) = duplicates
    assert only[:2] == ("image-duplicate", "train") and "the same picture" in only[3]
    assert {only[2], only[3].rpartition("/")[2].removeprefix("the same picture as ")} == {
        f"{name(1, 0)}.jpg", "again.jpg",
    }  # fmt: skip


def test_nearly_identical_pictures_are_named_so(tmp_path):
    brighter = np.clip(photograph(0).astype(int) + 2, 0, 255).astype(np.uint8)
    train = {"a": photograph(0), "b": photograph(0), "c": brighter}
    words = {
        file: what for _, _, file, what in found(export(tmp_path, train, {"v": photograph(7)}))
    }
    assert words == {
        "b.jpg": "the same picture as a.jpg",
        "c.jpg": "almost the same picture as a.jpg",
    }
