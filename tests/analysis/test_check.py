import json
import math
import re
import time

import cv2
import numpy as np
import pytest
import torch
from fakes import checkpoint, run_centernet

from centernet.analysis.check import advice
from centernet.analysis.check.boxes import check_boxes, near_duplicates
from centernet.analysis.check.ceiling import measure_ceiling
from centernet.analysis.check.cells import assign_cells, check_cells
from centernet.analysis.check.check_dataset import check_dataset
from centernet.analysis.check.check_report import CheckReport, ResolutionResult, class_sizes
from centernet.analysis.check.check_text import format_text
from centernet.analysis.check.findings import KINDS, SEVERITIES, Finding
from centernet.analysis.check.histograms import histograms
from centernet.analysis.check.pictures import sample_images
from centernet.analysis.check.split_arrays import read_splits
from centernet.data.annotations import DatasetSplit, read_coco
from centernet.data.dataset import DetectionDataset
from centernet.data.shapes import make_shapes
from centernet.evaluation.oracle import analyze
from centernet.models.pretrained import load_weights
from centernet.sizes import format_size
from centernet.targets import encode_targets
from centernet.training.auto_config import InputChoice, input_for_data
from centernet.training.datamodule import DetectionData


def split_of(boxes, *, classes=1, size=(64, 64), labels=None, name="train", folder="."):
    """Boxes xywh of one image."""
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "height": size[0], "width": size[1]}],
        "categories": [{"id": i + 1, "name": f"c{i}"} for i in range(classes)],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1 + (labels[i - 1] if labels else 0), "bbox": b}
            for i, b in enumerate(boxes, 1)
        ],
    }
    return DatasetSplit(name, folder, coco, "memory")


def laid_out(split, size=(64, 64), **options):
    (arrays,) = read_splits([split])
    check_boxes(arrays)
    return arrays, assign_cells(arrays, size, **options)


def test_boxes_that_overlap_by_nine_tenths_are_alike():
    boxes = np.array([[0, 0, 100, 10], [9, 0, 100, 10], [11, 0, 100, 10], [0, 0, 100, 10]], float)
    found = {
        (min(a, b), max(a, b)): round(o, 3) for a, b, o in near_duplicates(boxes, np.array([0] * 4))
    }
    # Of the two equal boxes only the first is compared: 91/100, 89/100 and, for the second and
    # third, 89/91.
    assert found == {(0, 1): 0.91, (0, 3): 1.0, (1, 2): 0.978}
    assert not list(near_duplicates(boxes, np.arange(4)))
    assert not list(near_duplicates(np.zeros((0, 4)), np.zeros(0)))


def test_cells_are_those_of_the_targets():
    rng = np.random.default_rng(0)
    boxes = np.hstack([rng.uniform(0, 60, (200, 2)), rng.uniform(1, 40, (200, 2))]).tolist()
    arrays, assignment = laid_out(split_of(boxes, size=(50, 83)), (64, 96))
    target = {"boxes": torch.from_numpy(assignment.boxes),
              "labels": torch.zeros(len(assignment.boxes), dtype=torch.long)}  # fmt: skip
    targets = encode_targets([target], (1, 1, 16, 24))
    assert assignment.cell.tolist() == targets.cell_index.tolist()
    assert len(arrays.files) == 1


def test_collisions_neighbours_and_cells_that_two_classes_share():
    # Centres (10, 10), (9, 9): cell 2, 2; (13, 10): cell 3, 2; (40, 40) twice, of two classes.
    boxes = [[6, 6, 8, 8], [8, 8, 2, 2], [12, 9, 2, 2], [30, 30, 20, 20], [36, 36, 8, 8]]
    arrays, assignment = laid_out(split_of(boxes, classes=2, labels=[0, 0, 0, 0, 1]), top_k=4)
    assert assignment.occluded.tolist() == [False, True, False, False, False]
    assert assignment.has_neighbor.tolist() == [True, True, True, False, False]
    assert assignment.size_conflict.tolist() == [False, False, False, False, True]
    assert assignment.below_cell.tolist() == [False, True, True, False, False]
    assert assignment.crowded.tolist() == [0]
    check_cells(arrays, assignment)
    kinds = {(f.kind, f.annotation_id) for f in arrays.findings}
    assert ("center-collision", 2) in kinds and ("center-shared", 5) in kinds
    assert ("over-top-k", None) in kinds and ("center-neighbor", 2) not in kinds


def test_the_ceiling_is_one_where_each_object_has_a_cell():
    arrays, assignment = laid_out(split_of([[5, 6, 30, 12], [40, 41, 9, 11]]))
    best = measure_ceiling(arrays, assignment)
    assert best.exact["AP"] == pytest.approx(1) and best.exact["per_class"] == [pytest.approx(1)]
    # 30x12 grown by a pixel on each side overlaps by 360 / 448 = 0.804: 7 of 10 thresholds;
    # 9x11 by 99 / 143 = 0.692: 4 of 10. Of the two, recall 1/2 at the 5th to 7th: 51 of 101 points.
    assert best.off_by_one["AP"] == pytest.approx((4 + 3 * 51 / 101) / 10)


def test_a_collision_costs_its_share_of_the_ceiling():
    arrays, assignment = laid_out(split_of([[10, 10, 20, 20], [15, 15, 10, 10]]))
    assert measure_ceiling(arrays, assignment).exact["AP"] == pytest.approx(51 / 101)
    arrays, assignment = laid_out(split_of([[10, 10, 20, 20], [15, 15, 10, 10]]), (320, 320))
    assert assignment.occluded.sum() == 1  # of one center, at any resolution


def test_top_k_limits_the_ceiling():
    boxes = [[x, y, 6, 6] for x in (2, 22, 42) for y in (2, 22, 42)]
    arrays, assignment = laid_out(split_of(boxes), top_k=4)
    # 4 of 9 found: recall points 0 to 0.44, 45 of 101.
    assert measure_ceiling(arrays, assignment).exact["AP"] == pytest.approx(45 / 101)


def test_without_objects_there_is_no_ceiling():
    assert measure_ceiling(*laid_out(split_of([]))) is None


def test_all_true_outputs_of_an_oracle_reach_the_ceiling(tmp_path):
    """At several resolutions, with collisions, shared cells, a crowd, and letterboxes."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(6):
        height, width = rng.integers(60, 140, 2).tolist()
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.zeros((height, width, 3), np.uint8))
        images.append({"id": 90 - i, "file_name": f"{i}.png", "height": height, "width": width})
        for _ in range(25 if i else 0):
            x, y = rng.uniform(0, width - 8), rng.uniform(0, height - 8)
            w, h = rng.uniform(2, 40, 2)
            annotations.append({
                "id": len(annotations) + 1, "image_id": 90 - i, "bbox": [x, y, w, h],
                "category_id": int(rng.integers(1, 3)), "iscrowd": int(rng.random() < 0.05),
            })  # fmt: skip
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    coco = {"images": images, "categories": categories, "annotations": annotations}
    split = DatasetSplit("val", tmp_path, coco, tmp_path / "a.json")
    torch.save(checkpoint(), tmp_path / "w.ckpt")
    network, _ = load_weights(tmp_path / "w.ckpt")
    for size in ((64, 96), (128, 128)):
        arrays, assignment = laid_out(split, size)
        best = measure_ceiling(arrays, assignment)
        dataset = DetectionDataset(tmp_path, split, input_size=size)
        true = analyze(network, dataset, batch_size=4)[-1]
        assert true.replaced == ("heatmap", "size", "offset")
        metrics = true.evaluation.metrics
        names = ("AP", "AP50", "AP75")
        # Means of the same numbers, added up in another order.
        assert [best.exact[n] for n in names] == pytest.approx([metrics[n] for n in names], 1e-12)
        assert (
            assignment.occluded.any() and assignment.size_conflict.any() and 0.5 < metrics["AP"] < 1
        )
        per_class = [row["AP"] for row in true.evaluation.per_class]
        assert best.exact["per_class"] == pytest.approx(per_class, 1e-12)


@pytest.mark.guard
def test_a_hundred_thousand_annotations_take_seconds():
    rng = np.random.default_rng(0)
    images = [{"id": i, "file_name": f"{i}.jpg", "height": 480, "width": 640}
              for i in range(14_000)]  # fmt: skip
    boxes = np.hstack([rng.uniform(0, 400, (100_000, 2)), rng.uniform(3, 80, (100_000, 2))])
    coco = {
        "images": images,
        "categories": [{"id": i, "name": str(i)} for i in range(80)],
        "annotations": [
            {"id": i, "image_id": i % 14_000, "category_id": i % 80, "bbox": box}
            for i, box in enumerate(boxes.tolist())
        ],
    }
    start = time.process_time()
    arrays, assignment = laid_out(DatasetSplit("train", ".", coco, "memory"), (512, 512))
    check_cells(arrays, assignment)
    seconds = time.process_time() - start
    assert len(assignment.objects) == 100_000 and assignment.occluded.sum() > 0
    assert seconds < 10


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("check") / "shapes"
    make_shapes(root, train=5, val=3, size=64)
    return root


def test_check_from_the_command_line_to_the_page(shapes, tmp_path, capsys):
    options = ["--image-size", "96x64", "--output", tmp_path / "page.html", "--json"]
    status, said, _ = run_centernet(["check", shapes, *options], capsys)
    assert status == 0 and said.count("\n") < 70 and max(map(len, said.splitlines()[:-2])) <= 80
    for part in ("ready for training", "96x64: 24x16 cells", "circle", "ceiling", "*96x64",
                 "one pixel off"):  # fmt: skip
        assert part in said
    numbers = json.loads((tmp_path / "page.json").read_text())
    assert numbers["works"] and set(numbers["splits"]) == {"train", "val"}
    assert numbers["splits"]["val"]["images"] == 3
    assert 0 < numbers["splits"]["val"]["ceiling"]["AP"] <= 1
    assert numbers["input_size"] == "96x64" and numbers["recommended_size"] == "256x256"
    assert [s["input_size"] for s in numbers["resolutions"]["steps"]][2] == "96x64"


def test_the_page_needs_nothing_else(shapes, tmp_path, capsys):
    arguments = ["check", shapes, "--image-size", "64", "--output", tmp_path / "page.html"]
    run_centernet(arguments, capsys)
    page = (tmp_path / "page.html").read_text()
    assert not re.search(r"https?://|<script|<link (?!rel=.icon)|url\(", page)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page and 'name="viewport"' in page
    assert page.count("data:image/webp;base64,") >= 3 and "star" in page
    assert {p.name for p in tmp_path.iterdir()} == {"page.html"}


def test_names_cannot_break_the_page(shapes, tmp_path, capsys):
    path = tmp_path / "annotations.json"
    coco = json.loads((shapes / "annotations/instances_train.json").read_text())
    coco["categories"][0]["name"] = "<script>alert(1)</script>"
    path.write_text(json.dumps(coco))
    run_centernet(["check", path, "--no-images", "--output", tmp_path / "page.html"], capsys)
    assert "<script" not in (tmp_path / "page.html").read_text()


def test_what_would_break_training_ends_with_status_1(shapes, tmp_path, capsys):
    coco = json.loads((shapes / "annotations/instances_train.json").read_text())
    coco["annotations"][0]["category_id"] = 99
    (tmp_path / "train.json").write_text(json.dumps(coco))
    arguments = ["check", tmp_path / "train.json", "--no-images", "--output", tmp_path / "p.html"]
    status, said, _ = run_centernet(arguments, capsys)
    assert status == 1 and "1 kind of error" in said
    assert "annotation 1: category_id 99" in said


def test_a_long_thin_image_is_shown_too(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((1, 4000, 3), np.uint8))
    split = split_of([[0, 0, 40, 1]], size=(1, 4000), folder=tmp_path)
    (tmp_path / "train.json").write_text(json.dumps(split.coco))
    report = check_dataset(tmp_path / "train.json", input_size=(64, 64))
    (sample,) = sample_images(report)
    assert sample.size == (1, 4000) and sample.data.startswith("data:image/")


def test_every_dataset_has_its_own_page(tmp_path, capsys, monkeypatch):
    here = tmp_path / "here"
    datasets = [here / "a/data", here / "b/data", here / "a-data"]
    datasets += [tmp_path / "data", tmp_path / "other/data", here]
    for number, folder in enumerate(datasets, 1):
        folder.mkdir(parents=True, exist_ok=True)
        boxes = [[1, 1, 9, 9]] * number
        (folder / "data.json").write_text(json.dumps(split_of(boxes).coco))
    monkeypatch.chdir(here)
    given = ["a/data", "b/data", "a-data", "../data", "../other/data", ".", "a/data/data.json"]
    for name in [*given, "a/data/"]:
        run_centernet(["check", name, "--no-images", "--image-size", "64", "--json"], capsys)
    pages = sorted((here / "runs/check").rglob("*.html"))
    assert len(pages) == len(given) and here / "runs/check/a/data.html" in pages
    objects = [json.loads(page.with_suffix(".json").read_text())["dataset"] for page in pages]
    assert len(set(objects)) == len(given)


@pytest.mark.parametrize(("count", "many", "caption"), [(100, 0, ""), (1600, 1, "1,500 of 1,600")])
def test_many_boxes_have_thin_lines_and_the_caption_counts_them(tmp_path, count, many, caption):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((640, 640, 3), np.uint8))
    boxes = [[16 * (i % 40), 16 * (i // 40), 8, 8] for i in range(count)]
    split = split_of(boxes, size=(640, 640), folder=tmp_path)
    (tmp_path / "train.json").write_text(json.dumps(split.coco))
    (sample,) = sample_images(check_dataset(tmp_path / "train.json", input_size=(640, 640)))
    assert sample.many == bool(many) and len(sample.outlines) == min(count, 1500)
    assert caption in sample.caption and ("boxes" in sample.caption) == bool(many)


def test_pages_of_folders_with_dots_stay_apart(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("set.v1", "set.v2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.json").write_text(json.dumps(split_of([[1, 1, 9, 9]]).coco))
        run_centernet(["check", name, "--no-images", "--image-size", "64", "--json"], capsys)
    names = {p.name for p in (tmp_path / "runs/check").iterdir()}
    assert names == {"set.v1.html", "set.v1.json", "set.v2.html", "set.v2.json"}


def test_what_the_reader_leaves_out_counts(tmp_path):
    for name in ("train", "val"):
        (tmp_path / name / "images").mkdir(parents=True)
        (tmp_path / name / "labels").mkdir()
        cv2.imwrite(str(tmp_path / name / "images/a.png"), np.zeros((64, 64, 3), np.uint8))
        lines = ["0 .5 .5 .2 .2", *["9 .5 .5 .2 .2"] * 3]
        (tmp_path / name / "labels/a.txt").write_text("\n".join(lines))
    (tmp_path / "classes.txt").write_text("cat")
    report = check_dataset(tmp_path, input_size=(64, 64))
    left_out = [finding for finding in report.findings if finding.kind == "reading"]
    assert len(left_out) == 2 and report.is_trainable and report.count("warning") >= 2
    assert re.search(r"\b2  .*\(train, val\)", format_text(report))
    assert "3 lines left out" in left_out[0].what and "labels/a.txt:2" in left_out[0].what


def report_of(**more):
    """One split: a large object, one in the same cell, one apart."""
    arrays, assignment = laid_out(split_of([[10, 10, 20, 20], [15, 15, 10, 10], [40, 40, 2, 8]]))
    empty = {"dataset": "", "compared": ""}
    given = {
        "input_size": (64, 64), "splits": [arrays],
        "recommended": InputChoice((64, 64), None, "as it is"),
        "assignments": [assignment], "ceilings": [measure_ceiling(arrays, assignment)],
        "resolutions": [], "findings": arrays.findings,
    }  # fmt: skip
    return CheckReport(**empty | given | more)


def numbers_in(text):
    return [float(number) for number in re.findall(r"[\d.]+(?<=\d)", text)]


def test_what_limits_the_ceiling_is_counted():
    (line,) = advice.ceiling_limits(report_of())
    assert line.startswith("train: 1 of 3") and numbers_in(line) == [1, 3]
    arrays, assignment = laid_out(split_of([[1, 1, 9, 9], [-9, 30, 20, 20]]), top_k=1)
    report = report_of(splits=[arrays], assignments=[assignment])
    (line,) = advice.ceiling_limits(report)
    assert numbers_in(line) == [1, 2, 1, 1, 2] and "top_k 1; 1 of 2" in line
    arrays, assignment = laid_out(split_of([[1, 1, 9, 9]]))
    report = report_of(splits=[arrays], assignments=[assignment])
    (line,) = advice.ceiling_limits(report)
    assert line.startswith("train: nothing") and numbers_in(line) == [1]


def test_kinds_are_counted_in_the_verdict_and_objects_in_the_lines():
    found = [Finding("box-zero", "train", "")] * 40 + [Finding("box-outside", "train", "")]
    report = report_of(findings=[*found, Finding("box-thin", "train", "")])
    assert report.count("warning") == 41 and report.count_kinds("warning") == 2
    assert advice.verdict(report) == (
        "ready for training: no errors, 2 kinds of warnings, 1 kind of note"
    )
    assert re.search(r"warning +40 ", format_text(report))
    report = report_of(findings=[Finding("image-missing", "train", "")])
    assert advice.verdict(report).startswith("not ready for training: 1 kind of error, no ")


def test_text_has_the_remedy_and_the_end_of_long_names():
    file = "site-04_camera-17_recording/frame_of_an_export_tool_00000042.jpg"
    what = f"vehicle {'word ' * 80}"
    report = report_of(findings=[Finding("box-zero", "train", what, file, 7, 9)] * 2)
    text = format_text(report)
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    assert KINDS["box-zero"].advice in words and "tool_00000042.jpg, annotation 9: veh" in words
    assert file not in words and "site-04" in words and "word …" in words


def test_the_text_names_the_recommended_size_and_its_reason():
    results = [ResolutionResult(size, 1, 1, 0, 0) for size in ((32, 64), (64, 64), (96, 64))]
    text = format_text(
        report_of(resolutions=results, recommended=InputChoice((96, 64), None, "as it is"))
    )
    assert "recommended image size 64x96 (data.image_size auto): as it is" in text
    rows = [line.split() for line in text.splitlines() if re.match(r"[ *]\d+x\d+ ", line)]
    assert [(row[0], row[-1]) for row in rows] == [
        ("64x32", "0.5x"), ("*64x64", "1.0x"), ("64x96", "1.5x"),
    ]  # fmt: skip
    assert "64x96 is recommended" in text


@pytest.mark.parametrize("size", [None, (64, 96)])
def test_check_recommends_the_size_that_training_chooses(shapes, size):
    report = check_dataset(shapes, input_size=size)
    data = DetectionData(
        str(shapes), "train", "annotations/instances_train.json", image_size="auto"
    )
    chosen, tile, reason = report.recommended
    assert report.recommended == input_for_data(*data.source.find("train"), "auto")
    assert data.input_size == chosen and tile is None
    assert report.input_size == (size or chosen)
    assert format_size(chosen) in advice.recommendation(report)
    assert reason in " ".join(format_text(report).split()) and chosen in {
        result.input_size for result in report.resolutions
    }
    areas = [math.prod(result.input_size) for result in report.resolutions]
    assert areas == sorted(areas)


@pytest.mark.parametrize("read_images", [True, False])
def test_boxes_are_judged_by_the_annotated_size_as_in_training(tmp_path, read_images):
    """The file is 64x64; the annotations say 100x100, and nothing for a second image."""
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((64, 64, 3), np.uint8))
    boxes = [[10, 10, 20, 20], [70, 70, 20, 20], [85, 10, 30, 20], [110, 10, 20, 20]]
    split = split_of(boxes, size=(100, 100), folder=tmp_path)
    split.coco["images"].append({"id": 2, "file_name": "b.png"})
    split.coco["annotations"].append(
        {"id": 5, "image_id": 2, "category_id": 1, "bbox": [5, 5, 9, 9]}
    )
    path = tmp_path / "train.json"
    path.write_text(json.dumps(split.coco))
    report = check_dataset(path, input_size=(64, 64), read_images=read_images)
    (arrays,) = report.splits
    kept = [annotation["bbox"] for annotation in read_coco(path)["annotations"]]
    assert arrays.boxes[arrays.usable].tolist() == kept == [*boxes[:3], [5, 5, 9, 9]]
    of_kind = {(f.kind, f.annotation_id) for f in report.findings if f.kind.startswith("box-")}
    assert of_kind == {("box-outside", 4), ("box-reaches-over", 3)}
    mismatch = [f for f in report.findings if f.kind == "image-size"]
    assert [f.file for f in mismatch] == ["a.png"] * read_images
    assert report.is_trainable != read_images


def test_histograms_and_sizes_of_classes_count_every_object():
    narrow, ratio, per_image = histograms(report_of())
    # 20, 10 and 2 pixels of 4 a cell, the last 2 by 8.
    counted = [{bar.label: bar.count for bar in h.bars if bar.count} for h in
               (narrow, ratio, per_image)]  # fmt: skip
    assert counted == [
        {"0.5-1": 1, "2-3": 1, "5-8": 1}, {"1/4-0.5": 1, "0.8-1.25": 2}, {"2-3": 1},
    ]  # fmt: skip
    assert [bar.label for bar in narrow.bars if bar.is_bad] == ["< 0.5", "0.5-1"]
    arrays, assignment = laid_out(
        split_of([[0, 0, 8, 8], [30, 30, 2, 8]], classes=3, labels=[2, 0])
    )
    cells, below = class_sizes(report_of(splits=[arrays], assignments=[assignment]))
    np.testing.assert_allclose(cells, [1, np.nan, 2])
    assert below.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nowhere"], "DATASET nowhere does not exist"),
        (
            ["SHAPES", "--image-size", "100"],
            "--image-size must be in multiples of 32, got 100x100: use 96x96",
        ),
        (["SHAPES", "--top-k", "0"], "top_k must be at least 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(shapes, capsys, arguments, named):
    given = [shapes if a == "SHAPES" else a for a in arguments]
    message, _, _ = run_centernet(["check", *given], capsys)
    assert message.startswith("error: ") and named in message and "\n" not in message


def test_help_teaches(capsys):
    status, said, _ = run_centernet(["check", "--help"], capsys)
    assert status == 0 and "centernet check data/mine" in said and "exit status" in said


def test_every_kind_says_what_to_do():
    assert all(kind.severity in SEVERITIES and kind.title and kind.advice.endswith((".", "?"))
               for kind in KINDS.values())  # fmt: skip
