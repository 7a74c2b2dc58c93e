"""Label errors: agreement of peaks and annotations, probabilities, and what is found."""

import csv
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import picture, run_centernet, spot_detector
from sample_datasets import write_json

from centernet.analysis.inspector.analyze import Example
from centernet.analysis.inspector.error_types import Peaks, box_overlaps
from centernet.analysis.labels import detectors, find, find_label_errors
from centernet.analysis.labels.agreement import Agreement, agree
from centernet.analysis.labels.evidence import Evidence, collect_evidence
from centernet.analysis.labels.find import find_suspicions
from centernet.analysis.labels.population import estimate
from centernet.analysis.labels.reliability import Reliability, peak_features
from centernet.analysis.labels.suspicions import LabeledImage, LabelError
from centernet.errors import InputError
from centernet.inference.detector import Detector

SIZE = (200, 300)
NAMES = ("cat", "dog")


def evidence(objects, peaks, *, heat=None) -> Evidence:
    """Evidence of an image with annotations (label, box) and peaks (label, box, score)."""
    peaks = sorted(peaks, key=lambda peak: -peak[2])
    boxes = np.array([box for _, box in objects], np.float32).reshape(-1, 4)
    labels = np.array([label for label, _ in objects], np.int64)
    found = np.array([box for _, box, _ in peaks], np.float32).reshape(-1, 4)
    cells = ((found[:, :2] + found[:, 2:]) / 8).astype(np.int64)
    scores = np.array([score for *_, score in peaks], np.float32)
    if heat is None:
        heat = np.full((len(labels), len(NAMES)), 0.01, np.float32)
        for i, box in enumerate(boxes):
            for label, other, score in peaks:
                if box_overlaps(box[None], np.array([other], np.float32))[0, 0] >= 0.5:
                    heat[i, label] = max(heat[i, label], score)
    return Evidence(
        LabeledImage("train", "a.png", Path("a.png"), boxes, labels),
        SIZE,
        Peaks(found, np.array([label for label, *_ in peaks], np.int64), cells, scores),
        heat,
    )


def test_peaks_agree_with_annotations_or_contradict_them():
    one = evidence(
        [(0, [10, 10, 50, 50]), (1, [100, 10, 140, 50]), (0, [200, 10, 240, 50])],
        [
            (0, [12, 10, 52, 50], 0.9),  # supports the first
            (0, [8, 10, 48, 50], 0.8),  # detects it again
            (0, [100, 10, 140, 52], 0.7),  # at the second, of another class
            (0, [222, 10, 262, 50], 0.6),  # IoU 0.29 with the third
            (1, [10, 100, 50, 140], 0.5),  # alone
        ],
    )
    found = agree(one)
    assert found.of_peaks == [
        Agreement.SUPPORTS,
        Agreement.AGAIN,
        Agreement.OTHER_CLASS,
        Agreement.NEAR,
        Agreement.ALONE,
    ]
    assert found.objects.tolist() == [0, 0, 1, 2, -1]
    assert found.supporters.tolist() == [0, -1, -1]
    np.testing.assert_allclose(found.support, [0.9, 0, 0])


def test_of_boxes_that_exceed_the_image_the_visible_part_counts():
    # The image is 300 wide: a third of the second box is visible.
    one = evidence([(0, [-30, 10, 30, 50]), (0, [280, 10, 340, 50])], [(0, [0, 10, 30, 50], 0.9)])
    assert agree(one).supporters.tolist() == [0, -1]
    np.testing.assert_allclose(one.overlap, [[1, 0]])
    assert one.boxes[1].tolist() == [280, 10, 300, 50]
    assert one.image.boxes[1].tolist() == [280, 10, 340, 50]  # as annotated, for corrections


def test_a_weak_peak_does_not_contradict_what_a_strong_one_supports():
    box = [10, 10, 50, 50]
    found = agree(evidence([(0, box)], [(0, box, 0.8), (1, box, 0.3)]))
    assert found.of_peaks == [Agreement.SUPPORTS, Agreement.ALONE]


def test_features_of_peaks():
    peaks = evidence([], [(0, [0, 50, 40, 90], 0.5), (0, [10, 50, 50, 90], 0.2)]).peaks
    features = peak_features(peaks, SIZE)
    np.testing.assert_allclose(features[:, 0], [0, np.log(0.25)], rtol=1e-5)
    assert features[:, 1].tolist() == [1, 0]  # the first touches the left border
    np.testing.assert_allclose(features[:, 2], np.log(1600), rtol=1e-6)
    np.testing.assert_allclose(features[:, 3], [0, 30 / 50], rtol=1e-6)


@pytest.mark.parametrize("missed", [0.0, 0.1, 0.3])
def test_reliability_is_not_deceived_by_missing_annotations(missed):
    rng = np.random.default_rng(0)
    features = rng.normal(0, 2, (20000, 1))
    truth = 1 / (1 + np.exp(-(1.5 * features[:, 0] - 1)))
    is_real = rng.random(len(truth)) < truth
    supported = is_real & (rng.random(len(truth)) >= missed)
    estimated = Reliability(features, supported, missed).is_real(features)
    assert np.abs(estimated - truth).max() < 0.06


def scene(rng) -> tuple[list, list]:
    """Four objects, found with scores around 0.8, and ten false peaks with scores around 0.1."""
    objects, peaks = [], []
    for x, y in ((20, 20), (80, 20), (180, 20), (20, 120)):
        # The first two have one class.
        label = objects[0][0] if len(objects) == 1 else int(rng.integers(2))
        x, y = x + rng.uniform(0, 6), y + rng.uniform(0, 6)
        box = np.array([x, y, x + 40, y + 40])
        objects.append((label, box.tolist()))
        found = (box + rng.normal(0, 1, 4)).tolist()
        peaks.append((label, found, float(rng.beta(32, 8))))
        # A weak peak of the other class at the same place.
        peaks.append((1 - label, found, float(rng.uniform(0.05, 0.1))))
    for _ in range(10):
        x, y = rng.uniform(100, 250), rng.uniform(90, 150)
        box = [x, y, x + 40, y + 40]
        peaks.append((int(rng.integers(2)), box, float(rng.beta(2, 18)) + 0.05))
    return objects, peaks


def corrupt(kind: LabelError, objects: list) -> list:
    """The first object with a label error."""
    (label, (x1, y1, x2, y2)), rest = objects[0], objects[1:]
    middle = (x1 + x2) / 2
    return {
        LabelError.MISSING: rest,
        LabelError.WRONG_CLASS: [(1 - label, [x1, y1, x2, y2]), *rest],
        LabelError.POOR_BOX: [(label, [x1 + 14, y1 + 8, x2 + 14, y2 + 8]), *rest],
        LabelError.SPURIOUS: [(label, [100, 66, 124, 88]), *objects],
        LabelError.DUPLICATE: [(label, [x1 + 1, y1, x2 + 1, y2]), *objects],
        LabelError.MERGED: [(label, [x1, y1, rest[0][1][2], y2]), *rest[1:]],
        LabelError.SPLIT: [(label, [x1, y1, middle, y2]), (label, [middle, y1, x2, y2]), *rest],
    }[kind]


@pytest.fixture(scope="module")
def searched():
    """Suspicions of 147 images; the first 49 have one error each, 7 of each kind."""
    rng, kinds = np.random.default_rng(0), list(LabelError)
    images, planted = [], []
    for number in range(147):
        objects, peaks = scene(rng)
        kind = kinds[number % len(kinds)] if number < 49 else None
        planted.append((kind, objects))
        images.append(evidence(corrupt(kind, objects) if kind else objects, peaks))
    agreements = [agree(one) for one in images]
    populations, real = estimate(images, agreements, len(NAMES))
    found = [
        find_suspicions(one, how, chances, populations, NAMES)
        for one, how, chances in zip(images, agreements, real, strict=True)
    ]
    return images, planted, found


@pytest.mark.parametrize("kind", list(LabelError), ids=lambda kind: kind.name.lower())
def test_each_kind_of_error_is_found_with_its_correction(searched, kind):
    _, planted, found = searched
    best = [found[n][0] for n, (own, _) in enumerate(planted) if own == kind]
    assert len(best) == 7
    assert [suspicion.kind for suspicion in best] == [kind] * 7
    assert min(suspicion.score for suspicion in best) > 0.3
    of_kind = [n for n, (own, _) in enumerate(planted) if own == kind]
    for n, suspicion in zip(of_kind, best, strict=True):
        label, box = planted[n][1][0]
        corrected = {
            LabelError.MISSING: [box],
            LabelError.WRONG_CLASS: [box],
            LabelError.POOR_BOX: [box],
            LabelError.SPLIT: [box],
            LabelError.MERGED: [box, planted[n][1][1][1]],
        }.get(kind, [])
        assert len(suspicion.boxes) == len(corrected)
        if corrected:
            assert suspicion.label == label
            overlaps = box_overlaps(suspicion.boxes, np.array(corrected, np.float32))
            assert overlaps.max(1).min() > 0.7
        replaced = {LabelError.MISSING: 0, LabelError.SPLIT: 2}.get(kind, 1)
        assert len(suspicion.objects) == replaced


def test_what_a_peak_explains_is_not_spurious(searched):
    """Candidates of the images with a wrong class or a badly placed box, before the choice."""
    images, planted, _ = searched
    agreements = [agree(one) for one in images]
    populations, real = estimate(images, agreements, len(NAMES))
    for n, (kind, _) in enumerate(planted):
        if kind in (LabelError.WRONG_CLASS, LabelError.POOR_BOX):
            finder = find._Finder(images[n], agreements[n], real[n], populations, NAMES)
            spurious = [s for s, _ in finder.candidates() if s.kind == LabelError.SPURIOUS]
            assert max(suspicion.score for suspicion in spurious) < 0.1


def test_errors_are_ranked_before_everything_else(searched):
    _, planted, found = searched
    ranked = sorted(
        ((s.score, n < 49 and s.kind == planted[n][0]) for n, own in enumerate(found) for s in own),
        reverse=True,
    )
    assert all(0 <= score <= 1 for score, _ in ranked)
    hits = [hit for _, hit in ranked]
    assert sum(hits[:49]) >= 45


def test_an_annotation_and_a_peak_are_in_one_suspicion_only(searched):
    for suspicions in searched[2]:
        used = Counter(i for suspicion in suspicions for i in suspicion.objects)
        assert all(count == 1 for count in used.values())


def test_without_errors_nothing_is_certain():
    rng = np.random.default_rng(1)
    images = [evidence(*scene(rng)) for _ in range(60)]
    agreements = [agree(one) for one in images]
    populations, real = estimate(images, agreements, len(NAMES))
    scores = [
        s.score
        for one, how, chances in zip(images, agreements, real, strict=True)
        for s in find_suspicions(one, how, chances, populations, NAMES)
    ]
    assert max(scores, default=0) < 0.5


def test_evidence_of_few_images_and_classes_without_peaks():
    empty = evidence([(1, [10, 10, 50, 50])], [])
    agreements = [agree(empty)]
    populations, real = estimate([empty], agreements, len(NAMES))
    found = find_suspicions(empty, agreements[0], real[0], populations, NAMES)
    assert all(0 <= suspicion.score <= 1 for suspicion in found)


def test_heat_is_read_at_annotated_centers_and_ignore_regions_hide_peaks(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture(("red", 40, 40), ("blue", 80, 80))[..., ::-1])
    boxes = np.array([[34, 38, 50, 46]], np.float32)
    labels = np.array([0], np.int64)
    region = {"bbox": [60, 60, 40, 40]}
    example = Example(path, "a.png", boxes, labels, [(None, region)])
    image = LabeledImage("train", "a.png", path, boxes, labels)
    found = collect_evidence(spot_detector(), example, image)
    assert found.heat[0, 0] > 0.99
    assert found.heat[0, 1] < 0.01
    assert found.peaks.labels.tolist() == [0]  # the blue one is in the region
    assert found.overlap[0, 0] == pytest.approx(1)
    assert found.size == (128, 128)


def test_heat_is_read_at_the_center_of_the_visible_part(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture(("red", 40, 108))[..., ::-1])
    # The image is 128 high: the visible part ends there, and its center is at y = 108.
    boxes, labels = np.array([[34, 88, 50, 256]], np.float32), np.array([0], np.int64)
    image = LabeledImage("train", "a.png", path, boxes, labels)
    found = collect_evidence(spot_detector(), Example(path, "a.png", boxes, labels), image)
    assert found.heat[0, 0] > 0.99


@pytest.fixture
def dataset(tmp_path, monkeypatch) -> Path:
    """Thirty images of red and blue spots: the last one has a missing and a wrong annotation."""
    monkeypatch.setattr(Detector, "load", lambda *_, **__: spot_detector())
    monkeypatch.chdir(tmp_path)
    root, images, annotations = tmp_path / "spots", [], []
    (root / "train").mkdir(parents=True)
    for number in range(30):
        spots = [("red", 20, 20), ("blue", 80, 40), ("red", 40, 88)]
        cv2.imwrite(str(root / "train" / f"{number}.png"), picture(*spots)[..., ::-1])
        images.append({"id": number, "file_name": f"{number}.png", "width": 128, "height": 128})
        for color, x, y in spots[: 2 if number == 29 else 3]:
            category = 1 if color == "red" or number == 29 else 2
            box = [x - 6, y - 2, 16, 8]
            entry = {"id": len(annotations) + 1, "image_id": number, "category_id": category}
            annotations.append(entry | {"bbox": box, "area": 128, "iscrowd": 0})
    categories = [{"id": n, "name": name} for n, name in enumerate(("red", "blue", "white"), 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir()
    write_json(root / "annotations" / "instances_train.json", content)
    return root


def test_the_command_finds_lists_and_corrects(dataset, capsys):
    Path("best.ckpt").touch()
    status, out, _ = run_centernet(
        ["labels", str(dataset), "--weights", "best.ckpt", "--accept", "0.5"], capsys
    )
    assert status == 0
    folder = Path("runs/labels/spots")
    assert {path.name for path in folder.iterdir()} == {
        "labels.html",
        "labels.json",
        "labels.csv",
        "corrections.json",
    }
    assert "1 missing object" in out and "1 wrong class" in out and "30 are few" in out
    listed = json.loads((folder / "labels.json").read_text())["suspicions"]
    assert {(s["file_name"], s["kind"]) for s in listed} == {
        ("29.png", "missing object"),
        ("29.png", "wrong class"),
    }
    wrong = next(s for s in listed if s["kind"] == "wrong class")
    assert wrong["annotations"] == [{"class": "red", "box": [74, 38, 90, 46]}]
    assert wrong["correction"] == [{"class": "blue", "box": [74, 38, 90, 46]}]
    with (folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["kind"], row["annotation_class"], row["correction_class"]) for row in rows} == {
        ("missing object", "", "red"),
        ("wrong class", "red", "blue"),
    }
    words = ["labels", "apply", str(folder / "corrections.json"), str(dataset), "fixed"]
    status, out, _ = run_centernet(words, capsys)
    assert status == 0 and "1 boxes added, 0 removed, 1 changed in 1 images" in out
    fixed = json.loads(Path("fixed/annotations/instances_train.json").read_text())
    own = [a for a in fixed["annotations"] if a["image_id"] == 29]
    boxes = sorted((a["category_id"], *map(round, a["bbox"])) for a in own)
    assert boxes == [(1, 14, 18, 16, 8), (1, 34, 86, 16, 8), (2, 74, 38, 16, 8)]


def test_points_have_no_boxes_to_judge(dataset):
    path = dataset / "annotations" / "instances_train.json"
    content = json.loads(path.read_text())
    content["annotations"][0] |= {"point": True, "bbox": [20, 20, 0, 0]}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="points"):
        find_label_errors.find_label_errors(dataset, "best.ckpt")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "--folds"),
        (["--weights", "w.ckpt", "--folds", "5"], "--folds"),
        (["--folds", "1"], "folds"),
        (["--weights", "w.ckpt", "--split", "night"], "night"),
        (["--weights", "w.ckpt", "--limit", "0"], "limit"),
        (["--folds", "2", "--accept", "1.5"], "accept must be in [0, 1], got 1.5"),
        (["--weights", "."], "cross-validation"),
    ],
)
def test_wrong_options_end_in_one_line(dataset, capsys, words, named):
    Path("w.ckpt").touch()
    status, _, error = run_centernet(["labels", str(dataset), *words], capsys)
    assert status != 0 and named in str(status) + error
    assert not Path("runs").exists()


def test_each_image_is_judged_by_the_fold_that_has_not_seen_it(tmp_path, monkeypatch):
    paths = [tmp_path / f"{n}.png" for n in range(4)]
    folds = {paths[0]: 2, paths[1]: 1, paths[2]: 2}
    monkeypatch.setattr(detectors, "_fold_of_files", lambda _: folds)
    loaded = []
    monkeypatch.setattr(
        detectors.Detector, "load", lambda weights, **_: loaded.append(weights.parent.name)
    )
    chosen = [indices for _, indices in detectors.detectors_of(tmp_path, paths)]
    assert loaded == ["fold-1", "fold-2"]
    assert chosen == [[1, 3], [0, 2]]  # the last image is in no fold


def test_images_of_no_fold_are_judged_but_not_those_of_another_dataset(tmp_path, monkeypatch):
    own, test, other = (tmp_path / name for name in ("own.png", "test.png", "other.png"))
    monkeypatch.setattr(detectors, "_fold_of_files", lambda _: {own: 1})
    monkeypatch.setattr(detectors.Detector, "load", lambda *_, **__: None)
    # A page may show images of the split test only.
    assert list(detectors.detectors_of(tmp_path, [test])) == [(None, [0])]
    detectors.require_own_folds(tmp_path, [test, own])
    with pytest.raises(InputError, match=r"other\.png"):
        detectors.require_own_folds(tmp_path, [other])


def test_a_folder_without_folds_is_named_before_a_checkpoint_in_it(dataset, monkeypatch):
    monkeypatch.undo()
    with pytest.raises(InputError, match="cross-validation"):
        find_label_errors.find_label_errors(dataset, dataset)


def test_images_are_named_as_the_annotations_name_them(dataset):
    file = dataset / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    for image in content["images"]:
        image["file_name"] = "./" + image["file_name"]
    write_json(file, content)
    found = find_label_errors.find_label_errors(dataset, "best.ckpt")
    assert {image.image.file_name for image in found.images} == {"./29.png"}


def test_a_model_that_was_trained_on_the_images_is_named(dataset, monkeypatch):
    monkeypatch.setattr(find_label_errors, "trained_images", lambda *_: True)
    assert find_label_errors.find_label_errors(dataset, "best.ckpt").biased == ["train"]
