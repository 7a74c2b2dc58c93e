"""The option ``labels`` of drawn pictures. Light imports only: the command line reads it."""

from centernet.errors import InputError

# The text of a label by the option's value.
LABELS = {"all": "class and score", "class": "class", "score": "score", "none": "no text"}
DEFAULT_LABELS = "all"
LABELS_HELP = (
    f"text of the labels: {', '.join(f'{name} ({text})' for name, text in LABELS.items())}. "
    "The best detections are labeled first; a label that would cover others is left out, and a "
    "corner then shows the number of objects per class"
).replace("class (class), score (score), ", "class, score, ")


def require_labels(value: str) -> str:
    """Return the value of the option.

    Raises:
        InputError: the value is unknown.
    """
    if value not in LABELS:
        raise InputError(f"labels must be {', '.join(LABELS)}, got {value!r}")
    return value
