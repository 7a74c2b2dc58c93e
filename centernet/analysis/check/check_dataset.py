"""Check a dataset: read it as training does, and collect all findings."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from centernet.analysis.check.boxes import check_boxes
from centernet.analysis.check.ceiling import Ceiling, measure_ceiling
from centernet.analysis.check.cells import CellAssignment, assign_cells, check_cells
from centernet.analysis.check.check_report import CheckReport, ResolutionResult
from centernet.analysis.check.classes import all_findings, check_splits
from centernet.analysis.check.duplicates import check_duplicates
from centernet.analysis.check.files import (
    ImageFile,
    check_files,
    check_orphans,
    check_sizes,
    read_image_files,
)
from centernet.analysis.check.points import extend_points
from centernet.analysis.check.split_arrays import SplitArrays, read_splits, usable_annotations
from centernet.data.formats import read_dataset
from centernet.errors import InputError
from centernet.models.base import DetectionModel
from centernet.training.auto_config import InputChoice, choose_input, top_k_for

# Input sizes to compare, relative to the given one, and how many images to compare them on.
_FACTORS = (0.5, 0.75, 1.0, 1.5, 2.0)
_COMPARED_IMAGES = 200


def check_dataset(
    dataset: str | Path,
    *,
    input_size: tuple[int, int] | None = None,
    top_k: int | None = None,
    sample: int = 500,
    read_images: bool = True,
    progress: bool = False,
) -> CheckReport:
    """Check a dataset as training and validation would read it.

    Args:
        dataset: folder or file that :func:`centernet.data.formats.read_dataset` reads.
        input_size: (height, width) of the network input in pixels; by default as in training, see
            :func:`centernet.training.auto_config.choose_input`.
        top_k: maximum number of detections per image; by default as in training, see
            :func:`centernet.training.auto_config.top_k_for`.
        sample: number of images per split on which the ceiling is measured; 0 for all.
        read_images: read every image file. Otherwise the annotated sizes are used.
        progress: show a progress bar while images are read.

    Raises:
        InputError: the dataset cannot be read, or is empty.
    """
    splits = read_splits(read_dataset(dataset, outlines=False).values())
    if not splits[0].names and not any(arrays.files for arrays in splits):
        raise InputError(f"{dataset} holds no images and no categories")
    files = _check_images(splits, read_images=read_images, progress=progress)
    extend_points(splits)
    for arrays in splits:
        check_boxes(arrays)
    recommended = _training_input(splits[0])
    input_size = input_size or recommended.size
    top_k = top_k or _training_top_k(splits[0])
    assignments: list[CellAssignment] = []
    ceilings: list[Ceiling | None] = []
    for arrays in splits:
        assignment = assign_cells(arrays, input_size, top_k=top_k)
        check_cells(arrays, assignment)
        assignments.append(assignment)
        ceilings.append(measure_ceiling(arrays, assignment, max_images=sample))
    # A single annotation file need not have all splits.
    is_file = Path(dataset).suffix.lower() in (".json", ".xml", ".csv")
    check_splits(splits, files, is_complete=not is_file)
    compared = _compared_split(splits, ceilings)
    return CheckReport(
        dataset=Path(dataset),
        input_size=input_size,
        recommended=recommended,
        splits=splits,
        assignments=assignments,
        ceilings=ceilings,
        compared=compared.split.name if compared else "",
        resolutions=_compare_resolutions(compared, (input_size, recommended.size), top_k)
        if compared
        else [],
        findings=all_findings(splits),
    )


def _check_images(
    splits: Sequence[SplitArrays], *, read_images: bool, progress: bool
) -> dict[Path, ImageFile]:
    """Add the findings about image files, copies of images, and image sizes; return the files."""
    files: dict[Path, ImageFile] = {}
    if read_images:
        files = read_image_files(splits, progress=progress)
        check_files(splits, files)
        check_orphans(splits)
    check_duplicates(splits, files)
    for arrays in splits:
        check_sizes(arrays)
    return files


def _training_input(arrays: SplitArrays) -> InputChoice:
    """The input that training on a split would choose."""
    known = np.flatnonzero(np.isfinite(arrays.training_sizes).all(1))
    return choose_input(usable_annotations(arrays, known).coco, "auto")


def _training_top_k(arrays: SplitArrays) -> int:
    """The number of detections per image that training on a split would choose."""
    return top_k_for(int(np.bincount(arrays.image[arrays.objects]).max(initial=0)))


def _compared_split(
    splits: Sequence[SplitArrays], ceilings: Sequence[Ceiling | None]
) -> SplitArrays | None:
    """The validation split, or else the first split with an object."""
    measured = [arrays for arrays, best in zip(splits, ceilings, strict=True) if best]
    named = [arrays for arrays in measured if arrays.split.name == "val"]
    return next(iter([*named, *measured]), None)


def _compare_resolutions(
    arrays: SplitArrays, input_sizes: tuple[tuple[int, int], ...], top_k: int
) -> list[ResolutionResult]:
    """The ceiling at the input sizes, and at multiples of the first one; ascending."""
    multiple = DetectionModel.size_multiple
    height, width = input_sizes[0]

    def scaled(side: int, factor: float) -> int:
        return max(1, round(side * factor / multiple)) * multiple

    sizes = {(scaled(height, f), scaled(width, f)) for f in _FACTORS}.union(input_sizes)
    results = []
    for size in sorted(sizes, key=lambda size: (math.prod(size), size)):
        assignment = assign_cells(arrays, size, top_k=top_k)
        best = measure_ceiling(arrays, assignment, max_images=_COMPARED_IMAGES)
        if best:
            counts = int(assignment.occluded.sum()), int(assignment.below_cell.sum())
            results.append(ResolutionResult(size, best.exact["AP"], best.off_by_one["AP"], *counts))
    return results
