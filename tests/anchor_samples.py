"""An object and anchors with known overlaps."""

import torch


def a_target(boxes=(), labels=(), ignore=()):
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.long),
        "ignore": list(ignore),
    }


# One object of class 1, and anchors that overlap it by 1, 0.6, 0.45, 0.3 and 0.
OBJECT = [0.0, 0.0, 20.0, 20.0]
ANCHORS = torch.tensor(
    [OBJECT, [0, 0, 20, 12], [0, 0, 20, 9], [0, 0, 20, 6], [40, 40, 60, 60]]
).float()
