"""Training and validation data in a LightningDataModule."""

import logging
import math
import os
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor

from centernet.data.annotations import truncate_list
from centernet.data.augment import NONE, Augment
from centernet.data.dataset import DetectionDataset
from centernet.data.entries import MAX_PIXELS
from centernet.data.points import PointSizes, choose_point_sizes, count_points
from centernet.data.sampler import EpochSampler
from centernet.errors import InputError
from centernet.models.base import DetectionModel
from centernet.sizes import format_size, parse_size
from centernet.training.auto_config import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_IMAGE_SIZE,
    InputChoice,
    input_for_data,
    top_k_for,
)
from centernet.training.loaders import ResumableLoader, keep_images
from centernet.training.sources import DataSource

log = logging.getLogger(__name__)

_parse_size = partial(parse_size, multiple=DetectionModel.size_multiple, words=("auto",))


class DetectionData(LightningDataModule):
    """Training and validation images with annotations. All paths are relative to ``root``.

    If an annotation file does not exist and ``root`` is a dataset in another format that
    :mod:`centernet.data.formats` reads, that dataset is read: the file name names the split.

    Args:
        root: folder of the dataset, with the paths below or in COCO, Pascal VOC or YOLO format.
        train_images: folder of the training images.
        train_annotations: COCO JSON of the training images, or a split of another format.
        val_images: folder of the validation images.
        val_annotations: COCO JSON of the validation images, or a split of another format.
        image_size: input size in pixels, in multiples of 32: one number for a square, or width x
            height as 320x256; or auto, which chooses it from the training images and boxes, see
            :mod:`~centernet.training.auto_config`. Validation scales images to fit this size. Two
            numbers are height and width, as in configurations of earlier runs.
        tile: side in pixels of the samples, random tiles of images that are scaled to fit
            image_size, for objects that are small in large images; null for samples of image_size;
            auto, with image_size auto, where objects would be too small otherwise.
        point_size: side in image pixels of a typical object of the classes that are annotated by
            points only; auto chooses it from the distances of neighboring points. It sets the
            Gaussians of training, and how near a detection must be: half of it.
        batch_size: images per step over all processes together.
        workers: processes that load images; by default one per spare CPU core, at most 8.
        cache: memory in MB for decoded images, which are then read and decoded only once; auto
            for a quarter of the free memory, at most 1024; 0 for none.
        augment: augmentation of the training images; null for none.
        class_names: class names in the order of their labels; by default those of the training
            annotations.
        classes: classes to train on, by old or new name; by default all.
        rename: new class names by old ones; classes with the same new name are merged.
        folds: number of folds of all training and validation images, for cross-validation.
        fold: the fold that is held out, 1 to folds; by default fit trains a model for each.
        seed: seed of order, augmentation and folds.

    Raises:
        InputError: a value is out of range.
    """

    def __init__(
        self,
        root: str = "data/coco",
        train_images: str = "train2017",
        train_annotations: str = "annotations/instances_train2017.json",
        val_images: str = "val2017",
        val_annotations: str = "annotations/instances_val2017.json",
        image_size: int | str | tuple[int, int] = DEFAULT_IMAGE_SIZE,
        tile: int | str | None = None,
        point_size: float | Literal["auto"] = "auto",
        batch_size: int = DEFAULT_BATCH_SIZE,
        workers: int | None = None,
        cache: int | Literal["auto"] = "auto",
        augment: Augment | None = Augment(),  # noqa: B008 - frozen
        class_names: list[str] | None = None,
        classes: list[str] | None = None,
        rename: dict[str, str] | None = None,
        folds: int | None = None,
        fold: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        paths = {
            "train": (train_images, train_annotations),
            "val": (val_images, val_annotations),
        }
        self.source = DataSource(
            Path(root), paths, classes=classes, rename=rename, folds=folds, fold=fold, seed=seed
        )
        self.image_size, self._tile = image_size, tile
        # Wrong values raise InputError here.
        _ = image_size != "auto" and self.input_size, tile != "auto" and self.tile
        self._point_size = None if point_size == "auto" else float(point_size)
        if self._point_size is not None and not 0 < self._point_size <= MAX_PIXELS:
            raise InputError(f"point_size must be a number of pixels, got {point_size}")
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}")
        for name, value in (("workers", workers), ("cache", cache), ("seed", seed)):
            if isinstance(value, int) and value < 0:
                raise InputError(f"{name} must not be negative, got {value}")
        self.batch_size, self.augment, self.seed = batch_size, augment or NONE, seed
        self.workers = min(8, max(1, (os.cpu_count() or 1) - 1)) if workers is None else workers
        self._class_names, self._cache = class_names, cache

    @cached_property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the network input in pixels."""
        if self.image_size != "auto":
            return _parse_size(self.image_size, name="data.image_size")
        return self._chosen_input.size

    @cached_property
    def _chosen_input(self) -> InputChoice:
        """The input size, and the tile if it is auto, chosen from the training images."""
        chosen = input_for_data(*self.source.find_for_choices(), self._tile, self._point_size)
        log.info("image size %s: %s", format_size(chosen.size), chosen.reason)
        return chosen

    @cached_property
    def tile(self) -> int | None:
        """Side in pixels of the training samples; None if these are whole images."""
        if self._tile == "auto":
            return self._chosen_input.tile if self.image_size == "auto" else None
        if self._tile is None:
            return None
        height, width = _parse_size(self._tile, name="data.tile")
        if height != width:
            raise InputError(f"data.tile must be one number, as 512, got {self._tile!r}")
        return height

    @cached_property
    def point_sizes(self) -> PointSizes | None:
        """The extent of points, chosen from the training images; None if these have no points."""
        coco = self.source.find("train")[1].coco
        points = count_points(coco)
        if not points:
            return None
        chosen = choose_point_sizes(coco, self._point_size)
        log.info("%d training objects are points", points)
        names = {str(category["name"]) for category in coco["categories"]}
        if others := sorted(names - chosen.of_class.keys()):
            size, classes = chosen.other, truncate_list(others)
            log.info("point size %.3g pixels for %s: %s", size, classes, chosen.reason)
        return chosen

    @cached_property
    def top_k(self) -> int:
        """Detections per image, chosen from the number of objects in the training images."""
        densest = int(self.train_set.objects_per_image.max())
        count = top_k_for(densest)
        if count > top_k_for(0):
            log.info("top_k %d: the densest training image has %d objects", count, densest)
        return count

    @property
    def class_names(self) -> list[str]:
        """Class names by label: the option, or those of the training annotations."""
        return list(self._class_names or self.train_set.class_names)

    @property
    def found_class_names(self) -> list[str]:
        """The class names, once all images are found: errors come before a network is built."""
        _ = self.val_set
        return self.class_names

    @cached_property
    def train_set(self) -> DetectionDataset:
        """The training images, read on first use."""
        if self.tile and self.tile > max(self.input_size):
            size = format_size(self.input_size)
            raise InputError(f"data.tile {self.tile} is larger than the input, {size}: use null")
        options = {"augment": self.augment, "tile": self.tile, "point_size": self.point_sizes}
        dataset = self._dataset("train", self._class_names, **options)
        self.source.release("train")
        if not dataset.num_objects:
            raise InputError(f"{dataset.source} has no boxes: there is nothing to learn from")
        return dataset

    @cached_property
    def val_set(self) -> DetectionDataset:
        """The validation images, read on first use."""
        names = self.class_names
        # The training images may be unread, or missing, where the classes are given.
        sizes = self.point_sizes if "train_set" in self.__dict__ else None
        return self._dataset("val", names, point_size=sizes or self._point_size)

    @property
    def val_annotations(self) -> dict[str, list[dict[str, Any]]]:
        """The content of the validation annotations, in COCO's format."""
        annotations = self.val_set.annotations
        assert annotations is not None  # only augmented datasets have none
        return annotations

    def log_sizes(self) -> None:
        """Log the numbers of images, boxes and classes, and the size of the samples."""
        log.info(
            "%d images with %d objects for training, %d for validation, %d classes (%s), input %s",
            self.train_set.num_images,
            self.train_set.num_objects,
            len(self.val_set),
            len(self.class_names),
            truncate_list(self.class_names),
            format_size(self.input_size),
        )
        if self.tile:
            log.info("%d tiles of %d pixels in each epoch", len(self.train_set), self.tile)
        points, objects = count_points(self.val_annotations), self.val_set.num_objects
        if 0 < points < objects:
            log.info("%d of %d validation objects are points: AP is for boxes", points, objects)
        if not self.val_set.num_objects:
            outcome = "AP will be 0, and best.ckpt the latest validated network"
            log.warning("%s has no boxes: %s", self.val_set.source, outcome)

    def setup(self, stage: str) -> None:
        """Read the annotations that a stage needs, so that errors show early."""
        _ = stage == "fit" and self.train_set, self.val_set

    def _dataset(
        self, part: str, class_names: Sequence[str] | None, **options: Any
    ) -> DetectionDataset:
        images, annotations = self.source.find(part)
        return DetectionDataset(
            images,
            annotations,
            input_size=self.input_size,
            class_names=class_names,
            seed=self.seed,
            stride=DetectionModel.stride,
            **options,
        )

    def train_dataloader(self) -> ResumableLoader:
        """Batches of the training images, shuffled and augmented."""
        keep_images(
            self.train_set, self.val_set, self._cache, self.workers, self._trainer.world_size
        )
        return self._loader(self.train_set, self.batch_size, shuffle=True)

    def val_dataloader(self) -> ResumableLoader:
        """Batches of the validation images, each image once, in order."""
        batch_size = self.val_batch_size(self._trainer.world_size)
        return self._loader(self.val_set, batch_size, shuffle=False)

    def val_batch_size(self, processes: int = 1) -> int:
        """Images per batch in validation: fewer if they are larger than the tiles in training."""
        if not self.tile:
            return self.batch_size
        fewer = self.batch_size * self.tile**2 // math.prod(self.input_size)
        return min(self.batch_size, processes * max(1, fewer // processes))

    def _loader(
        self, dataset: DetectionDataset, batch_size: int, *, shuffle: bool
    ) -> ResumableLoader:
        trainer, processes = self._trainer, self._trainer.world_size
        if batch_size % processes:
            raise InputError(f"batch_size {batch_size} cannot be split over {processes} processes")
        sampler = EpochSampler(
            len(dataset),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=self.seed,
            rank=trainer.global_rank,
            world_size=processes,
        )
        return ResumableLoader(
            dataset,
            sampler,
            batch_size=batch_size // processes,
            workers=self.workers,
            pin_memory=trainer.strategy.root_device.type == "cuda",
        )

    @property
    def _trainer(self) -> Trainer:
        assert self.trainer is not None  # loaders are made by a trainer
        return self.trainer

    def transfer_batch_to_device(
        self, batch: tuple[Tensor, list[dict]], device: torch.device, dataloader_idx: int
    ) -> tuple[Tensor, list[dict]]:
        """Copy the images; boxes are copied when targets are encoded."""
        images, targets = batch
        return images.to(device, non_blocking=True), targets
