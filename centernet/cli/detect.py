"""``centernet detect``."""

import argparse
from pathlib import Path

from centernet.cli.options import add_threshold

HELP = "find objects in images, videos and camera pictures"
DESCRIPTION = """\
Find objects in images, videos or camera pictures, and draw them.

  centernet detect photo.jpg --weights runs/custom/best.ckpt
  centernet detect 'photos/**/*.jpg' --weights runs/custom/best.ckpt --heatmaps --output out
  centernet detect walk.mp4 --weights runs/custom/best.ckpt --threshold 0.5 --json
  centernet detect https://host/photo.jpg --weights runs/custom/best.ckpt
  centernet detect 0 --weights runs/custom/best.ckpt --show
"""
EPILOG = """\
saved in the output folder: NAME.jpg or NAME.mp4 with the detections; with --heatmaps also
NAME.heatmap.jpg (or .mp4), NAME.heatmap-CLASS.jpg for each class that was seen, and NAME.npz

exit status: 0, 1 if an image failed, a video is truncated, or the input is wrong, 2 for a wrong
option, 130 after Ctrl-C, which keeps the results so far
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        help="an image, a folder, a glob in quotes, a video, a camera number, or the URL of an "
        "image, video or stream; an existing file or folder wins over a camera number (write 00 "
        "for camera 0 then)",
    )
    add(
        "--weights",
        required=True,
        help="a checkpoint of fit, as runs/custom/best.ckpt, or of the original release (.pth)",
    )
    add("--output", type=Path, default="runs/detect", help="folder for what is saved (%(default)s)")
    add_threshold(parser, "least score of a detection")
    add(
        "--heatmaps",
        action="store_true",
        help="also save overlays of the heatmaps, and of images NAME.npz with the numbers",
    )
    add("--json", action="store_true", help="also save detections.jsonl, one line per picture")
    add(
        "--show",
        action="store_true",
        help="show each picture in a window: any key goes on to the next image, q ends",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")
    add(
        "--resolution",
        default="auto",
        help="longest side in pixels, auto (as trained), or keep (the image's own) (%(default)s)",
    )
    add(
        "--flip", action="store_true", help="look at the mirrored picture too: better, half as fast"
    )
    add(
        "--scales",
        type=float,
        nargs="+",
        default=[1.0],
        help="look at the picture at several scales, as 0.75 1 1.25: better still, slower",
    )
    add("--top-k", type=int, help="most detections per picture; by default as in training")
    add(
        "--nms",
        type=_nms,
        help="soft, or the IoU above which the weaker of two boxes of a class is dropped "
        "(soft for several scales, else none)",
    )


def run(options: argparse.Namespace) -> int:
    """Detect, and draw."""
    from centernet.inference.detect import run

    return run(options)


def _nms(text: str) -> str | float:
    try:
        return text if text == "soft" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"soft or an IoU, got {text!r}") from None
