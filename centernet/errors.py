"""The one exception for mistakes a person can mend: bad files, values, weights."""


class InputError(ValueError):
    """Something given from outside is wrong.

    The message is one line: what is wrong, the value, and what to do. Commands print it and exit
    with status 1 instead of showing a traceback.
    """


def require_at_least(least: int, **values: int | None) -> None:
    """Raise InputError if one of the values, which go by their names, is less; None passes."""
    for name, value in values.items():
        if value is not None and value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
