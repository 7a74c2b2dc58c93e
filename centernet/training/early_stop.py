"""Stop a run whose average precision no longer improves: ``--early-stop N``."""

from typing import Any


class EarlyStop:
    """Counts the validations since the best one.

    Attributes:
        patience: validations without a better result after which the run stops; None for never.
        message: what was best and when, once the run is to stop; empty before.
    """

    def __init__(self, patience: int | None = None) -> None:
        """Stop after ``patience`` validations in a row without a better result."""
        self.patience, self.message = patience, ""
        self._best, self._best_epoch, self._worse = -1.0, -1, 0

    def state_dict(self) -> dict[str, Any]:
        """The best result, its epoch, and the validations since then."""
        return {"early_stop": [self._best, self._best_epoch, self._worse]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state; checkpoints of earlier versions have none."""
        if "early_stop" in state_dict:
            self._best, self._best_epoch, worse = state_dict["early_stop"]
            # A run that stopped, and is resumed, gets the patience once more.
            self._worse = 0 if self.patience and worse >= self.patience else worse

    def is_due(self, result: float, epoch: int) -> bool:
        """Add a validation; return whether the run is to stop.

        Args:
            result: the main metric, higher is better; an equal one is not better.
            epoch: the epoch, from 0.
        """
        if result > self._best:
            self._best, self._best_epoch, self._worse = result, epoch, 0
            return False
        self._worse += 1
        if self.patience is None or self._worse < self.patience:
            return False
        self.message = (
            f"early stop: {self._worse} validations without a better result; the best was "
            f"{self._best:.3f} in epoch {self._best_epoch + 1}"
        )
        return True
