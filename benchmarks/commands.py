"""Commands of benchmarks, with their output in a log file."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from centernet.errors import InputError


def run_logged(
    name: str, arguments: Sequence[Any], log: Path, environment: Mapping[str, str] | None = None
) -> float:
    """Run a command with its output in ``log``.

    Args:
        name: what the command does, for the message if it fails.
        arguments: the program and its arguments.
        log: file to write.
        environment: variables to add to those of this process.

    Returns:
        CPU time in seconds, user and system, of the process and its children.

    Raises:
        InputError: the command fails; the message has the last line of its output.
    """
    before = _cpu_seconds()
    with log.open("w") as file:
        status = subprocess.run(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        ).returncode
    if status:
        lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
        raise InputError(f"{name} failed, see {log}: {lines[-1]}")
    return _cpu_seconds() - before


def _cpu_seconds() -> float:
    """CPU time of all child processes that have ended; on Windows 0."""
    times = os.times()
    return times.children_user + times.children_system
