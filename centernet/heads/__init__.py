"""The heads of a CenterNet: targets, loss and decoding of each output map.

Each head is a subclass of :class:`Head`. Network, loss, decoding, flip test and oracle analysis
iterate over the heads; only the heatmap, which defines where objects are, is used by name. To add
an output, subclass :class:`Head`, decorate the class with :func:`register`, and build the network
with ``CenterNet(..., heads=["name"])``.

"Objects as Points" (Zhou et al., 2019), sections 3 and 4.
"""

from collections.abc import Iterable

from centernet.errors import InputError
from centernet.heads.base import HEADS, Cells, Head, LossContext, register
from centernet.heads.standard import Heatmap, Offset, Sides, Size

__all__ = [
    "BOX_HEADS",
    "DEFAULT_BOX_HEAD",
    "HEADS",
    "Cells",
    "Head",
    "Heatmap",
    "LossContext",
    "Offset",
    "Sides",
    "Size",
    "register",
    "select_heads",
]

# The heads that predict boxes, by the option ``box_head``.
BOX_HEADS: dict[str, tuple[type[Head], ...]] = {"size": (Size, Offset), "sides": (Sides,)}
DEFAULT_BOX_HEAD = "size"


def select_heads(
    box_head: str = DEFAULT_BOX_HEAD, further: Iterable[str] | None = None
) -> dict[str, Head]:
    """The heads of a network by name: heatmap, box heads, and further heads.

    Args:
        box_head: a key of ``BOX_HEADS``.
        further: names of registered heads.

    Raises:
        InputError: there is no such head.
    """
    if box_head not in BOX_HEADS:
        raise InputError(f"unknown box_head {box_head!r}: choose {' or '.join(BOX_HEADS)}")
    names = [Heatmap.name, *(head.name for head in BOX_HEADS[box_head]), *(further or ())]
    for name in names:
        if name not in HEADS:
            raise InputError(
                f"unknown head {name!r}: choose {', '.join(HEADS)}, or import the module that "
                "registers it"
            )
    return {name: HEADS[name] for name in names}
