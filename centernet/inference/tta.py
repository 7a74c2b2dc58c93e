"""Test-time augmentation: several scales, and merging of their detections."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from centernet import geometry
from centernet.data.points import keep_points
from centernet.data.preprocess import InputView, same_size_batches
from centernet.inference.config import InferenceConfig
from centernet.inference.points import IS_POINT, with_squares
from centernet.nms import nms

if TYPE_CHECKING:
    from centernet.inference.engines import Engine


class ViewResult(NamedTuple):
    """Result of an engine for one view of an image.

    Attributes:
        detections: ``boxes`` (K, 4) xyxy in image pixels, ``scores`` (K,), ``labels`` (K,).
        logits: heatmaps (C, h, w), or None.
        matrix: (2, 3) from image to network input.
    """

    detections: dict[str, NDArray]
    logits: NDArray[np.float32] | None
    matrix: geometry.Matrix


def run_views(
    engine: "Engine", views: Sequence[InputView], batch_size: int, *, heatmaps: bool
) -> tuple[list[ViewResult], float]:
    """Run views through an engine, those of one size in batches.

    Args:
        engine: runs the network.
        views: views of one or several images.
        batch_size: maximum number of views per batch.
        heatmaps: also return the heatmap logits.

    Returns:
        The result of each view, and the seconds spent in the network.
    """
    results: dict[int, ViewResult] = {}
    seconds = 0.0
    sizes = [(view.pixels.shape[0], view.pixels.shape[1]) for view in views]
    for batch in same_size_batches(sizes, batch_size):
        images = np.stack([views[index].pixels for index in batch])
        output = engine.run(images, heatmaps=heatmaps)
        seconds += output.network_seconds
        for row, index in enumerate(batch):
            matrix = views[index].matrix
            logits = None if output.heatmaps is None else output.heatmaps[row]
            found = to_image(output.detections[row], matrix, engine.info.point_sizes)
            results[index] = ViewResult(found, logits, matrix)
    return [results[index] for index in range(len(views))], seconds


def merge_views(
    views: Sequence[Mapping[str, NDArray]], config: InferenceConfig, top_k: int
) -> dict[str, NDArray]:
    """Merge the detections of all views of one image.

    Args:
        views: for each view ``boxes`` (K, 4) xyxy in image pixels, ``scores`` (K,), ``labels``
            (K,).
        config: options of inference; ``suppression`` is applied within each class.
        top_k: maximum number of detections.

    Returns:
        The same keys, best first.
    """
    found = {name: np.concatenate([view[name] for view in views]) for name in views[0]}
    if config.suppression:
        boxes, scores, labels = (found[name] for name in ("boxes", "scores", "labels"))
        kept, scores = nms(boxes, scores, labels, config.suppression)
        found = {name: values[kept] for name, values in found.items()} | {"scores": scores}
    best = np.argsort(-found["scores"], kind="stable")[:top_k]
    return {name: values[best] for name, values in found.items()}


def to_image(
    found: Mapping[str, NDArray],
    matrix: geometry.Matrix,
    point_sizes: Sequence[float | None] | None = None,
) -> dict[str, NDArray]:
    """Map detections from input pixels to image pixels.

    Args:
        found: ``boxes`` (K, 4) xyxy in input pixels, ``scores`` (K,), ``labels`` (K,).
        matrix: (2, 3) from image to input.
        point_sizes: as for :func:`.with_squares`, which is applied.
    """
    boxes = geometry.transform_boxes(found["boxes"], geometry.invert(matrix))
    return with_squares({**found, "boxes": boxes}, point_sizes)


def clip_to_image(found: Mapping[str, NDArray], image_size: tuple[int, int]) -> dict[str, NDArray]:
    """Clip boxes to their image.

    The squares of points are not clipped, so that their centers stay. Detections outside of the
    image, such as those in the padding of the input, and points there, are dropped. So are
    detections of score 0, which only fill up the list, and those whose box or score is not finite.

    Args:
        found: ``boxes`` (K, 4) xyxy in image pixels, ``scores`` (K,), and other values by
            detection.
        image_size: (height, width) in pixels.

    Returns:
        The same keys.
    """
    boxes, visible = geometry.clip_boxes(found["boxes"], image_size)
    if (points := found.get(IS_POINT)) is not None:
        keep_points(found["boxes"], boxes, visible, points, image_size)
    visible &= (found["scores"] > 0) & np.isfinite(found["scores"])
    visible &= np.isfinite(found["boxes"]).all(1)
    return {name: values[visible] for name, values in ({**found, "boxes": boxes}).items()}
