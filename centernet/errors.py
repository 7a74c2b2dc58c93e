"""The one exception for mistakes a person can mend: bad files, values, weights."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST = 900  # characters


class InputError(ValueError):
    """Something given from outside is wrong.

    The message is one line: what is wrong, the value, and what to do. Commands print it and exit
    with status 1 instead of showing a traceback. Control characters of the values in it, as line
    feeds of file names, are escaped, and a very long message is cut in the middle.
    """

    def __init__(self, message: object) -> None:
        text = _CONTROL.sub(lambda match: repr(match[0])[1:-1], str(message))
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
        super().__init__(text)


def require_at_least(least: int, **values: int | None) -> None:
    """Raise InputError if one of the values, which go by their names, is less; None passes."""
    for name, value in values.items():
        if value is not None and value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
