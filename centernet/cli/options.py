"""Options and output that several commands share."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn


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


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the options ``--device`` and ``--engine``."""
    from centernet.inference.engines import AUTO, ENGINES

    add = parser.add_argument
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")
    add(
        "--engine",
        choices=[AUTO, *ENGINES],
        default=AUTO,
        metavar="ENGINE",
        help="torch or compile for a checkpoint, onnxruntime or openvino for an exported model "
        "(%(default)s); `centernet benchmark` compares them",
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


def add_image_size(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the option ``--image-size``, which :func:`centernet.sizes.parse_size` reads.

    Args:
        parser: the parser of a command.
        default: the size without the option, for the help text.
    """
    parser.add_argument(
        "--image-size",
        metavar="SIZE",
        help="input size in pixels, as data.image_size in training: 512 for a square, or width x "
        f"height as 320x256; by default {default}",
    )


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
