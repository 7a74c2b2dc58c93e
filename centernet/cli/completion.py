"""``centernet completion``: scripts with which shells complete commands and options."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

HELP = "print the completion script of a shell"
EXTRA = ""
SHELLS = ("bash", "zsh", "fish")
DESCRIPTION = """\
Print a script with which a shell completes commands, options and file names. The script is static:
completing starts no Python. Print it again after an update, or after the installation of the extra
train, without which only the main options of fit and validate are known.

  mkdir -p ~/.local/share/bash-completion/completions
  centernet completion bash > ~/.local/share/bash-completion/completions/centernet
  centernet completion zsh > ~/.zfunc/_centernet         # with fpath+=(~/.zfunc) in ~/.zshrc
  centernet completion fish > ~/.config/fish/completions/centernet.fish
"""
# Arguments that are paths without the type Path.
_PATHS = {"source", "weights", "dataset", "output", "config", "images", "run", "root", "ckpt_path"}
_PATHS |= {"default_root_dir", "train_annotations", "val_annotations", "train_images", "val_images"}
# Options of fit and validate that are not those of a class.
_COMMON = (
    *("config", "ckpt_path", "seed_everything", "report", "checkpoint_minutes"),
    *("early-stop", "log", "max-time"),
)
_MAIN = ("data.root", "data.image_size", "model.weights", "model.backbone", "trainer.max_epochs")


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

    parser = argparse.ArgumentParser("centernet")
    parser.add_argument("--version", action="version", version="", help="show the version")
    commands = parser.add_subparsers()
    options_of_fit = None
    for name, module in command_modules():
        command = commands.add_parser(name, help=module.HELP)
        if hasattr(module, "add_arguments"):
            module.add_arguments(command)
        else:
            options_of_fit = options_of_fit or _options_of_fit()
            _add_options(command.add_argument, options_of_fit)
        # argparse has no public list of its arguments; shtab reads this one, too.
        for action in command._actions:
            if action.type is Path or action.dest.rpartition(".")[2] in _PATHS:
                action.complete = file  # type: ignore[attr-defined]  # the attribute is shtab's
    return parser


def _add_options(add: Callable[..., Any], options: dict[str, Any]) -> None:
    """Add options by their defaults; those that are on or off complete to these values."""
    for name, default in options.items():
        choices = ("true", "false") if isinstance(default, bool) else None
        add(f"--{name}", choices=choices, metavar="VALUE")


def _options_of_fit() -> dict[str, Any]:
    """The options of ``fit`` and ``validate`` with their defaults."""
    try:
        from lightning.pytorch import Trainer
        from lightning.pytorch.cli import LightningArgumentParser

        from centernet.training.datamodule import DetectionData
        from centernet.training.task import DetectionTask
    except ImportError:
        return dict.fromkeys((*_COMMON, *_MAIN))
    parser = LightningArgumentParser()
    classes: tuple[tuple[Any, str], ...] = (
        (Trainer, "trainer"),
        (DetectionTask, "model"),
        (DetectionData, "data"),
    )
    for kind, name in classes:
        parser.add_lightning_class_args(kind, name)
    return dict.fromkeys(_COMMON) | dict(parser.get_defaults().items())
