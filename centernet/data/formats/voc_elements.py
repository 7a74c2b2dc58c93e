"""Write the XML elements of Pascal VOC."""

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from centernet.data.entries import is_ignore_region

IMAGE_FOLDER = "JPEGImages"


def _element(tag: str, **texts: object) -> ElementTree.Element:
    """An element with a child for each text."""
    root = ElementTree.Element(tag)
    for name, text in texts.items():
        ElementTree.SubElement(root, name).text = str(text)
    return root


def image_element(image: dict[str, Any]) -> ElementTree.Element:
    """The root element of an image, without objects."""
    root = _element("annotation", folder=IMAGE_FOLDER, filename=image["file_name"])
    root.append(_element("size", width=image["width"], height=image["height"], depth=3))
    ElementTree.SubElement(root, "segmented").text = "0"
    return root


def object_element(
    annotation: dict[str, Any], name: str, corners: Sequence[float], image: dict[str, Any]
) -> ElementTree.Element:
    """The XML element of an annotation; ``corners`` are its clipped box."""
    difficult = int(is_ignore_region(annotation))
    entry = _element("object", name=name, pose="Unspecified", truncated=0, difficult=difficult)
    x1, y1, x2, y2 = map(round, corners)
    # A box keeps at least one pixel.
    left, top = min(x1, image["width"] - 1), min(y1, image["height"] - 1)
    right, bottom = max(x2, left + 1), max(y2, top + 1)
    entry.append(_element("bndbox", xmin=left, ymin=top, xmax=right, ymax=bottom))
    return entry
