"""Printing text that the terminal's encoding may lack characters for."""

import sys


def print_text(text: str) -> None:
    """Print text; characters that the encoding lacks, as in file names, are escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))
