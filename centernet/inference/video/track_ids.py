"""Ids of tracks in detections."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import supervision as sv

# The id of a detection that belongs to no track with an id.
NO_ID = -1


def track_ids(detections: "sv.Detections") -> NDArray[np.int64]:
    """The id (K,) of the track of each detection, from 1; -1 for none."""
    ids = detections.tracker_id
    return np.full(len(detections), NO_ID) if ids is None else ids.astype(np.int64)
