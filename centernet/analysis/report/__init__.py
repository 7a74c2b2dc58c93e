"""The report of a training: how it went, what the detector confuses, and its worst mistakes.

``report.html`` in the run's folder, one file that holds all it shows, with ``inspect.html`` beside
it, which its pictures lead to.
"""

import json
import logging
from pathlib import Path

import torch
from tqdm import tqdm

from centernet.analysis.inspector import Page, look
from centernet.analysis.inspector.look import Findings, examples
from centernet.analysis.report.page import Report, render
from centernet.analysis.report.scores import best_thresholds
from centernet.data.dataset import DetectionDataset
from centernet.errors import InputError, require_at_least
from centernet.evaluation.coco import Evaluation, evaluate
from centernet.evaluation.results import CocoResults
from centernet.files import atomic_write
from centernet.inference.detector import Detector
from centernet.inference.thresholds import BEST
from centernet.models.checkpoints import DESCRIPTION, read_checkpoint, save_file

log = logging.getLogger(__name__)

__all__ = ["write_report"]

PAGE, INSPECTOR = "report.html", "inspect.html"


def write_report(
    run: str | Path,
    *,
    dataset: DetectionDataset | None = None,
    root: str | Path | None = None,
    limit: int = 100,
    device: str | torch.device = "auto",
    progress: bool = True,
) -> Path:
    """Look at the validation images with a run's best weights, and write what there is to see.

    The best threshold of each class is written into ``best.ckpt``.

    Args:
        run: folder of a training.
        dataset: its validation images; by default those that its ``config.yaml`` names.
        root: where the data is, if not where it was in training.
        limit: most images in ``inspect.html``, 0 for all.
        device: as for :class:`centernet.Detector`.
        progress: show a progress bar.

    Returns:
        The path of the report.

    Raises:
        InputError: there is no such run, or its data or weights cannot be read.
    """
    require_at_least(0, limit=limit)
    run = Path(run)
    weights = run / "best.ckpt"
    if not weights.is_file():
        raise InputError(f"no training to report on: there is no best.ckpt in {run}")
    detector = Detector.load(weights, device=device)
    names = detector.class_names
    if dataset is None:
        from centernet.training.datamodule import validation_set

        dataset = validation_set(run / "config.yaml", names, root=root)
    inspector = Page(names, title=run.name, limit=limit or None)
    findings, evaluation = _look_at_all(detector, dataset, inspector, progress)
    best = best_thresholds(findings, len(names))
    thresholds = [one and one.threshold for one in best]
    _remember(weights, thresholds)
    inspector.threshold, inspector.best = BEST, thresholds
    if len(inspector):
        inspector.save(run / INSPECTOR)
    report = Report(run, names, dataset.category_ids, findings, evaluation, best, inspector)
    path = run / PAGE
    with atomic_write(path) as unfinished:
        unfinished.write_text(render(report), encoding="utf-8")
    return path


def _look_at_all(
    detector: Detector, dataset: DetectionDataset, inspector: Page, progress: bool
) -> tuple[list[Findings], Evaluation]:
    """Every image once; of the pictures only those that the page keeps stay in memory."""
    findings, collected = [], CocoResults()
    for example in tqdm(examples(dataset), total=len(dataset), unit="image", disable=not progress):
        found, maps = look(detector, example)
        findings.append(found)
        if maps.heat is not None:
            inspector.add(found, maps)
        collected.add(example.image_id, found.detections, dataset.category_ids)
    evaluation = evaluate(
        dataset.annotations, collected.results, collected.image_ids, top_k=detector.top_k
    )
    return findings, evaluation


def _remember(weights: Path, thresholds: list[float | None]) -> None:
    """Write the best thresholds into a checkpoint, which is whole before and after."""
    content = read_checkpoint(weights)
    known = json.dumps(content[DESCRIPTION].get("thresholds"))
    if known != json.dumps(thresholds):
        content[DESCRIPTION]["thresholds"] = thresholds
        save_file(content, weights)
