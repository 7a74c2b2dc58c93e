"""What is wrong with splits and classes as a whole."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from centernet.check.content import Content
from centernet.check.findings import Finding

# Training objects below which little can be expected of a class.
_RARE = 20


def counts(content: Content) -> NDArray[np.int64]:
    """Objects by label."""
    return np.bincount(content.label[content.objects], minlength=len(content.names))


def check_splits(contents: Sequence[Content]) -> None:
    """Note splits, classes and images without objects."""
    for content in contents:
        if not content.objects.any():
            what = f"{len(content.files)} images, {len(content.ids)} annotations, no usable box"
            content.add("split-without-objects", what)
            continue
        _check_classes(content)
        own = np.bincount(content.image[content.usable], minlength=len(content.files))
        for image in np.flatnonzero(own == 0):
            content.add("image-without-objects", "", image=int(image))
    if len(contents) == 1:
        only = contents[0]
        only.add("split-absent", f"the dataset has {only.split.name!r} alone")


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
