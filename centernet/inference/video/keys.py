"""The keys of the preview window. Light imports only: the command line reads it."""

# Keys and their effect, as the window and ``--help`` show them.
KEYS = (
    ("space", "pause or continue"),
    ("s or .", "next frame, then pause"),
    ("+ or -", "score threshold of all classes"),
    ("m", "heatmap: off, all classes, each class"),
    ("1 to 9", "only the first, ... ninth class; 0: all classes"),
    ("c", "save a snapshot"),
    ("r", "start or end a recording"),
    ("h", "show or hide the keys"),
    ("q, Escape", "end"),
)
# Of images: any other key continues with the next one.
STILL_KEYS = (
    ("space", "next image"),
    *(row for row in KEYS if row[0] not in ("space", "s or .", "r")),
)


def format_keys(keys: tuple[tuple[str, str], ...] = KEYS) -> str:
    """One key per line, for ``--help``."""
    return "\n".join(f"  {key:<10} {effect}" for key, effect in keys)
