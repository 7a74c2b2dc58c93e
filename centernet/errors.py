"""The error for invalid user input: files, options, weights."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MAX_LENGTH = 900  # characters


class InputError(ValueError):
    """Invalid user input: a file, an option or weights.

    The message is one line: what is wrong, the value, and what to do. Commands print it and exit
    with status 1 instead of showing a traceback. Control characters, such as line feeds in file
    names, are escaped, and a very long message is truncated in the middle.
    """

    def __init__(self, message: object) -> None:
        text = _CONTROL.sub(lambda match: repr(match[0])[1:-1], str(message))
        if len(text) > _MAX_LENGTH:
            text = f"{text[: _MAX_LENGTH // 2]} ... {text[-_MAX_LENGTH // 2 :]}"
        super().__init__(text)


def first_line(error: BaseException) -> str:
    """The first line of the message of a library's error, or the name of its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def require_at_least(least: int, **values: int | None) -> None:
    """Raise InputError if one of the named values is less than ``least``; None is accepted."""
    for name, value in values.items():
        if value is not None and value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
