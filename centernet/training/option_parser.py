"""The parser of the options of ``fit`` and ``validate``: help and error messages."""

import re
import sys
from argparse import SUPPRESS, Action, RawDescriptionHelpFormatter
from typing import Any, NoReturn

from jsonargparse import DefaultHelpFormatter
from lightning.pytorch.cli import LightningArgumentParser

from centernet.suggestions import suggest_option
from centernet.training.config_files import without_old_names
from centernet.training.option_errors import raise_if_wanted

_TEXTS = {
    "fit": """\
Train a detector. Everything is written to runs/NAME, where NAME is that of the configuration file:
best.ckpt, last.ckpt, config.yaml, metrics.csv, report.html.

  centernet fit --config configs/custom.yaml --data.root data/mine
  centernet fit --config configs/custom.yaml --data.root data/mine --trainer.max_epochs 50
  centernet fit --config configs/custom.yaml --data.root data/mine --max-time 30m
  centernet fit --config configs/custom.yaml --data.root data/mine --ckpt_path last
  centernet fit --config configs/custom.yaml --data.root data/mine \\
      --model.weights runs/custom/best.ckpt

The second trains for 50 epochs, the third for 30 minutes; the fourth resumes the latest run, the
last one fine-tunes a model.
An option on the command line replaces that of the configuration file. The defaults below are those
without a configuration file. The options of --data and --model come first, those of --trainer last.
""",
    "validate": """\
Compute COCO's average precision of a trained model on the validation images, and write metrics,
a table of the classes and the detections to the folder validate-NAME in its run.

  centernet validate --config configs/custom.yaml --data.root data/mine \\
      --ckpt_path runs/custom/best.ckpt
  centernet validate --config configs/custom.yaml --data.root data/mine \\
      --ckpt_path runs/custom/best.ckpt --data.val_annotations annotations/instances_test.json
""",
}
_TITLES = {
    "data": "data: the images, their size, batches and augmentation",
    "model": "model: the network, its loss and its optimization",
    "model.test": "model.test: inference in the validate command; fit uses top_k only",
    "trainer": "trainer: length, device, precision, number of processes (options of Lightning)",
    "ckpt_path": "checkpoint",
}
# Help of options that the libraries add, by destination.
_HELP = {
    "config": "YAML file with options; later files replace options of earlier ones",
    "print_config": "print all options as YAML, and exit; =skip_default leaves out the defaults",
    "seed_everything": "seed of weights, order and augmentation; true for a random one",
    "ckpt_path": "a checkpoint: fit resumes from it, last is that of the latest run; validate "
    "measures it",
    "weights_only": SUPPRESS,
}
_ROLE = re.compile(r":\w+:`[~.]*([^`]+)`")


class _HelpFormatter(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Keeps the lines of the description, and removes the markup of docstrings."""

    def _expand_help(self, action: Action) -> str:  # a method of argparse that libraries override
        return _ROLE.sub(r"\1", super()._expand_help(action))


def parser_options() -> dict[str, Any]:
    """The arguments of the parser, and those of the parser of each command."""
    commands = {
        name: {"usage": f"centernet {name} --config FILE [options]", "description": text}
        for name, text in _TEXTS.items()
    }
    return {"formatter_class": _HelpFormatter} | commands


class OptionParser(LightningArgumentParser):
    """Argument parser that reports a wrong option without the usage of all options."""

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """The help, with titles that tell what the options of a group are for."""
        # argparse has no public list of its groups and options.
        for group in self._action_groups:
            first = next((action.dest for action in group._group_actions), "")
            group.title = _TITLES.get(first, group.title)
            # Links, such as that of the class names, are no options.
            hidden = SUPPRESS if group.title == "Linked arguments" else None
            for action in group._group_actions:
                action.help = hidden or _HELP.get(action.dest, action.help)
        return super().format_help(*args, **kwargs)

    def print_usage(self, file: Any = None) -> None:
        """Print the usage, but not with an error."""
        if file is not sys.stderr:
            super().print_usage(file)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Report a wrong option in one line, with the option that was probably meant."""
        # argparse has no public list of its options. Without ex, self is the subcommand's parser.
        message += suggest_option(message, self._option_string_actions)
        raise_if_wanted(message)
        super().error(message, ex)

    def parse_string(self, content: str, *args: Any, **kwargs: Any) -> Any:
        """Parse a configuration; those of earlier runs may have old names of unset options."""
        return super().parse_string(without_old_names(content), *args, **kwargs)
