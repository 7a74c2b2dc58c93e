"""The base classes of outputs of ``detect``, and of steps before them."""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from centernet.inference.output_paths import ResultName
from centernet.inference.prediction import Prediction
from centernet.inference.writers import GrowingFile


class Step(ABC):
    """Changes the predictions of a run, one after another, before the outputs receive them."""

    @abstractmethod
    def __call__(self, prediction: Prediction, name: ResultName) -> Prediction:
        """The changed prediction.

        Args:
            prediction: prediction for an image or a video frame, in the order of the frames.
            name: name of the image or frame.
        """

    def thresholds(self, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        """The score thresholds of the detections that the step needs.

        A step that lowers them removes the detections that the outputs shall not receive.

        Args:
            thresholds: (C,) the score threshold of each class, for the outputs.

        Returns:
            (C,).
        """
        return thresholds


class Output(ABC):
    """Receives the predictions of a run, one after another.

    As a context manager it is closed at the end.

    Attributes:
        draws: whether it draws pictures. In a live run those are the newest predictions only; other
            outputs receive all, in the thread of the network.
    """

    draws: ClassVar[bool] = False

    @abstractmethod
    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Write one prediction.

        Args:
            prediction: prediction for an image or a video frame.
            name: name of the image or frame, and of the files for it.

        Raises:
            InputError: a file cannot be written.
        """

    def close(self) -> None:  # noqa: B027 - most outputs have nothing to finish
        """Finish the output."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()


class FileOutput(Output):
    """An output to one file, which is discarded after an error."""

    def __init__(self, file: GrowingFile) -> None:
        """Write to a file."""
        self._file = file

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        self._file.__exit__(kind, *details)
