"""Options and output that several commands share."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from centernet.cli.paths import Existing
from centernet.inference.config import PRECISIONS, InferenceConfig, option_help


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--weights``, for a checkpoint or an exported model."""
    parser.add_argument(
        "--weights",
        action=Existing,
        required=True,
        help="a checkpoint of fit, as runs/custom/best.ckpt, or of the original release (.pth), or "
        "an exported model (.onnx)",
    )


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


def add_inference_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :class:`.InferenceConfig` to a parser."""
    defaults = InferenceConfig()
    parser.add_argument(
        "--resolution",
        default=defaults.resolution,
        help=f"{option_help('resolution')} (%(default)s)",
    )
    parser.add_argument("--flip", action="store_true", help=option_help("flip"))
    parser.add_argument(
        "--scales", type=float, nargs="+", default=defaults.scales, help=option_help("scales")
    )
    parser.add_argument(
        "--top-k",
        type=word_or(int, "auto"),
        default=defaults.top_k,
        help=f"{option_help('top_k')} (%(default)s)",
    )
    parser.add_argument("--nms", type=word_or(float, "soft"), help=option_help("nms"))
    parser.add_argument(
        "--tile",
        type=word_or(int, "auto"),
        default=defaults.tile,
        help=f"{option_help('tile')} (%(default)s)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=defaults.precision,
        help=f"{option_help('precision')} (%(default)s)",
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
