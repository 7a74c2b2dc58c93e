"""Detection datasets: network input, boxes, labels and ignore regions of each image."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from centernet import geometry
from centernet.data.annotations import DatasetSplit, category_labels, names_by_label, read_coco
from centernet.data.augment import Augment
from centernet.data.compact import CompactAnnotations, CompactTexts, ImageAnnotation
from centernet.data.image_cache import ImageCache
from centernet.data.images import check_files, read_image_and_size
from centernet.data.points import PointSizes, extend_points, keep_points, sizes_without_boxes
from centernet.data.preprocess import make_view, view_matrix
from centernet.data.regions import Box, region_to_cells
from centernet.data.tiles import Tile, count_tiles
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
        point_sizes: by label the side in image pixels of the squares around the points of a class
            without boxes, None for another class; None if there is no such class.
    """

    def __init__(
        self,
        images: str | Path,
        annotations: str | Path | DatasetSplit,
        *,
        input_size: tuple[int, int] = (512, 512),
        augment: Augment | None = None,
        tile: int | None = None,
        class_names: Sequence[str] | None = None,
        point_size: PointSizes | float | None = None,
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
            tile: with ``augment``, samples are random square tiles of this side, of images that are
                scaled to fit ``input_size``; large images have several.
            class_names: classes in the order of their labels; by default by ascending category id.
            point_size: sides of the squares around points, see :func:`.extend_points`.
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
        coco = extend_points(read_coco(annotations), point_size)
        self.annotations = None if augment else coco
        self.class_names = tuple(class_names or names_by_label(coco))
        self.point_sizes = sizes_without_boxes(coco, self.class_names)
        label_of = category_labels(self.source, coco, self.class_names)
        id_of = {label: category for category, label in label_of.items()}
        self.category_ids = [id_of.get(label) for label in range(len(self.class_names))]
        self._ids = CompactTexts(json.dumps(image["id"]) for image in coco["images"])
        self._files = CompactTexts(image["file_name"] for image in coco["images"])
        check_files(self.folder, self._files)
        self._annotations = CompactAnnotations(coco, label_of)
        self._cache: ImageCache | None = None
        self._tile = tile if augment else None
        # The end of the samples of each image.
        self._ends = np.arange(1, len(self._files) + 1)
        if self._tile:
            each = zip(coco["images"], self.paths, self.objects_per_image, strict=True)
            self._ends = np.cumsum([count_tiles(*one, input_size, self._tile) for one in each])

    def keep_images(self, capacity: int, *, shared: bool) -> None:
        """Decode each image once and keep it, as far as the memory suffices.

        Samples do not change. The cache holds the pixels of an image, scaled down if it is large;
        without augmentation, its network input.

        Args:
            capacity: bytes of memory; 0 keeps none.
            shared: whether processes that are forked later load samples.
        """
        self._cache = None
        if capacity:
            with suppress(OSError):  # the system does not provide so much memory
                self._cache = ImageCache(self.num_images, capacity, shared=shared)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def num_images(self) -> int:
        """Number of images; there are more samples if these are tiles."""
        return len(self._files)

    @property
    def sample_size(self) -> tuple[int, int]:
        """(height, width) of every sample in pixels."""
        return (self._tile, self._tile) if self._tile else self.input_size

    def _image_of(self, sample: int) -> int:
        """Index of the image of a sample."""
        return int(np.searchsorted(self._ends, sample, side="right"))

    @property
    def image_ids(self) -> list[Any]:
        """COCO image id of each image."""
        return [json.loads(text) for text in self._ids]

    @property
    def paths(self) -> list[Path]:
        """File of each image."""
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
        """A sample of an epoch.

        Args:
            key: (epoch, index) as :class:`.EpochSampler` yields them, or an index of epoch 0.

        Returns:
            The network input (3, H, W) uint8 RGB, and its target: ``boxes`` (n, 4) xyxy in input
            pixels, clipped to the input except for points, ``labels`` (n,), ``is_point`` (n,) bool
            in a dataset with points, ``ignore``, a list of (label, bool mask (h, w) of cells),
            ``image_id``, ``file``, ``image_size`` (height, width) in pixels, and ``matrix`` (2, 3)
            from image to input. In training, an unreadable image is replaced by another one, and
            ``unreadable`` lists (file, reason) of each.

        Raises:
            InputError: the image cannot be read; in training, ten in a row cannot.
        """
        epoch, sample = key if isinstance(key, tuple) else (0, key)
        sample, image, size, unreadable = self._read(epoch, sample)
        index = self._image_of(sample)
        if self.augment:
            rng = np.random.default_rng([self.seed, epoch, sample])
            # The image may be smaller than in its file, see _shrink.
            shrunk = np.array([image.shape[1] / size[1], image.shape[0] / size[0]])
            boxes = self._annotations[index].boxes * np.tile(shrunk, 2)
            tile = Tile(self._tile, boxes) if self._tile else None
            pixels, matrix = self.augment(image, rng, self.input_size, tile)
            matrix[[0, 1], [0, 1]] *= shrunk
        else:
            pixels, matrix = image.copy(), view_matrix(size, self.input_size, multiple=1)
        target = self._target(index, size, matrix)
        return torch.from_numpy(pixels).permute(2, 0, 1), target | {"unreadable": unreadable}

    def _read(
        self, epoch: int, sample: int
    ) -> tuple[int, NDArray[np.uint8], tuple[int, int], list[tuple[str, str]]]:
        """A sample, its image and the size in the file, or a substitute for an unreadable one.

        The substitute is chosen by (seed, epoch, sample).
        """
        substitutes: np.random.Generator | None = None
        unreadable: list[tuple[str, str]] = []
        while True:
            index = self._image_of(sample)
            try:
                image, size = self._read_image(index)
                return sample, image, size, unreadable
            except InputError as error:
                unreadable.append((str(self.folder / self._files[index]), str(error)))
                if not self.augment or len(unreadable) == _MAX_UNREADABLE:
                    raise
                substitutes = substitutes or np.random.default_rng([self.seed, epoch, sample, 1])
                sample = int(substitutes.integers(len(self)))

    def _read_image(self, index: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """An image and the size in its file, from the cache if it is there.

        With augmentation the image may be smaller, see _shrink; without, it is the network input.
        """
        if self._cache and (kept := self._cache.get(index)):
            return kept
        image, size = read_image_and_size(self.folder / self._files[index], self._shrink)
        if not self.augment:
            image = make_view(image, self.input_size, multiple=1).pixels
        if self._cache:
            self._cache.add(index, image, size)
        return image, size

    def _shrink(self, size: tuple[int, int]) -> int:
        """Divide the sides of a training image by this number when it is read."""
        if not self.augment:
            return 1
        scale = min(fit / length for fit, length in zip(self.input_size, size, strict=True))
        largest = scale / self.augment.scale[0]  # sample pixels per image pixel
        return next((factor for factor in (8, 4, 2) if factor * largest <= 1), 1)

    def _target(
        self, index: int, image_size: tuple[int, int], matrix: geometry.Matrix
    ) -> dict[str, Any]:
        """Annotations of an image, moved through the matrix from image to network input."""
        annotation = self._annotations[index]
        boxes = geometry.transform_boxes(annotation.boxes, matrix)
        height, width = self.sample_size
        clipped, visible = geometry.clip_boxes(boxes, (height, width))
        if (points := annotation.points) is not None:
            keep_points(boxes, clipped, visible, points, (height, width))
        cells = (height // self.stride, width // self.stride)
        regions = [(label, region["region"]) for label, region in annotation.regions]
        if self.augment and self.augment.min_visible:
            cut = visible & (_areas(clipped) < self.augment.min_visible * _areas(boxes))
            visible &= ~cut
            rest = zip(annotation.labels[cut].tolist(), annotation.boxes[cut], strict=True)
            regions += [(label, Box([*box[:2], *(box[2:] - box[:2])])) for label, box in rest]
        masks = [
            (label, region_to_cells(region, image_size, matrix, cells, self.stride))
            for label, region in regions
        ]
        return {
            "boxes": torch.from_numpy(clipped[visible]),
            "labels": torch.from_numpy(annotation.labels[visible]),
            "ignore": [(label, torch.from_numpy(mask)) for label, mask in masks if mask.any()],
            **({} if points is None else {"is_point": torch.from_numpy(points[visible])}),
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


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)
