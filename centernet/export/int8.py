"""Quantize an exported model to int8, calibrated on a dataset, and measure what it costs."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.data.dataset import DetectionDataset
from centernet.data.images import load_image
from centernet.data.preprocess import make_view
from centernet.errors import InputError
from centernet.evaluation.coco import average_precision
from centernet.evaluation.results import CocoResults
from centernet.export.options import MAX_LOSS
from centernet.inference.detector import Detector
from centernet.inference.engines.base import EngineInfo
from centernet.inference.engines.exported import INPUT
from centernet.training.sources import DataSource

# Calibration needs the range of every activation; more images hardly change it.
_CALIBRATION_IMAGES = 100
_BATCH_SIZE = 8
_CONVOLUTIONS = ["Conv", "ConvTranspose"]
_QUANTIZED = [*_CONVOLUTIONS, "Relu", "Add", "MaxPool", "Resize"]


@dataclass(frozen=True)
class Accuracy:
    """Average precision before and after quantization.

    Attributes:
        before: ``AP`` and ``AP50`` of the float32 model.
        after: of the int8 model.
        images: number of images.
        split: name of their split.
    """

    before: dict[str, float]
    after: dict[str, float]
    images: int
    split: str

    @property
    def loss(self) -> float:
        """AP before minus AP after."""
        return self.before["AP"] - self.after["AP"]

    def __str__(self) -> str:
        pairs = (f"{name} {self.before[name]:.3f} -> {self.after[name]:.3f}" for name in self.after)
        return f"{', '.join(pairs)} on {self.images} images ({self.split})"


def calibration_and_test(
    folder: str | Path, class_names: Sequence[str]
) -> tuple[DetectionDataset, DetectionDataset]:
    """The images of a dataset to calibrate on, and those to measure the accuracy on.

    These are the training and the validation images; if there are no validation images, some are
    held out as in training.

    Args:
        folder: a dataset of any known format.
        class_names: class names of the network.

    Raises:
        InputError: there is no such dataset, or it has other classes.
    """
    parts = ("train", "val")
    paths = {part: (part, f"annotations/instances_{part}.json") for part in parts}
    source = DataSource(Path(folder), paths)
    images, test = (DetectionDataset(*source.find(part), class_names=class_names) for part in parts)
    return images, test


def quantize(
    source: str | Path, target: str | Path, images: Sequence[str | Path], info: EngineInfo
) -> None:
    """Write a model whose convolutions compute in int8, calibrated on images.

    Weights are quantized per channel. The last convolution of each head and decoding stay in
    float32: with them in int8, AP drops five times as much.

    Args:
        source: an exported float32 model.
        target: the file to write.
        images: images to calibrate on; a sample of them is used.
        info: properties of the network.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    step = max(1, len(images) // _CALIBRATION_IMAGES)
    inputs = _network_inputs(images[::step][:_CALIBRATION_IMAGES], info)

    class Reader(CalibrationDataReader):
        def get_next(self) -> dict[str, Any] | None:
            return next(inputs, None)

    prepared = Path(target).with_suffix(".prepared.onnx")
    with _quiet():
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=_QUANTIZED,
            nodes_to_exclude=last_convolutions(prepared),
        )
    prepared.unlink()


def last_convolutions(model: Path) -> list[str]:
    """Names of the convolutions whose results no other convolution reads."""
    import onnx

    read: set[str] = set()  # tensors that a convolution reads, directly or through other nodes
    last = []
    for node in reversed(onnx.load(str(model)).graph.node):
        is_convolution = node.op_type in _CONVOLUTIONS
        if is_convolution and not read.intersection(node.output):
            last.append(node.name)
        if is_convolution or read.intersection(node.output):
            read.update(node.input)
    return last


def _network_inputs(images: Sequence[str | Path], info: EngineInfo) -> Iterator[dict[str, NDArray]]:
    """The inputs of the network for images, one at a time."""
    for image in tqdm(images, desc="calibrating", unit="image"):
        view = make_view(load_image(image), info.image_size, info.size_multiple)
        yield {INPUT: np.ascontiguousarray(view.pixels[None])}


def compare_accuracy(before: Detector, after: Detector, dataset: DetectionDataset) -> Accuracy:
    """Measure the average precision of two detectors on a dataset."""
    return Accuracy(
        before=_accuracy(before, dataset, "float32"),
        after=_accuracy(after, dataset, "int8"),
        images=len(dataset),
        split=dataset.name,
    )


def _accuracy(detector: Detector, dataset: DetectionDataset, name: str) -> dict[str, float]:
    collected = CocoResults()
    with tqdm(total=len(dataset), desc=f"measuring {name}", unit="image") as progress:
        for start in range(0, len(dataset), _BATCH_SIZE):
            part = slice(start, start + _BATCH_SIZE)
            found = detector.batch(dataset.paths[part], threshold=0)
            for image_id, detections in zip(dataset.image_ids[part], found, strict=True):
                arrays = {
                    "boxes": detections.xyxy,
                    "scores": np.asarray(detections.confidence),
                    "labels": np.asarray(detections.class_id),
                }
                collected.add(image_id, arrays, dataset.category_ids)
            progress.update(len(found))
    assert dataset.annotations is not None  # a training dataset has no annotations
    top_k = detector.top_k
    metrics = average_precision(dataset.annotations, collected.results, top_k=int(top_k))
    return {name: metrics[name] for name in ("AP", "AP50")}


def check_loss(accuracy: Accuracy, *, force: bool) -> None:
    """Refuse a model that lost too much accuracy.

    Raises:
        InputError: AP is lower by more than ``MAX_LOSS``, and ``force`` is off.
    """
    if accuracy.loss > MAX_LOSS and not force:
        raise InputError(
            f"int8 loses more than {MAX_LOSS:g} AP ({accuracy}): nothing is written; --half keeps "
            "the accuracy, --force writes the model"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the hints of the quantizer, which is written for people who tune it."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
