"""The extent of points, so that they are checked like boxes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from centernet.analysis.check.split_arrays import SplitArrays
from centernet.data.points import choose_point_sizes


def extend_points(splits: Sequence[SplitArrays]) -> None:
    """Give points the squares of :func:`centernet.data.points.extend_points`, as training does.

    Their sizes are chosen from the first split with objects, and a note counts the points.
    """
    if not any(arrays.point.any() for arrays in splits):
        return
    sizes = choose_point_sizes(_content(next(arrays for arrays in splits if len(arrays.ids))))
    sides = np.array([sizes.of_class.get(name, sizes.other) for name in (*splits[0].names, "")])
    for arrays in splits:
        side = sides[arrays.label[arrays.point]][:, None]
        arrays.boxes[arrays.point, :2] -= side / 2
        arrays.boxes[arrays.point, 2:] = side
        arrays.areas[arrays.point] = side[:, 0] ** 2
        if count := int(arrays.point.sum()):
            used = sorted({round(float(s), 1) for s in np.unique(side)})
            shown = " and ".join(f"{size:g}" for size in used[:: max(1, len(used) - 1)])
            what = (
                f"{count} of {int((~arrays.region).sum())} objects are points, checked as squares"
            )
            arrays.add("points", f"{what} of {shown} pixels: {sizes.reason}")


def _content(arrays: SplitArrays) -> dict[str, list[dict[str, Any]]]:
    """The objects of a split whose box is valid, or that are points, in COCO's format."""
    has_size = (arrays.boxes[:, 2:] > 0).all(1) | arrays.point
    is_known = (arrays.image >= 0) & (arrays.label >= 0) & np.isfinite(arrays.boxes).all(1)
    used = np.flatnonzero(has_size & is_known & ~arrays.region)
    columns = (column[used].tolist() for column in (arrays.image, arrays.label, arrays.boxes))
    rows = zip(*columns, arrays.point[used].tolist(), strict=True)
    sizes = np.nan_to_num(arrays.training_sizes).tolist()
    return {
        "images": [{"id": i, "height": h, "width": w} for i, (h, w) in enumerate(sizes)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(arrays.names)],
        "annotations": [
            {"image_id": image, "category_id": label, "bbox": box, "iscrowd": 0, "point": point}
            for image, label, box, point in rows
        ],
    }
