"""Remarks of a dataset reader: one line for each kind, with its number and the first example."""

_MAX_EXAMPLE = 300  # characters


class Remarks:
    """Counts what is left out, changed or guessed."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, what: str, example: object) -> None:
        """Count a remark; the first example of each kind is kept."""
        count, first = self._found.get(what) or (0, " ".join(str(example).split())[:_MAX_EXAMPLE])
        self._found[what] = count + 1, first

    def lines(self, source: object) -> list[str]:
        """One line for each kind of remark.

        >>> remarks = Remarks()
        >>> remarks.add("points, left out", "a.json")
        >>> remarks.lines("data")
        ['data: 1 points, left out; the first is a.json']
        """
        return [
            f"{source}: {count} {what}; the first is {example}"
            for what, (count, example) in self._found.items()
        ]
