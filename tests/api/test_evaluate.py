"""``centernet.evaluate``: the numbers of ``validate``, with every engine and format."""

import json
import math
import shutil

import numpy as np
import pytest
import supervision as sv
from fakes import spot_detector, tiny_config

from centernet import InputError, Run, evaluate
from centernet.api.confusion import count_confusions
from centernet.api.evaluation_result import ConfusionMatrix, EvaluatedImage
from centernet.data.compact import ImageAnnotation
from centernet.data.formats import convert_dataset
from centernet.training.train_cli import main


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory):
    """A short run on shapes, and the metrics that ``validate`` writes for it."""
    root = tmp_path_factory.mktemp("evaluated")
    config = root / "tiny.yaml"
    model = {"neck": "fpn", "head_norm": True, "learning_rate": 0.02, "warmup_steps": 5}
    trainer = {"max_epochs": 20, "check_val_every_n_epoch": 20}
    config.write_text(tiny_config(trainer=trainer, model=model))
    common = [f"--config={config}", f"--data.root={shapes}"]
    runs = f"--trainer.default_root_dir={root / 'runs'}"
    main(["fit", *common, runs])
    run = Run.open(root / "runs" / "tiny")
    main(["validate", *common, runs, f"--ckpt_path={run.best}"])
    results = run.folder / "validate-instances_val"
    return run, json.loads((results / "metrics.json").read_text()), results


def same(metrics, expected):
    known = {name: None if math.isnan(value) else value for name, value in metrics.items()}
    return len(known) == 12 and known == pytest.approx(expected, abs=1e-9)


@pytest.mark.guard
def test_the_metrics_are_those_of_validate(trained, shapes):
    run, expected, folder = trained
    result = evaluate(run.best, shapes, device="cpu", progress=False)
    assert expected["AP"] > 0 and same(result.metrics, expected)
    assert result.to_dict()["metrics"] == pytest.approx(expected, abs=1e-9)
    rows = (folder / "per_class.csv").read_text().splitlines()
    assert [row["class"] for row in result.per_class] == [row.split(",")[0] for row in rows[1:]]
    assert [image.path.stem for image in result.images] == ["000000", "000001", "000002"]
    assert str(result).count("\n") == 11
    detector = run.detector(device="cpu")
    assert same(evaluate(detector, shapes, batch_size=2, progress=False).metrics, expected)


@pytest.mark.slow
def test_exported_models_have_the_same_metrics(trained, shapes, tmp_path):
    from centernet.export.export_weights import export_weights

    run, expected, _ = trained
    path = tmp_path / "model.onnx"
    export_weights(run.best, path)
    for engine in ("onnxruntime", "openvino"):
        result = evaluate(path, shapes, engine=engine, progress=False)
        assert result.metrics["AP"] == pytest.approx(expected["AP"], abs=2e-3)
        assert result.class_names == run.detector(device="cpu").class_names


@pytest.mark.guard
def test_splits_and_annotation_files(trained, shapes):
    detector = trained[0].detector(device="cpu")
    train = evaluate(detector, shapes, split="train", progress=False)
    assert len(train.images) == 10 and "instances_train" in train.source
    for split in ("annotations/instances_train.json", shapes / "annotations/instances_train.json"):
        same_images = evaluate(detector, shapes, split=split, images="train", progress=False)
        assert same_images.metrics == pytest.approx(train.metrics, nan_ok=True)
    with pytest.raises(InputError, match="'test'"):
        evaluate(detector, shapes, split="test", progress=False)


@pytest.mark.guard
@pytest.mark.parametrize("format", ["voc", "yolo"])
def test_formats_agree(trained, shapes, tmp_path, format):
    convert_dataset(shapes, tmp_path / format, format=format)
    detector = trained[0].detector(device="cpu")
    result = evaluate(detector, tmp_path / format, progress=False)
    assert result.metrics["AP50"] == pytest.approx(trained[1]["AP50"], abs=0.05)  # rounded boxes
    assert len(result.images) == 3


@pytest.mark.guard
def test_validation_images_are_held_out_as_in_fit(trained, shapes, tmp_path):
    shutil.copytree(shapes / "train", tmp_path / "data" / "train")
    (tmp_path / "data" / "annotations").mkdir()
    file = shapes / "annotations" / "instances_train.json"
    shutil.copy(file, tmp_path / "data" / "annotations")
    result = evaluate(trained[0].best, tmp_path / "data", device="cpu", progress=False)
    assert len(result.images) == 2  # a fifth of ten


def test_other_classes_and_options_are_refused(shapes):
    detector = spot_detector()
    with pytest.raises(InputError, match="circle"):
        evaluate(detector, shapes, progress=False)
    with pytest.raises(InputError, match="resolution"):
        evaluate(detector, shapes, resolution=64)
    with pytest.raises(InputError, match="batch_size"):
        evaluate(detector, shapes, batch_size=0)


def image(found, objects, regions=()):
    """An image with (box, label, score) detections and (box, label) objects."""
    detections = sv.Detections(
        xyxy=np.array([box for box, *_ in found], np.float32).reshape(-1, 4),
        class_id=np.array([label for _, label, _ in found], int),
        confidence=np.array([score for *_, score in found], float),
    )
    boxes = np.array([box for box, _ in objects], np.float32).reshape(-1, 4)
    labels = np.array([label for _, label in objects], np.int64)
    return EvaluatedImage("", detections, ImageAnnotation(boxes, labels, list(regions)))


A, B, C = (0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (image([], []), [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
        (image([], [(A, 0)]), [[0, 0, 1], [0, 0, 0], [0, 0, 0]]),
        (image([(A, 1, 0.9)], []), [[0, 0, 0], [0, 0, 0], [0, 1, 0]]),
        (image([(A, 0, 0.9)], [(A, 0)]), [[1, 0, 0], [0, 0, 0], [0, 0, 0]]),
        (image([(A, 1, 0.9)], [(A, 0)]), [[0, 1, 0], [0, 0, 0], [0, 0, 0]]),
        (image([(A, 0, 0.3)], [(A, 0)]), [[0, 0, 1], [0, 0, 0], [0, 0, 0]]),  # below 0.4
        (image([(A, 0, 0.9), (A, 0, 0.8)], [(A, 0)]), [[1, 0, 0], [0, 0, 0], [1, 0, 0]]),
        (
            image([(A, 0, 0.9), (B, 0, 0.8), (C, 1, 0.7)], [(A, 0), (B, 1), (C, 1)]),
            [[1, 0, 0], [1, 1, 0], [0, 0, 0]],
        ),
        # In an ignore region of all classes, of its class, and of another class.
        (image([(A, 0, 0.9)], [], [(None, {"bbox": [0, 0, 60, 10]})]), np.zeros((3, 3))),
        (image([(A, 0, 0.9)], [], [(0, {"bbox": [0, 0, 60, 10]})]), np.zeros((3, 3))),
        (image([(A, 0, 0.9)], [], [(1, {"bbox": [0, 0, 60, 10]})]), [[0] * 3, [0] * 3, [1, 0, 0]]),
        # In a region, but it detects an object; the second one of the same object does not.
        (
            image([(A, 0, 0.9), (A, 0, 0.8)], [(A, 0)], [(None, {"bbox": [0, 0, 60, 10]})]),
            [[1, 0, 0], [0, 0, 0], [0, 0, 0]],
        ),
    ],
)
def test_confusions_are_counted(given, expected):
    counts = count_confusions([given], np.array([0.4, 0.4]), ("a", "b"), 0.5)
    assert counts.tolist() == np.asarray(expected).tolist()


def test_a_matrix_is_normalized_by_row_or_column():
    matrix = ConfusionMatrix(np.array([[3, 1], [0, 0]]), ("a",), "IoU 0.5")
    assert matrix.normalized().tolist() == [[0.75, 0.25], [0, 0]]
    assert matrix.normalized("detected").tolist() == [[1, 1], [0, 0]]
    assert matrix.to_dict()["classes"] == ["a", "background"]
    assert "<svg" in matrix._repr_html_() and "IoU 0.5" in matrix._repr_html_()
    with pytest.raises(InputError, match="row"):
        matrix.normalized("row")


@pytest.mark.guard
def test_the_result_shows_itself(trained, shapes):
    result = evaluate(trained[0].best, shapes, device="cpu", progress=False)
    page = result._repr_html_()
    assert "<svg" in page and "triangle" in page and "AP_small" in page
    assert "3 images" in repr(result)
    assert result.confusion({"star": 0.9}).caption.startswith("score threshold 0.3 to 0.9")
    objects = sum(row["objects"] for row in result.per_class)
    assert result.confusion(0).counts[:-1].sum() == objects > 0
    with pytest.raises(InputError, match=r"stra.*mean star\?"):
        result.confusion({"stra": 0.5})
    with pytest.raises(InputError, match="iou"):
        result.confusion(iou=1)
