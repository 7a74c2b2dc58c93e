"""What to label next: the ranking of unlabeled images, and pre-labels."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import picture, run_centernet, spot_detector

from centernet.analysis.labels import unlabeled
from centernet.analysis.labels.unlabeled import rank_unlabeled, write_prelabels
from centernet.data.formats import read_dataset
from centernet.inference.detector import Detector


def write(path: Path, *spots) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture(*spots)[..., ::-1])
    return path


def shade(image: Path, factor: float) -> Path:
    """Make the spots darker: their scores fall."""
    cv2.imwrite(str(image), np.rint(cv2.imread(str(image)) * factor).astype(np.uint8))
    return image


def test_uncertain_images_come_first_and_copies_later(tmp_path):
    sure = write(tmp_path / "sure.png", ("red", 40, 40), ("red", 80, 80))
    unsure = shade(write(tmp_path / "unsure.png", ("red", 40, 40), ("red", 80, 80)), 0.5)
    copy = tmp_path / "unsure2.png"
    copy.write_bytes(unsure.read_bytes())
    empty = write(tmp_path / "empty.png")
    ranked = rank_unlabeled(spot_detector(), [empty, copy, sure, unsure])
    gains = {image.path.name: image.gain for image in ranked}
    names = list(gains)
    assert (names[0], names[-1]) == ("unsure2.png", "empty.png")
    assert gains["unsure.png"] == pytest.approx(gains["unsure2.png"] / 10)
    assert gains["empty.png"] == 0
    found = {image.path.name: image for image in ranked}
    # A score of about a half is most uncertain.
    np.testing.assert_allclose(found["unsure2.png"].scores, 0.5, atol=0.02)
    np.testing.assert_allclose(found["unsure2.png"].uncertain, 1, atol=0.01)
    np.testing.assert_allclose(found["sure.png"].uncertain, 0, atol=0.01)


def test_rare_classes_count_more(tmp_path):
    paths = [
        shade(write(tmp_path / f"{n}.png", ("red", 20 + 4 * n, 40)), 0.5) for n in range(8)
    ] + [shade(write(tmp_path / "blue.png", ("blue", 40, 80)), 0.5)]
    ranked = rank_unlabeled(spot_detector(), paths)
    assert ranked[0].path.name == "blue.png"
    assert ranked[0].gain > 1.5 * ranked[1].gain


def test_scores_that_change_in_the_mirrored_image_are_unstable(tmp_path, monkeypatch):
    path = write(tmp_path / "a.png", ("red", 40, 40))
    detector = spot_detector()
    assert rank_unlabeled(detector, [path])[0].unstable[0] < 0.01 + 0.5  # only the smaller image
    call = Detector.__call__

    def blind_when_mirrored(self, pixels, **options):
        left = pixels[:, :64].sum() > pixels[:, 64:].sum()
        found = call(self, pixels, **options)
        return found if left else found[:0]

    before = rank_unlabeled(detector, [path])[0].unstable[0]
    monkeypatch.setattr(Detector, "__call__", blind_when_mirrored)
    after = rank_unlabeled(detector, [path])[0].unstable[0]
    assert after - before == pytest.approx(0.5, abs=0.01)  # one of two views


def test_prelabels_are_the_detections_above_the_threshold(tmp_path):
    path = write(tmp_path / "in" / "sub" / "a.png", ("red", 40, 40), ("blue", 80, 80))
    other = write(tmp_path / "in" / "b.png", ("white", 20, 20))
    detector = spot_detector()
    ranked = rank_unlabeled(detector, [path, other])
    weak = replace(ranked[0], scores=np.where(ranked[0].labels == 1, 0.2, ranked[0].scores))
    write_prelabels([weak, *ranked[1:]], detector, tmp_path / "out", format="voc")
    split = read_dataset(tmp_path / "out")["train"]
    names = {c["id"]: c["name"] for c in split.coco["categories"]}
    found = sorted((names[a["category_id"]], *a["bbox"]) for a in split.coco["annotations"])
    assert found == [("red", 34, 38, 16, 8), ("white", 14, 18, 16, 8)]
    assert len(split.coco["images"]) == 2


def test_the_command_writes_page_ranking_and_tasks(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Detector, "load", lambda *_, **__: spot_detector())
    monkeypatch.chdir(tmp_path)
    for n in range(3):
        write(tmp_path / "photos" / f"{n}.png", ("red", 20 + 8 * n, 40))
    (tmp_path / "photos" / "broken.png").write_bytes(b"no image")
    Path("w.ckpt").touch()
    words = ["labels", "--unlabeled", "photos", "--weights", "w.ckpt", "--limit", "2"]
    status, out, error = run_centernet(words, capsys)
    assert status == 1 and "broken.png" in error and "next.html" in out
    folder = Path("runs/labels/photos")
    with (folder / "next.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 and all(row["detections"] == "1" for row in rows)
    tasks = json.loads((folder / "prelabels" / "train.json").read_text())
    assert len(tasks) == 2
    assert (folder / "next.html").read_text().count("<figure>") == 2
    status, _, error = run_centernet(words, capsys)
    assert status != 0 and "prelabels" in str(status) + error  # nothing is overwritten


@pytest.mark.parametrize(
    ("source", "name"),
    [("photos", "photos"), ("photos/*.png", "photos"), ("photos/0.png", "0"), ("ph*/0.png", "")],
)
def test_the_output_has_the_name_of_the_source(tmp_path, capsys, monkeypatch, source, name):
    monkeypatch.setattr(Detector, "load", lambda *_, **__: spot_detector())
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "photos" / "0.png", ("red", 20, 40))
    Path("w").touch()
    status, _, _ = run_centernet(["labels", "--unlabeled", source, "--weights", "w"], capsys)
    assert status == 0
    assert (tmp_path / "runs" / "labels" / (name or tmp_path.name) / "next.html").is_file()


@pytest.mark.parametrize("option", [["--folds", "3"], ["--accept", "0.5"]])
def test_options_for_labeled_datasets_are_errors(tmp_path, capsys, option):
    (tmp_path / "w.ckpt").touch()
    weights = str(tmp_path / "w.ckpt")
    words = ["labels", "--unlabeled", str(tmp_path), "--weights", weights, *option]
    status, _, error = run_centernet(words, capsys)
    assert status != 0 and " ".join(option) in str(status) + error


def test_unlabeled_images_need_one_checkpoint(tmp_path, capsys):
    write(tmp_path / "a.png", ("red", 40, 40))
    for words in ([], ["--weights", str(tmp_path)]):
        status, _, error = run_centernet(["labels", "--unlabeled", str(tmp_path), *words], capsys)
        assert status != 0 and "--weights" in str(status) + error


def test_without_readable_images_nothing_is_written(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(unlabeled.InputError, match="1 images"):
        rank_unlabeled(spot_detector(), [tmp_path / "a.png"])
