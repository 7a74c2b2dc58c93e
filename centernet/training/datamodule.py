"""Training and validation data as Lightning sees them."""

import inspect
import logging
import math
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from centernet.data.annotations import DatasetSplit, read_coco
from centernet.data.augment import NONE, Augment
from centernet.data.dataset import DetectionDataset, EpochSampler, collate
from centernet.data.entries import image_sides, is_ignore_region
from centernet.data.formats.coco import read_file
from centernet.data.formats.detect import choose_classes, detect_format, read_dataset
from centernet.data.formats.splits import split_name
from centernet.data.images import image_size
from centernet.errors import InputError
from centernet.models.centernet import CenterNet
from centernet.training.auto_config import input_size_for, top_k_for
from centernet.training.stopping import ignore_stop_signals

log = logging.getLogger(__name__)

_NOTES = 10  # of a recognised dataset, as many are logged


class _LazyLoader(DataLoader):
    """Starts an epoch when its first batch is asked for.

    A resumed training makes the iterator before it restores its epoch. Workers, which prepare
    batches ahead, would take these from epoch 0.
    """

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()

    def start(self, epoch: int, batches: int) -> None:
        """Resume within an epoch, after so many batches of this process."""
        self.sampler.start(epoch, batches * self.batch_size)


class DetectionData(LightningDataModule):
    """Training and validation images with COCO annotations. All paths are relative to ``root``.

    Where the annotation file that an option names is not there, and ``root`` is a dataset that
    :mod:`centernet.data.formats` knows, that one is read: the option's file name names its split.
    """

    def __init__(
        self,
        root: str = "data/coco",
        train_images: str = "train2017",
        train_annotations: str = "annotations/instances_train2017.json",
        val_images: str = "val2017",
        val_annotations: str = "annotations/instances_val2017.json",
        image_size: int | tuple[int, int] | Literal["auto"] = 512,
        batch_size: int = 16,
        workers: int | None = None,
        augment: Augment | None = Augment(),  # noqa: B008 - frozen
        class_names: list[str] | None = None,
        only: list[str] | None = None,
        rename: dict[str, str] | None = None,
        seed: int = 0,
    ) -> None:
        """Say where the data is and how it is fed.

        Args:
            root: folder of the dataset; as paths below say, or any that is in COCO's, Pascal VOC's
                or YOLO's format.
            train_images: folder of the training images.
            train_annotations: COCO JSON of the training images, or a split of another format.
            val_images: folder of the validation images.
            val_annotations: COCO JSON of the validation images, or a split of another format.
            image_size: of the training samples, in pixels: one number, or height and width;
                multiples of 32; or auto, which follows from the training images and their boxes,
                see :mod:`.auto_config`. Validation scales images to fit this size.
            batch_size: images per step over all processes together.
            workers: processes that prepare samples, for each training process; by default one per
                spare CPU core, at most 8.
            augment: random variation of training images; null for none.
            class_names: the classes in the order of their labels; by default as in the training
                annotations.
            only: the classes to look at, by their old or new names; by default all.
            rename: new names of classes by old ones; several of one new name become one class.
            seed: of order and variation.
        """
        super().__init__()
        self.root = Path(root)
        self.paths = {
            "train": (self.root / train_images, self.root / train_annotations),
            "val": (self.root / val_images, self.root / val_annotations),
        }
        self.image_size = image_size
        if image_size != "auto":
            height, width = self.input_size
            multiple = CenterNet.size_multiple
            if min(height, width) < multiple or height % multiple or width % multiple:
                raise InputError(
                    f"image_size must be multiples of {multiple}, got {height}x{width}"
                )
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}")
        for name, value in (("workers", workers or 0), ("seed", seed)):
            if value < 0:
                raise InputError(f"{name} must not be negative, got {value}")
        self.batch_size, self.augment, self.seed = batch_size, augment or NONE, seed
        self.workers = min(8, max(1, (os.cpu_count() or 1) - 1)) if workers is None else workers
        self._class_names, self.only, self.rename = class_names, only, rename

    @cached_property
    def input_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        if self.image_size != "auto":
            size = self.image_size
            return (size, size) if isinstance(size, int) else tuple(size)
        folder, annotations = self._source("train")
        coco = read_coco(annotations)
        coco["images"] = [_with_size(image, folder) for image in coco["images"]]
        size, why = input_size_for(
            coco,
            stride=CenterNet.stride,
            multiple=CenterNet.size_multiple,
        )
        log.info("image size %dx%d: %s", *size, why)
        return size

    @cached_property
    def top_k(self) -> int:
        """Detections per image that the densest training image asks for."""
        densest = max(map(len, self.train_set.labels))
        count = top_k_for(densest)
        if count > top_k_for(0):
            log.info("top_k %d: the densest training image has %d objects", count, densest)
        return count

    @property
    def class_names(self) -> list[str]:
        """Names by label: as given, or as the training annotations have them."""
        return list(self._class_names or self.train_set.class_names)

    @cached_property
    def train_set(self) -> DetectionDataset:
        """The training images; read when first asked for."""
        dataset = self._dataset("train", self._class_names, augment=self.augment)
        if not dataset.num_objects:
            raise InputError(f"{dataset.source} holds no box: there is nothing to learn from")
        return dataset

    @cached_property
    def val_set(self) -> DetectionDataset:
        """The validation images; read when first asked for."""
        return self._dataset("val", self.class_names)

    def setup(self, stage: str) -> None:
        """Read now what the stage needs, so that a mistake shows at once."""
        _ = self.val_set, stage == "fit" and self.train_set

    def _dataset(
        self, part: str, class_names: Sequence[str] | None, **options: Any
    ) -> DetectionDataset:
        images, annotations = self._source(part)
        return DetectionDataset(
            images,
            annotations,
            input_size=self.input_size,
            class_names=class_names,
            seed=self.seed,
            stride=CenterNet.stride,
            **options,
        )

    def _source(self, part: str) -> tuple[Path, Path | DatasetSplit]:
        """The images of "train" or "val", and their annotations."""
        images, annotations = self.paths[part]
        if not annotations.is_file():
            split = self._recognised_split(part)
        elif self.only or self.rename:
            split = read_file(annotations, images=images)
            (split,) = choose_classes([split], classes=self.only, rename=self.rename)
        else:
            return images, annotations
        return split.images, split

    @cached_property
    def _recognised(self) -> dict[str, DatasetSplit]:
        """The dataset in ``root`` where it is not as the options say; empty for none."""
        kinds = detect_format(self.root)
        if not kinds:
            return {}
        splits = read_dataset(self.root, classes=self.only, rename=self.rename)
        counts = ", ".join(f"{name} {len(s.coco['images'])}" for name, s in splits.items())
        log.info("%s is read as a dataset in %s format: %s images", self.root, kinds[0], counts)
        for note in [note for split in splits.values() for note in split.notes][:_NOTES]:
            log.info("  %s", note)
        # Of objects, training needs no outlines, which would fill the memory.
        for annotation in (a for split in splits.values() for a in split.coco["annotations"]):
            if isinstance(annotation, dict) and not is_ignore_region(annotation):
                annotation.pop("segmentation", None)
        return splits

    def _recognised_split(self, part: str) -> DatasetSplit:
        annotations = self.paths[part][1]
        name = split_name(annotations.stem)
        if name in self._recognised:
            return self._recognised[name]
        if not self._recognised:
            raise InputError(
                f"cannot read annotation file {annotations}: there is none, "
                f"and {self.root} is no dataset of another format that is known (docs/data.md)"
            )
        remedy = f"name another with --data.{part}_annotations"
        if part == "val":
            remedy += (
                ", or hold training images out with "
                f"centernet convert {self.root} OUT --val-fraction 0.2"
            )
        there = ", ".join(self._recognised)
        raise InputError(f"{self.root} has no split {name!r}, only {there}: {remedy}")

    def train_dataloader(self) -> DataLoader:
        """Shuffled and augmented."""
        sampler = self._sampler(self.train_set, shuffle=True)
        return self._loader(self.train_set, batch_size=self._batch_size_of_process, sampler=sampler)

    def val_dataloader(self) -> DataLoader:
        """Every image once, in order."""
        sampler = self._sampler(self.val_set, shuffle=False)
        return self._loader(self.val_set, batch_size=self._batch_size_of_process, sampler=sampler)

    @property
    def _batch_size_of_process(self) -> int:
        world_size = self.trainer.world_size
        if self.batch_size % world_size:
            raise InputError(
                f"batch_size {self.batch_size} cannot be split over {world_size} processes"
            )
        return self.batch_size // world_size

    def _sampler(self, dataset: DetectionDataset, *, shuffle: bool) -> EpochSampler:
        return EpochSampler(
            len(dataset),
            batch_size=self.batch_size,
            shuffle=shuffle,
            seed=self.seed,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )

    def _loader(self, dataset: DetectionDataset, **batches: Any) -> DataLoader:
        return _LazyLoader(
            dataset,
            **batches,
            num_workers=self.workers,
            worker_init_fn=ignore_stop_signals,
            collate_fn=collate,
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
            persistent_workers=self.workers > 0,
        )

    def transfer_batch_to_device(
        self, batch: tuple[Tensor, list[dict]], device: torch.device, dataloader_idx: int
    ) -> tuple[Tensor, list[dict]]:
        """Send the images; the few boxes follow when targets are made of them."""
        images, targets = batch
        return images.to(device, non_blocking=True), targets


def _with_size(image: dict[str, Any], folder: Path) -> dict[str, Any]:
    """An entry of ``images``, with the size of its file where it gives none."""
    if math.isfinite(sum(image_sides(image))):
        return image
    try:
        height, width = image_size(folder / image["file_name"])
    except InputError:
        return image
    return image | {"height": height, "width": width}


def data_of_config(config: str | Path, **changes: Any) -> DetectionData:
    """The data that a configuration names, of ``configs/`` or of a run, to be looked at.

    Args:
        config: YAML.
        **changes: arguments of :class:`DetectionData` to use instead of the configuration's; None
            for those.

    Raises:
        InputError: the configuration cannot be read or used.
    """
    try:
        options = yaml.safe_load(Path(config).read_text(encoding="utf-8"))["data"]
        known = options.keys() & inspect.signature(DetectionData).parameters
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        said = getattr(error, "strerror", None) or f"no configuration with data ({error})"
        raise InputError(f"cannot read {config}: {said}") from None
    given = {name: options[name] for name in known} | {
        name: value for name, value in changes.items() if value is not None
    }
    # What only a training needs is left alone.
    return DetectionData(**given | {"augment": None, "workers": 0})


def validation_set(
    config: str | Path, class_names: Sequence[str], *, root: str | Path | None = None
) -> DetectionDataset:
    """The validation images of a configuration, to be looked at at any size.

    Args:
        config: YAML, of ``configs/`` or of a run.
        class_names: of the detector, by label.
        root: where the data is, if not where the configuration says.

    Raises:
        InputError: the configuration or its data cannot be read or used.
    """
    # The canvas plays no part; auto would read the training images for it.
    known = {"class_names": list(class_names), "image_size": 512}
    return data_of_config(config, root=root, **known).val_set
