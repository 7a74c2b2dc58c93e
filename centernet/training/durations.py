"""Durations as text: options such as ``--max-time 1h30m``, and times in messages."""

import math
import re

from centernet.errors import InputError

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_NUMBER = r"(\d+(?:\.\d+)?)"
_UNITS = re.compile("".join(f"(?:{_NUMBER}{unit})?" for unit in _SECONDS))
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):([0-5]?\d):([0-5]?\d)")
_EXAMPLES = "give 30m, 90s, 1h30m or 00:30:00"


def parse_duration(text: str, option: str = "--max-time") -> float:
    """The seconds of a duration.

    Args:
        text: numbers with the units d, h, m and s, as ``1h30m``; or ``hours:minutes:seconds``, with
            ``days:`` in front if needed.
        option: name of the option, for errors.

    Raises:
        InputError: the text is not a duration above 0.
    """
    compact = "".join(text.lower().split())
    match = _CLOCK.fullmatch(compact) or (compact and _UNITS.fullmatch(compact))
    if not match:
        reason = "has no unit" if compact.replace(".", "", 1).isdigit() else "is not a duration"
        raise InputError(f"{option} {text} {reason}: {_EXAMPLES}")
    numbers = match.groups()
    values = zip(numbers, _SECONDS.values(), strict=True)
    seconds = sum(float(number or 0) * unit for number, unit in values)
    if not 0 < seconds < math.inf:
        raise InputError(f"{option} {text} is not above 0: {_EXAMPLES}")
    return seconds


def format_duration(seconds: float) -> str:
    """A duration for people, rounded: ``0.8 s``, ``45 s``, ``12 min`` or ``2 h 05 min``."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
