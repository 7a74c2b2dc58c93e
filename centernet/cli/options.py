"""The option ``--threshold``, which several commands have."""

import argparse


def add_threshold(parser: argparse.ArgumentParser, what: str) -> None:
    """Add it to a parser; ``what`` it is."""
    from centernet.inference.thresholds import DEFAULT_SCORE_THRESHOLD

    parser.add_argument(
        "--threshold",
        type=_threshold,
        default=DEFAULT_SCORE_THRESHOLD,
        help=f"{what}, or best: each class's own, from its training's report (%(default)s)",
    )


def _threshold(text: str) -> str | float:
    try:
        return text if text == "best" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number or best, got {text!r}") from None
