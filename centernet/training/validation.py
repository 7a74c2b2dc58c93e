"""The ``validate`` command: checks, result files and tables."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from centernet.errors import InputError
from centernet.evaluation.coco import Evaluation
from centernet.files import atomic_write
from centernet.training.datamodule import DetectionData
from centernet.training.task import DetectionTask


def validate_classes(task: DetectionTask, weights: str) -> None:
    """Raise InputError if weights were trained on other classes than those of the data."""
    if task.start and task.start.reinitialized:
        raise InputError(
            f"{weights} has {len(task.start.pretrained_classes)} classes, the data has "
            f"{len(task.class_names)}: use weights trained on these classes"
        )


def make_results_folder(run: Path, data: DetectionData) -> Path:
    """Make ``RUN/validate-NAME``, where NAME is the annotation file, the split or the fold.

    Raises:
        InputError: the folder cannot be made.
    """
    annotations = data.source.paths["val"][1]
    is_file = annotations.is_file() and not data.source.folds
    name = annotations.stem if is_file else data.val_set.name
    folder = run / f"validate-{name}"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from None
    return folder


def report_results(task: DetectionTask, folder: Path) -> None:
    """Save metrics and detections in a folder, and print COCO's table and one of the classes."""
    evaluation = task.evaluation
    assert evaluation is not None  # the first process has evaluated
    evaluation.save(folder)
    with atomic_write(folder / "detections.json") as unfinished:
        unfinished.write_text(json.dumps(task.collected.results))
    print(evaluation.summary)
    if evaluation.note:
        print(evaluation.note)
    Console().print(_class_table(evaluation))
    print(f"saved in {folder}")


def _class_table(evaluation: Evaluation) -> Table:
    table = Table(*evaluation.per_class[0])
    for row in evaluation.per_class:
        table.add_row(
            *(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values())
        )
    return table
