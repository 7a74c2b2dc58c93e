import base64
import csv
import json
import logging
import re
import shutil
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from fakes import TINY_CONFIG

from centernet import Detector, cli
from centernet.analysis.inspector.analyze import Example, GroundTruthMatches, ImageAnalysis
from centernet.analysis.inspector.error_types import (
    ErrorType,
    Objects,
    Peaks,
    Regions,
    classify_errors,
)
from centernet.analysis.report import plots
from centernet.analysis.report.best_thresholds import best_thresholds, confusion_counts
from centernet.analysis.report.count_section import count_section
from centernet.analysis.report.counts import CountResults, count_samples, fit_counts
from centernet.analysis.report.worst_errors import (
    ErrorExample,
    crop_error,
    worst_false_positives,
    worst_missed_objects,
)
from centernet.analysis.report.write_report import write_report
from centernet.data.shapes import make_shapes
from centernet.errors import InputError
from centernet.evaluation.count_calibration import CountSample, fit_count_calibration
from centernet.models.checkpoints import DESCRIPTION, read_checkpoint

BOX = np.array([0, 0, 40, 40], np.float32)


def analysis_of(objects=(), peaks=(), regions=()) -> ImageAnalysis:
    """One image; things are (place, label[, score]), boxes of 40 pixels 100 apart by place."""

    def boxes(things):
        return np.array([BOX + [100 * t[0], 0] * 2 for t in things], np.float32).reshape(-1, 4)

    def labels(things):
        return np.array([t[1] for t in things], np.int64)

    def cells(things):
        return np.array([(25 * t[0] + 5, 5) for t in things], np.int64).reshape(-1, 2)

    there = Objects(boxes(objects), labels(objects), cells(objects), np.full(len(objects), 2))
    scores = np.array([p[2] for p in peaks], np.float32)
    found = Peaks(boxes(peaks), labels(peaks), cells(peaks), scores)
    ignored = Regions(boxes(regions), labels(regions))
    matches = classify_errors(there, found, ignored, None)
    truth = GroundTruthMatches(there, ignored, *matches)
    return ImageAnalysis(Example("a.png", "a"), (50, 900), found, {}, truth)


def test_the_best_threshold_is_where_f1_is_highest():
    """Right, false, right, false by falling score, of three objects: F1 2/4, 2/5, 4/6, 4/7."""
    peaks = [(0, 0, 0.9), (3, 0, 0.8), (1, 0, 0.6), (4, 0, 0.5)]
    (best,) = best_thresholds([analysis_of([(0, 0), (1, 0), (2, 0)], peaks)], 1)
    assert best.threshold == pytest.approx(0.55)
    assert best.precision == best.recall == best.f1 == pytest.approx(2 / 3)


def test_equal_scores_are_taken_together():
    peaks = [(0, 0, 0.75), (3, 0, 0.75), (4, 0, 0.75)]
    (best,) = best_thresholds([analysis_of([(0, 0)], peaks)], 1)
    assert best.precision == pytest.approx(1 / 3) and best.threshold < 0.75


def test_without_objects_or_hits_there_is_no_best_threshold():
    found = analysis_of([(0, 1)], [(3, 0, 0.9), (4, 1, 0.9)])
    assert best_thresholds([found], 3) == [None, None, None]


def test_a_box_in_an_ignore_region_counts_neither_way():
    found = analysis_of([(0, 0)], [(3, 0, 0.9), (0, 0, 0.6)], [(3, 0)])
    (best,) = best_thresholds([found], 1)
    assert best.precision == best.recall == 1
    assert confusion_counts([found], np.array([0.3]), ("cat",)).tolist() == [[1, 0], [0, 0]]
    assert worst_false_positives([found], np.array([0.3])) == []


def test_samples_of_counts_are_detections_outside_of_ignore_regions():
    """Right, in a region, wrong; top_k cuts off the last peak."""
    peaks = [(0, 0, 0.9), (3, 0, 0.8), (1, 1, 0.6), (2, 1, 0.5)]
    found = analysis_of([(0, 0), (2, 1)], peaks, [(3, 0)])
    found = replace(found, detections={"scores": np.array([0.9, 0.8, 0.6])})
    (sample,) = count_samples([found, replace(found, truth=None)], 3)
    assert sample.scores == pytest.approx([0.9, 0.6]) and sample.labels.tolist() == [0, 1]
    assert sample.is_correct.tolist() == [True, False] and sample.objects.tolist() == [1, 1, 0]
    assert fit_counts([replace(found, truth=None)], 3) is None


def image_of_counts(rng, mean: int) -> CountSample:
    scores = rng.uniform(0.1, 0.9, rng.poisson(2 * mean))
    correct = rng.uniform(size=len(scores)) < scores
    labels = np.zeros(len(scores), int)
    return CountSample(scores, labels, correct, np.array([correct.sum(), 0]))


def test_the_section_of_counts_has_the_errors_of_counts_and_boxes():
    rng = np.random.default_rng(0)
    samples = [image_of_counts(rng, 10) for _ in range(40)]
    section = count_section(
        CountResults(samples, *fit_count_calibration(samples)), ("cell", "x"), np.array([0.5, 0.5])
    )
    cell, total = section["rows"]
    assert cell["name"] == "cell" and cell["values"] == total["values"]  # of x there is none
    truth = np.array([sample.objects[0] for sample in samples])
    boxes = np.array([(sample.scores >= 0.5).sum() for sample in samples])
    assert cell["values"][0] == f"{truth.sum():,}"
    assert float(cell["values"][2]) == pytest.approx(np.abs(boxes - truth).mean(), abs=0.006)
    assert 0.8 <= float(cell["values"][4].rstrip("%")) / 100 <= 1
    assert float(cell["values"][5]) > 2 and section["note"] == ""
    assert list(section["plots"]) == ["Counts: cell", "Counts: all classes"]
    assert "Reliability: cell" in section["reliability"]


def test_too_few_images_for_an_interval_are_said():
    rng = np.random.default_rng(0)
    samples = [image_of_counts(rng, 10) for _ in range(5)]
    results = CountResults(samples, *fit_count_calibration(samples))
    section = count_section(results, ("cell", "x"), np.array([0.5, 0.5]))
    assert "cell" in section["note"] and section["rows"][0]["values"][4] == "-"
    one_class = [replace(sample, objects=sample.objects[:1]) for sample in samples]
    results = CountResults(one_class, *fit_count_calibration(one_class))
    assert len(count_section(results, ("cell",), np.array([0.5]))["rows"]) == 1


def test_many_classes_are_judged_in_one_pass():
    """Not in one for each class, which takes seconds."""
    found = analysis_of([(0, 0), (1, 7)], [(0, 0, 0.9), (1, 7, 0.8), (3, 1999, 0.8)])
    start = time.process_time()
    best = best_thresholds([found] * 500, 2000)
    assert time.process_time() - start < 0.5
    assert [i for i, one in enumerate(best) if one] == [0, 7]


def test_confusion_has_what_is_there_in_rows_and_what_was_found_in_columns():
    objects = [(0, 0), (1, 0), (2, 1), (5, 1)]
    peaks = [(0, 0, 0.9), (1, 1, 0.8), (2, 1, 0.7), (3, 0, 0.6), (4, 1, 0.2)]
    counts = confusion_counts([analysis_of(objects, peaks)], np.array([0.5, 0.5]), ("cat", "dog"))
    # A cat found, a cat seen as a dog; a dog found, a dog missed; a cat where nothing is.
    assert counts.tolist() == [[1, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert confusion_counts([analysis_of()], np.array([0.5]), ("cat",)).tolist() == [[0, 0], [0, 0]]


def test_the_worst_come_first_and_at_most_two_of_an_image():
    peaks = [(3, 0, 0.9), (4, 0, 0.8), (5, 0, 0.7), (0, 0, 0.2)]
    many, other = (
        analysis_of([(0, 0), (1, 0), (2, 0)], peaks),
        analysis_of([(1, 0)], [(3, 0, 0.75)]),
    )
    misses = worst_missed_objects([many, other], np.array([0.5]))
    assert [(m.image, m.index) for m in misses] == [(0, 1), (0, 2), (1, 0)]
    assert {m.error for m in misses} == {ErrorType.NO_PEAK}
    alarms = worst_false_positives([many, other], np.array([0.5]))
    assert [(m.image, round(m.score, 2)) for m in alarms] == [(0, 0.9), (0, 0.8), (1, 0.75)]


def test_a_large_mistake_is_shown_by_the_mean_of_its_pixels(tmp_path):
    """Stripes one pixel wide are grey from afar."""
    pixels = np.zeros((800, 800, 3), np.uint8)
    pixels[:, 1::2] = 255
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    found = replace(analysis_of(), example=Example(tmp_path / "a.png", "a"))
    mistake = ErrorExample(0, "peak", 0, 0, 0.9, ErrorType.BACKGROUND, np.array([0.0, 0, 800, 800]))
    data = base64.b64decode(crop_error([found], mistake).split(",")[1])
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown.shape == (200, 200)
    assert shown[20:180, 20:180].min() > 100 and shown[20:180, 20:180].max() < 156


def test_a_mistake_in_a_thin_image_is_shown(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((1, 900, 3), np.uint8))
    found = replace(analysis_of(), example=Example(tmp_path / "a.png", "a"))
    mistake = ErrorExample(0, "peak", 0, 0, 0.9, ErrorType.BACKGROUND, np.array([0.0, 0, 900, 1]))
    assert crop_error([found], mistake).startswith("data:image")


def test_drawings_take_the_color_of_the_text_around_them():
    metrics = {"epoch": np.arange(3.0), "loss": np.array([3.0, 2, 1]), "loss/size": np.ones(3)}
    svg = plots.losses(metrics)
    assert svg.startswith("<svg") and "currentColor" in svg and "#010203" not in svg
    assert ">size<" in svg and "<metadata" not in svg


def test_names_are_drawn_as_they_are():
    names = ["$1_$", "a_$b^$", "_hidden"]
    curves = plots.precision_recall(np.ones((101, 3)), names, range(3))
    matrix = plots.confusion_matrix(np.eye(4, dtype=int), names)
    assert all(f">{name}<" in svg for name in names for svg in (curves, matrix))


def test_many_classes_still_make_a_drawing():
    names = [f"class {i}" for i in range(80)]
    assert "class 79" in plots.confusion_matrix(np.eye(81, dtype=int), names)
    svg = plots.precision_recall(np.ones((101, 80)), names, range(80))
    assert "class 79" in svg and "class 69<" not in svg  # the ten most frequent


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run whose report was left out."""
    from centernet.training.train_cli import main

    folder = tmp_path_factory.mktemp("report")
    make_shapes(folder / "shapes", train=8, val=3, size=64)
    (folder / "tiny.yaml").write_text(TINY_CONFIG)
    where = [f"--data.root={folder / 'shapes'}", f"--trainer.default_root_dir={folder / 'runs'}"]
    main(["fit", f"--config={folder / 'tiny.yaml'}", *where])
    return folder / "runs" / "tiny"


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "tiny")


def test_the_command_writes_report_inspector_and_thresholds(run, capsys):
    assert not (run / "report.html").exists()
    before = read_checkpoint(run / "best.ckpt")
    with pytest.raises(SystemExit) as end:
        cli.main(["report", str(run), "--device=cpu"])
    assert end.value.code in (0, None) and capsys.readouterr().out.strip().endswith("report.html")
    page = (run / "report.html").read_text()
    with (run / "metrics.csv").open() as file:
        ap = float(list(csv.DictReader(file))[-1]["AP"])
    assert f"<b>{ap:.3f}</b><span>AP</span>" in page
    for title in ("Losses", "Learning rate", "Precision and recall", "Confusion", "Worst missed"):
        assert title in page
    shown = len(re.findall(r"<figcaption>Counts: ", page))
    assert shown == page.count("<figcaption>Reliability: ") > 1
    assert page.count("<svg") == 5 + 2 * shown and not re.search(r'src="(?!data:)', page)
    assert "#image=" in page and "pictures-2" in (run / "inspect.html").read_text()
    content = read_checkpoint(run / "best.ckpt")
    thresholds = content[DESCRIPTION]["thresholds"]
    assert len(thresholds) == 4
    counting = content[DESCRIPTION]["counting"]
    assert counting["images"] == 3 and counting["quantiles"] == [None] * 5  # too few images
    assert Detector.load(run / "best.ckpt", device="cpu").count(np.zeros((64, 64, 3), np.uint8))
    assert all((content["state_dict"][k] == v).all() for k, v in before["state_dict"].items())
    found = Detector.load(run / "best.ckpt", device="cpu").thresholds("best")
    assert found.tolist() == [0.3 if t is None else t for t in thresholds]
    assert not list(run.glob("*.tmp"))


def test_links_lead_to_what_the_inspector_shows(run):
    write_report(run, limit=2, device="cpu", progress=False)
    page = (run / "report.html").read_text()
    text = (run / "inspect.html").read_text()
    about = json.loads(re.search(r'id="about">(.*?)</script>', text, re.DOTALL)[1])
    assert len(about["images"]) == 2 and about["seen"] == 3 and about["threshold"] == "best"
    link = r'"inspect.html#image=(\d+)&amp;(object|peak)=(\d+)"'
    caption = r"<b>(\w+)[^<]*</b><small[^<]*</small><small>([^<]*)</small>"
    links = re.findall(f'<a class="card" href={link}><img[^<]*>{caption}', page)
    assert {image for image, *_ in links} == {"0", "1"}
    for image, kind, index, name, file in links:
        shown = about["images"][int(image)]
        label = shown[f"{kind}s"][int(index)]["label"]
        assert (about["classes"][label]["name"], shown["name"]) == (name, file)


def test_a_wrong_limit_is_named(tmp_path):
    with pytest.raises(InputError, match=r"limit.* -1"):
        write_report(tmp_path, limit=-1)


def test_data_that_moved_is_named(run, tmp_path):
    config = run / "config.yaml"
    config.write_text(re.sub("root: .*", "root: gone", config.read_text()))
    with pytest.raises(SystemExit) as end:
        cli.main(["report", str(run), "--device=cpu"])
    assert "gone" in end.value.code
    with pytest.raises(SystemExit) as end:
        cli.main(["report", str(tmp_path), "--device=cpu"])
    assert "best.ckpt" in end.value.code and str(tmp_path) in end.value.code


def test_a_failing_report_leaves_the_training_alone(trained, tmp_path, monkeypatch, caplog):
    from centernet.analysis.report import write_report
    from centernet.cli import fit

    def fail(*_, **__):
        raise ZeroDivisionError("of\nall things")

    monkeypatch.setattr(write_report, "write_report", fail)
    folder = trained.parents[1]
    where = [f"--data.root={folder / 'shapes'}", f"--trainer.default_root_dir={tmp_path}"]
    with caplog.at_level(logging.WARNING):
        fit.run([f"--config={folder / 'tiny.yaml'}", "--report=true", *where])
    assert "ZeroDivisionError: of all things" in caplog.text and "centernet report" in caplog.text
    assert (tmp_path / "tiny" / "best.ckpt").exists()


@pytest.mark.slow
def test_a_network_without_heatmaps_gets_a_report_without_an_inspector(tmp_path, monkeypatch):
    from centernet.cli import fit

    monkeypatch.chdir(tmp_path)
    make_shapes(tmp_path / "shapes", train=4, val=2, size=64)
    config = TINY_CONFIG.replace("model:", "model:\n  detector: retinanet")
    (tmp_path / "tiny.yaml").write_text(config)
    fit.run(["--config=tiny.yaml", "--data.root=shapes", "--report=true"])
    run = tmp_path / "runs" / "tiny"
    assert "inspect.html" not in (run / "report.html").read_text()
    assert not (run / "inspect.html").exists()
