"""XML files from untrusted sources: limited in size, without entities."""

import re
from pathlib import Path
from xml.etree import ElementTree

from centernet.files import open_regular, read_bytes

_MAX_XML = 50 << 20  # bytes
_START = 500  # bytes
_ENCODING = re.compile(rb"""<\?xml[^>]*encoding=(["'])([\w.:-]+)\1[^>]*\?>""")
_NATIVE_ENCODINGS = (b"utf-8", b"utf-16", b"us-ascii", b"iso-8859-1")


def load_xml(path: Path) -> ElementTree.Element:
    """Read an XML file and return its root.

    Raises:
        OSError: the file cannot be read.
        ElementTree.ParseError: it is not XML.
        ValueError: it declares entities, a few of which can expand to fill any memory.
        LookupError: its encoding is not supported; a ValueError for some encodings.
    """
    data = read_bytes(path, _MAX_XML)
    if b"<!ENTITY" in data.replace(b"\0", b""):  # UTF-16 has null bytes in between
        raise ValueError("it declares entities")
    declared = _ENCODING.match(data)
    if declared and declared[2].lower() not in _NATIVE_ENCODINGS:
        # Python knows more encodings than the parser.
        text = data[declared.end() :].decode(declared[2].decode("ascii"))
        return ElementTree.fromstring(text)
    return ElementTree.fromstring(data)


def start_of(path: Path) -> bytes:
    """The first bytes of a file, without null bytes; empty if it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(_START).replace(b"\0", b"")  # UTF-16 has null bytes in between
    except OSError:
        return b""


def text_of(element: ElementTree.Element, path: str) -> str | None:
    """The stripped text of a descendant; None if it is missing or empty."""
    found = element.findtext(path)
    return found.strip() if found else None


def number_of(element: ElementTree.Element, path: str) -> float | None:
    """The text of a descendant as a number; None if it is not a number."""
    try:
        return float(text_of(element, path) or "")
    except ValueError:
        return None
