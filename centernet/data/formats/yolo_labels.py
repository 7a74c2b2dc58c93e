"""The label files of YOLO images, wherever they are."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from centernet.data.annotations import DatasetSplit
from centernet.data.formats.splits import is_hidden

_LABELS = "labels"


class LabelFiles:
    """Finds the label file of an image."""

    def __init__(self, root: Path) -> None:
        """Prepare a search below the folder of a dataset."""
        self.root = root

    def find(self, image: Path) -> Path | None:
        """The label file of an image, which may not exist.

        It is in ``labels`` beside ``images``, else beside the image, else the only file of its name
        in any folder ``labels``.
        """
        usual = _usual_label_file(image)
        for place in (usual, image.with_suffix(".txt")):
            if place.is_file():
                return place
        others = self._by_stem.get(image.stem, [])
        return others[0] if len(others) == 1 else usual

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for path in self.root.glob(f"**/{_LABELS}/**/*.txt"):
            if not is_hidden(path):
                found[path.stem].append(path)
        return found


def _usual_label_file(image: Path) -> Path:
    parts = list(image.parts)
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[:-1][::-1].index("images")
        sibling = Path(*parts[:last], _LABELS, *parts[last + 1 :]).with_suffix(".txt")
        if sibling.parent.is_dir():
            return sibling
    return image.with_suffix(".txt")


def note_orphans(root: Path, splits: Sequence[DatasetSplit]) -> None:
    """Note the label files below a folder whose image is missing."""
    images = {Path(i["file_name"]).stem for split in splits for i in split.coco["images"]}
    orphans = [
        path
        for path in sorted(root.glob(f"**/{_LABELS}/**/*.txt"))
        if path.stem not in images and path.stem != "classes" and not is_hidden(path)
    ]
    if orphans and splits:
        splits[0].notes.append(
            f"{root}: {len(orphans)} label files have no image that can be read, such as "
            f"{orphans[0].relative_to(root).as_posix()}"
        )
