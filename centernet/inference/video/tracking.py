"""Tracking: an object keeps one id in all frames of a video."""

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from centernet.errors import InputError
from centernet.inference.output_base import Step
from centernet.inference.output_paths import ResultName
from centernet.inference.prediction import Prediction
from centernet.inference.thresholds import DEFAULT_SCORE_THRESHOLD, Threshold
from centernet.inference.video.score_scale import AT_THRESHOLD, lowest_thresholds, rescale
from centernet.inference.video.track_history import TrackHistory
from centernet.inference.video.track_ids import NO_ID
from centernet.installation import install_command

if TYPE_CHECKING:
    import supervision as sv

    from centernet.data.images import ImageLike
    from centernet.inference.detector import Detector

# A track that is not detected for a longer time ends.
_LOST_SECONDS = 1.0
# But not within three frames: where frames always are farther apart, as in a time lapse, the time
# between them counts as this number of seconds.
_LONGEST_STEP = 0.3
# A time between two frames that is longer than the one before by this factor counts in full.
_INTERRUPTION = 3
# The unit of ``lost_track_buffer``: frames at 30 frames per second.
_BUFFER_FPS = 30


def make_tracker(fps: float) -> Any:
    """The tracker of ``detect --track``, for scores of :func:`.rescale`: C-BIoU.

    It has the highest HOTA of the package's trackers on drawn videos, also with every third frame
    (docs/tracking.md). It compares enlarged boxes, so that it finds fast objects again.

    Args:
        fps: frames per second of the video.

    Raises:
        InputError: the package trackers is not installed.
    """
    return require_trackers().CBIoUTracker(
        frame_rate=fps,
        lost_track_buffer=round(_LOST_SECONDS * _BUFFER_FPS),
        track_activation_threshold=AT_THRESHOLD,
        high_conf_det_threshold=AT_THRESHOLD,
        # Of the overlap times the score, which is lower here than the scores of other detectors.
        minimum_iou_threshold_first_assoc=0.1,
        # Weak detections must be where the track is, so their boxes are not enlarged more.
        buffer_ratio_second=0.3,
        # The same rule in all frames: an id in the second frame.
        instant_first_frame_activation=False,
    )


def require_trackers() -> Any:
    """The package trackers.

    Raises:
        InputError: it is not installed.
    """
    try:
        import trackers
    except ModuleNotFoundError as error:
        raise InputError(
            f"tracking needs the package {error.name}: {install_command('track')}"
        ) from None
    return trackers


class TrackUpdater:
    """Gives ids to the detections of the frames of a video.

    The tracker gets the detections of all classes together, so that a track survives frames where
    the network confuses its class. Their scores are those of :func:`.rescale`, so that the
    thresholds of the tracker mean the same for each class: a detection that reaches the threshold
    of its class can start a track; a weaker one can only continue a track, through blur and partial
    occlusion.

    Attributes:
        history: trails and class votes of the tracks.
    """

    def __init__(
        self,
        thresholds: NDArray[np.float64],
        class_names: tuple[str, ...],
        fps: float,
        tracker: Any = None,
    ) -> None:
        """Start without tracks.

        Args:
            thresholds: (C,) the score threshold of each class.
            class_names: class names by label.
            fps: frames per second.
            tracker: a tracker of the package trackers, instead of that of :func:`make_tracker`.

        Raises:
            InputError: the package trackers is not installed.
        """
        self._thresholds, self._names = thresholds, np.array(class_names, dtype=str)
        self._tracker = make_tracker(fps) if tracker is None else tracker
        self.history = TrackHistory(len(class_names), _LOST_SECONDS)
        self._latest: float | None = None
        self._clock, self._interval = 0.0, 1 / fps

    def __call__(self, detections: "sv.Detections", seconds: float) -> "sv.Detections":
        """The detections of the next frame, with ids and the classes of their tracks.

        Args:
            detections: detections that reach :func:`.lowest_thresholds`, best first.
            seconds: time of the frame since the start of the video, more than before.

        Returns:
            The detections that reach the threshold of their class or continue a track that has an
            id. ``tracker_id`` has ids from 1, and -1 for an object without an id, which a track
            gets in its second frame.
        """
        labels, scores = detections.class_id, detections.confidence
        assert labels is not None and scores is not None  # the Detector sets both
        weights = rescale(scores, labels, self._thresholds)
        self._advance(seconds)
        ids = self._track(detections.xyxy, weights, self._clock)
        classes = self.history.update(ids, detections.xyxy, labels, weights, self._clock)
        names = self._names[classes]
        kept = (scores >= self._thresholds[labels]) | (ids != NO_ID)
        data = detections.data | {"class_name": names}
        tracked = replace(detections, class_id=classes, tracker_id=ids, data=data)
        return cast("sv.Detections", tracked[kept])

    def _advance(self, seconds: float) -> None:
        """Advance the clock of the tracker to the next frame."""
        if self._latest is not None:
            gap = seconds - self._latest
            is_usual = gap <= _INTERRUPTION * self._interval
            self._clock += min(gap, _LONGEST_STEP) if is_usual else gap
            self._interval = gap
        self._latest = seconds

    def _track(
        self, boxes: NDArray, scores: NDArray[np.float64], seconds: float
    ) -> NDArray[np.int64]:
        """The id (K,) of each detection; the tracker changes their order and counts from 0."""
        import supervision as sv

        rows = np.arange(len(boxes))
        found = sv.Detections(xyxy=boxes, confidence=scores, data={"row": rows})
        tracked = self._tracker.update(found, timestamp=seconds)
        ids = np.full(len(boxes), NO_ID, np.int64)
        if len(tracked):
            ids[tracked.data["row"]] = tracked.tracker_id
        return np.where(ids >= 0, ids + 1, NO_ID)


class TrackingStep(Step):
    """Tracks the objects of a video: ids, trails, and the class of each track."""

    def __init__(
        self, thresholds: NDArray[np.float64], class_names: tuple[str, ...], fps: float
    ) -> None:
        """Start without tracks; arguments as for :class:`TrackUpdater`.

        Raises:
            InputError: the package trackers is not installed.
        """
        self._update, self._fps = TrackUpdater(thresholds, class_names, fps), fps
        self._lowest = thresholds.min(initial=1)

    def thresholds(self, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Lower the thresholds, since weak detections continue tracks."""
        return lowest_thresholds(thresholds)

    def __call__(self, prediction: Prediction, name: ResultName) -> Prediction:
        """The prediction with ids and trails."""
        assert name.frame is not None  # only videos are tracked
        seconds = name.frame / self._fps if name.time is None else name.time
        found = prediction.detections
        tracked, scores = self._update(found, seconds), found.confidence
        assert scores is not None  # the Detector sets them
        # Whether detections that reach the thresholds of the outputs are cut off.
        truncated = prediction.truncated and scores.min(initial=1) >= self._lowest
        return replace(
            prediction,
            detections=tracked,
            truncated=bool(truncated),
            trails=self._update.history.trails,
        )


class Tracker:
    """Detects and tracks objects in the frames of a video.

    >>> tracker = Tracker(detector, fps=25)                       # doctest: +SKIP
    >>> for frame in frames:                                      # doctest: +SKIP
    ...     detections = tracker(frame)
    ...     print(detections.tracker_id, detections["class_name"])
    """

    def __init__(
        self,
        detector: "Detector",
        *,
        fps: float,
        threshold: Threshold = DEFAULT_SCORE_THRESHOLD,
        tracker: Any = None,
    ) -> None:
        """Start a video.

        Args:
            detector: detector.
            fps: frames per second.
            threshold: minimum score, as for :class:`.Detector`.
            tracker: a tracker of the package trackers; its thresholds apply to the scores of
                :func:`.rescale`.

        Raises:
            InputError: the threshold is wrong, or the package trackers is not installed.
        """
        self._detector, self._thresholds = detector, detector.thresholds(threshold)
        self._update = TrackUpdater(self._thresholds, detector.class_names, fps, tracker)
        self._times = (frame / fps for frame in count())

    def __call__(
        self, image: "ImageLike", *, seconds: float | None = None, bgr: bool = False
    ) -> "sv.Detections":
        """Detect and track objects in the next frame.

        Args:
            image: the frame, as for :class:`.Detector`.
            seconds: time of the frame, for a camera or a video with dropped frames; None for one
                frame interval after the one before.
            bgr: whether the channels of an array are in OpenCV's order.

        Returns:
            The detections of :class:`TrackUpdater`: ``tracker_id`` has ids from 1, and -1 for none.

        Raises:
            InputError: the image cannot be read.
        """
        lowest = lowest_thresholds(self._thresholds)
        found = self._detector(image, threshold=lowest, bgr=bgr)
        return self._update(found, next(self._times) if seconds is None else seconds)
