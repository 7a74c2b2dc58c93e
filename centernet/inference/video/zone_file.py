"""Reads lines and zones: the option ``--line``, and the JSON files of ``--zone``."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

from centernet.errors import InputError, first_line
from centernet.files import read_text
from centernet.inference.video.zone_shapes import ANCHORS, CENTER, Line, Point, Zone

_KEYS, _SHAPE_KEYS = ("lines", "zones", "width", "height"), ("name", "points", "anchor")
_MOST_BYTES = 10 << 20

S = TypeVar("S", Line, Zone)


def read_shapes(
    lines: Sequence[str] = (), files: Sequence[str | Path] = ()
) -> tuple[list[Line], list[Zone]]:
    """Read the values of ``--line`` and the files of ``--zone``.

    Args:
        lines: texts as :func:`parse_line` reads them.
        files: files as :func:`read_zone_file` reads them.

    Raises:
        InputError: a text or a file is wrong, or two shapes have the same name.
    """
    read = [read_zone_file(path) for path in files]
    all_lines = [parse_line(text) for text in lines] + [line for more, _ in read for line in more]
    return _named(all_lines), _named([zone for _, more in read for zone in more])


def parse_line(text: str) -> Line:
    """A line from ``x1,y1,x2,y2`` or ``NAME=x1,y1,x2,y2``.

    The numbers are pixels, or fractions of the picture if none is above 1.

    Raises:
        InputError: the text has another form.
    """
    name, _, numbers = text.rpartition("=")
    try:
        x1, y1, x2, y2 = (_finite(float(number)) for number in numbers.split(","))
    except ValueError:
        raise InputError(
            f"--line {text!r} is not x1,y1,x2,y2 or NAME=x1,y1,x2,y2, as gate=100,240,540,240"
        ) from None
    return Line(name.strip(), ((x1, y1), (x2, y2)), origin="--line")


def read_zone_file(path: str | Path) -> tuple[list[Line], list[Zone]]:
    """Read the lines and zones of a JSON file.

    It is an object with the keys ``lines`` and ``zones``. Each is a list of objects with ``points``
    and optionally ``name`` and ``anchor``. ``width`` and ``height`` are optional: the size of the
    picture that the points belong to. A list of polygons, each a list of points, is also read.

    Raises:
        InputError: the file cannot be read, or its content is wrong.
    """
    content = _read_json(path)
    if isinstance(content, list):
        content = {"zones": [{"points": points} for points in content]}
    if not isinstance(content, dict):
        raise InputError(f"--zone {path} has {_short(content)}: give an object with lines or zones")
    _check_keys(content, _KEYS, str(path))
    size = _read_size(content, path)
    lines = _read_list(content, Line, path, size)
    zones = _read_list(content, Zone, path, size)
    if not lines and not zones:
        raise InputError(f"--zone {path} has neither lines nor zones")
    return lines, zones


def _read_json(path: str | Path) -> Any:
    try:
        return json.loads(read_text(path, most=_MOST_BYTES))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise InputError(f"cannot read --zone {path}: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"--zone {path} is not a JSON file: {first_line(error)}") from None


def _check_keys(entry: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    if unknown := [key for key in entry if key not in known]:
        raise InputError(f"{where} has the unknown key {unknown[0]!r}: use {', '.join(known)}")


def _read_size(content: Mapping[str, Any], path: str | Path) -> tuple[int, int] | None:
    sides = content.get("width"), content.get("height")
    if sides == (None, None):
        return None
    width, height = (side if type(side) is int and side > 0 else 0 for side in sides)
    if not width or not height:
        raise InputError(
            f"{path} has the width {_short(sides[0])} and the height {_short(sides[1])}: give both "
            "in pixels, or none"
        )
    return width, height


def _read_list(
    content: Mapping[str, Any], kind: type[S], path: str | Path, size: tuple[int, int] | None
) -> list[S]:
    key = f"{kind.kind}s"
    entries = content.get(key, [])
    if not isinstance(entries, list):
        raise InputError(f"{path} has {key} {_short(entries)}: give a list")
    return [
        _read_shape(entry, kind, f"{path}: {kind.kind} {number}", str(path), size)
        for number, entry in enumerate(entries, 1)
    ]


def _read_shape(
    entry: Any, kind: type[S], where: str, origin: str, size: tuple[int, int] | None
) -> S:
    if not isinstance(entry, dict):
        raise InputError(f"{where} is {_short(entry)}: give an object with name and points")
    _check_keys(entry, _SHAPE_KEYS, where)
    name, anchor = entry.get("name", ""), entry.get("anchor", CENTER)
    if not isinstance(name, str):
        raise InputError(f"{where} has the name {_short(name)}: give a text")
    if anchor not in ANCHORS:
        raise InputError(f"{where} has the anchor {_short(anchor)}: use {' or '.join(ANCHORS)}")
    points = entry.get("points")
    if not isinstance(points, list):
        raise InputError(f"{where} has points {_short(points)}: give a list of [x, y]")
    read = tuple(_read_point(point, where) for point in points)
    if kind is Zone and len(read) > 3 and read[0] == read[-1]:
        read = read[:-1]  # some programs repeat the first point at the end
    return kind(" ".join(name.split()), read, anchor, size, origin)


def _read_point(point: Any, where: str) -> Point:
    try:
        x, y = point
        if any(isinstance(value, bool) or not isinstance(value, Real) for value in (x, y)):
            raise ValueError
        return _finite(float(x)), _finite(float(y))
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where} has the point {_short(point)}: give [x, y]") from None


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(value)
    return value


def _named(shapes: Sequence[S]) -> list[S]:
    """The shapes; those without name are named by kind and number."""
    named = [
        shape if shape.name else replace(shape, name=f"{shape.kind} {number}")
        for number, shape in enumerate(shapes, 1)
    ]
    names = Counter(shape.name for shape in named)
    for shape in named:
        if names[shape.name] > 1:
            raise InputError(
                f"{shape.title} has a name that is used {names[shape.name]} times: give each "
                f"{shape.kind} another name"
            )
    return named


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
