"""Every fault is planted in a copy of a good dataset, and must be found with its file and id."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import BCCD

from centernet.analysis.check.check_dataset import check_dataset
from centernet.analysis.check.findings import ERROR, KINDS, WARNING
from centernet.cli import main
from centernet.data.annotations import read_coco
from centernet.data.shapes import make_shapes
from centernet.errors import InputError
from centernet.training.sources import DataSource

SIZE = (320, 320)


def copy_of_bccd(root: Path, source: Path, train: int, val: int) -> None:
    """Some of the images, in a folder for each split."""
    for name, most in (("train", train), ("val", val)):
        content = json.loads((source / f"annotations/instances_{name}.json").read_text())
        content["images"] = content["images"][:most]
        ids = {image["id"] for image in content["images"]}
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] in ids]
        (root / name).mkdir(parents=True)
        for image in content["images"]:
            shutil.copyfile(source / "images" / image["file_name"],
                            root / name / image["file_name"])  # fmt: skip
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/instances_{name}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module", params=["shapes", "bccd"])
def good(request, tmp_path_factory):
    """A dataset, and what is found in it before anything is planted."""
    root = tmp_path_factory.mktemp("good") / "data"
    if request.param == "bccd":
        copy_of_bccd(root, BCCD, 7, 3)  # without the last ones, which are a leak
    else:
        make_shapes(root, train=12, val=6, size=64)
    return root, found_in(root)


def found_in(root, **options):
    report = check_dataset(root, **{"input_size": SIZE} | options)
    return {(f.kind, f.split, f.file, str(f.annotation_id), f.what) for f in report.findings}


class Data:
    """A copy to plant faults in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.train, self.val = (
            json.loads(self.path(name).read_text()) for name in ("train", "val")
        )
        self.first = self.train["annotations"][0]
        self.image = next(i for i in self.train["images"] if i["id"] == self.first["image_id"])
        self.file = root / "train" / self.image["file_name"]

    def path(self, name):
        return self.root / f"annotations/instances_{name}.json"

    def save(self):
        for name, content in (("train", self.train), ("val", self.val)):
            self.path(name).write_text(json.dumps(content))

    def annotate(self, **changes):
        """Another annotation of the first image."""
        new = self.first | {"id": 9001} | changes
        self.train["annotations"].append(new)
        return new


def missing(data):
    data.file.unlink()


def broken(data):
    data.file.write_text("no image")


def truncated(data):
    data.file.write_bytes(data.file.read_bytes()[:-200])


def wrong_size(data):
    data.image["width"] += 7


def turned(data):
    pixels = cv2.imread(str(data.file))[:-20]
    cv2.imwrite(str(data.file), pixels)
    data.image["height"], data.image["width"] = pixels.shape[1], pixels.shape[0]


def orphan(data):
    cv2.imwrite(str(data.root / "train/alone.png"), np.zeros((40, 40, 3), np.uint8))


def listed_twice(data):
    data.train["images"].append(data.image | {"id": 7001})


def duplicate(data):
    _add_image(data, "copy.png", cv2.imread(str(data.file)))


def rescaled_duplicate(data):
    pixels = cv2.imread(str(data.file))
    # A picture saved again at another quality and size is the same picture.
    _add_image(data, "copy.jpg", cv2.resize(pixels, None, fx=0.9, fy=0.9))


def leak(data):
    shutil.copyfile(data.file, data.root / "val" / f"leak{data.file.suffix}")
    image = data.image | {"id": 7001, "file_name": f"leak{data.file.suffix}"}
    data.val["images"].append(image)


def outlier(data):
    _add_image(data, "huge.png", np.zeros((2000, 2000, 3), np.uint8))


def without_objects(data):
    rng = np.random.default_rng(0)
    _add_image(data, "empty.png", rng.integers(0, 256, (480, 640, 3), np.uint8))


def _add_image(data, name, pixels):
    cv2.imwrite(str(data.root / "train" / name), pixels)
    height, width = pixels.shape[:2]
    image = {"id": 7001, "file_name": name, "height": height, "width": width}
    data.train["images"].append(image)


def malformed_entry(data):
    del data.image["file_name"]


def category_id_of_text(data):
    for category in data.train["categories"]:
        category["id"] = f"c{category['id']}"


def region_of_two_points(data):
    data.annotate(iscrowd=1, segmentation=[[1, 2, 3, 4]])


def region_of_too_many_pixels(data):
    data.annotate(iscrowd="1", segmentation={"counts": [0, 10**12], "size": [64, 64]})


def region_with_infinite_vertex(data):
    data.annotate(ignore=True, segmentation=[[1, 2, 30, float("-inf"), 5, 6]])


def flag_of_text(data):
    data.annotate(iscrowd="no")


def image_ids_equal_as_text(data):
    data.train["images"][1]["id"] = str(data.image["id"])


def names_equal_as_text(data):
    data.train["categories"] += [{"id": 77, "name": 1}, {"id": 78, "name": "1"}]


def huge_box(data):
    data.annotate(bbox=[1, 2, 10**400, 4])


def crowd_without_box_and_size(data):
    data.annotate(iscrowd=1, bbox=None, segmentation={"counts": [1, 2]})


def image_id_twice(data):
    data.train["images"][1]["id"] = data.image["id"]


def category_twice(data):
    data.train["categories"].append(data.train["categories"][0] | {"id": 88})


def annotation_id_twice(data):
    data.annotate(id=data.first["id"], bbox=[1, 1, 9, 9])


def no_image(data):
    data.annotate(image_id=4242)


def no_category(data):
    data.annotate(category_id=4242)


def class_of_val_alone(data):
    data.val["categories"].append({"id": 77, "name": "unicorn"})


def class_without_objects(data):
    data.train["categories"].append({"id": 77, "name": "unicorn"})


def three_numbers(data):
    data.annotate(bbox=[1, 2, 3])


def not_a_number(data):
    data.annotate(bbox=[1, 2, float("nan"), 4])


def infinite(data):
    data.annotate(bbox=[1, 2, float("inf"), 4])


def zero_size(data):
    data.annotate(bbox=[10, 10, 0, 5])


def negative_size(data):
    data.annotate(bbox=[10, 10, 5, -5])


def outside(data):
    data.annotate(bbox=[data.image["width"] + 5, 2, 10, 10])


def reaches_over(data):
    data.annotate(bbox=[data.image["width"] - 10, 2, 30, 10])


def labeled_twice(data):
    x, y, w, h = data.first["bbox"]
    data.annotate(bbox=[x + 0.01 * w, y, w, h])


def two_classes(data):
    other = next(c["id"] for c in data.train["categories"] if c["id"] != data.first["category_id"])
    data.annotate(category_id=other)


def thin(data):
    data.annotate(bbox=[0, 0, 50, 3])


def below_a_cell(data):
    data.annotate(bbox=[20, 20, 0.5, 0.5])


def collision(data):
    x, y, w, h = data.first["bbox"]
    data.annotate(bbox=[x + w / 4, y + h / 4, w / 2, h / 2])


def over_top_k(data):
    rng = np.random.default_rng(0)
    first = data.val["annotations"][0]
    for i, (x, y) in enumerate(rng.uniform(0, 40, (120, 2)).tolist()):
        data.val["annotations"].append(first | {"id": 9001 + i, "bbox": [x, y, 12, 12]})


def corners(data):
    for annotation in data.train["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation["bbox"] = [x, y, x + w, y + h]


def normalized(data):
    size = {i["id"]: (i["width"], i["height"]) * 2 for i in data.train["images"]}
    for a in data.train["annotations"]:
        a["bbox"] = [v / side for v, side in zip(a["bbox"], size[a["image_id"]], strict=True)]


def nothing_to_measure(data):
    data.val["annotations"] = []


# What is planted, what must be found, whether with the file, and the annotation's id.
FAULTS = [
    (missing, "image-missing", True, None),
    (broken, "image-broken", True, None),
    (truncated, "image-truncated", True, None),
    (wrong_size, "reading", None, None),
    (turned, "image-size", True, None),
    (orphan, "image-orphan", None, None),
    (listed_twice, "image-twice", True, None),
    (duplicate, "image-duplicate", "copy.png", None),
    (rescaled_duplicate, "image-duplicate", "copy.jpg", None),
    (leak, "image-leak", "leak", None),
    (outlier, "image-outlier", "huge.png", None),
    (without_objects, "image-without-objects", "empty.png", None),
    (malformed_entry, "entry-malformed", None, None),
    (category_id_of_text, "entry-malformed", None, None),
    (region_of_two_points, "region-malformed", True, 9001),
    (region_of_too_many_pixels, "region-malformed", True, 9001),
    (region_with_infinite_vertex, "region-malformed", True, 9001),
    (flag_of_text, "entry-malformed", None, 9001),
    (image_ids_equal_as_text, "image-id-duplicate", True, None),
    (names_equal_as_text, "category-duplicate", None, None),
    (huge_box, "box-not-finite", True, 9001),
    (crowd_without_box_and_size, "box-malformed", True, 9001),
    (image_id_twice, "image-id-duplicate", True, None),
    (category_twice, "category-duplicate", None, None),
    (annotation_id_twice, "annotation-id-duplicate", True, "first"),
    (no_image, "annotation-without-image", None, 9001),
    (no_category, "category-unknown", True, 9001),
    (class_of_val_alone, "class-not-trained", None, None),
    (class_without_objects, "class-absent", None, None),
    (three_numbers, "box-malformed", True, 9001),
    (not_a_number, "box-not-finite", True, 9001),
    (infinite, "box-not-finite", True, 9001),
    (zero_size, "box-zero", True, 9001),
    (negative_size, "box-zero", True, 9001),
    (outside, "box-outside", True, 9001),
    (reaches_over, "box-reaches-over", True, 9001),
    (labeled_twice, "box-duplicate", True, 9001),
    (two_classes, "box-two-classes", True, 9001),
    (thin, "box-thin", True, 9001),
    (below_a_cell, "object-below-cell", True, 9001),
    (collision, "center-collision", True, 9001),
    (over_top_k, "over-top-k", None, None),
    (corners, "boxes-are-corners", None, None),
    (normalized, "boxes-are-normalized", None, None),
    (nothing_to_measure, "split-without-objects", None, None),
]


@pytest.mark.parametrize(
    ("plant", "kind", "file", "annotation"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS]
)
def test_what_is_planted_is_found(good, tmp_path, plant, kind, file, annotation):
    root, before = good
    shutil.copytree(root, tmp_path / "data")
    data = Data(tmp_path / "data")
    file = data.image["file_name"] if file is True else file
    annotation = data.first["id"] if annotation == "first" else annotation
    plant(data)
    data.save()
    new = [finding for finding in found_in(data.root) - before if finding[0] == kind]
    assert new
    if file:
        assert any((found or "").startswith(file) for _, _, found, _, _ in new), new
    if annotation:
        assert any(found == str(annotation) for *_, found, _ in new), new


def test_a_malformed_region_is_given_with_its_reason(good, tmp_path):
    shutil.copytree(good[0], tmp_path / "data")
    data = Data(tmp_path / "data")
    region_of_too_many_pixels(data)
    data.save()
    (what,) = [what for kind, *_, what in found_in(data.root) if kind == "region-malformed"]
    assert "1000000000000 pixels" in what
    with pytest.raises(InputError, match=r"annotation 9001 has .* 1000000000000 pixels"):
        read_coco(data.path("train"))


def test_names_that_cannot_be_printed_are_escaped(good, tmp_path, capsys):
    shutil.copytree(good[0], tmp_path / "data")
    data = Data(tmp_path / "data")
    data.train["categories"].append({"id": 77, "name": "\ud800"})
    data.save()
    shutil.copyfile(data.file, data.root / "train" / os.fsdecode(b"\xff.png"))
    with pytest.raises(SystemExit) as done:
        main(["check", str(data.root), "--output", str(tmp_path / "page.html"), "--json"])
    assert done.value.code == 1
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    findings = json.loads((tmp_path / "page.json").read_text())["findings"]
    for text in (capsys.readouterr().out, page, str(findings)):
        assert "\\ud800" in text and "\\udcff" in text


def test_every_kind_that_costs_something_is_planted():
    planted = {kind for _, kind, *_ in FAULTS} | {"split-absent", "reading"}
    grave = {kind for kind in KINDS if KINDS[kind].severity in (ERROR, WARNING)}
    assert grave <= planted and len(planted) >= 15


def test_a_dataset_without_training_images_cannot_be_trained_on(good, tmp_path):
    annotations = good[0] / "annotations"
    for name in ("val", "test"):
        shutil.copyfile(annotations / "instances_val.json", tmp_path / f"instances_{name}.json")
    report = check_dataset(tmp_path, input_size=SIZE, read_images=False)
    (found,) = [finding for finding in report.findings if finding.kind == "split-absent"]
    assert "no split 'train'" in found.what and not report.is_trainable
    # A file alone is looked at for itself.
    report = check_dataset(annotations / "instances_train.json", input_size=SIZE, read_images=False)
    assert report.is_trainable


@pytest.mark.parametrize("read_images", [True, False])
def test_check_counts_the_validation_images_that_fit_holds_out(good, tmp_path, read_images):
    root = shutil.copytree(good[0], tmp_path / "data")
    (root / "annotations" / "instances_val.json").rename(root / "annotations" / "test.json")
    report = check_dataset(root, input_size=SIZE, read_images=read_images)
    assert report.is_trainable and not [f for f in report.findings if f.kind == "split-absent"]
    (found,) = [finding for finding in report.findings if finding.kind == "split-held-out"]
    source = DataSource(root, {"train": ("", "train.json"), "val": ("", "val.json")})
    held_out, kept = (len(source.find(part)[1].coco["images"]) for part in ("val", "train"))
    total = held_out + kept
    assert f"fit holds out {'' if read_images else 'about '}{held_out} of {total}" in found.what


def test_check_and_fit_stop_alike_if_nothing_can_be_held_out(good, tmp_path):
    root = shutil.copytree(good[0], tmp_path / "data")
    (root / "annotations" / "instances_val.json").unlink()
    path = root / "annotations" / "instances_train.json"
    content = json.loads(path.read_text())
    content["images"] = content["images"][:1]
    first = content["images"][0]["id"]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] == first]
    path.write_text(json.dumps(content))
    report = check_dataset(root, input_size=SIZE)
    (found,) = [finding for finding in report.findings if finding.kind == "split-absent"]
    assert "too few" in found.what and not report.is_trainable
    source = DataSource(root, {"train": ("", "train.json"), "val": ("", "val.json")})
    with pytest.raises(InputError, match="too few"):
        source.find("val")


def test_a_good_dataset_has_no_error_and_no_warning_about_files(good):
    _, before = good
    kinds = {kind for kind, *_ in before}
    assert not {kind for kind in kinds if KINDS[kind].severity == ERROR}
    assert not {kind for kind in kinds if kind.startswith("image-")}


@pytest.mark.slow
def test_all_of_bccd_has_one_fault_until_more_are_planted(test_data_root, tmp_path):
    report = check_dataset(test_data_root / "bccd", input_size=SIZE)
    # One smear was photographed twice, at two focuses.
    (leak_of_bccd,) = report.findings
    assert leak_of_bccd.kind == "image-leak" and leak_of_bccd.file == "BloodImage_00037.jpg"
    assert "in train, as BloodImage_00038.jpg" in leak_of_bccd.what and report.is_trainable
    assert [best.exact["AP"] for best in report.ceilings] == pytest.approx([1, 1, 1])

    copy_of_bccd(tmp_path / "data", test_data_root / "bccd", 205, 87)
    data = Data(tmp_path / "data")
    together = [zero_size, labeled_twice, leak, no_category, not_a_number, reaches_over, orphan]
    for number, plant in enumerate(together):
        known = len(data.train["annotations"])
        plant(data)
        for annotation in data.train["annotations"][known:]:
            annotation["id"] = 9001 + number
    data.save()
    kinds = {kind for kind, *_ in found_in(data.root)}
    assert {fault[1] for fault in FAULTS if fault[0] in together} <= kinds
    # The two boxes of one object have their centers in one cell, and the leaked image no labels.
    side_effects = {"center-collision", "center-neighbor", "image-without-objects"}
    assert kinds <= {fault[1] for fault in FAULTS if fault[0] in together} | side_effects
