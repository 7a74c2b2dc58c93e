"""Pascal VOC: an XML file for each image; splits are lists in ImageSets/Main, or folders."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any
from xml.etree import ElementTree

from tqdm import tqdm

from centernet.data.annotations import DatasetSplit
from centernet.data.entries import MAX_PIXELS, image_sides, is_ignore_region
from centernet.data.formats.base import (
    TOLERANCE,
    Format,
    annotations_by_image,
    clip_to_image,
    counted,
)
from centernet.data.formats.image_finder import ImageFinder, find_nearest
from centernet.data.formats.prepare import merge
from centernet.data.formats.remarks import Remarks
from centernet.data.formats.safe_xml import load_xml, number_of, text_of
from centernet.data.formats.same_images import join_entries
from centernet.data.formats.splits import USUAL_SPLITS, first_folder, images_in
from centernet.data.formats.voc_boxes import corners_of, repair_boxes
from centernet.data.formats.voc_elements import IMAGE_FOLDER, image_element, object_element
from centernet.data.formats.voc_layout import (
    LISTS,
    find_folders,
    find_together,
    read_image_lists,
    split_of,
    xml_files,
)
from centernet.data.images import image_size
from centernet.errors import InputError
from centernet.sizes import format_size

_IMAGE_FOLDERS = (IMAGE_FOLDER, "images", "Images", "imgs", ".")
# VOC's own files count pixels from 1 and include the last one; other programs write corners.
_COUNTS_FROM_ONE = "The VOC"


def read(
    source: Path, *, lists: Sequence[str] | None = None, names: Sequence[str] | None = None
) -> list[DatasetSplit]:
    """Read a VOC folder; objects marked ``difficult`` become ignore regions.

    Args:
        source: a folder such as VOC2007, the parent of one, or the parent of folders of images and
            XML files that are named after splits.
        lists: lists in ImageSets/Main to read; by default all but unions of others, such as
            trainval.
        names: the classes in the order of their ids; by default all classes, sorted.

    Raises:
        InputError: there are several datasets, or the lists are unusable.
    """
    folders, unread = find_together(source)
    with_lists = [folder for folder in folders if (folder / LISTS).is_dir()]
    if with_lists and len(folders) > 1:
        several = ", ".join(str(folder.relative_to(source)) for folder in folders)
        raise InputError(f"{source} contains several VOC datasets ({several}): give one of them")
    if with_lists:
        root, xml_folder = next(iter(folders.items()))
        parts = [
            _Part(name, root, xml_folder, ids, notes, ImageFinder(source, name))
            for name, (ids, notes) in read_image_lists(root, lists).items()
        ]
    else:
        parts = _split_folders(folders, source)
    for part in parts:
        part.read()
    for finder, part in {part.finder: part for part in parts}.items():
        part.notes += finder.note(source if len(parts) > 1 else part.xml_folder)
    found = {o["name"] for part in parts for o in part.objects}
    names = [*(names or ()), *sorted(found.difference(names or ()))]
    splits: dict[str, list[DatasetSplit]] = {}
    for part in parts:
        splits.setdefault(part.name, []).append(part.split(names))
    merged = [
        own[0] if len(own) == 1 else join_entries(merge(name, own), "XML files")
        for name, own in splits.items()
    ]
    merged[0].notes.extend(unread)
    return merged


def write(splits: Sequence[DatasetSplit], folder: Path) -> list[str]:
    """Write an XML file for each image, and a list of the images for each split.

    Returns:
        What the format cannot represent, one line each.
    """
    (folder / "Annotations").mkdir()
    (folder / LISTS).mkdir(parents=True)
    regions = segmentations = rounded = clipped = 0
    for split in splits:
        name_of = {c["id"]: str(c["name"]) for c in split.coco["categories"]}
        stems = []
        for image, annotations in annotations_by_image(split):
            root = image_element(image)
            boxes, changed = clip_to_image(annotations, image)
            for annotation, corners in zip(annotations, boxes.tolist(), strict=True):
                regions += is_ignore_region(annotation)
                segmentations += bool(annotation.get("segmentation"))
                rounded += any(abs(v - round(v)) > TOLERANCE for v in annotation["bbox"])
                name = name_of[annotation["category_id"]]
                root.append(object_element(annotation, name, corners, image))
            clipped += changed
            stems.append(Path(image["file_name"]).stem)
            ElementTree.indent(root, "\t")
            ElementTree.ElementTree(root).write(
                folder / "Annotations" / f"{stems[-1]}.xml", encoding="utf-8"
            )
        path = folder / LISTS / f"{split.name}.txt"
        path.write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
    return counted(
        {
            "crowd or ignore regions written as boxes marked difficult": regions,
            "segmentations left out, their boxes remain": segmentations,
            "boxes rounded to whole pixels": rounded,
            "boxes clipped to their image": clipped,
        }
    )


FORMAT = Format(
    name="voc",
    files="Pascal VOC XML files",
    detect=lambda source: bool(find_folders(source)),
    read=read,
    write=write,
    image_folder=IMAGE_FOLDER,
)


def _split_folders(folders: Mapping[Path, Path], source: Path) -> "list[_Part]":
    """One part for each folder; several folders can belong to one split."""
    names = [split_of(folder, source) for folder in folders]
    has_splits = not set(names).isdisjoint(USUAL_SPLITS)
    parts: list[_Part] = []
    finders: dict[str, ImageFinder] = {}
    for (folder, xml_folder), name in zip(folders.items(), names, strict=True):
        ids = sorted(path.stem for path in xml_files(xml_folder))
        # Beside train and val, extra or val_old is a split of its own.
        split = (name or folder.name) if has_splits else "train"
        if split not in finders:
            finders[split] = ImageFinder(source, split if has_splits else "")
        parts.append(_Part(split, folder, xml_folder, ids, [], finders[split], all_images=True))
    if not has_splits:
        where = source if len(parts) > 1 else parts[0].root
        parts[0].notes.append(f"{where}: there are no splits, so all images are read as 'train'")
    return parts


@dataclass
class _Part:
    """A split while it is read: images, and objects with class names instead of ids."""

    name: str
    root: Path
    xml_folder: Path
    ids: list[str]
    notes: list[str]
    finder: ImageFinder
    all_images: bool = False  # whether every image should have an XML file
    images: list[dict[str, Any]] = field(default_factory=list)
    objects: list[dict[str, Any]] = field(default_factory=list)
    remarks: Remarks = field(default_factory=Remarks)

    def __post_init__(self) -> None:
        self.folder = first_folder(self.root, _IMAGE_FOLDERS) or self.root

    def read(self) -> None:
        """Read the XML file of each id; note what is left out or missing."""
        file_of = {path.stem: path.name for path in images_in(self.folder)}
        missing, shifted = [], 0
        if not file_of.keys() & set(self.ids):
            # The images are elsewhere, or have other names.
            self.folder, file_of = self.finder.root, {}
        for stem in tqdm(self.ids, desc=f"reading {self.name}", delay=1, disable=None, leave=False):
            path = self.xml_folder / f"{stem}.xml"
            root = self._load(path, stem)
            if root is None:
                continue
            file, exists = self._image_file(root, stem, file_of)
            missing += [] if exists else [file]
            image = {"id": len(self.images) + 1, "file_name": file} | self._size(path, root, file)
            self.images.append(image)
            shift = int((text_of(root, "source/database") or "").startswith(_COUNTS_FROM_ONE))
            shifted += shift
            for found in self._objects(path, root, shift):
                self.objects.append({"image_id": image["id"]} | found)
        self.notes += self.remarks.lines(self.xml_folder)
        unlabeled = sorted(file_of.keys() - set(self.ids)) if self.all_images else []
        if unlabeled:
            self.notes.append(
                f"{self.folder}: left out {len(unlabeled)} images without an XML file, "
                f"such as {file_of[unlabeled[0]]}"
            )
        if missing:
            self.notes.append(
                f"{self.folder}: {len(missing)} images are missing, such as {missing[0]}"
            )
        sizes = {i["id"]: image_sides(i) for i in self.images}
        if repaired := repair_boxes(self.objects, sizes):
            self.notes.append(f"{self.xml_folder}: {repaired}")
        if shifted:
            self.notes.append(
                f"{self.xml_folder}: {shifted} files are VOC's own, which count pixels from 1: "
                "their boxes begin one pixel earlier"
            )

    def _image_file(
        self, root: ElementTree.Element, stem: str, file_of: Mapping[str, str]
    ) -> tuple[str, bool]:
        """Name of the image of an XML file, and whether it exists.

        The stem of the XML file takes precedence over ``filename``, which may be an earlier name of
        the image, or the name of another image.
        """
        named = PureWindowsPath(text_of(root, "filename") or "").name or f"{stem}.jpg"
        file = file_of.get(stem, named)
        if file_of:
            return file, file_of.get(Path(file).stem) == file
        for name in (f"{self.name}/{stem}.jpg", named):
            if found := find_nearest(self.finder, name, self.xml_folder):
                return found.relative_to(self.finder.root).as_posix(), True
        return file, False

    def _load(self, path: Path, stem: str) -> ElementTree.Element | None:
        """The root of an XML file; None, with a note, if it cannot be read."""
        try:
            if ".." in Path(stem).parts or Path(stem).is_absolute():
                raise ValueError("it lies outside of the dataset")
            root = load_xml(path)
            if root.tag != "annotation":
                raise ValueError(f"it is not VOC's, its root is <{root.tag[:40]}>")
            return root
        except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
            reason = getattr(error, "strerror", None) or error
            self.remarks.add("images left out, whose XML is unreadable", f"{path}: {reason}")
            return None

    def _size(self, path: Path, root: ElementTree.Element, file: str) -> dict[str, int]:
        """Width and height of the image; read from the image file if the XML has none."""
        width, height = (number_of(root, f"size/{side}") or 0.0 for side in ("width", "height"))
        if 1 <= width <= MAX_PIXELS and 1 <= height <= MAX_PIXELS:
            return {"width": int(width), "height": int(height)}
        try:
            rows, columns = image_size(self.folder / file)
        except InputError:
            self.remarks.add("files without a size, whose image cannot be read", path)
            return {}
        size = format_size((rows, columns))
        self.remarks.add("files without a size; that of the image is used", f"{path}, {size}")
        return {"width": columns, "height": rows}

    def _objects(
        self, path: Path, root: ElementTree.Element, shift: int
    ) -> Iterator[dict[str, Any]]:
        """The objects of an XML file; ``shift`` is subtracted from xmin and ymin."""
        for number, entry in enumerate(root.iter("object"), 1):
            name = text_of(entry, "name")
            corners, is_rotated = corners_of(entry)
            if not name or corners is None:
                lacks = "four numbers in the bndbox" if name else "a name"
                self.remarks.add(f"objects without {lacks}, left out", f"object {number} of {path}")
                continue
            if is_rotated:
                self.remarks.add("rotated boxes read as their enclosing boxes", path)
            x1, y1, x2, y2 = corners[0] - shift, corners[1] - shift, *corners[2:]
            yield {
                "name": name,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
            } | ({"ignore": 1} if number_of(entry, "difficult") else {})

    def split(self, names: Iterable[str]) -> DatasetSplit:
        """The split with ids for the classes ``names``."""
        category = {name: number for number, name in enumerate(names, 1)}
        annotations = [
            {"id": number, "image_id": o["image_id"], "category_id": category[o["name"]]}
            | {key: value for key, value in o.items() if key not in ("name", "image_id")}
            for number, o in enumerate(self.objects, 1)
        ]
        content = {
            "images": self.images,
            "annotations": annotations,
            "categories": [{"id": i, "name": name} for name, i in category.items()],
        }
        lists = self.root / LISTS / f"{self.name}.txt"
        source = lists if lists.is_file() else self.xml_folder
        return DatasetSplit(self.name, self.folder, content, source, self.notes)
