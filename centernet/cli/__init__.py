"""The ``centernet`` command.

Each command is a module of this package with:

- ``HELP``: one line for ``centernet --help``,
- ``DESCRIPTION`` and optionally ``EPILOG``: texts of its own help,
- ``EXTRA`` (optional): the extra of this package that installs its libraries, by default ``torch``;
  several are separated by commas,
- ``add_arguments(parser)``: adds its options to an argparse parser,
- ``run(options)``: runs it and returns the exit status; heavy imports belong inside.

A command without ``add_arguments`` parses its arguments in ``run(arguments)``.
"""

import argparse
import importlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from centernet import __version__
from centernet.cli.paths import Existing
from centernet.errors import InputError
from centernet.installation import explain_missing_library, install_command
from centernet.suggestions import did_you_mean, suggest_option

_DESCRIPTION = """\
Train a CenterNet on your own images, detect objects, and inspect heatmaps.

  centernet fit --config configs/custom.yaml --data.root DIR
  centernet validate --config configs/custom.yaml --data.root DIR --ckpt_path runs/custom/best.ckpt
  centernet detect photo.jpg --weights runs/custom/best.ckpt --heatmaps
  centernet export runs/custom/best.ckpt model.onnx
  centernet serve --weights runs/custom/best.ckpt
  centernet convert VOC_OR_YOLO_FOLDER data/mine
  centernet inspect --weights runs/custom/best.ckpt --config runs/custom/config.yaml
  centernet check data/mine
  centernet oracle data/mine --weights runs/custom/best.ckpt
  centernet labels data/mine --folds 5
  centernet doctor

A configuration is a file or the name of one of this package: configs/custom.yaml and custom are the
same in an empty folder.
"""
# Names of the modules that are commands.
_COMMANDS = (
    "fit",
    "validate",
    "detect",
    "inspect",
    "report",
    "check",
    "oracle",
    "labels",
    "convert",
    "export",
    "serve",
    "benchmark",
    "import-weights",
    "doctor",
    "completion",
)


class _Parser(argparse.ArgumentParser):
    """Reports a wrong argument, or a path that does not exist, in one line."""

    def check_paths(self, options: argparse.Namespace) -> None:
        """Raise InputError if a path in the parsed options does not exist."""
        for action in self._actions:  # argparse has no public list of its arguments
            if isinstance(action, Existing):
                action.check(options)

    def error(self, message: str) -> NoReturn:
        # argparse has no public list of its options.
        if hint := suggest_option(message, self._option_string_actions):
            self.exit(2, f"error: {message}{hint}\n")
        self.exit(2, f"error: {message} ({self.prog} --help lists the options)\n")


def main(arguments: list[str] | None = None) -> None:
    """Run the ``centernet`` command, by default with the arguments of the process, and exit."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in _COMMANDS:
        _run(given[0], given[1:], program=f"centernet {given[0]}")
    parser = _Parser(
        "centernet", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    is_word = given and not given[0].startswith("-")
    if is_word and (hint := did_you_mean(given[0], _COMMANDS)):
        parser.exit(2, f"error: {given[0]!r} is not a command{hint}\n")
    parser.add_argument("--version", action="version", version=f"centernet {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in command_modules():
        commands.add_parser(name, help=module.HELP)
    parser.parse_args(given)


def train() -> NoReturn:
    """Run the script ``train.py`` (fit or validate, by its first argument), and exit."""
    if sys.argv[1:2] in (["fit"], ["validate"]):
        _run(sys.argv[1], sys.argv[2:], program=None)

    def print_help() -> None:
        from centernet.training.train_cli import main

        main()

    run_and_exit(print_help, _module("fit").EXTRA)


def detect() -> NoReturn:
    """Run the script ``demo.py``: detect with the arguments of the process, and exit."""
    _run("detect", sys.argv[1:], program=None)


def command_modules() -> Iterator[tuple[str, ModuleType]]:
    """The commands by name, in the order of the help."""
    for name in _COMMANDS:
        yield name, _module(name)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"centernet.cli.{name.replace('-', '_')}")


def _run(name: str, arguments: list[str], *, program: str | None) -> NoReturn:
    """Run a command and exit; ``program`` is its name in its help, by default the script's."""
    command = _module(name)

    def parse_and_run() -> int | None:
        if not hasattr(command, "add_arguments"):
            return command.run(arguments)
        parser = _Parser(program, formatter_class=argparse.RawDescriptionHelpFormatter)
        own_name = program or f"python {parser.prog}"
        parser.description = command.DESCRIPTION.replace(f"centernet {name}", own_name)
        parser.epilog = getattr(command, "EPILOG", None)
        command.add_arguments(parser)
        options = parser.parse_args(arguments)
        parser.check_paths(options)
        return command.run(options)

    run_and_exit(parse_and_run, getattr(command, "EXTRA", "torch"))


def run_and_exit(command: Callable[[], int | None], extra: str = "torch") -> NoReturn:
    """Run a command and exit with its status; print errors that the user can fix in one line.

    Args:
        command: the command; it imports its libraries when it is called.
        extra: extra of this package that installs the libraries of the command.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files and classes may have characters that the encoding of the terminal lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(command())
    except InputError as error:
        sys.exit(f"error: {error}")
    except ImportError as error:
        remedy = _remedy(error, extra)
        if not remedy:
            raise
        sys.exit(f"error: {remedy}")
    except OSError as error:
        # Errors of files and folders that no code closer to them has caught.
        if not error.strerror:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        sys.exit(f"error: {where}{error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)


def _remedy(error: ImportError, extra: str) -> str | None:
    """The remedy for a failed import; None if it is not known."""
    if missing := explain_missing_library(str(error)):
        return missing
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("centernet"):
        return f"{error.name or error} is missing: {install_command(extra)}"
    return None


def run_script(description: str, output: str, prepare: Callable[[Path, Path], object]) -> None:
    """Run a script that prepares a dataset, with the arguments of the process, and exit.

    Args:
        description: docstring of the script.
        output: default folder of the dataset.
        prepare: called with the folder of the archives and the folder to write; its result is
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
        help="folder of the archives, downloaded automatically or manually (%(default)s)",
    )
    options = parser.parse_args()

    def command() -> None:
        if options.output.exists() and any(options.output.iterdir()):
            print(f"{options.output} exists already; remove it to create it again")
            return
        print(prepare(options.downloads, options.output))
        print(f"done; the archives in {options.downloads} are no longer needed")

    run_and_exit(command)
