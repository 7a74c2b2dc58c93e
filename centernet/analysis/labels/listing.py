"""The list of suspected label errors as JSON and CSV."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from centernet.analysis.labels.corrections import rounded_box
from centernet.analysis.labels.find_label_errors import LabelErrors
from centernet.analysis.labels.suspicions import LabelError, SuspectImage, Suspicion
from centernet.files import atomic_write

_CORNERS = ("x1", "y1", "x2", "y2")


def ranked(errors: LabelErrors) -> list[tuple[SuspectImage, Suspicion]]:
    """All suspicions with their images, the most probable first."""
    pairs = [(image, s) for image in errors.images for s in image.suspicions]
    return sorted(pairs, key=lambda pair: -pair[1].score)


def count_kinds(errors: LabelErrors, min_score: float) -> dict[LabelError, int]:
    """Number of suspicions of each kind with at least this score, the most frequent kind first."""
    scores = ranked(errors)
    return dict(Counter(s.kind for _, s in scores if s.score >= min_score).most_common())


def write_json(path: Path, errors: LabelErrors, *, dataset: str) -> None:
    """Write all suspicions, the most probable first.

    Raises:
        InputError: the file cannot be written.
    """
    names = errors.class_names
    content = {
        "dataset": dataset,
        "classes": list(names),
        "images": errors.seen,
        "failed": errors.failed,
        "trained_on": list(errors.biased),
        "suspicions": [
            _place(image, suspicion)
            | {
                "annotations": [
                    {"class": names[image.image.labels[i]], "box": _box(image.image.boxes[i])}
                    for i in suspicion.objects
                ],
                "correction": [
                    {"class": names[suspicion.label], "box": _box(box)}
                    for box in suspicion.boxes
                    if suspicion.label is not None
                ],
                "reason": suspicion.reason,
            }
            for image, suspicion in ranked(errors)
        ],
    }
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1) + "\n")


def write_csv(path: Path, errors: LabelErrors) -> None:
    """Write one row for each suspicion; of several boxes of a correction, the first.

    Raises:
        InputError: the file cannot be written.
    """
    columns = ["split", "file_name", "kind", "score"]
    for what in ("annotation", "correction"):
        columns += [f"{what}_class", *(f"{what}_{corner}" for corner in _CORNERS)]
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, [*columns, "reason"])
        writer.writeheader()
        writer.writerows(_rows(errors))


def _rows(errors: LabelErrors) -> Iterator[dict[str, Any]]:
    names = errors.class_names
    for image, suspicion in ranked(errors):
        row = _place(image, suspicion) | {"reason": suspicion.reason}
        for i in suspicion.objects[:1]:
            row |= _columns("annotation", names[image.image.labels[i]], image.image.boxes[i])
        for box in suspicion.boxes[:1]:
            if suspicion.label is not None:
                row |= _columns("correction", names[suspicion.label], box)
        yield row


def _place(image: SuspectImage, suspicion: Suspicion) -> dict[str, Any]:
    return {
        "split": image.image.split,
        "file_name": image.image.file_name,
        "kind": str(suspicion.kind),
        "score": round(suspicion.score, 4),
    }


def _columns(what: str, name: str, box: Any) -> dict[str, Any]:
    corners = {f"{what}_{c}": v for c, v in zip(_CORNERS, _box(box), strict=True)}
    return {f"{what}_class": name} | corners


def _box(box: Any) -> list[float]:
    return list(rounded_box(box))
