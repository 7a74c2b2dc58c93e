"""Wrong options: commands end the process, Python callers get an InputError."""

import sys
from contextvars import ContextVar
from typing import NoReturn

from centernet.errors import InputError

# Whether a wrong option raises InputError, as in ``centernet.train``.
RAISE_ERRORS = ContextVar("RAISE_ERRORS", default=False)


def raise_if_wanted(message: str) -> None:
    """Raise InputError with the message in one line if :data:`RAISE_ERRORS` is set."""
    if RAISE_ERRORS.get():
        raise InputError(" ".join(message.split()))


def report_option_error(message: str) -> NoReturn:
    """Print the error and end the process with status 2, or raise InputError if that is wanted."""
    raise_if_wanted(message)
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)
