"""Rank unlabeled images by what a model would learn from their labels, and write pre-labels."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.analysis.inspector.error_types import box_overlaps
from centernet.data.annotations import DatasetSplit
from centernet.data.formats.convert import Conversion, convert_dataset
from centernet.data.images import load_image
from centernet.data.similar_images import Fingerprint, fingerprint, group_similar
from centernet.errors import InputError
from centernet.inference.detector import Detector
from centernet.inference.thresholds import DEFAULT_SCORE_THRESHOLD

# Detections with a lower score are background.
_MIN_SCORE = 0.1
# The second scale at which an image is seen, relative to the first.
_OTHER_SCALE = 0.8
_SAME_BOX = 0.5  # minimum IoU of two detections of one object
_MAX_RARITY = 5.0
# An image weighs this much if nearly the same one is ranked before it.
_COPY = 0.1


@dataclass(frozen=True)
class UnlabeledImage:
    """An unlabeled image with what a model sees in it. Boxes are xyxy in image pixels.

    Attributes:
        path: the image file.
        size: (height, width) in pixels.
        boxes: (k, 4), best first.
        scores: (k,).
        labels: (k,).
        uncertain: (k,) how uncertain each score is: 0 for 0 and 1, 1 for a half.
        unstable: (k,) mean difference between each score and those in the mirrored and in the
            smaller image.
        gain: expected gain, see :func:`rank_unlabeled`.
    """

    path: Path
    size: tuple[int, int]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    uncertain: NDArray[np.float64]
    unstable: NDArray[np.float64]
    gain: float = 0.0


def rank_unlabeled(
    detector: Detector, paths: Sequence[Path], *, progress: bool = False
) -> list[UnlabeledImage]:
    """The images, the one whose labels should help most first.

    The gain of an image is the sum over its detections of (uncertain + unstable) * rarity. The
    rarity of a class is the square root of the mean count of all classes over its own, at most 5.
    Of nearly identical images, the later ones weigh a tenth.

    Args:
        detector: a detector.
        paths: image files.
        progress: whether to show the progress.

    Raises:
        InputError: no image can be read.
    """
    scales = tuple(_OTHER_SCALE * scale for scale in detector.config.scales)
    other = Detector(detector.engine, replace(detector.config, scales=scales))
    seen, prints = [], []
    for path in tqdm(paths, unit="image", disable=not progress):
        try:
            pixels = load_image(path)
        except InputError as error:
            tqdm.write(f"skipped: {error}", file=sys.stderr)
            continue
        seen.append(_analyze(detector, other, path, pixels))
        prints.append(fingerprint(pixels))
    if not seen:
        raise InputError(f"none of the {len(paths)} images could be read")
    return _ranked(seen, prints, len(detector.class_names))


def write_prelabels(
    images: Sequence[UnlabeledImage],
    detector: Detector,
    output: Path,
    *,
    format: str,
    threshold: float | str = DEFAULT_SCORE_THRESHOLD,
    copy: str = "copy",
) -> Conversion:
    """Write images with their detections as annotations, for a labeling tool.

    Args:
        images: ranked images.
        detector: the detector that has seen them.
        output: a new or empty folder.
        format: a format that ``convert`` writes, such as ``labelstudio``, ``cvat`` or ``voc``.
        threshold: minimum score of an annotation, or ``best`` for that of each class.
        copy: as ``images`` of :func:`centernet.data.formats.convert_dataset`.

    Raises:
        InputError: an option is wrong, or the output exists or cannot be written.
    """
    least = detector.thresholds(threshold)
    folder = _common_folder([image.path for image in images])
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, 1):
        height, width = image.size
        name = image.path.absolute().relative_to(folder).as_posix()
        entries.append({"id": number, "file_name": name, "width": width, "height": height})
        for k in np.flatnonzero(image.scores >= least[image.labels]).tolist():
            x1, y1, x2, y2 = (round(float(value), 2) for value in image.boxes[k])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(image.labels[k]) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": n, "name": name} for n, name in enumerate(detector.class_names, 1)]
    content = {"images": entries, "annotations": annotations, "categories": categories}
    split = DatasetSplit("train", folder, content, folder)
    return convert_dataset([split], output, format=format, images=copy, follow_links=True)


def _analyze(
    detector: Detector, other: Detector, path: Path, pixels: NDArray[np.uint8]
) -> UnlabeledImage:
    height, width = pixels.shape[:2]
    boxes, scores, labels = _detect(detector, pixels)
    mirrored, *values = _detect(detector, np.ascontiguousarray(pixels[:, ::-1]))
    # Mirrored back: x1, y1, x2, y2.
    back = np.abs(mirrored[:, [2, 1, 0, 3]] - np.array([width, 0, width, 0]))
    differences = [
        np.abs(scores - _score_at(boxes, labels, *again))
        for again in ((back, *values), _detect(other, pixels))
    ]
    uncertain = 4 * scores * (1 - scores)
    unstable = np.mean(differences, 0)
    return UnlabeledImage(path, (height, width), boxes, scores, labels, uncertain, unstable)


def _detect(detector: Detector, pixels: NDArray[np.uint8]) -> tuple[NDArray, NDArray, NDArray]:
    """Boxes, scores and labels."""
    found = detector(pixels, threshold=_MIN_SCORE)
    assert found.confidence is not None and found.class_id is not None
    return found.xyxy, found.confidence.astype(np.float64), found.class_id.astype(np.int64)


def _score_at(
    boxes: NDArray, labels: NDArray, others: NDArray, scores: NDArray, other_labels: NDArray
) -> NDArray:
    """The best score of other detections with the class and the box of each, 0 for none."""
    same = (box_overlaps(boxes, others) >= _SAME_BOX) & (labels[:, None] == other_labels[None])
    return np.where(same, scores[None], 0).max(1, initial=0)


def _ranked(
    images: Sequence[UnlabeledImage], prints: Sequence[Fingerprint], num_classes: int
) -> list[UnlabeledImage]:
    counts = np.ones(num_classes)
    for image in images:
        counts += np.bincount(image.labels, image.scores, num_classes)
    rarity = np.sqrt(counts.mean() / counts).clip(max=_MAX_RARITY)
    gains = [
        float(((image.uncertain + image.unstable) * rarity[image.labels]).sum()) for image in images
    ]
    groups, used = group_similar(prints, turned=False).label, set()
    ranked = []
    for index in np.argsort(-np.array(gains), kind="stable").tolist():
        weight = _COPY if groups[index] in used else 1
        used.add(groups[index])
        ranked.append(replace(images[index], gain=weight * gains[index]))
    return sorted(ranked, key=lambda image: -image.gain)


def _common_folder(paths: Sequence[Path]) -> Path:
    parents = [path.absolute().parent for path in paths]
    first = parents[0]
    return next(
        folder
        for folder in (first, *first.parents)
        if all(parent.is_relative_to(folder) for parent in parents)
    )
