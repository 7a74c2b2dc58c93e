"""``centernet completion``: scripts with which shells complete commands and options."""

import argparse
from pathlib import Path
from typing import Any

HELP = "print the completion script of a shell"
EXTRA = ""
SHELLS = ("bash", "zsh", "fish")
DESCRIPTION = """\
Print a script with which a shell completes commands, options and file names. The script is static:
completing starts no Python. Print it again after an update, or after the installation of the extra
train, without which the options of fit and validate are not known.

  mkdir -p ~/.local/share/bash-completion/completions
  centernet completion bash > ~/.local/share/bash-completion/completions/centernet
  centernet completion zsh > ~/.zfunc/_centernet         # with fpath+=(~/.zfunc) in ~/.zshrc
  centernet completion fish > ~/.config/fish/completions/centernet.fish
"""
# Arguments that are paths without the type Path.
_PATHS = {"source", "weights", "dataset", "output", "config", "images", "run", "root", "ckpt_path"}
_PATHS |= {"default_root_dir", "train_annotations", "val_annotations", "train_images", "val_images"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.add_argument("shell", choices=SHELLS, help=f"one of {', '.join(SHELLS)}")


def run(options: argparse.Namespace) -> int:
    """Print the script; returns the exit status."""
    import shtab

    print(shtab.complete(_full_parser(shtab.FILE), options.shell))
    return 0


def _full_parser(file: dict[str, Any]) -> argparse.ArgumentParser:
    """A parser of all commands with all options.

    Args:
        file: what shtab completes with names of files.
    """
    from centernet.cli import command_modules
    from centernet.training.option_names import known_option_names

    parser = argparse.ArgumentParser("centernet")
    parser.add_argument("--version", action="version", version="", help="show the version")
    commands = parser.add_subparsers()
    for name, module in command_modules():
        command = commands.add_parser(name, help=module.HELP)
        if hasattr(module, "add_arguments"):
            module.add_arguments(command)
        else:
            for option in sorted(known_option_names() - {"--help"}):
                command.add_argument(option, metavar="VALUE")
        # argparse has no public list of its arguments; shtab reads this one, too.
        for action in command._actions:
            if action.type is Path or action.dest.rpartition(".")[2] in _PATHS:
                action.complete = file  # type: ignore[attr-defined]  # the attribute is shtab's
    return parser
