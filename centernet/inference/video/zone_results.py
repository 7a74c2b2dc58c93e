"""Files and the table of the counts at lines and in zones."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from centernet.files import atomic_write
from centernet.inference.output_base import Output
from centernet.inference.output_paths import ResultName
from centernet.inference.prediction import Prediction
from centernet.inference.video.zone_counts import (
    ENTERED,
    IN,
    LEFT,
    OUT,
    Counts,
    LineCount,
    VisitCount,
    ZoneCount,
    ZoneCounts,
)
from centernet.inference.writers import LinesFile

# The class of rows for all objects.
_ALL = "all classes"
_LINE = ("line", "class", IN, OUT)
_ZONE = ("zone", "class", "mean_inside", "most_inside")
_VISITS = (ENTERED, LEFT, "objects", "mean_seconds")
_ZONE_OF_IMAGE = ("image", "zone", "class", "inside")
_EVENT_COLUMNS = ("frame", "seconds", "name", "event", "id", "class", "seconds_inside")


class ZoneResults(Output):
    """Writes ``line_counts.csv``, ``zone_counts.csv`` and, for videos, ``events.csv``.

    The counts of a video are totals, of images a row for each image, zone and class. At the end, a
    table is printed.
    """

    def __init__(self, folder: Path, *, video: bool) -> None:
        """Write into a folder.

        Args:
            folder: an existing folder.
            video: whether the pictures are frames of a video.
        """
        self._folder, self._video = folder, video
        self._last = ZoneCounts()
        self._pictures = 0
        self._sums: dict[str, Counter[str]] = {}  # objects inside, by zone and class
        self._most: dict[str, Counter[str]] = {}
        self._growing = LinesFile(folder / ("events.csv" if video else "zone_counts.csv"))
        self._rows = csv.writer(self._growing, lineterminator="\n")

    def write(self, prediction: Prediction, name: ResultName) -> None:
        """Add the counts of a picture."""
        counts = prediction.zones
        assert counts is not None  # the step sets them
        if not self._pictures:
            self._rows.writerow(_EVENT_COLUMNS if self._video else _ZONE_OF_IMAGE)
        self._pictures, self._last = self._pictures + 1, counts
        for zone in counts.zones:
            self._add_inside(zone)
        if self._video:
            self._write_events(counts)
        else:
            self._rows.writerows(
                [name.source, zone.zone.name, class_name, number]
                for zone in counts.zones
                for class_name, number in _with_total(zone.inside)
            )

    def _add_inside(self, zone: ZoneCount) -> None:
        name, inside = zone.zone.name, Counter(dict(_with_total(zone.inside)))
        self._sums.setdefault(name, Counter()).update(inside)
        self._most[name] = self._most.get(name, Counter()) | inside

    def _write_events(self, counts: ZoneCounts) -> None:
        for event in counts.events:
            inside = "" if event.inside is None else f"{event.inside:.3f}"
            frame, seconds = event.moment
            row = [event.name, event.kind, event.track, event.class_name, inside]
            self._rows.writerow([frame, f"{seconds:.3f}", *row])

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        self._growing.__exit__(kind, *details)
        if self._pictures and (kind is None or issubclass(kind, KeyboardInterrupt)):
            self._write_totals()
            print(self.text())

    def close(self) -> None:
        """Finish the files."""
        self.__exit__(None)

    def _write_totals(self) -> None:
        if self._last.lines:
            _write_table(self._folder / "line_counts.csv", _LINE, self._line_rows())
        if self._last.zones and self._video:
            columns = _ZONE + (_VISITS if self._last.zones[0].visits else ())
            _write_table(self._folder / "zone_counts.csv", columns, self._zone_rows())

    def _line_rows(self) -> list[list[str]]:
        return [
            [one.line.name, name, *(str(number) for number in numbers)]
            for one in self._last.lines
            for name, *numbers in line_rows(one)
        ]

    def _zone_rows(self) -> list[list[str]]:
        """Name, class, and the numbers of each zone."""
        rows = []
        for one in self._last.zones:
            name = one.zone.name
            for class_name, total in self._sums[name].items():
                most = self._most[name][class_name]
                inside = [f"{total / self._pictures:.2f}", str(most)] if self._video else [total]
                visits = _visits(one.visits, class_name) if one.visits else []
                rows.append([name, class_name, *map(str, inside), *visits])
        return rows

    def text(self) -> str:
        """Tables of the lines and zones; empty if there was no picture."""
        blocks = []
        if self._last.lines:
            blocks += _table(["line", "class", IN, OUT], self._line_rows())
        if self._last.zones:
            columns = ["zone", "class", "inside"]
            if self._video:
                columns = ["zone", "class", "inside on average", "at most"]
            if self._last.zones[0].visits:
                columns += [ENTERED, LEFT, "objects", "seconds per visit"]
            blocks += _table(columns, self._zone_rows())
        return "\n".join(blocks)


def line_rows(count: LineCount) -> list[tuple[str, int, int]]:
    """Class and the crossings in both directions; the first row is that of all classes."""
    directions = count.crossings[IN], count.crossings[OUT]
    names = sorted({*directions[0], *directions[1]})
    rows = [(name, *(one.get(name, 0) for one in directions)) for name in names]
    total = (_ALL, *(sum(one.values()) for one in directions))
    return [total, *rows]  # type: ignore[list-item] # mypy does not see the length


def _visits(visits: VisitCount, class_name: str) -> list[str]:
    columns: Sequence[Mapping[str, float]]
    columns = visits.entered, visits.left, visits.objects, visits.seconds
    entered, left, objects, seconds = (
        sum(one.values()) if class_name == _ALL else one.get(class_name, 0) for one in columns
    )
    mean = f"{seconds / entered:.2f}" if entered else ""
    return [str(entered), str(left), str(objects), mean]


def _with_total(counts: Counts) -> list[tuple[str, int]]:
    return [(_ALL, sum(counts.values())), *sorted(counts.items())]


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; text to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [columns, *rows]
    ]
