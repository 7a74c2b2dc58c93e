"""Collect the images and objects of one split from the files of an annotation tool."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from centernet.data.annotations import DatasetSplit
from centernet.data.entries import MAX_PIXELS, as_number, entry_error, is_text
from centernet.data.formats.image_finder import path_parts
from centernet.data.formats.remarks import Remarks
from centernet.data.images import image_size
from centernet.data.points import point_entry
from centernet.errors import InputError


class CollectedObject(NamedTuple):
    """An object of an image: its class and its box xywh in pixels; a point has zero size."""

    label: str
    box: list[float]
    is_region: bool
    is_point: bool


@dataclass
class CollectedImage:
    """An image and its objects.

    Attributes:
        name: name in the annotations, as a relative path.
        file: the image file; None if it is missing.
        sides: width and height in pixels, of the file if it is readable; None if unknown.
        objects: its objects and ignore regions.
    """

    name: str
    file: Path | None
    sides: tuple[int, int] | None
    objects: list[CollectedObject] = field(default_factory=list)


class SplitCollector:
    """The images and objects of one split while it is read.

    Attributes:
        name: name of the split.
        source: file or folder of its annotations.
        images: the images, in the order of the annotations.
        notes: what was guessed.
    """

    def __init__(self, name: str, source: Path, find: Callable[[str, Path], Path | None]) -> None:
        """Start an empty split.

        Args:
            name: name of the split.
            source: file or folder of its annotations.
            find: function that finds the image of a name in an annotation file.
        """
        self.name, self.source = name, source
        self.images: list[CollectedImage] = []
        self.notes: list[str] = []
        self._find = find
        self._image_of: dict[str, CollectedImage] = {}
        self._remarks = Remarks()

    def remark(self, what: str, example: object) -> None:
        """Count an omission or a repair; the first example of each kind is noted."""
        self._remarks.add(what, example)

    def image(
        self,
        name: Any,
        sides: tuple[Any, Any],
        path: Path,
        *others: str,
        is_optional: bool = False,
    ) -> CollectedImage | None:
        """Add an image; one that is listed twice gets the objects of both entries.

        Args:
            name: name or path in the annotations; any value.
            sides: annotated width and height; any values.
            path: the annotation file.
            others: names to try if there is no such file.
            is_optional: leave out an image that is missing.

        Returns:
            None, with a note, if the name is unusable, or the image is optional and missing.

        Raises:
            InputError: the name matches several files equally well.
        """
        names = [n for n in (name, *others) if _is_name(n)]
        if not names:
            self.remark("images without a valid name, left out", f"in {path}")
            return None
        file = next((found for n in names if (found := self._find(n, path))), None)
        if file is None:
            self.remark("missing images" + ", left out" * is_optional, names[0])
            if is_optional:
                return None
        shown = "/".join(path_parts(names[0]))
        key = str(file or shown)
        if key in self._image_of:
            self.remark("images listed twice, with the objects of both entries", names[0])
        else:
            image = CollectedImage(shown, file, self._sides(file, _annotated(sides)))
            self._image_of[key] = image
            self.images.append(image)
        return self._image_of[key]

    def add(
        self,
        image: CollectedImage,
        label: Any,
        box: list[float] | None,
        where: str,
        *,
        ignore: bool = False,
    ) -> None:
        """Add an object; one without a class or a box is left out with a note.

        Args:
            image: result of :meth:`image`.
            label: class name; any value.
            box: xywh in pixels, or None for a malformed one.
            where: place in the annotations, for the note.
            ignore: whether it is an ignore region.
        """
        name = class_name(label)
        if not name:
            self.remark("objects without a class, left out", where)
        elif box is None:
            self.remark("objects without a valid box, left out", where)
        else:
            if min(box[2:]) < 0:
                self.remark("boxes with swapped corners, put in order", where)
                x, y, width, height = box
                box = [min(x, x + width), min(y, y + height), abs(width), abs(height)]
            image.objects.append(CollectedObject(name, box, ignore, False))

    def add_point(
        self, image: CollectedImage, label: Any, point: list[float] | None, where: str
    ) -> None:
        """Add a point [x, y] in pixels; other arguments as for :meth:`add`."""
        name = class_name(label)
        if not name or point is None:
            lacks = "a valid point" if name else "a class"
            self.remark(f"points without {lacks}, left out", where)
        else:
            image.objects.append(CollectedObject(name, [*point, 0.0, 0.0], False, True))

    def _sides(
        self, file: Path | None, annotated: tuple[int, int] | None
    ) -> tuple[int, int] | None:
        """Width and height of an image file, by default the annotated ones."""
        if file is None:
            return annotated
        try:
            height, width = image_size(file)
        except InputError:
            self.remark("unreadable images", file)
            return annotated
        if annotated not in (None, (width, height)):
            self.remark("images of another size than annotated, their own is used", file)
        return width, height

    def result(self, number_of: Mapping[str, int], folder: Path) -> DatasetSplit:
        """The split.

        Args:
            number_of: the id of each class.
            folder: a folder that contains all image files.
        """
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, image in enumerate(self.images, 1):
            name = image.file.relative_to(folder).as_posix() if image.file else image.name
            sides = zip(("width", "height"), image.sides or (), strict=False)
            images.append({"id": number, "file_name": name, **dict(sides)})
            annotations += [
                {"image_id": number, "category_id": number_of[one.label], "bbox": one.box}
                | {"area": one.box[2] * one.box[3], "iscrowd": int(one.is_region)}
                | (point_entry(*one.box[:2]) if one.is_point else {})
                for one in image.objects
            ]
        content = {
            "images": images,
            "annotations": [{"id": i} | entry for i, entry in enumerate(annotations, 1)],
            "categories": [{"id": i, "name": name} for name, i in number_of.items()],
        }
        notes = [*self.notes, *self.remarks()]
        return DatasetSplit(self.name, folder, content, self.source, notes)

    def remarks(self) -> list[str]:
        """One line for each kind of remark."""
        return self._remarks.lines(self.source)


def _is_name(name: Any) -> bool:
    """Whether a value is the name or the path of a file, also of another machine."""
    entry = {"id": 1, "file_name": "/".join(path_parts(name)) if is_text(name) else None}
    return entry_error("images", entry) is None


def class_name(label: Any) -> str:
    """A class name in the annotations, which may be a number; empty for other values."""
    if isinstance(label, bool) or not isinstance(label, str | int):
        return ""
    try:
        name = str(label).strip()
    except ValueError:  # an integer with more digits than Python prints
        return ""
    return name if is_text(name) else ""


def _annotated(sides: tuple[Any, Any]) -> tuple[int, int] | None:
    """Annotated width and height; None if they are not numbers of pixels."""
    width, height = (as_number(side) or 0.0 for side in sides)
    if 1 <= width <= MAX_PIXELS and 1 <= height <= MAX_PIXELS:
        return int(width), int(height)
    return None
