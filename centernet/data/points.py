"""Points: objects whose annotation is their center alone, without a size.

There is one representation, from the readers of datasets to the targets of training:

- A reader marks the annotation with ``"point": true``, and its ``bbox`` is [x, y, 0, 0]. Boxes of
  zero size without the mark are faults, which are dropped.
- :func:`.read_coco` keeps marked annotations, with a ``bbox`` of zero size and an ``area`` of 0.
"""

from collections.abc import Mapping
from typing import Any

_KEY = "point"


def is_point(annotation: Mapping[str, Any]) -> bool:
    """Whether an entry of ``annotations`` is a point."""
    return annotation.get(_KEY) is True


def point_entry(x: float, y: float) -> dict[str, Any]:
    """The fields of a point in an entry of ``annotations``; x and y are in image pixels."""
    return {"bbox": [x, y, 0.0, 0.0], "area": 0.0, _KEY: True}
