"""Stop a training run with unreadable images or non-finite losses."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from centernet.errors import InputError

log = logging.getLogger(__name__)

# Steps between two checks of the loss; each check waits for the device.
_CHECK_EVERY = 50
# The run stops when a larger fraction of the training images cannot be read.
_MAX_UNREADABLE = 0.05


class FiniteLoss:
    """Checks that losses are finite, many steps at a time so that the device does not wait."""

    def __init__(self) -> None:
        """Create a check without losses."""
        self._unchecked: list[tuple[Tensor, list[str]]] = []

    def add(self, loss: Tensor, files: list[str]) -> None:
        """Add the loss of a batch of image files."""
        self._unchecked.append((loss.detach(), files))

    @property
    def due(self) -> bool:
        """Whether enough steps have passed for a check."""
        return len(self._unchecked) >= _CHECK_EVERY

    def check(self, epoch: int) -> None:
        """Raise InputError if a loss that was added since the previous check is not finite."""
        if not self._unchecked:
            return
        finite = torch.stack([loss for loss, _ in self._unchecked]).isfinite().tolist()
        for good, (_, files) in zip(finite, self._unchecked, strict=True):
            if not good:
                raise InputError(
                    f"the loss is not finite in epoch {epoch + 1}, first for the batch of "
                    f"{', '.join(files)}: check these images and their boxes, lower "
                    "--model.learning_rate, or set --trainer.gradient_clip_val"
                )
        self._unchecked.clear()


class UnreadableImages:
    """Logs training images that were replaced because they cannot be read."""

    def __init__(self) -> None:
        """Create a log without images."""
        self._files: set[str] = set()

    def add(self, targets: Sequence[dict[str, Any]], total: int) -> None:
        """Log each replaced image of a batch once.

        Args:
            targets: targets of the batch; ``unreadable`` lists pairs of file and reason.
            total: number of training images.

        Raises:
            InputError: more than 5 % of the training images were replaced.
        """
        for file, reason in (pair for t in targets for pair in t.get("unreadable", ())):
            if file in self._files:
                continue
            self._files.add(file)
            count = len(self._files)
            if count > _MAX_UNREADABLE * total:
                raise InputError(
                    f"{count} of {total} training images cannot be read, the last: {reason}; at "
                    f"most {_MAX_UNREADABLE:.0%} are replaced by others: repair or remove them"
                )
            log.warning("unreadable image %d, replaced by another: %s", count, reason)
