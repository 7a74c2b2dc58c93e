"""Images of a page, with boxes to draw over them."""

from dataclasses import dataclass

from centernet.inference.drawing import MANY_BOXES


@dataclass(frozen=True)
class Outline:
    """A box to draw: xywh in the picture's pixels, class name and color; dashed if uncertain."""

    box: tuple[float, float, float, float]
    name: str
    color: str
    is_dashed: bool = False


@dataclass(frozen=True)
class Picture:
    """An image in the page.

    Attributes:
        data: ``data:`` URI.
        size: (height, width) in pixels of the part that is shown; boxes are in these pixels.
        outlines: the boxes.
        caption: text below the image.
    """

    data: str
    size: tuple[int, int]
    outlines: list[Outline]
    caption: str

    @property
    def many(self) -> bool:
        """Whether there are so many boxes that thick lines would cover the objects."""
        return len(self.outlines) > MANY_BOXES
