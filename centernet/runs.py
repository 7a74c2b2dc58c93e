"""Run folders: where a training run keeps everything it writes."""

import re
from pathlib import Path

from centernet.errors import InputError


def new_run(root: Path, name: str) -> Path:
    """Make and return ``root/name``, or ``root/name-2``, ``-3``, ... where one stands."""
    number = 1
    while True:
        folder = root / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def newest_run(root: Path, name: str) -> Path:
    """The run of that name with the highest number that can be resumed.

    Raises:
        InputError: there is none.
    """
    numbered = {}
    for checkpoint in root.glob("*/last.ckpt"):
        match = re.fullmatch(re.escape(name) + r"(?:-(\d+))?", checkpoint.parent.name)
        if match:
            numbered[int(match[1] or 1)] = checkpoint.parent
    if not numbered:
        raise InputError(
            f"no run to resume: there is no last.ckpt in {root / name}; leave --ckpt_path out"
        )
    return numbered[max(numbered)]
