"""The ``centernet`` command. Imports wait until a subcommand needs them: help answers at once."""

import argparse
import importlib
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
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
# Each a module of centernet.cli.
_COMMANDS = ("detect", "inspect", "report", "check", "oracle", "convert", "import-weights")
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
    if given and given[0] in _COMMANDS:
        _run(given[0], given[1:], program=f"centernet {given[0]}")
    parser = _Parser(
        "centernet", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"centernet {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser("fit", help="train; fit --help lists all options")
    commands.add_parser("validate", help="COCO's average precision of a trained model")
    for name in _COMMANDS:
        commands.add_parser(name, help=_module(name).HELP)
    parser.parse_args(given)


def train(arguments: list[str] | None = None) -> NoReturn:
    """Run ``fit`` or ``validate``, which the first argument names, and exit."""

    def command() -> None:
        from centernet.training.train_cli import main as fit_or_validate

        fit_or_validate(arguments)

    run_and_exit(command, ".[train]")


def detect() -> NoReturn:
    """Run ``detect`` with the command line's arguments, under the name of the script, and exit."""
    _run("detect", sys.argv[1:], program=None)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"centernet.cli.{name.replace('-', '_')}")


def _run(name: str, arguments: list[str], *, program: str | None) -> NoReturn:
    """Run a command and exit; ``program`` is its name in its help, by default the script's."""
    command = _module(name)

    def parse_and_run() -> int | None:
        parser = _Parser(program, formatter_class=argparse.RawDescriptionHelpFormatter)
        own_name = program or f"python {parser.prog}"
        parser.description = command.DESCRIPTION.replace(f"centernet {name}", own_name)
        parser.epilog = getattr(command, "EPILOG", None)
        command.add_arguments(parser)
        return command.run(parser.parse_args(arguments))

    run_and_exit(parse_and_run, getattr(command, "PACKAGE", "."))


def run_and_exit(command: Callable[[], int | None], package: str = ".") -> NoReturn:
    """Run a command and exit with its status; what a person can mend is told in one line.

    Args:
        command: imports what it needs when it is called.
        package: what to install from a checkout when a library is missing.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The names of files and classes may hold what the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(command())
    except InputError as error:
        sys.exit(f"error: {error}")
    except ImportError as error:
        remedy = _remedy(error, package)
        if not remedy:
            raise
        sys.exit(f"error: {remedy}")
    except OSError as error:
        # Of files and folders, where nothing nearer has said it better.
        if not error.strerror:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        sys.exit(f"error: {where}{error.strerror}")
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
        return f"{error.name or error} is missing: in the checkout, pip install -e '{package}'"
    return None


def run_script(description: str, output: str, prepare: Callable[[Path, Path], object]) -> None:
    """Command line of a script that prepares a dataset; exits with its status.

    Args:
        description: the script's docstring.
        output: where the dataset goes by default.
        prepare: makes the dataset, given the folder of the archives and its own; what it returns is
            printed.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, default=Path(output), help="folder to write (%(default)s)")
    add(
        "--downloads",
        type=Path,
        default=Path("data/downloads"),
        help="folder of the archives, fetched or put there by hand (%(default)s)",
    )
    options = parser.parse_args()

    def command() -> None:
        if options.output.exists() and any(options.output.iterdir()):
            print(f"{options.output} is there already; remove it to make it anew")
            return
        print(prepare(options.downloads, options.output))
        print(f"done; the archives in {options.downloads} are not needed any more")

    run_and_exit(command)
