"""Validation images are held out by groups: no photograph is on both sides."""

import json
from hashlib import md5
from pathlib import Path

import cv2
import numpy as np
import pytest
from sample_datasets import coco_content, photograph

from centernet.cli import main
from centernet.data.annotations import DatasetSplit
from centernet.data.formats import convert_dataset, read_dataset
from centernet.data.formats.split_validation import split_validation
from centernet.errors import InputError


def dataset(root, pictures):
    """A training split of pictures by file name, each with a box."""
    for name, pixels in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), pixels)
    boxes = [{"image_id": i, "bbox": [1, 2, 3, 4]} for i in range(1, len(pictures) + 1)]
    content = coco_content(list(pictures), boxes)
    for image, pixels in zip(content["images"], pictures.values(), strict=True):
        image["height"], image["width"] = pixels.shape[:2]
    (root / "train.json").write_text(json.dumps(content))
    return DatasetSplit("train", root, content, root / "train.json")


def files(splits):
    return {s.name: [image["file_name"] for image in s.coco["images"]] for s in splits}


def split_files(split, fraction, **options):
    splits, messages = split_validation([split], fraction, **options)
    parts = files(splits)
    assert list(parts) == ["train", "val"]
    assert sorted(parts["train"] + parts["val"]) == sorted(files([split])["train"])
    for part in splits:
        ids = {image["id"] for image in part.coco["images"]}
        assert {a["image_id"] for a in part.coco["annotations"]} == ids
    return parts, messages


def augmented(photographs, copies=3):
    """Roboflow's copies, as different as other photographs."""
    return {
        f"IMG_{i:04}_jpg.rf.{md5(b'%d' % copy).hexdigest()}.jpg": photograph(1000 * i + copy)
        for i in range(photographs)
        for copy in range(copies)
    }


def originals(names):
    return {name.partition(".rf.")[0] for name in names}


def test_without_groups_the_names_decide(tmp_path):
    split = dataset(tmp_path, {f"{i}.png": photograph(i) for i in range(20)})
    parts, messages = split_files(split, 0.2)
    # The first by SHA-256 of their stems.
    assert sorted(parts["val"]) == ["13.png", "17.png", "8.png", "9.png"]
    assert len(messages) == 1 and "4 of 20" in messages[0]
    split.coco["images"].reverse()
    assert sorted(split_files(split, 0.2)[0]["val"]) == sorted(parts["val"])
    split.coco["images"][1:] = []
    with pytest.raises(InputError, match="1 images are too few"):
        split_validation([split], 0.2)


def test_augmented_copies_stay_together(tmp_path):
    parts, messages = split_files(dataset(tmp_path, augmented(50)), 0.2)
    assert not originals(parts["train"]) & originals(parts["val"])
    assert len(parts["val"]) == 30
    assert "30 of 150" in messages[0] and "20.0%" in messages[0]
    assert "50 groups of 150 images" in messages[1] and "50 by file name" in messages[1]
    assert "picture" not in messages[1] and "--group-by" not in messages[1]


def test_a_dataset_that_grows_keeps_its_images_where_they_were(tmp_path):
    before, _ = split_files(dataset(tmp_path / "a", augmented(50)), 0.2)
    after, _ = split_files(dataset(tmp_path / "b", augmented(55)), 0.2)
    more, _ = split_files(dataset(tmp_path / "c", augmented(50, copies=5)), 0.2)
    moved = originals(before["val"]) - originals(after["val"])
    assert len(after["val"]) == 33 and len(moved) <= 2
    assert originals(more["val"]) == originals(before["val"])


def test_mirrored_and_turned_copies_stay_together(tmp_path):
    rng = np.random.default_rng(0)
    pictures, source = {}, {}
    for i in range(20):
        pixels = photograph(i)
        for k, turned in enumerate((pixels, pixels[:, ::-1], np.rot90(pixels), pixels[::-1, ::-1])):
            name = f"{rng.integers(1 << 30)}{'.jpg' if k % 2 else '.png'}"
            pictures[name], source[name] = np.ascontiguousarray(turned), i
    parts, messages = split_files(dataset(tmp_path, pictures), 0.25)
    train, val = ({source[name] for name in parts[part]} for part in ("train", "val"))
    assert not train & val and len(parts["val"]) == 20
    assert "20 groups of 80 images" in messages[1] and "20 by picture" in messages[1]


def test_the_expression_keeps_videos_together(tmp_path):
    pictures = {f"video{i % 10}_frame{i}.png": photograph(i) for i in range(60)}
    pictures |= {f"photo{i}.png": photograph(100 + i) for i in range(6)}
    split = dataset(tmp_path, pictures)
    parts, messages = split_files(split, 0.2, group_by=r"(video\d+)_frame")
    videos = {
        name: {file.partition("_")[0] for file in parts[name] if "video" in file} for name in parts
    }
    assert not videos["train"] & videos["val"] and videos["val"]
    assert len(parts["val"]) == 13  # the photographs fill up
    assert "10 groups of 60 images" in messages[1]
    assert r"10 by --group-by (video\d+)_frame" in messages[1]
    # Without a group in the expression, the whole match counts: each frame is alone.
    _, messages = split_files(split, 0.2, group_by=r"video\d+_frame\d+")
    assert len(messages) == 1


def test_folders_can_be_groups(tmp_path):
    split = dataset(tmp_path, {f"{'abc'[i % 3]}/{i}.png": photograph(i) for i in range(12)})
    parts, _ = split_files(split, 0.3, group_by="^[^/]+")
    assert len({name[0] for name in parts["val"]}) == 1 and len(parts["val"]) == 4


def test_the_relations_join_transitively(tmp_path):
    # By name 0 and 1, by picture 1 and 2, by the expression 2 and 3.
    pictures = {
        "a.rf.1.png": photograph(0),
        "a.rf.2.png": photograph(1),
        "x_1.png": photograph(1)[::-1],
        "x_2.png": photograph(2),
        "alone.png": photograph(3),
    }
    parts, messages = split_files(dataset(tmp_path, pictures), 0.4, group_by="(x)_")
    assert parts["val"] == ["alone.png"]
    for part in ("1 groups of 4 images", "1 by file name", "1 by picture", "1 by --group-by"):
        assert part in messages[1]


@pytest.mark.parametrize(
    ("sizes", "fraction", "held_out"),
    [
        ([3, 3, 3, 3, 3], 0.2, 3),
        ([19, 1, 1, 1, 1, 1, 1, 1, 1, 1], 0.2, 6),  # 5.6: not the large group
        ([5, 5], 0.9, 5),  # one group stays for training
        ([5, 5], 0.01, 5),  # and one for validation
        ([8, 4], 0.1, 4),
        ([1, 1, 1], 0.9, 2),
        ([6, 6, 6, 6], 0.4, 12),  # 9.6 is nearer to 12 than to 6
        ([6, 6, 6, 6], 0.35, 6),
    ],
)
def test_whole_groups_come_near_the_fraction(tmp_path, sizes, fraction, held_out):
    pictures = {
        f"{group}.rf.{copy}.png": photograph(100 * group + copy)
        for group, size in enumerate(sizes)
        for copy in range(size)
    }
    parts, messages = split_files(dataset(tmp_path, pictures), fraction)
    assert len(parts["val"]) == held_out
    assert f"{held_out} of {sum(sizes)}" in messages[0]
    assert not originals(parts["train"]) & originals(parts["val"])


def test_one_group_cannot_be_split(tmp_path):
    split = dataset(tmp_path, augmented(1))
    with pytest.raises(InputError, match=r"one group.*3 images.*1 by file name"):
        split_validation([split], 0.2)


def test_pictures_of_a_fixed_camera_can_be_split(tmp_path):
    """Nearly all alike, only a small part differs: then identical ones alone belong together."""
    scene, pictures = photograph(0), {}
    for i in range(30):
        pictures[f"{i}.png"] = scene.copy()
        pictures[f"{i}.png"][i // 2, 0] //= 2  # two of each
    parts, messages = split_files(dataset(tmp_path, pictures), 0.2)
    assert len(parts["val"]) == 6
    of_pair = {name: int(name.removesuffix(".png")) // 2 for name in pictures}
    assert not {of_pair[n] for n in parts["train"]} & {of_pair[n] for n in parts["val"]}
    assert "30 of 30 pictures" in messages[-1] and "--group-by" in messages[-1]


@pytest.mark.parametrize("expression", ["(video", "clip", "x(9)?", "()"])
def test_wrong_expressions_are_named(tmp_path, expression):
    split = dataset(tmp_path, {f"x{i}.png": photograph(i) for i in range(4)})
    with pytest.raises(InputError) as error:
        split_validation([split], 0.5, group_by=expression)
    assert f"--group-by {expression!r}" in str(error.value)


def test_pictures_that_cannot_be_read_stand_alone(tmp_path):
    split = dataset(tmp_path, {f"{i}.png": photograph(0) for i in range(4)})
    (tmp_path / "0.png").unlink()
    (tmp_path / "1.png").write_text("no image")
    _, messages = split_files(split, 0.25)
    assert "1 groups of 2 images" in messages[1]


def test_the_command_splits_by_groups(tmp_path, capsys):
    pictures = {f"clip{i % 4}-{i}.png": photograph(i) for i in range(16)}
    dataset(tmp_path / "in", pictures)
    arguments = [tmp_path / "in", tmp_path / "out", "--val-fraction", "0.25"]
    with pytest.raises(SystemExit) as exit:
        main(["convert", *map(str, arguments), "--group-by", r"clip\d"])
    printed = capsys.readouterr().out
    assert not exit.value.code
    report = (tmp_path / "out" / "conversion.txt").read_text()
    for text in (printed, report):
        assert "4 of 16" in text and "4 groups of 16 images" in text
    parts = files(read_dataset(tmp_path / "out").values())
    assert len({name[:5] for name in parts["val"]}) == 1 and len(parts["val"]) == 4
    with pytest.raises(SystemExit, match="--group-by 'nothing'"):
        main(["convert", str(tmp_path / "in"), str(tmp_path / "x"), "--val-fraction", ".5",
              "--group-by", "nothing"])  # fmt: skip


def test_python_splits_by_groups(tmp_path):
    pictures = {f"clip{i % 4}-{i}.png": photograph(i) for i in range(16)}
    split = dataset(tmp_path / "in", pictures)
    options = {"val_fraction": 0.5, "group_by": r"clip\d", "format": "yolo"}
    conversion = convert_dataset([split], tmp_path / "out", **options)
    parts = files(conversion.splits)
    assert not {name[:5] for name in parts["val"]} & {name[:5] for name in parts["train"]}
    assert Path(tmp_path / "out" / "data.yaml").is_file()
