"""What is wrong with splits and classes as a whole."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from centernet.analysis.check.content import Content
from centernet.analysis.check.findings import Finding

# Training objects below which little can be expected of a class.
_RARE = 20


def counts(content: Content) -> NDArray[np.int64]:
    """Objects by label."""
    return np.bincount(content.label[content.objects], minlength=len(content.names))


def check_splits(contents: Sequence[Content], *, needed: Sequence[str] = ()) -> None:
    """Note splits that are absent; splits, classes and images without objects.

    Args:
        contents: of the splits.
        needed: names of the splits that there must be.
    """
    for content in contents:
        if not content.objects.any():
            what = f"{len(content.files)} images, {len(content.ids)} annotations, no usable box"
            content.add("split-without-objects", what)
            continue
        _check_classes(content)
        own = np.bincount(content.image[content.usable], minlength=len(content.files))
        for image in np.flatnonzero(own == 0):
            content.add("image-without-objects", "", image=int(image))
    there = [content.split.name for content in contents]
    for name in needed:
        if name not in there:
            contents[0].add("split-absent", f"there is no split {name!r}, only {', '.join(there)}")


def _check_classes(content: Content) -> None:
    for label, count in enumerate(counts(content)):
        name = content.names[label]
        if not count and content.split.name in ("train", "val"):
            content.add("class-absent", f"{name} has no object in {content.split.name}")
        elif 0 < count < _RARE and content.split.name == "train":
            content.add("class-rare", f"{name} has {count}")


def gathered(contents: Sequence[Content]) -> list[Finding]:
    """The findings of all splits."""
    return [finding for content in contents for finding in content.findings]
