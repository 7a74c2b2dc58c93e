"""Options and output that several commands share."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from centernet.errors import InputError


def add_threshold(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option ``--threshold``.

    Args:
        parser: the parser of a command.
        what: start of the help text.
    """
    from centernet.inference.thresholds import DEFAULT_SCORE_THRESHOLD

    parser.add_argument(
        "--threshold",
        type=word_or(float, "best"),
        default=DEFAULT_SCORE_THRESHOLD,
        help=f"{what}, or best: the best threshold of each class, from the report of the training "
        "run (%(default)s)",
    )


def add_renamed(parser: argparse.ArgumentParser, old: str, new: str) -> None:
    """Add the old name of an option; using it is an error that names the new option."""

    class Renamed(argparse.Action):
        def __call__(
            self,
            parser: argparse.ArgumentParser,
            namespace: argparse.Namespace,
            values: str | Sequence[Any] | None,
            option_string: str | None = None,
        ) -> NoReturn:
            parser.error(f"{old} has a new name: use {new}")

    parser.add_argument(
        old, action=Renamed, nargs="*", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )


def input_size(text: str, multiple: int) -> tuple[int, int]:
    """Parse an input size: ``512``, or height and width as ``288x384``.

    Args:
        text: the value of an option.
        multiple: the sides must be multiples of this.

    Returns:
        (height, width) in pixels.

    Raises:
        InputError: the text is not an image size, or not such a multiple.
    """
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if any(side < multiple or side % multiple for side in (height, width)):
        raise InputError(
            f"image size must be one multiple of {multiple} or two, as 288x384, got {text!r}"
        )
    return height, width


def print_text(text: str) -> None:
    """Print text; escape the characters that the encoding of the terminal lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def word_or(number: type[int] | type[float], word: str) -> Callable[[str], str | float]:
    """A parser of option values that are a number or one word."""

    def parse(text: str) -> str | float:
        try:
            return text if text == word else number(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word} or a number, got {text!r}") from None

    return parse
