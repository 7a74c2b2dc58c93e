"""The one exception for mistakes a person can mend: bad files, values, weights."""


class InputError(ValueError):
    """Something given from outside is wrong.

    The message is one line: what is wrong, the value, and what to do. Commands print it and exit
    with status 1 instead of showing a traceback.
    """
