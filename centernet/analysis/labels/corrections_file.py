"""Read and write ``corrections.json``."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from centernet.analysis.labels.corrections import (
    DECISIONS,
    Box,
    BoxChange,
    Corrections,
    Decision,
    ImageCorrections,
    LabeledBox,
)
from centernet.analysis.labels.suspicions import LabelError
from centernet.data.annotations import load_json, truncate_list
from centernet.data.entries import MAX_PIXELS, as_number, is_file_name, is_text, short
from centernet.errors import InputError
from centernet.files import atomic_write

VERSION = 1
_T = TypeVar("_T")


def write_corrections(path: str | Path, corrections: Corrections) -> None:
    """Write corrections atomically.

    Args:
        path: the JSON file. Missing folders are created.
        corrections: the corrections.

    Raises:
        InputError: the file cannot be written.
    """
    content = {
        "version": VERSION,
        "dataset": corrections.dataset,
        "classes": list(corrections.classes),
        "images": [_image_json(image) for image in corrections.images],
        "decisions": [_decision_json(decision) for decision in corrections.decisions],
    }
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_corrections(path: str | Path) -> Corrections:
    """Read the corrections that the page or :func:`write_corrections` has written.

    Raises:
        InputError: the file cannot be read, has another version, or has an invalid entry.
    """
    content = load_json(path)
    if not isinstance(content, dict) or "version" not in content:
        raise InputError(f"{path} is not a file of corrections: it has no 'version'")
    if content["version"] != VERSION:
        raise InputError(
            f"{path} has version {short(content['version'])}, but this program reads version "
            f"{VERSION}: save the corrections again from a page that it has written"
        )
    return _Reader(path, content).corrections()


def _box_json(box: LabeledBox) -> dict[str, Any]:
    return {"class": box.class_name, "box": list(box.box)}


def _image_json(image: ImageCorrections) -> dict[str, Any]:
    return {
        "split": image.split,
        "file_name": image.file_name,
        "add": [_box_json(box) for box in image.add],
        "remove": [_box_json(box) for box in image.remove],
        "change": [{"from": _box_json(c.before), "to": _box_json(c.after)} for c in image.change],
    }


def _decision_json(decision: Decision) -> dict[str, Any]:
    return {
        "split": decision.split,
        "file_name": decision.file_name,
        "kind": str(decision.kind),
        "score": decision.score,
        "decision": decision.decision,
        "from": [_box_json(box) for box in decision.before],
        "to": [_box_json(box) for box in decision.after],
    }


class _Reader:
    """Reads the content of a file; every error names the entry."""

    def __init__(self, path: str | Path, content: Mapping[str, Any]) -> None:
        self.path, self.content = path, content
        self.classes: list[str] = []

    def corrections(self) -> Corrections:
        """The content, validated."""
        dataset = self._field(self.content, "", "dataset", is_text, "text")
        self.classes = self._list(self.content, "", "classes", self._class_name)
        repeated = next((n for n in self.classes if self.classes.count(n) > 1), None)
        if repeated is not None:
            raise self._error("classes", f"lists {short(repeated)} twice")
        images = self._list(self.content, "", "images", self._image)
        seen: set[tuple[str, str]] = set()
        for i, image in enumerate(images):
            if (key := (image.split, image.file_name)) in seen:
                raise self._error(f"images[{i}]", f"repeats {short(image.file_name)}")
            seen.add(key)
        decisions = []
        if "decisions" in self.content:
            decisions = self._list(self.content, "", "decisions", self._decision)
        return Corrections(dataset, self.classes, images, decisions)

    def _error(self, place: str, what: str) -> InputError:
        return InputError(f"{self.path} is not a valid file of corrections: {place} {what}")

    def _field(
        self, entry: Any, place: str, key: str, is_valid: Callable[[Any], bool], expected: str
    ) -> Any:
        """A field of an object; ``expected`` describes its valid values."""
        name = f"{place}.{key}" if place else key
        if not isinstance(entry, dict) or key not in entry:
            raise self._error(name, "is missing")
        if not is_valid(entry[key]):
            raise self._error(name, f"is {short(entry[key])}, which should be {expected}")
        return entry[key]

    def _list(self, entry: Any, place: str, key: str, read: Callable[[Any, str], _T]) -> list[_T]:
        """The entries of a list, each read by ``read``."""
        values = self._field(entry, place, key, lambda value: isinstance(value, list), "a list")
        name = f"{place}.{key}" if place else key
        return [read(value, f"{name}[{i}]") for i, value in enumerate(values)]

    def _class_name(self, value: Any, place: str) -> str:
        if not (is_text(value) and value):
            raise self._error(place, f"is {short(value)}, which should be the name of a class")
        return value

    def _labeled_box(self, entry: Any, place: str) -> LabeledBox:
        name = self._field(entry, place, "class", is_text, "the name of a class")
        if name not in self.classes:
            listed = truncate_list(self.classes)
            raise self._error(f"{place}.class", f"is {short(name)}, not one of 'classes': {listed}")
        expected = "four numbers [x1, y1, x2, y2] with x1 < x2 and y1 < y2"
        return LabeledBox(name, _as_box(self._field(entry, place, "box", _is_box, expected)))

    def _place(self, entry: Any, place: str) -> tuple[str, str]:
        """The split and the file name."""
        split = self._field(entry, place, "split", is_text, "the name of a split")
        expected = "the name of a file in the folder of images"
        return split, self._field(entry, place, "file_name", is_file_name, expected)

    def _image(self, entry: Any, place: str) -> ImageCorrections:
        return ImageCorrections(
            *self._place(entry, place),
            add=self._list(entry, place, "add", self._labeled_box),
            remove=self._list(entry, place, "remove", self._labeled_box),
            change=self._list(entry, place, "change", self._change),
        )

    def _change(self, entry: Any, place: str) -> BoxChange:
        before, after = (
            self._labeled_box(
                self._field(entry, place, key, lambda v: isinstance(v, dict), "a class and a box"),
                f"{place}.{key}",
            )
            for key in ("from", "to")
        )
        return BoxChange(before, after)

    def _decision(self, entry: Any, place: str) -> Decision:
        kinds = list(map(str, LabelError))
        kind = self._field(entry, place, "kind", kinds.__contains__, f"one of {', '.join(kinds)}")
        score = self._field(entry, place, "score", _is_score, "a number in [0, 1]")
        decision = self._field(
            entry, place, "decision", DECISIONS.__contains__, f"one of {', '.join(DECISIONS)}"
        )
        return Decision(
            *self._place(entry, place),
            kind=LabelError(kind),
            score=float(score),
            decision=decision,
            before=self._list(entry, place, "from", self._labeled_box),
            after=self._list(entry, place, "to", self._labeled_box),
        )


def _is_score(value: Any) -> bool:
    number = as_number(value)
    return number is not None and 0 <= number <= 1


def _is_box(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 4:
        return False
    numbers = [n for n in map(as_number, value) if n is not None and math.isfinite(n)]
    if len(numbers) != 4 or any(abs(number) > MAX_PIXELS for number in numbers):
        return False
    return numbers[0] < numbers[2] and numbers[1] < numbers[3]


def _as_box(value: list[float]) -> Box:
    x1, y1, x2, y2 = map(float, value)
    return x1, y1, x2, y2
