"""Any dataset in COCO's format as samples: network input, boxes, labels and ignore regions."""

import os
from collections import defaultdict
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
from centernet.data.images import read_image
from centernet.data.preprocess import make_view
from centernet.data.regions import region_to_cells
from centernet.errors import InputError
from centernet.targets import DEFAULT_STRIDE


class DetectionDataset(Dataset):
    """Images and boxes of a COCO annotation file.

    Every image is drawn at one size: with an augmentation for training, without it as the input
    policy of :mod:`centernet.data.preprocess` says.

    Every image of the file is a sample, also those without objects. What sample i of epoch e looks
    like depends on (seed, e, i) alone, so neither workers nor processes nor a restart change the
    data.

    Attributes:
        folder: of the images.
        annotations: content of the annotation file, for evaluation; None for training.
        name: of the annotation file, without its suffix, or of the split.
        source: the file or folder that the annotations were read from.
        class_names: names by label.
        category_ids: the annotation file's category id of each label (None for a class it does not
            have).
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
        """Read the annotations and see that every image is there.

        Args:
            images: folder of the images.
            annotations: COCO JSON, or a split of a dataset of another format.
            input_size: (height, width) of every sample in pixels.
            augment: random variation for training, perhaps
                :data:`centernet.data.augment.NONE`; None for validation.
            class_names: labels are given in this order; by default in that of ascending category
                ids.
            seed: of the random variation.
            stride: canvas pixels per cell, for the ignore masks.

        Raises:
            InputError: the file is not usable (see :func:`centernet.data.annotations.read_coco`),
                has a class that is not in ``class_names``, or an image is missing.
        """
        # OpenCV's threads do not survive the fork of a worker, which would wait for them for ever;
        # and workers share the cores anyway.
        cv2.setNumThreads(1)
        is_split = isinstance(annotations, DatasetSplit)
        self.name = annotations.name if is_split else Path(annotations).stem
        self.source = annotations.source if is_split else Path(annotations)
        self.folder, self.input_size, self.seed, self.stride = (
            Path(images), input_size, seed, stride,
        )  # fmt: skip
        self.augment = augment
        coco = read_coco(annotations)
        self.annotations = None if augment else coco
        self.class_names = tuple(class_names or names_by_label(coco))
        label = category_labels(self.source, coco, self.class_names)
        id_of = {label: category for category, label in label.items()}
        self.category_ids = [id_of.get(i) for i in range(len(self.class_names))]

        self.image_ids = [image["id"] for image in coco["images"]]
        self.paths = [self.folder / image["file_name"] for image in coco["images"]]
        _check_files(self.paths)
        of_image = defaultdict(list)
        for annotation in coco["annotations"]:
            of_image[annotation["image_id"]].append(annotation)
        self._boxes, self._labels, self._regions = [], [], []
        for image_id in self.image_ids:
            objects = [a for a in of_image[image_id] if not a["iscrowd"]]
            box = np.array([a["bbox"] for a in objects], np.float32).reshape(-1, 4)
            self._boxes.append(geometry.xywh_to_xyxy(box))
            self._labels.append(np.array([label[a["category_id"]] for a in objects], np.int64))
            self._regions.append(
                [(label[a["category_id"]], a) for a in of_image[image_id] if a["iscrowd"]]
            )

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def num_objects(self) -> int:
        """How many boxes there are to learn from."""
        return sum(map(len, self._boxes))

    @property
    def labels(self) -> list[NDArray[np.int64]]:
        """Of each image the labels (n,) of its objects."""
        return self._labels

    def annotation(self, index: int) -> tuple[NDArray, NDArray, list[tuple[int, dict[str, Any]]]]:
        """Boxes (n, 4) xyxy in image pixels, labels (n,), and ignore regions of an image.

        A region is its label and its annotation in the file.
        """
        return self._boxes[index], self._labels[index], self._regions[index]

    def __getitem__(self, key: int | tuple[int, int]) -> tuple[Tensor, dict[str, Any]]:
        """Sample ``index`` of ``epoch``.

        Args:
            key: (epoch, index), as :class:`EpochSampler` gives them, or an index of epoch 0.

        Returns:
            The input (3, H, W) uint8 RGB, and its target: ``boxes`` (n, 4) xyxy in input pixels,
            cut to the input, ``labels`` (n,), ``ignore``, a list of (label, bool mask (h, w) of
            cells), ``image_id``, ``file``, ``image_size`` (height, width) in pixels, and ``matrix``
            (2, 3) from image to input. In training, an image that cannot be read is replaced by
            another one, and ``unreadable`` holds (file, reason) of each that was.

        Raises:
            InputError: the image cannot be read, or in training ten in a row.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        index, image, unreadable = self._readable(epoch, index)
        if self.augment:
            rng = np.random.default_rng([self.seed, epoch, index])
            pixels, matrix = self._varied(image, rng)
        else:
            view = make_view(image, self.input_size, multiple=1)
            pixels, matrix = view.pixels, view.matrix
        target = self._target(index, image.shape[:2], pixels.shape[:2], matrix)
        target["unreadable"] = unreadable
        return torch.from_numpy(pixels).permute(2, 0, 1), target

    def _readable(
        self, epoch: int, index: int
    ) -> tuple[int, NDArray[np.uint8], list[tuple[str, str]]]:
        """The image of a sample, or one that (seed, epoch, index) chooses in its place."""
        substitutes = np.random.default_rng([self.seed, epoch, index, 1])
        unreadable: list[tuple[str, str]] = []
        while True:
            try:
                return index, read_image(self.paths[index]), unreadable
            except InputError as error:
                unreadable.append((str(self.paths[index]), str(error)))
                if not self.augment or len(unreadable) == 10:
                    raise
                index = int(substitutes.integers(len(self)))

    def _varied(
        self, image: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], geometry.Matrix]:
        """An augmented sample of an image, and the matrix from image to sample."""
        matrix = self.augment.geometry(rng, image.shape[:2], self.input_size)
        pixels, matrix = geometry.warp_to_input(image, matrix, self.input_size)
        color = self.augment.color(rng, np.array(cv2.mean(pixels)[:3]))
        return (pixels if color is None else cv2.transform(pixels, color)), matrix

    def _target(
        self,
        index: int,
        image_size: tuple[int, int],
        input_size: tuple[int, int],
        matrix: geometry.Matrix,
    ) -> dict[str, Any]:
        boxes = geometry.transform_boxes(self._boxes[index], matrix)
        boxes, seen = geometry.clip_boxes(boxes, input_size)
        cells = (input_size[0] // self.stride, input_size[1] // self.stride)
        regions = [
            (
                label,
                region_to_cells(a["region"], image_size, matrix, cells, self.stride),
            )
            for label, a in self._regions[index]
        ]
        return {
            "boxes": torch.from_numpy(boxes[seen]),
            "labels": torch.from_numpy(self._labels[index][seen]),
            "ignore": [(label, torch.from_numpy(mask)) for label, mask in regions if mask.any()],
            "image_id": self.image_ids[index],
            "file": str(self.paths[index]),
            "image_size": image_size,
            "matrix": matrix,
        }


def collate(samples: Sequence[tuple[Tensor, dict]]) -> tuple[Tensor, list[dict]]:
    """Samples to a batch: images (B, 3, H, W) uint8 and the list of their targets, not padded."""
    canvases, targets = zip(*samples, strict=True)
    # Canvases lie in memory pixel by pixel (channels last); so does the batch, which saves turning
    # them around.
    images = torch.stack([canvas.permute(1, 2, 0) for canvas in canvases]).permute(0, 3, 1, 2)
    return images, list(targets)


class EpochSampler(Sampler[tuple[int, int]]):
    """(epoch, index) pairs in an order that only seed and epoch decide, sliced over processes.

    Batch i of all processes together holds the same samples, however many processes there are.
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
            length: of the dataset.
            batch_size: over all processes. When shuffling, the rest that fills no whole batch is
                left out of the epoch, or, where there is less than one batch, repeated so that
                every process has as much.
            shuffle: whether to; without, every index comes, and the first ones once more where
                the processes would not have as many each.
            seed: of the order.
            rank: this process.
            world_size: number of processes.
        """
        self.length, self.batch_size, self.shuffle, self.seed = length, batch_size, shuffle, seed
        self.rank, self.world_size, self.epoch = rank, world_size, 0
        self._start = (0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the training loop calls this."""
        self.epoch = epoch

    def start(self, epoch: int, position: int) -> None:
        """Resume within an epoch: leave out its first ``position`` samples of this process."""
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
        """Samples of all processes; each has as many, or they would wait for each other."""
        if self.shuffle and self.length >= self.batch_size:
            return self.length - self.length % self.batch_size
        return -(-self.length // self.world_size) * self.world_size


def _check_files(paths: Sequence[Path]) -> None:
    @cache
    def files(folder: Path) -> frozenset[str]:
        return frozenset(os.listdir(folder)) if folder.is_dir() else frozenset()

    missing = [path for path in paths if path.name not in files(path.parent)]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(paths)} images are missing, the first is {missing[0]}: "
            "check the folder, or take them out of the annotation file"
        )
