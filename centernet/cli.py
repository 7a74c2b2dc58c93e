"""The ``centernet`` command. Imports wait until a subcommand needs them: help answers at once."""

import argparse
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from centernet import __version__
from centernet.errors import InputError

_DESCRIPTION = """\
Train a CenterNet on your own images, use it, and look at its heatmaps.

  centernet fit --config configs/custom.yaml --data.root DIR
  centernet validate --config configs/custom.yaml --data.root DIR --ckpt_path runs/custom/best.ckpt
  centernet detect photo.jpg --weights runs/custom/best.ckpt --heatmaps
  centernet convert VOC_OR_YOLO_FOLDER data/mine
  centernet inspect --weights runs/custom/best.ckpt --config runs/custom/config.yaml
  centernet check data/mine
  centernet oracle data/mine --weights runs/custom/best.ckpt
"""
_DETECT = """\
Find objects in images, videos or camera pictures, and draw them.

  {program} photo.jpg --weights runs/custom/best.ckpt
  {program} 'photos/**/*.jpg' --weights runs/custom/best.ckpt --heatmaps --output out
  {program} walk.mp4 --weights runs/custom/best.ckpt --threshold 0.5 --json
  {program} 0 --weights runs/custom/best.ckpt --show
"""
_DETECT_END = """\
saved in the output folder: NAME.jpg or NAME.mp4 with the detections; with --heatmaps also
NAME.heatmap.jpg (or .mp4), NAME.heatmap-CLASS.jpg for each class that was seen, and NAME.npz

exit status: 0, 1 when an image could not be read or something given is wrong, 2 for a wrong
option, 130 after Ctrl-C, which keeps what was done so far
"""
_IMPORT = """\
Make a checkpoint of this project out of a detection checkpoint of the original release. Which
network it is, is read off its tensors; nothing in the file is executed.

  centernet import-weights ctdet_coco_dla_2x.pth coco_dla34.ckpt
  centernet import-weights ctdet_pascal_dla_512.pth voc_dla34.ckpt \\
      --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225

detect, and --model.weights of fit, also take the released file as it is.
"""
_INSPECT = """\
Look at heatmaps, peaks and boxes in one web page, and, where there are annotations, at why objects
are missed and boxes are false. The page is one file: no server, no network.

  centernet inspect photos/ --weights runs/custom/best.ckpt
  centernet inspect data/mine --weights runs/custom/best.ckpt
  centernet inspect --weights runs/custom/best.ckpt --config runs/custom/config.yaml
  centernet inspect --weights best.ckpt --images mine/test --annotations mine/test.json
"""
_REPORT = """\
Write the report of a training, as fit does at its end: report.html in the run's folder, with
curves, classes, the best thresholds, and the worst mistakes, and inspect.html beside it. The
thresholds are written into best.ckpt, for --threshold best.

  centernet report runs/custom
"""
# Commands in a folder of their name, whose options.py says which arguments they take.
_BESIDE = {
    "check": "know before training whether a dataset will work",
    "oracle": "what limits a trained network",
}
# Of these, opencv-python brings none along. NAME.so.1 cannot be opened, says the import.
_SYSTEM_LIBRARIES = re.compile(r"lib(GL|EGL|xcb|X|SM|ICE|glib|gthread|gobject)[^ :]*\.so[.\d]*")


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the arguments."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} ({self.prog} --help lists what there is)\n")


def main(arguments: list[str] | None = None) -> None:
    """Run the ``centernet`` command; by default with the command line's arguments."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] in (["fit"], ["validate"]):
        train(arguments)
    if given[:1] == ["detect"]:
        detect(given[1:], program="centernet detect")
    if given[:1] == ["inspect"]:
        inspect(given[1:])
    if given[:1] == ["report"]:
        report(given[1:])
    if given[:1] == ["import-weights"]:
        import_weights(given[1:])
    if given[:1] == ["convert"]:
        convert(given[1:])
    if given and given[0] in _BESIDE:
        _beside(given[0], given[1:])
    parser = _Parser(
        "centernet", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"centernet {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in (
        ("fit", "train; fit --help lists all options"),
        ("validate", "COCO's average precision of a trained model"),
        ("detect", "find objects in images, videos and camera pictures"),
        ("inspect", "see in a web page what the detector sees, and why it misses objects"),
        ("report", "write the report of a training once more"),
        ("import-weights", "make a checkpoint of one of the original release"),
        ("convert", "a dataset in COCO's, Pascal VOC's or YOLO's format into another"),
        *_BESIDE.items(),
    ):
        commands.add_parser(name, help=text)
    parser.parse_args(given)


def train(arguments: list[str] | None = None) -> NoReturn:
    """Run ``fit`` or ``validate``, which the first argument names, and exit."""

    def command() -> None:
        from centernet.training import main as fit_or_validate

        fit_or_validate(arguments)

    run_and_exit(command, "centernet[train]")


def detect(arguments: list[str] | None = None, *, program: str | None = None) -> NoReturn:
    """Run ``detect`` and exit; ``program`` is the name in its help, by default the script's."""
    parser = _Parser(program, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.description = _DETECT.format(program=program or f"python {parser.prog}")
    parser.epilog = _DETECT_END
    _add_detect_arguments(parser)
    options = parser.parse_args(arguments)

    def command() -> int:
        from centernet.detect import run

        return run(options)

    run_and_exit(command)


def _add_detect_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        help="an image, a folder, a glob in quotes, a video, a camera number, or a stream's URL",
    )
    add(
        "--weights",
        required=True,
        help="a checkpoint of fit, as runs/custom/best.ckpt, or of the original release (.pth)",
    )
    add("--output", type=Path, default="runs/detect", help="folder for what is saved (%(default)s)")
    _add_threshold(add, "least score of a detection")
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
    add("--top-k", type=int, default=100, help="most detections per picture (%(default)s)")
    add(
        "--nms",
        type=_nms,
        help="soft, or the IoU above which the weaker of two boxes of a class is dropped "
        "(soft for several scales, else none)",
    )


def _add_threshold(add: Callable, what: str) -> None:
    add(
        "--threshold",
        type=_threshold,
        default=0.3,
        help=f"{what}, or best: each class's own, from its training's report (%(default)s)",
    )


def _threshold(text: str) -> str | float:
    try:
        return text if text == "best" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number or best, got {text!r}") from None


def inspect(arguments: list[str]) -> NoReturn:
    """Run ``inspect`` and exit."""
    parser = _Parser(
        "centernet inspect",
        description=_INSPECT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        nargs="?",
        help="an image, a folder, a glob in quotes, or a dataset's folder",
    )
    add("--weights", required=True, help="a checkpoint of fit or of the original release")
    add("--annotations", type=Path, help="COCO JSON of the images to look at")
    add("--images", type=Path, help="their folder")
    add("--config", help="take a configuration's validation images, as of configs/ or of a run")
    add("--data.root", dest="root", help="where they are, if not where the configuration says")
    add("--output", type=Path, default="runs/inspect.html", help="the page (%(default)s)")
    _add_threshold(add, "score that the page opens with")
    add("--iou", type=float, default=0.5, help="overlap that counts as found (%(default)s)")
    add(
        "--limit",
        type=int,
        default=100,
        help="most images on the page, 0 for all: of annotated ones the worst (%(default)s)",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")
    add("--resolution", default="auto", help="as for detect (%(default)s)")
    options = parser.parse_args(arguments)

    def command() -> int:
        from centernet.inspector.command import run

        return run(options)

    run_and_exit(command)


def report(arguments: list[str]) -> NoReturn:
    """Run ``report`` and exit."""
    parser = _Parser(
        "centernet report",
        description=_REPORT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, help="folder of a training, as runs/custom")
    add("--data.root", dest="root", help="where the data is, if not where it was in training")
    add("--limit", type=int, default=100, help="most images in inspect.html (%(default)s)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")
    options = parser.parse_args(arguments)

    def command() -> None:
        from centernet.report import write_report

        print(write_report(**vars(options)))

    run_and_exit(command, "centernet[train]")


def _nms(text: str) -> str | float:
    try:
        return text if text == "soft" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"soft or an IoU, got {text!r}") from None


def import_weights(arguments: list[str]) -> NoReturn:
    """Run ``import-weights`` and exit."""
    parser = _Parser(
        "centernet import-weights",
        description=_IMPORT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("source", metavar="SOURCE", help="a detection checkpoint of the release, ctdet_*.pth")
    add("target", metavar="TARGET", help="the checkpoint to write, as coco_dla34.ckpt")
    for name, values in (("mean", "0.485 0.456 0.406"), ("std", "0.229 0.224 0.225")):
        add(
            f"--{name}",
            type=float,
            nargs=3,
            help=f"{name} of the colours in training, in [0, 1], blue first; by default that of "
            f"the COCO models; the VOC models have {values}",
        )
    add(
        "--class-names",
        nargs="+",
        help="by label; by default COCO's for 80 classes, VOC's for 20, else 0, 1, ...",
    )
    options = parser.parse_args(arguments)

    def command() -> None:
        from centernet.weights import import_weights

        network = import_weights(**vars(options))
        made_of = {k: v for k, v in network.architecture.items() if k != "num_classes"}
        print(f"{options.target}: {network.num_classes} classes, {made_of}")

    run_and_exit(command)


def convert(arguments: list[str]) -> NoReturn:
    """Run ``convert`` and exit."""
    from centernet.formats.command import add_arguments, run

    parser = _Parser("centernet convert", formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    run_and_exit(lambda: run(options))


def _beside(name: str, arguments: list[str]) -> NoReturn:
    """Run one of the commands that have a folder of their own, and exit."""
    options = importlib.import_module(f"centernet.{name}.options")
    parser = _Parser(
        f"centernet {name}",
        description=options.DESCRIPTION,
        epilog=options.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_arguments(parser)
    parsed = parser.parse_args(arguments)

    def command() -> int | None:
        return importlib.import_module(f"centernet.{name}.command").run(parsed)

    run_and_exit(command, "centernet[train]" if name == "oracle" else "centernet")


def run_and_exit(command: Callable[[], int | None], package: str = "centernet") -> NoReturn:
    """Run a command and exit with its status; what a person can mend is told in one line.

    Args:
        command: imports what it needs when it is called.
        package: what to install when a library is missing.
    """
    try:
        sys.exit(command())
    except InputError as error:
        sys.exit(f"error: {error}")
    except ImportError as error:
        remedy = _remedy(error, package)
        if not remedy:
            raise
        sys.exit(f"error: {remedy}")
    except KeyboardInterrupt:
        sys.exit(130)


def _remedy(error: ImportError, package: str) -> str | None:
    """What to do about a failed import, where that is known."""
    library = _SYSTEM_LIBRARIES.search(str(error))
    if library:
        return (
            f"OpenCV does not load, the system lacks {library[0]}; on Debian or Ubuntu: "
            "sudo apt-get install -y libgl1 libglib2.0-0 libxcb1"
        )
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("centernet"):
        return f"{error.name or error} is missing: pip install '{package}'"
    return None
