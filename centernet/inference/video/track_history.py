"""Positions and class votes of tracks."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Length of the trails.
_TRAIL_SECONDS = 2.0


@dataclass
class _Track:
    """A track: the sum of the scores by class, and (seconds, x, y) of its latest centers."""

    votes: NDArray[np.float64]
    centers: list[tuple[float, float, float]] = field(default_factory=list)


class TrackHistory:
    """Class votes and trails of the tracks of a video.

    The class of a track is the one with the highest sum of scores over all its frames.
    """

    def __init__(self, classes: int, lost_seconds: float) -> None:
        """Start without tracks.

        Args:
            classes: number of classes.
            lost_seconds: the time after that a track that is not detected has ended.
        """
        self._classes, self._memory = classes, max(lost_seconds, _TRAIL_SECONDS)
        self._tracks: dict[int, _Track] = {}
        self._seconds = 0.0
        self._seen: list[int] = []

    def update(
        self,
        ids: NDArray[np.int64],
        boxes: NDArray,
        labels: NDArray[np.integer],
        weights: NDArray[np.float64],
        seconds: float,
    ) -> NDArray[np.int64]:
        """Add the detections of a frame.

        Args:
            ids: (K,) id of each detection; detections with an id below 1 are not added.
            boxes: (K, 4) xyxy in pixels.
            labels: (K,) class of each detection.
            weights: (K,) weight of its vote.
            seconds: time of the frame.

        Returns:
            (K,) the class of the track of each detection, else that of the detection.
        """
        self._seconds, self._seen = seconds, [id for id in ids.tolist() if id > 0]
        classes, centers = labels.astype(np.int64), ((boxes[:, :2] + boxes[:, 2:]) / 2).tolist()
        for i in np.flatnonzero(ids > 0).tolist():
            track = self._tracks.setdefault(int(ids[i]), _Track(np.zeros(self._classes)))
            track.votes[labels[i]] += weights[i]
            track.centers.append((seconds, *centers[i]))
            classes[i] = track.votes.argmax()
        self._forget()
        return classes

    @property
    def trails(self) -> dict[int, NDArray[np.float64]]:
        """The trail of each track of the latest frame, oldest center first.

        Returns:
            By id an array (n, 3): x, y in pixels, and the age, from 1 for the oldest to 0.
        """
        found = {}
        for id in self._seen:
            centers = np.array(self._tracks[id].centers)
            age = (self._seconds - centers[:, 0]) / _TRAIL_SECONDS
            found[id] = np.column_stack([centers[:, 1:], age])
        return found

    def _forget(self) -> None:
        """Remove ended tracks, and centers that are older than a trail."""
        for id, track in list(self._tracks.items()):
            if self._seconds - track.centers[-1][0] > self._memory:
                del self._tracks[id]
                continue
            oldest = self._seconds - _TRAIL_SECONDS
            track.centers = [c for c in track.centers if c[0] >= oldest] or track.centers[-1:]
