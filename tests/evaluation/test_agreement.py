"""One number for one detector: whoever measures it, training, validation, report or a script."""

import csv
import json

import cv2
import numpy as np
import pytest
from fakes import tiny_config

from centernet import Detector
from centernet.analysis.report import write_report
from centernet.data.shapes import make_shapes
from centernet.evaluation.coco import coco_results, evaluate
from centernet.inference.config import InferenceConfig
from centernet.models.checkpoints import DESCRIPTION, read_checkpoint
from centernet.training.train_cli import main

CONFIG = tiny_config(
    data={"image_size": "96x64", "augment": {"scale": [0.9, 1.15], "shift": False}},
    model={"neck": "fpn", "head_norm": True, "learning_rate": 0.02, "warmup_steps": 5},
    trainer={"max_epochs": 6, "check_val_every_n_epoch": 2},
)
# (top, bottom, left, right) of a 96x96 image: landscape, portrait, and more of both.
CROPS = [(0, 96, 0, 96), (0, 96, 24, 80), (20, 70, 0, 96), (0, 96, 30, 66), (40, 72, 0, 96)]


def crop(path, annotations, window) -> None:
    """Cut an image and its boxes to a window; boxes that lose most of themselves go."""
    top, bottom, left, right = window
    image, entries = annotations
    pixels = cv2.imread(str(path))[top:bottom, left:right]
    cv2.imwrite(str(path), pixels)
    image["height"], image["width"] = pixels.shape[:2]
    for entry in list(entries):
        x, y, w, h = entry["bbox"]
        x1, x2 = np.clip([x - left, x + w - left], 0, right - left).tolist()
        y1, y2 = np.clip([y - top, y + h - top], 0, bottom - top).tolist()
        entry["bbox"], entry["area"] = [x1, y1, x2 - x1, y2 - y1], (x2 - x1) * (y2 - y1)
        if (x2 - x1) * (y2 - y1) < 0.4 * w * h:
            entries.remove(entry)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A dataset of mixed proportions, and the run of a training on it."""
    root = tmp_path_factory.mktemp("mixed")
    make_shapes(root / "data", train=40, val=10, size=96)
    for part in ("train", "val"):
        path = root / "data" / "annotations" / f"instances_{part}.json"
        coco = json.loads(path.read_text())
        kept = []
        for i, image in enumerate(coco["images"]):
            own = [a for a in coco["annotations"] if a["image_id"] == image["id"]]
            crop(root / "data" / part / image["file_name"], (image, own), CROPS[i % len(CROPS)])
            kept += own
        path.write_text(json.dumps(coco | {"annotations": kept}))
    (root / "mixed.yaml").write_text(CONFIG)
    command(root, "fit")
    return root, root / "runs" / "mixed"


def command(root, name, *options) -> None:
    main([
        name, f"--config={root / 'mixed.yaml'}", f"--data.root={root / 'data'}",
        f"--trainer.default_root_dir={root / 'runs'}", *options,
    ])  # fmt: skip


def in_training(root, run) -> dict[str, float]:
    with (run / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["AP"]]
    return max(rows, key=lambda row: float(row["AP"]))


def validated(*options):
    def measure(root, run) -> dict[str, float]:
        command(root, "validate", f"--ckpt_path={run / 'best.ckpt'}", *options)
        return json.loads((run / "validate-instances_val" / "metrics.json").read_text())

    return measure


def by_test_mode(root, run) -> dict[str, float]:
    """As with a flip or several scales, but with neither."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InferenceConfig, "plain", False)
        return validated()(root, run)


def reported(root, run) -> dict[str, float]:
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_report, "render_report_page", lambda report: seen.append(report) or [])
        write_report.write_report(run, root=root / "data", device="cpu", progress=False)
    return seen[0].evaluation.metrics


def detected(root, run) -> dict[str, float]:
    detector = Detector.load(run / "best.ckpt", device="cpu")
    path = root / "data" / "annotations" / "instances_val.json"
    coco = json.loads(path.read_text())
    ids = sorted(category["id"] for category in coco["categories"])
    results = []
    for image in coco["images"]:
        found = detector(root / "data" / "val" / image["file_name"], threshold=0)
        rows = found.xyxy, found.confidence, found.class_id
        results += coco_results(image["id"], *rows, ids)
    return evaluate(path, results).metrics


@pytest.mark.parametrize(
    "measure",
    [
        validated(),
        validated("--model.test.nms=0"),
        validated("--data.batch_size=1"),
        by_test_mode,
        reported,
        detected,
    ],
    ids=["validate", "nms 0", "batches of 1", "test mode", "report", "Detector"],
)
def test_every_way_to_measure_gives_the_ap_of_training(trained, measure):
    expected = in_training(*trained)
    assert float(expected["AP"]) > 0.02
    found = measure(*trained)
    for name in ("AP", "AP50", "AP75", "AR_100"):
        assert float(found[name]) == pytest.approx(float(expected[name]), abs=1e-6)


def test_dense_images_raise_top_k_everywhere(tmp_path):
    """120 objects in an image: training, validation, report and detector use 200 detections."""
    rng = np.random.default_rng(0)
    boxes = [[8 * x + 1, 8 * y + 1, 6, 6] for x in range(12) for y in range(10)]
    for part in ("train", "val"):
        (tmp_path / "data" / part).mkdir(parents=True)
        noise = rng.integers(0, 256, (96, 96, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "data" / part / "a.png"), noise)
        coco = {
            "images": [{"id": 1, "file_name": "a.png", "height": 96, "width": 96}],
            "categories": [{"id": 1, "name": "cell"}],
            "annotations": [
                {"id": i, "image_id": 1, "category_id": 1, "bbox": box}
                for i, box in enumerate(boxes, 1)
            ],
        }
        path = tmp_path / "data" / "annotations" / f"instances_{part}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(coco))
    (tmp_path / "mixed.yaml").write_text(CONFIG)
    command(tmp_path, "fit", "--trainer.max_epochs=1", "--data.image_size=96")
    run = tmp_path / "runs" / "mixed"
    assert read_checkpoint(run / "best.ckpt")[DESCRIPTION]["top_k"] == 200
    detector = Detector.load(run / "best.ckpt", device="cpu")
    assert detector.top_k == 200
    assert Detector.load(run / "best.ckpt", device="cpu", top_k=7).top_k == 7
    found = [measure(tmp_path, run) for measure in (in_training, validated(), reported)]
    assert all("AR_200" in metrics and "AR_100" not in metrics for metrics in found)
