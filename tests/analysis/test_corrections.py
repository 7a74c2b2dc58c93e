"""Corrections: their file, automatic acceptance, and their application to datasets."""

import csv
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from label_samples import (
    ACCEPTED,
    CLASSES,
    OBJECTS,
    annotated,
    labeled_image,
    suspect_images,
    write_dataset,
)
from sample_datasets import picture, via, write_json

from centernet.analysis.labels.apply import apply_corrections
from centernet.analysis.labels.corrections import (
    BoxChange,
    Corrections,
    ImageCorrections,
    LabeledBox,
    corrections_of,
)
from centernet.analysis.labels.corrections_file import read_corrections, write_corrections
from centernet.analysis.labels.suspicions import LabelError, SuspectImage, Suspicion
from centernet.data.formats import read_dataset
from centernet.errors import InputError


def accepted(min_score: float = 0.0, images=None) -> Corrections:
    return corrections_of(images or suspect_images(), CLASSES, min_score=min_score, dataset="pets")


def one_image(**changes) -> Corrections:
    """Corrections of a.png."""
    return Corrections("pets", CLASSES, [ImageCorrections("train", "a.png", **changes)])


def snapshot(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("format", ["coco", "voc", "yolo"])
def test_accepted_suspicions_of_every_kind_are_applied(tmp_path, format):
    root, output = write_dataset(tmp_path, format), tmp_path / "new"
    before = snapshot(root)
    result = apply_corrections(accepted(), root, output)
    assert annotated(output) == ACCEPTED
    assert (result.added, result.removed, result.changed, result.images) == (4, 5, 2, 2)
    assert result.format == format and snapshot(root) == before
    assert len(list(output.rglob("*.png"))) == 2
    rows = list(csv.DictReader((output / "changes.csv").open()))
    assert Counter(row["change"] for row in rows) == {"added": 4, "removed": 5, "changed": 2}
    (moved,) = (row for row in rows if row["x1_after"] == "105.0")
    assert moved | {"note": ""} == {
        "split": "train", "image": "a.png", "change": "changed",
        "class_before": "cat", "x1_before": "100.0", "y1_before": "60.0",
        "x2_before": "150.0", "y2_before": "110.0",
        "class_after": "cat", "x1_after": "105.0", "y1_after": "65.0",
        "x2_after": "140.0", "y2_after": "100.0", "note": "",
    }  # fmt: skip
    assert ("segmentation" in moved["note"]) == (format == "coco")


def test_only_suspicions_above_the_score_are_accepted(tmp_path):
    found = accepted(0.85)
    assert [d.kind for d in found.decisions] == [
        LabelError.MISSING, LabelError.SPURIOUS, LabelError.WRONG_CLASS,
    ]  # fmt: skip
    (image,) = found.images
    assert (len(image.add), len(image.remove), len(image.change)) == (1, 1, 1)
    with pytest.raises(InputError, match=r"1\.5"):
        accepted(1.5)


def test_a_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "new" / "corrections.json"
    write_corrections(path, accepted(0.7))
    again = tmp_path / "again.json"
    write_corrections(again, read_corrections(path))
    assert again.read_bytes() == path.read_bytes() and len(path.read_bytes()) > 1000
    assert read_corrections(path).decisions[0].kind is LabelError.MISSING


def test_corrections_of_one_annotation_are_combined():
    one = np.array([[62, 12, 88, 38]], np.float32)
    moved = Suspicion(LabelError.POOR_BOX, 0.99, (1,), one, 1, "")
    renamed = suspect_images()[0].suspicions[2]
    (image,) = accepted(images=[SuspectImage(labeled_image("a.png"), [renamed, moved])]).images
    before = LabeledBox("dog", (60, 10, 90, 40))
    assert image.change == [BoxChange(before, LabeledBox("cat", (62, 12, 88, 38)))]
    removed = Suspicion(LabelError.SPURIOUS, 1, (1,), one[:0], None, "")
    again = replace(removed, kind=LabelError.MERGED, score=0.5, boxes=one, label=0)
    images = [SuspectImage(labeled_image("a.png"), [again, moved, removed])]
    (image,) = accepted(images=images).images
    assert image.remove == [before] and not image.change and not image.add


def test_what_is_not_corrected_keeps_all_fields(tmp_path):
    root, output = write_dataset(tmp_path), tmp_path / "new"
    apply_corrections(accepted(), root, output)
    (old,), (new,) = (list(read_dataset(path).values()) for path in (root, output))
    before = {a["id"]: a for a in old.coco["annotations"]}
    after = {a["id"]: a for a in new.coco["annotations"]}
    same = before.keys() & after.keys() - {20, 30}
    assert same == {40, 50} and all(after[i] == before[i] for i in same)
    assert after[20] == before[20] | {"category_id": 1}
    assert "segmentation" not in after[30] and after[30]["area"] == 35 * 35
    assert after[30]["color"] == "color 3"
    assert sorted(after.keys() - before.keys()) == [91, 92, 93, 94]


def test_an_ignore_region_is_no_annotation_to_correct(tmp_path):
    root = write_dataset(tmp_path)
    path = root / "annotations" / "instances_train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["iscrowd"] = 1
    write_json(path, content)
    box = LabeledBox("cat", (10, 10, 30, 30))
    with pytest.raises(InputError, match=r"a\.png .*'cat' \[10, 10, 30, 30\]"):
        apply_corrections(one_image(remove=[box]), root, tmp_path / "new")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (ImageCorrections("val", "a.png"), "'val'.*train"),
        (ImageCorrections("train", "c.png"), r"'c\.png'.*'train'"),
        (
            ImageCorrections("train", "a.png", remove=[LabeledBox("dog", (10, 10, 30, 30))]),
            r"a\.png.*'dog' \[10, 10, 30, 30\]",
        ),
        (
            ImageCorrections("train", "a.png", remove=[LabeledBox("cat", (10, 10, 30, 30.6))]),
            r"'cat' \[10, 10, 30, 30\.6\]",
        ),
        (
            ImageCorrections("train", "a.png", remove=[LabeledBox("cat", (10, 10, 30, 30))] * 2),
            r"'cat' \[10, 10, 30, 30\]",
        ),
        (
            ImageCorrections("train", "a.png", add=[LabeledBox("cat", (200, 10, 230, 30))]),
            r"'cat' \[200.*a\.png.*outside",
        ),
    ],
)
def test_what_does_not_fit_the_dataset_is_refused_and_nothing_written(tmp_path, image, words):
    root = write_dataset(tmp_path)
    with pytest.raises(InputError, match=words) as error:
        apply_corrections(Corrections("pets", CLASSES, [image]), root, tmp_path / "new")
    assert "\n" not in str(error.value) and len(list(tmp_path.iterdir())) == 1


def test_a_box_matches_within_half_a_pixel_and_the_nearest_first(tmp_path):
    root = write_dataset(tmp_path)
    near = LabeledBox("dog", (12.4, 10.6, 52, 50.4))
    image = ImageCorrections("train", "b.png", remove=[near])
    apply_corrections(Corrections("pets", CLASSES, [image]), root, tmp_path / "new")
    kept = [box for box in OBJECTS["b.png"] if box != ("dog", (12, 11, 52, 50))]
    assert annotated(tmp_path / "new")["b.png"] == sorted(kept)


def test_the_output_must_be_new_and_outside_of_the_dataset(tmp_path):
    root = write_dataset(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    for output in (tmp_path / "full", root / "new", root):
        with pytest.raises(InputError, match=output.name):
            apply_corrections(accepted(), root, output)
    assert not (root / "new").exists()


def test_a_failing_log_leaves_nothing(tmp_path, monkeypatch):
    root = write_dataset(tmp_path)
    monkeypatch.setattr("centernet.analysis.labels.apply.csv.writer", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        apply_corrections(accepted(), root, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("format", ["coco", "voc", "yolo"])
def test_a_class_of_the_file_can_be_new(tmp_path, format):
    root = write_dataset(tmp_path, format)
    box, bird = LabeledBox("dog", (60, 10, 90, 40)), LabeledBox("bird", (60, 10, 90, 40))
    found = replace(one_image(change=[BoxChange(box, bird)]), classes=(*CLASSES, "bird"))
    result = apply_corrections(found, root, tmp_path / "new")
    assert ("bird", bird.box) in annotated(tmp_path / "new")["a.png"]
    assert any("'bird'" in message for message in result.messages)


def test_a_format_that_cannot_be_written_becomes_coco(tmp_path):
    shape = {"name": "rect", "x": 1, "y": 2, "width": 10, "height": 20}
    region = {"shape_attributes": shape, "region_attributes": {"label": "cat"}}
    write_json(tmp_path / "old" / "via.json", via(a=[region]))
    picture(tmp_path / "old" / "a.png")
    box = LabeledBox("cat", (1, 2, 11, 22))
    result = apply_corrections(
        one_image(remove=[box]), tmp_path / "old", tmp_path / "new", images="none"
    )
    assert result.format == "coco" and "via" in result.messages[0]
    assert (tmp_path / "new" / "annotations" / "instances_train.json").is_file()


BOX = {"class": "cat", "box": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 2"),
        ({"classes": ["cat", "cat"]}, "classes.*'cat'"),
        ({"classes": [7]}, r"classes\[0\].*7"),
        ({"images": 3}, "images.*3"),
        ({"images": [{"split": "train"}]}, r"images\[0\]\.file_name"),
        ({"images": [{"file_name": "a"}]}, r"images\[0\]\.split"),
        ({"images": [{"split": "t", "file_name": "../a"}]}, r"images\[0\]\.file_name.*\.\./a"),
        ({"add": [{"class": "owl", "box": [1, 2, 3, 4]}]}, r"images\[0\]\.add\[0\]\.class.*'owl'"),
        ({"add": [{"class": "cat", "box": [1, 2, 3]}]}, r"add\[0\]\.box.*\[1, 2, 3\]"),
        ({"remove": [{"class": "cat", "box": [1, 2, 1, 4]}]}, r"remove\[0\]\.box.*\[1, 2, 1, 4\]"),
        ({"add": [{"class": "cat", "box": [1, 2, float("nan"), 4]}]}, r"box.*nan"),
        ({"change": [{"from": BOX}]}, r"change\[0\]\.to"),
        ({"change": [{"from": BOX, "to": 5}]}, r"change\[0\]\.to.*5"),
        ({"decisions": [{"kind": "odd"}]}, r"decisions\[0\]\.kind.*'odd'"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_the_place(tmp_path, change, words):
    image = {"split": "train", "file_name": "a.png", "add": [], "remove": [], "change": []}
    content = {"version": 1, "dataset": "pets", "classes": ["cat"], "images": [image]}
    if change.keys() <= image.keys():
        content["images"] = [image | change]
    else:
        content |= change
    path = write_json(tmp_path / "c.json", content)
    with pytest.raises(InputError, match=words) as error:
        read_corrections(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[]", "{}", "{", '{"version": 1}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match=r"c\.json"):
        read_corrections(tmp_path / "c.json")


def test_an_image_may_occur_once(tmp_path):
    image = {"split": "train", "file_name": "a.png", "add": [], "remove": [], "change": []}
    content = {"version": 1, "dataset": "pets", "classes": ["cat"], "images": [image, image]}
    with pytest.raises(InputError, match=r"images\[1\].*'a\.png'"):
        read_corrections(write_json(tmp_path / "c.json", content))
