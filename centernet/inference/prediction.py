"""The result for one image: detections, heatmaps, and drawing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from centernet.inference.counting import MIN_COUNTED_SCORE, Count
from centernet.inference.engines.base import EngineInfo
from centernet.inference.heatmaps import Heatmaps
from centernet.inference.label_options import DEFAULT_LABELS
from centernet.inference.points import IS_POINT, points_of
from centernet.inference.tta import clip_to_image
from centernet.inference.video.track_ids import NO_ID, track_ids
from centernet.inference.video.zone_counts import ZoneCounts

if TYPE_CHECKING:
    import supervision as sv

# Longest side in pixels; smaller images are drawn enlarged, or labels would cover them.
_MIN_DRAWN_SIDE = 320


class DetectedObject(NamedTuple):
    """One detection.

    Attributes:
        class_name: name of the class.
        label: number of the class.
        score: score in [0, 1].
        box: x1, y1, x2, y2 in image pixels.
        point: the center x, y of an object of a class that was learned from points, whose box is
            only a square of typical size; None for another class.
        track: id of the track, from 1; None without tracking, and for an object without an id.
    """

    class_name: str
    label: int
    score: float
    box: list[float]
    point: list[float] | None = None
    track: int | None = None


@dataclass(frozen=True, repr=False)
class Prediction:
    """The detections in one image, and the heatmaps they are decoded from.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        detections: boxes in image pixels, best first.
        heatmaps: probabilities, and the position of their cells in the image; None if they were not
            requested, or the network has none.
        seconds: time by step: ``load`` (read and preprocess), ``network``, ``decode``.
        truncated: whether the limit ``top_k`` may have cut off detections that reach their score
            threshold.
        count: the number of objects by all detections, also those below their score threshold; None
            if the weights store no calibration of counts.
        trails: the latest centers of the tracks in a video frame, see :attr:`.TrackHistory.trails`;
            None without tracking.
        candidates: all detections down to a low score, for the preview window; None without it.
        zones: the counts at lines and in zones; None if there are none.
        source: in a stream the image, video, camera number, or URL without password and query.
        frame: number of the frame in its video, from 0; None for an image.
        time: time of the frame in seconds, of a camera since its first frame; None for an image.
    """

    image: NDArray[np.uint8]
    detections: "sv.Detections"
    heatmaps: Heatmaps | None
    seconds: dict[str, float]
    truncated: bool = False
    count: Count | None = None
    trails: Mapping[int, NDArray[np.float64]] | None = None
    candidates: "sv.Detections | None" = None
    zones: ZoneCounts | None = None
    source: str = ""
    frame: int | None = None
    time: float | None = None
    _drawn: dict[tuple[str, bool], NDArray[np.uint8]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def objects(self) -> list[DetectedObject]:
        """The detections one by one, best first."""
        found = self.detections
        names, labels, scores = found.data["class_name"], found.class_id, found.confidence
        assert labels is not None and scores is not None  # the Detector sets all three
        centers = ((found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2).tolist()
        points = [
            center if is_point else None
            for center, is_point in zip(centers, points_of(found), strict=True)
        ]
        tracks = [None if id == NO_ID else id for id in track_ids(found).tolist()]
        rows = zip(names, labels, scores, found.xyxy.tolist(), points, tracks, strict=True)
        return [
            DetectedObject(str(name), int(label), float(score), box, point, track)
            for name, label, score, box, point, track in rows
        ]

    @property
    def is_tracked(self) -> bool:
        """Whether the frame is part of a tracked video."""
        return self.trails is not None

    @property
    def drawn(self) -> NDArray[np.uint8]:
        """The picture of :meth:`draw` with the default labels."""
        return self.draw()

    def draw(self, labels: str = DEFAULT_LABELS, *, count: bool = False) -> NDArray[np.uint8]:
        """Draw boxes and labels, lines and zones on the image, enlarged if it is small.

        Args:
            labels: text of the labels, see :func:`centernet.inference.drawing.draw`.
            count: also write the counts into a corner.

        Returns:
            (h, w, 3) uint8 RGB; repeated calls return the same array.

        Raises:
            InputError: ``labels`` is unknown.
        """
        from centernet.inference.drawing import draw
        from centernet.inference.video.zone_drawing import draw_zones

        if (labels, count) not in self._drawn:
            large, shown = self.upscaled, self.count if count else None
            picture = draw(large.image, large.detections, labels, shown, large.trails)
            if self.zones:
                draw_zones(picture, self.zones, picture.shape[1] / self.image.shape[1])
            self._drawn[labels, count] = picture
        return self._drawn[labels, count]

    def __repr__(self) -> str:
        from centernet.inference.notebook import prediction_text

        return prediction_text(self)

    def _repr_html_(self) -> str:
        """Picture, heatmap and table of the detections, for a notebook."""
        from centernet.inference.notebook import prediction_html

        return prediction_html(self)

    def _repr_png_(self) -> bytes:
        """The picture of :meth:`draw`, for a console that shows pictures."""
        from centernet.inference.notebook import png

        return png(self.drawn)

    @cached_property
    def upscaled(self) -> "Prediction":
        """The same prediction for an image that is large enough to draw on."""
        return upscale_for_drawing(self)


def make_prediction(
    image: NDArray[np.uint8],
    found: Sequence[Mapping[str, NDArray]],
    heatmaps: Heatmaps | None,
    seconds: dict[str, float],
    *,
    thresholds: NDArray[np.float64],
    info: EngineInfo,
    clip: bool,
) -> Prediction:
    """The prediction for an image from its detections, which no threshold has reduced.

    Args:
        image: (H, W, 3) uint8 RGB.
        found: the detections of each view, and the merged ones: ``boxes`` (K, 4) xyxy in image
            pixels, ``scores`` (K,), ``labels`` (K,), best first.
        heatmaps: heatmaps, if requested.
        seconds: time by step.
        thresholds: (C,) the score threshold of each class.
        info: the properties of the network.
        clip: clip boxes to the image.
    """
    inside = clip_to_image(found[-1], (image.shape[0], image.shape[1]))
    names, count = info.class_names, None
    if info.counting:
        lowest = np.full(len(names), MIN_COUNTED_SCORE)
        truncated = is_truncated(found, lowest, info.top_k)
        count = info.counting.count(inside["scores"], inside["labels"], names, truncated=truncated)
    detections = to_detections(inside if clip else found[-1], thresholds, names)
    truncated = is_truncated(found, thresholds, info.top_k)
    return Prediction(image, detections, heatmaps, seconds, truncated, count)


def to_detections(
    found: Mapping[str, NDArray], thresholds: NDArray[np.float64], class_names: Sequence[str]
) -> "sv.Detections":
    """The detections that reach the threshold of their class, as ``supervision.Detections``.

    Args:
        found: ``boxes`` (K, 4) xyxy, ``scores`` (K,), ``labels`` (K,), and optionally ``is_point``
            (K,), which ``data`` of the result then contains.
        thresholds: (C,).
        class_names: class names by label.
    """
    import supervision as sv  # takes long to import

    kept = found["scores"] >= thresholds[found["labels"]]
    labels = found["labels"][kept]
    return sv.Detections(
        xyxy=found["boxes"][kept],
        confidence=found["scores"][kept],
        class_id=labels,
        data={"class_name": np.array(class_names, dtype=str)[labels]}
        | ({IS_POINT: found[IS_POINT][kept]} if IS_POINT in found else {}),
    )


def is_truncated(
    found: Sequence[Mapping[str, NDArray]], thresholds: NDArray[np.float64], top_k: int
) -> bool:
    """Whether the limit ``top_k`` may have cut off detections that reach their threshold.

    It may if a list is full, and its weakest detection reaches the lowest threshold.

    Args:
        found: lists of detections of one image, best first, with ``scores`` (K,).
        thresholds: (C,) the score threshold of each class.
        top_k: maximum number of detections in each list.
    """
    lowest = thresholds.min(initial=1.0)
    weakest = [one["scores"][top_k - 1] for one in found if len(one["scores"]) >= top_k]
    return any(score > 0 and score >= lowest for score in weakest)  # 0 only fills up a list


def upscale_for_drawing(prediction: Prediction) -> Prediction:
    """Enlarge a small image with its boxes and heatmaps, so that labels do not cover it."""
    image = prediction.image
    factor = -(-_MIN_DRAWN_SIDE // max(image.shape[:2]))
    if factor <= 1:
        return prediction
    found, maps, trails = prediction.detections, prediction.heatmaps, prediction.trails
    enlarged = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return replace(
        prediction,
        image=enlarged.astype(np.uint8, copy=False),
        detections=replace(found, xyxy=found.xyxy * factor),
        trails=trails and {id: trail * [factor, factor, 1] for id, trail in trails.items()},
        heatmaps=maps and replace(maps, matrix=maps.matrix * factor),
    )
