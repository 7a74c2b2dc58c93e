"""Detection datasets: network input, boxes, labels and ignore regions of each image."""

import json
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from centernet import geometry
from centernet.data.annotations import DatasetSplit, category_labels, names_by_label, read_coco
from centernet.data.augment import Augment
from centernet.data.compact import CompactAnnotations, CompactTexts, ImageAnnotation
from centernet.data.images import read_image
from centernet.data.preprocess import make_view
from centernet.data.regions import region_to_cells
from centernet.errors import InputError
from centernet.targets import DEFAULT_STRIDE

_MAX_UNREADABLE = 10  # images in a row, in training


class DetectionDataset(Dataset[tuple[Tensor, dict[str, Any]]]):
    """Images with boxes, from a COCO file or a split of a dataset of another format.

    Every image is a sample, also one without objects, and all samples have one size. Training
    samples are augmented; others follow the input policy of :mod:`centernet.data.preprocess`.

    Sample i of epoch e is a pure function of (seed, e, i), so neither the number of workers or
    processes nor a resumed run changes the data.

    Attributes:
        folder: folder of the images.
        annotations: the COCO content, for evaluation; None for training.
        name: name of the split, or of the annotation file without its suffix.
        source: the file or folder that the annotations were read from.
        class_names: names by label.
        category_ids: COCO category id of each label; None for a class that the file lacks.
    """

    def __init__(
        self,
        images: str | Path,
        annotations: str | Path | DatasetSplit,
        *,
        input_size: tuple[int, int] = (512, 512),
        augment: Augment | None = None,
        class_names: Sequence[str] | None = None,
        seed: int = 0,
        stride: int = DEFAULT_STRIDE,
    ) -> None:
        """Read the annotations, and check that all images exist.

        Args:
            images: folder of the images.
            annotations: COCO JSON file, or a split of a dataset of any format.
            input_size: (height, width) of every sample in pixels.
            augment: random variation for training, possibly
                :data:`centernet.data.augment.NONE`; None for validation.
            class_names: classes in the order of their labels; by default by ascending category id.
            seed: seed of the random variation.
            stride: input pixels per cell of the ignore masks.

        Raises:
            InputError: the annotations are invalid (see
                :func:`centernet.data.annotations.read_coco`), contain a class that is not in
                ``class_names``, or an image is missing.
        """
        # OpenCV's threads do not survive the fork of a worker, which would deadlock; and workers
        # share the cores anyway.
        cv2.setNumThreads(1)
        if isinstance(annotations, DatasetSplit):
            self.name, self.source = annotations.name, annotations.source
        else:
            self.name, self.source = Path(annotations).stem, Path(annotations)
        self.folder, self.input_size, self.augment = Path(images), input_size, augment
        self.seed, self.stride = seed, stride
        coco = read_coco(annotations)
        self.annotations = None if augment else coco
        self.class_names = tuple(class_names or names_by_label(coco))
        label_of = category_labels(self.source, coco, self.class_names)
        id_of = {label: category for category, label in label_of.items()}
        self.category_ids = [id_of.get(label) for label in range(len(self.class_names))]
        self._ids = CompactTexts(json.dumps(image["id"]) for image in coco["images"])
        self._files = CompactTexts(image["file_name"] for image in coco["images"])
        _check_files(self.folder, self._files)
        self._annotations = CompactAnnotations(coco, label_of)

    def __len__(self) -> int:
        return len(self._files)

    @property
    def image_ids(self) -> list[Any]:
        """COCO image id of each sample."""
        return [json.loads(text) for text in self._ids]

    @property
    def paths(self) -> list[Path]:
        """Image file of each sample."""
        return [self.folder / file for file in self._files]

    @property
    def num_objects(self) -> int:
        """Number of boxes, without ignore regions."""
        return int(self.objects_per_image.sum())

    @property
    def objects_per_image(self) -> NDArray[np.int64]:
        """Number of objects of each image."""
        return self._annotations.counts

    def annotation(self, index: int) -> ImageAnnotation:
        """The objects and ignore regions of an image, in image pixels."""
        return self._annotations[index]

    def __getitem__(self, key: int | tuple[int, int]) -> tuple[Tensor, dict[str, Any]]:
        """Sample ``index`` of ``epoch``.

        Args:
            key: (epoch, index) as :class:`EpochSampler` yields them, or an index of epoch 0.

        Returns:
            The network input (3, H, W) uint8 RGB, and its target: ``boxes`` (n, 4) xyxy in input
            pixels, clipped to the input, ``labels`` (n,), ``ignore``, a list of (label, bool mask
            (h, w) of cells), ``image_id``, ``file``, ``image_size`` (height, width) in pixels,
            and ``matrix`` (2, 3) from image to input. In training, an unreadable image is replaced
            by another one, and ``unreadable`` lists (file, reason) of each.

        Raises:
            InputError: the image cannot be read; in training, ten in a row cannot.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        index, image, unreadable = self._read(epoch, index)
        if self.augment:
            rng = np.random.default_rng([self.seed, epoch, index])
            pixels, matrix = self.augment(image, rng, self.input_size)
        else:
            view = make_view(image, self.input_size, multiple=1)
            pixels, matrix = view.pixels, view.matrix
        height, width = image.shape[:2]
        target = self._target(index, (height, width), matrix)
        return torch.from_numpy(pixels).permute(2, 0, 1), target | {"unreadable": unreadable}

    def _read(self, epoch: int, index: int) -> tuple[int, NDArray[np.uint8], list[tuple[str, str]]]:
        """The image of a sample, or a substitute chosen by (seed, epoch, index)."""
        substitutes = np.random.default_rng([self.seed, epoch, index, 1])
        unreadable: list[tuple[str, str]] = []
        while True:
            path = self.folder / self._files[index]
            try:
                return index, read_image(path), unreadable
            except InputError as error:
                unreadable.append((str(path), str(error)))
                if not self.augment or len(unreadable) == _MAX_UNREADABLE:
                    raise
                index = int(substitutes.integers(len(self)))

    def _target(
        self, index: int, image_size: tuple[int, int], matrix: geometry.Matrix
    ) -> dict[str, Any]:
        """Annotations of an image, moved through the matrix from image to network input."""
        annotation = self._annotations[index]
        boxes = geometry.transform_boxes(annotation.boxes, matrix)
        boxes, visible = geometry.clip_boxes(boxes, self.input_size)
        cells = (self.input_size[0] // self.stride, self.input_size[1] // self.stride)
        masks = [
            (label, region_to_cells(region["region"], image_size, matrix, cells, self.stride))
            for label, region in annotation.regions
        ]
        return {
            "boxes": torch.from_numpy(boxes[visible]),
            "labels": torch.from_numpy(annotation.labels[visible]),
            "ignore": [(label, torch.from_numpy(mask)) for label, mask in masks if mask.any()],
            "image_id": json.loads(self._ids[index]),
            "file": str(self.folder / self._files[index]),
            "image_size": image_size,
            "matrix": matrix,
        }


def collate(
    samples: Sequence[tuple[Tensor, dict[str, Any]]],
) -> tuple[Tensor, list[dict[str, Any]]]:
    """Batch samples: images (B, 3, H, W) uint8, and the list of their targets, not padded."""
    inputs, targets = zip(*samples, strict=True)
    # Both are channels last in memory, which saves a transposition.
    images = torch.stack([pixels.permute(1, 2, 0) for pixels in inputs]).permute(0, 3, 1, 2)
    return images, list(targets)


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields (epoch, index) pairs in an order that depends only on seed and epoch.

    Every process gets a part of the samples. The i-th batches of all processes together contain
    the same samples for any number of processes.
    """

    def __init__(
        self,
        length: int,
        *,
        batch_size: int,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Sample ``length`` indices.

        Args:
            length: number of samples in the dataset.
            batch_size: batch size over all processes. When shuffling, the last incomplete batch is
                dropped; if there is less than one batch, samples are repeated so that every
                process has the same number.
            shuffle: whether to shuffle. Otherwise every index is used, and the first indices are
                repeated so that every process has the same number.
            seed: seed of the order.
            rank: rank of this process.
            world_size: number of processes.
        """
        self.length, self.batch_size, self.shuffle, self.seed = length, batch_size, shuffle, seed
        self.rank, self.world_size, self.epoch = rank, world_size, 0
        self._start = (0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the training loop calls this."""
        self.epoch = epoch

    def start(self, epoch: int, position: int) -> None:
        """Resume within an epoch: skip its first ``position`` samples of this process."""
        self._start = (epoch, position)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        own = np.resize(order, self._rounded())[self.rank :: self.world_size]
        epoch, position = self._start
        for index in own[position if self.epoch == epoch else 0 :]:
            yield self.epoch, int(index)

    def __len__(self) -> int:
        return self._rounded() // self.world_size

    def _rounded(self) -> int:
        """Samples of all processes. Each has the same number; otherwise they would block."""
        if self.shuffle and self.length >= self.batch_size:
            return self.length - self.length % self.batch_size
        return -(-self.length // self.world_size) * self.world_size


def _check_files(folder: Path, names: Sequence[str]) -> None:
    """Raise InputError if an image file is missing."""

    @cache
    def files(path: str) -> frozenset[str]:
        return frozenset(os.listdir(path)) if os.path.isdir(path) else frozenset()

    parts = (os.path.split(os.path.join(folder, name)) for name in names)
    missing = [os.path.join(*part) for part in parts if part[1] not in files(part[0])]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} images are missing, the first is {missing[0]}: "
            "check the folder, or remove them from the annotation file"
        )
