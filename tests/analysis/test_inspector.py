import base64
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fakes import SCORE, checkpoint, picture, spot_detector

from centernet import cli
from centernet.analysis.html import script_json
from centernet.analysis.inspector import (
    ErrorType,
    Example,
    InspectorPage,
    analyze_image,
    dataset_examples,
)
from centernet.data.dataset import DetectionDataset
from centernet.inference.data_uris import heatmap_uri, picture_uri

# The spot network's boxes are 16 x 8 pixels around the middle of a spot's cell.
SPOT, BOX = ("red", 40, 60), (34, 58, 50, 66)


def example(path: Path, *, boxes=None, labels=(), regions=(), spots=(SPOT,)) -> Example:
    cv2.imwrite(str(path), picture(*spots)[..., ::-1])
    if boxes is None:
        return Example(path, path.name)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Example(path, path.name, boxes, np.array(labels, np.int64), regions)


def about(page: str) -> dict:
    return json.loads(re.search(r'id="about">(.*?)</script>', page, re.DOTALL)[1])


def decoded(uri: str, flags=cv2.IMREAD_UNCHANGED) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8), flags)


def test_a_look_knows_peaks_objects_and_what_the_heatmap_should_be(tmp_path):
    shown = example(tmp_path / "a.png", boxes=[BOX, (90, 90, 120, 120)], labels=[0, 1])
    found, maps = analyze_image(spot_detector(), shown)
    assert found.peaks.cells.tolist() == [[10, 15]] and found.peaks.labels.tolist() == [0]
    assert found.peaks.boxes.tolist() == [list(BOX)]
    assert found.truth.objects.cells.tolist() == [[10, 15], [26, 26]]
    assert [v.index for v in found.truth.of_objects] == [0, None]
    assert found.truth.of_objects[1].error == ErrorType.NO_PEAK
    assert maps.heat.shape == maps.target.shape == (3, 32, 32)
    assert maps.target[0, 15, 10] == maps.target[1, 26, 26] == 1 and maps.target[2].max() == 0
    assert maps.matrix.tolist() == [[4, 0, 0], [0, 4, 0]]


def test_boxes_are_in_pixels_of_the_image_whatever_the_input(tmp_path):
    """On a input of half the size, a spot of four cells is one of a single cell."""
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), cv2.resize(picture(SPOT), (256, 256), interpolation=cv2.INTER_NEAREST))
    found, maps = analyze_image(spot_detector(), Example(path, "large"))
    assert found.size == (256, 256)
    assert found.peaks.boxes.tolist() == [[2 * v for v in BOX]]
    assert maps.matrix.tolist() == [[8, 0, 0], [0, 8, 0]]


def test_without_annotations_nothing_is_judged(tmp_path):
    found, maps = analyze_image(spot_detector(), example(tmp_path / "a.png"))
    assert found.truth is None and maps.target is None and len(found.peaks) == 1
    assert found.error_score(np.full(3, 0.3)) == 0


def test_error_score_counts_misses_and_false_boxes_and_then_looks_closer(tmp_path):
    thresholds, detector = np.full(3, 0.3), spot_detector()
    boxes = {"fine": [BOX], "missed": [BOX, (90, 90, 120, 120)], "both": [(90, 90, 120, 120)]}
    bad = [
        analyze_image(detector, example(tmp_path / "a.png", boxes=b, labels=[0] * len(b)))[
            0
        ].error_score(thresholds)
        for b in boxes.values()
    ]
    assert [int(b) for b in bad] == [0, 1, 2]
    region = [(None, {"bbox": [0, 0, 128, 128]})]
    ignored = analyze_image(detector, example(tmp_path / "a.png", boxes=[], regions=region))[0]
    assert (
        ignored.truth.of_peaks[0].error == ErrorType.IGNORED
        and ignored.error_score(thresholds) == 0
    )


def test_error_score_counts_misses_at_every_threshold_and_false_boxes_from_theirs(tmp_path):
    boxes = [BOX, (90, 90, 120, 120)]
    missed = analyze_image(
        spot_detector(), example(tmp_path / "a.png", boxes=boxes, labels=[0, 0])
    )[0]
    assert missed.error_score(np.zeros(3)) == pytest.approx(1.001, abs=1e-5)
    false = analyze_image(spot_detector(), example(tmp_path / "a.png", boxes=[]))[0]
    assert false.error_score(np.full(3, 0.9)) == pytest.approx(1.001, abs=1e-5)
    assert false.error_score(np.ones(3)) == 0


def test_a_dense_image_shows_all_that_the_detector_finds(tmp_path):
    spots = [("red", x, y) for x in range(0, 128, 8) for y in range(0, 128, 8)]  # 256
    dense = example(tmp_path / "a.png", boxes=[BOX], labels=[0], spots=spots)
    found, _ = analyze_image(spot_detector(top_k=300), dense)
    assert len(found.peaks) == 256 and len(found.truth.of_peaks) == 256
    # Above twice top_k, only the best peaks are kept.
    found, _ = analyze_image(spot_detector(top_k=100), dense)
    assert (
        len(found.peaks) == len(found.truth.of_peaks) == 200
        and len(found.detections["scores"]) == 100
    )


def test_local_maxima_below_the_minimum_score_are_not_peaks(tmp_path):
    """The score of red is the sigmoid of 20 red / 255 - 10: 0.073 for 95, 0.034 for 85."""
    image = picture(SPOT)
    for x, red in ((20, 95), (100, 85)):
        image[100:104, x : x + 4] = (red, 0, 0)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    found, _ = analyze_image(spot_detector(), Example(tmp_path / "a.png", "a"))
    assert found.peaks.cells.tolist() == [[10, 15], [5, 25]]
    assert found.peaks.scores.tolist() == pytest.approx([SCORE, 0.0725], abs=1e-3)


def test_examples_are_the_images_of_a_dataset(tiny_coco):
    crowd = {"bbox": [0, 0, 9, 9], "iscrowd": 1}
    files = tiny_coco([{"bbox": [10, 5, 20, 30]}, crowd], sizes=[(40, 60)] * 2)
    first, second = dataset_examples(DetectionDataset(files.images, files.annotations))
    assert first.boxes.tolist() == [[10, 5, 30, 35]] and first.labels.tolist() == [0]
    assert [label for label, _ in first.regions] == [0] and first.image_id == 10
    assert second.name == "2.png" and len(second.boxes) == 0


def test_maps_and_pictures_come_back_out_of_their_text():
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    assert (decoded(heatmap_uri(values)) == np.rint(values * 255)).all()
    shown = decoded(picture_uri(np.full((100, 400, 3), (200, 30, 30), np.uint8), 80))
    assert shown.shape == (20, 80, 3)
    assert abs(shown.astype(int) - (30, 30, 200)).max() < 12  # OpenCV's order


def test_nothing_in_the_data_ends_the_script_it_stands_in():
    value = {"name": "</script><script>alert(1)//\u2028 é"}
    text = script_json(value)
    assert "<" not in text and "\u2028" not in text and json.loads(text) == value


def test_the_page_is_one_file_that_asks_for_no_other(tmp_path):
    page = InspectorPage(("red", "blue", "white"), title="<b> & co")
    page.add(*analyze_image(spot_detector(), example(tmp_path / "a.png", boxes=[BOX], labels=[0])))
    page.save(tmp_path / "new" / "page.html")
    text = (tmp_path / "new" / "page.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", text) and "https://" not in text
    assert "default-src 'none'" in text and "&lt;b&gt; &amp; co" in text
    assert "{{" not in text and text.count("<style>") == 1 and text.count("<script>") == 6
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["page.html"]


def test_the_page_holds_what_was_seen(tmp_path):
    page = InspectorPage(("red", "blue", "white"), threshold="best", best=(0.543212, None, 0.7))
    shown = example(tmp_path / "a.png", boxes=[BOX, (90, 90, 120, 120)], labels=[0, 1])
    page.add(*analyze_image(spot_detector(), shown))
    page.save(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    seen = about(text)
    assert seen["threshold"] == "best" and seen["best"] == [0.543212, 0.3, 0.7]
    (image,) = seen["images"]
    assert image["peaks"][0] == {
        "label": 0, "score": round(SCORE, 6), "cell": [10, 15], "box": list(BOX), "match": 0,
    }  # fmt: skip
    assert image["objects"][1]["error"] == "no peak"
    pictures = json.loads(re.search(r'id="pictures-0">(.*?)</script>', text)[1])
    assert pictures["cells"] == [32, 32]
    assert set(pictures["prediction"]) == {"0"} and set(pictures["target"]) == {"0", "1"}
    assert decoded(pictures["prediction"]["0"])[15, 10] == 255
    assert all(f"about.{name}" in text for name in seen)  # the scripts use all of it


def test_of_more_images_than_the_limit_the_worst_are_kept(tmp_path):
    page, detector = InspectorPage(("red", "blue", "white"), limit=2), spot_detector()
    far = [(80 + i, 80, 110 + i, 110) for i in (0, 2, 4)]
    for name, boxes in (("a", far[:1]), ("b", [BOX]), ("c", far[:2]), ("d", far)):
        shown = example(tmp_path / f"{name}.png", boxes=boxes, labels=[0] * len(boxes))
        page.add(*analyze_image(detector, shown))
    page.save(tmp_path / "page.html")
    seen = about((tmp_path / "page.html").read_text())
    assert [i["name"] for i in seen["images"]] == ["c.png", "d.png"] and seen["seen"] == 4
    assert [page.index_of(number) for number in range(4)] == [None, None, 0, 1]


@pytest.fixture
def weights(tmp_path):
    torch.save(checkpoint(("cat", "dog"), (64, 96)), tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


def inspect(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(["inspect", *map(str, arguments), "--device=cpu"])
    return end.value.code, capsys.readouterr()


def test_the_command_takes_a_dataset_in_three_ways(tmp_path, tiny_coco, weights, capsys):
    files = tiny_coco([{"bbox": [10, 5, 20, 30]}], sizes=[(40, 60)] * 3)
    whole = tmp_path / "whole"
    (whole / "annotations").mkdir(parents=True)
    shutil.copy(files.annotations, whole / "annotations" / "instances_val.json")
    shutil.copytree(files.images, whole / "val")
    (tmp_path / "tiny.yaml").write_text(
        "data:\n  val_images: images\n  val_annotations: instances.json\n  batch_size: 4\n"
    )
    output = tmp_path / "page.html"
    for how in (
        ["--images", files.images, "--annotations", files.annotations],
        ["--config", tmp_path / "tiny.yaml", "--data.root", tmp_path],
        [whole],
    ):
        status, said = inspect(capsys, *how, "--weights", weights, "--output", output)
        assert status == 0 and "3 images" in said.out and "MB" in said.out
        seen = about(output.read_text())
        assert len(seen["images"][0]["objects"]) == 1
        output.unlink()


def test_the_command_takes_images_and_skips_what_is_none(tmp_path, tiny_coco, weights, capsys):
    files = tiny_coco(sizes=[(40, 60)] * 2)
    (files.images / "broken.png").write_bytes(b"no image")
    output = tmp_path / "page.html"
    status, said = inspect(capsys, files.images, "--weights", weights, "--output", output)
    assert status == 1 and "skipped" in said.err and "broken.png" in said.err
    seen = about(output.read_text())
    assert [image["objects"] for image in seen["images"]] == [None, None]


def test_a_network_that_went_wrong_is_said_in_one_line(tmp_path, tiny_coco, capsys):
    content = checkpoint(("cat", "dog"), (64, 96))
    content["state_dict"]["model.heads.heatmap.2.bias"].fill_(torch.nan)
    torch.save(content, tmp_path / "nan.ckpt")
    files = tiny_coco([{"bbox": [10, 5, 20, 30]}], sizes=[(40, 60)] * 2)
    how = ["--images", files.images, "--annotations", files.annotations]
    message, said = inspect(capsys, *how, "--weights", tmp_path / "nan.ckpt")
    assert message.startswith("error: ") and "1.png is NaN" in message and "\n" not in message
    assert "skipped" not in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give SOURCE"),
        (["--images=."], "--annotations is missing"),
        (["a.png", "--config=custom"], "give one of SOURCE"),
        (["--config=c.yaml"], "c.yaml: No such file"),
        (["a.png", "--threshold=2"], "threshold must be between 0 and 1, got 2.0"),
        (["a.png", "--threshold=best"], "threshold best"),
        (["a.png", "--iou=0"], "iou must be above 0"),
        (["a.png", "--limit=-1"], "limit must be at least 0, got -1"),
        (["a.png", "--output=."], "output . is a folder"),
        (["a.png", "--data.root=."], "--config"),
        (["a.mp4"], "a.mp4 is not an image"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, weights, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", picture())
    Path("a.mp4").touch()
    message, _ = inspect(capsys, *arguments, "--weights", weights)
    assert message.startswith("error: ") and said in message and "\n" not in message
    assert not Path("runs").exists()
