"""Suggestions for misspelled names of options and commands."""

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path

_OPTION = re.compile(r"(?<!\S)--[\w.-]+")
# Ratios of difflib for full names, which share their section, and for last parts and files.
_SIMILAR_OPTION, _SIMILAR = 0.8, 0.67
# Usual names of options whose name here has nothing in common with them.
_OTHER_NAMES = {
    "device": "accelerator",
    "epoch": "max_epochs",
    "epochs": "max_epochs",
    "gpus": "devices",
    "imgsz": "image_size",
    "img_size": "image_size",
    "lr": "learning_rate",
    "name": "default_root_dir",
    "output": "default_root_dir",
    "project": "default_root_dir",
    "resume": "ckpt_path",
    "dataset": "root",
    "data": "root",
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the most similar of the known names, as `` (did you mean --threshold?)``.

    An option of a section is also found by its last part: ``--epochs`` by ``--trainer.max_epochs``.

    Args:
        word: the unknown name.
        known: the names that exist.

    Returns:
        Text for the end of a message; empty if no name is similar.
    """
    known = sorted(known)
    last = _last_part(word)
    wanted = _OTHER_NAMES.get(last, last)
    by_last = {_last_part(name): name for name in known}
    exact = [wanted] if wanted in by_last else []
    within = [part for part in by_last if f"_{wanted}_" in f"_{part}_"]
    similar = difflib.get_close_matches(wanted, by_last, 1, _SIMILAR)
    names = difflib.get_close_matches(word, known, 1, _SIMILAR_OPTION)
    names = [by_last[part] for part in exact] + names
    names += [by_last[part] for part in (*within, *similar)]
    return f" (did you mean {names[0]}?)" if names else ""


def _last_part(option: str) -> str:
    """The name of an option without its section, with underscores."""
    return option.removeprefix("--").rpartition(".")[2].replace("-", "_").lower()


def suggest_option(message: str, known: Iterable[str]) -> str:
    """The suggestion for an error message of argparse, if it names an unknown option."""
    option = _OPTION.search(message)
    is_unknown = option and message.startswith("unrecognized arguments")
    return did_you_mean(option[0], known) if option and is_unknown else ""


def did_you_mean_path(path: str | Path) -> str:
    """Name the existing path that is most similar to a missing one, as for :func:`did_you_mean`."""
    path = Path(path)
    try:
        folder = next(parent for parent in path.parents if parent.is_dir())
        wrong, *others = path.relative_to(folder).parts
        for name in difflib.get_close_matches(wrong, os.listdir(folder), 5, _SIMILAR):
            if (found := folder.joinpath(name, *others)).exists():
                return f" (did you mean {found}?)"
    except (OSError, StopIteration, ValueError):  # unreadable, or not a path
        pass
    return ""
