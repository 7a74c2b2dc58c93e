"""Write the report of a training run.

``report.html`` in the run's folder is a single self-contained file; its pictures link to
``inspect.html`` in the same folder.
"""

import json
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from centernet.analysis.html import write_html
from centernet.analysis.inspector import (
    ImageAnalysis,
    InspectorPage,
    analyze_image,
    dataset_examples,
)
from centernet.analysis.report.best_thresholds import best_thresholds
from centernet.analysis.report.counts import fit_counts
from centernet.analysis.report.report_page import INSPECTOR_FILE, TrainingReport, render_report_page
from centernet.data.dataset import DetectionDataset
from centernet.errors import InputError, require_at_least
from centernet.evaluation.coco import Evaluation
from centernet.evaluation.results import CocoResults
from centernet.inference.detector import Detector
from centernet.inference.thresholds import BEST
from centernet.models.checkpoints import DESCRIPTION, read_checkpoint, save_file

REPORT_FILE = "report.html"


def write_report(
    run: str | Path,
    *,
    dataset: DetectionDataset | None = None,
    root: str | Path | None = None,
    limit: int = 100,
    device: str | torch.device = "auto",
    progress: bool = True,
) -> Path:
    """Analyze the validation images with a run's best weights, and write the report.

    The best threshold of each class and the calibration of counts are saved in ``best.ckpt``.

    Args:
        run: folder of a training run.
        dataset: validation images; by default those of the run's ``config.yaml``.
        root: folder of the data, if it moved since training.
        limit: maximum number of images in ``inspect.html``, 0 for all.
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
        raise InputError(f"no best.ckpt in {run}: give the folder of a training run")
    detector = Detector.load(weights, device=device)
    names = detector.class_names
    sizes = [size for size in detector.engine.info.point_sizes or () if size]
    dataset = dataset or _validation_images(run, names, root, sizes[0] if sizes else None)
    inspector = InspectorPage(names, title=run.name, limit=limit or None)
    analyses, evaluation = _analyze_all(detector, dataset, inspector, progress)
    best = best_thresholds(analyses, len(names))
    thresholds = [found.threshold if found else None for found in best]
    counts = fit_counts(analyses, len(names))
    counting = counts.calibration.as_dict() if counts else None
    _save_description(weights, thresholds=thresholds, counting=counting)
    inspector.threshold, inspector.best = BEST, thresholds
    if len(inspector):
        inspector.save(run / INSPECTOR_FILE)
    report = TrainingReport(run, names, analyses, evaluation, best, inspector, counts)
    write_html(run / REPORT_FILE, render_report_page(report))
    return run / REPORT_FILE


def _validation_images(
    run: Path, class_names: tuple[str, ...], root: str | Path | None, point_size: float | None
) -> DetectionDataset:
    from centernet.training.config_data import validation_set

    return validation_set(run / "config.yaml", class_names, root=root, point_size=point_size)


def _analyze_all(
    detector: Detector, dataset: DetectionDataset, inspector: InspectorPage, progress: bool
) -> tuple[list[ImageAnalysis], Evaluation]:
    """Analyze every image once; only pictures that the inspector keeps stay in memory."""
    assert dataset.annotations is not None, "a validation dataset keeps its annotations"
    analyses, collected = [], CocoResults()
    examples = dataset_examples(dataset)
    for example in tqdm(examples, total=len(dataset), unit="image", disable=not progress):
        analysis, maps = analyze_image(detector, example)
        analyses.append(analysis)
        if maps.heat is not None:
            inspector.add(analysis, maps)
        collected.add(example.image_id, analysis.detections, dataset.category_ids)
    evaluation = collected.evaluate(
        dataset.annotations,
        top_k=int(detector.top_k),
        has_box_sizes=detector.engine.info.has_box_sizes,
    )
    return analyses, evaluation


def _save_description(weights: Path, **values: Any) -> None:
    """Save plain values in the description of a checkpoint, atomically, if they changed."""
    content = read_checkpoint(weights)
    known = {name: content[DESCRIPTION].get(name) for name in values}
    if json.dumps(known) != json.dumps(values):
        content[DESCRIPTION] |= values
        save_file(content, weights)
