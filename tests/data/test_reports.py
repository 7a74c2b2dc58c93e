"""Datasets with the faults of public reports: what is read, checked and converted."""

import re

import published_datasets  # noqa: F401 - registers its datasets
import pytest
from reported_datasets import HEIGHT, OBJECTS, REPORTS, WIDTH, Report

from centernet.analysis.check.check_dataset import check_dataset
from centernet.data.annotations import DatasetSplit, read_coco
from centernet.data.formats import convert_dataset, read_dataset
from centernet.data.formats.detect import FORMATS
from centernet.errors import InputError
from centernet.training.sources import DataSource

PATHS = {part: (part, f"annotations/instances_{part}.json") for part in ("train", "val")}
IDS = [report.build.__name__ for report in REPORTS]
# Boxes that the file of annotations has otherwise, or that the report is about.
ROUGH = {
    "voc_with_fractions",
    "voc_zero_box",
    "yolo_above_one",
    "csv_zero_box",
    "yolo_without_names",
}


def objects_of(split: DatasetSplit) -> list[tuple[str, list[float]]]:
    """Class and box of each object, sorted."""
    coco = read_coco(split)
    names = {c["id"]: c["name"] for c in coco["categories"]}
    return sorted(
        (names[a["category_id"]], [round(v, 2) + 0.0 for v in a["bbox"]])
        for a in coco["annotations"]
    )


EXPECTED = sorted((name, [float(v) for v in box]) for _, name, box in OBJECTS)


@pytest.mark.parametrize("report", REPORTS, ids=IDS)
def test_reading(tmp_path, report: Report):
    report.build(tmp_path)
    if report.boxes is None:
        with pytest.raises(InputError, match=report.outcome) as caught:
            read_dataset(tmp_path)
        assert "\n" not in str(caught.value)
        return
    split = read_dataset(tmp_path)["train"]
    assert all((split.images / i["file_name"]).is_file() for i in split.coco["images"])
    found = objects_of(split)
    assert len(found) == report.boxes
    assert report.outcome in " ".join(split.notes) and len(split.notes) <= 3
    if "--repair" not in report.outcome and report.build.__name__ not in ROUGH:
        assert found == EXPECTED


@pytest.mark.parametrize("report", [r for r in REPORTS if r.boxes], ids=lambda r: r.what)
def test_check_convert_and_training_agree(tmp_path, report: Report):
    root = tmp_path / "data"
    report.build(root)
    checked = check_dataset(root, input_size=(64, 64)).splits[0]
    assert int(checked.usable.sum()) == report.boxes
    (written, *_) = convert_dataset(root, tmp_path / "out", repair=True).splits
    assert len(written.coco["annotations"]) == report.boxes
    if report.build.__name__ not in ROUGH:
        assert len(objects_of(read_dataset(tmp_path / "out")["train"])) == len(EXPECTED)
    source = DataSource(root, PATHS)
    parts = [read_coco(source.find(part)[1]) for part in ("train", "val")]
    assert sum(len(part["annotations"]) for part in parts) >= report.boxes


@pytest.mark.parametrize("name", [r.build.__name__ for r in REPORTS if "--repair" in r.outcome])
def test_repaired_boxes_fit_the_images(tmp_path, name):
    (report,) = (r for r in REPORTS if r.build.__name__ == name)
    report.build(tmp_path / "data")
    convert_dataset(tmp_path / "data", tmp_path / "out", repair=True)
    split = read_dataset(tmp_path / "out")["train"]
    sides = {(i["width"], i["height"]) for i in split.coco["images"]}
    found = objects_of(split)
    if name == "boxes_before_exif":
        assert sides == {(HEIGHT, WIDTH)}
        turned = [(n, [HEIGHT - y - h, x, h, w]) for _, n, (x, y, w, h) in OBJECTS]
        assert found == sorted((n, [float(v) for v in box]) for n, box in turned)
    else:
        assert sides == {(WIDTH // 2, HEIGHT // 2)}
        assert found == sorted((n, [v / 2 for v in box]) for _, n, box in OBJECTS)


def test_every_report_is_listed_in_the_documentation(request):
    text = (request.config.rootpath / "docs" / "reports.md").read_text()
    for report in REPORTS:
        repository, number = report.where.split()
        assert re.search(rf"{repository}/(issues|pull|tree)/{number}\b", text), report.where
    assert len({report.where for report in REPORTS}) == len(REPORTS) >= 12
    assert len(FORMATS) >= 10
