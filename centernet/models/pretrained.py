"""A trained network out of any file of weights, and its tensors as the start of a training."""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from centernet.data.annotations import truncate_list
from centernet.errors import InputError
from centernet.models import official
from centernet.models.base import DetectionModel
from centernet.models.centernet import CenterNet
from centernet.models.checkpoints import (
    DESCRIPTION,
    build_network,
    checkpoint_of,
    is_checkpoint,
    read_file,
    save_file,
)

log = logging.getLogger(__name__)


def load_weights(path: str | Path) -> tuple[DetectionModel, tuple[int, int] | None]:
    """The network of a checkpoint of ``train.py fit`` or of the original release, in eval mode.

    Nothing in the file is executed. Numbers that are not finite are said in a warning.

    Returns:
        The network with its ``class_names``, and the canvas (height, width) that it was trained
        for; None for a released one, which takes images in their own size.

    Raises:
        InputError: the file is missing, damaged, or neither of the two.
    """
    content = read_file(path)
    try:
        if is_checkpoint(content):
            size = content[DESCRIPTION]["image_size"]
            network, size = build_network(content), size and tuple(size)
        else:
            network, size = official.convert(official.state_dict_of(content)), None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not all(value.isfinite().all() for value in network.state_dict().values()):
        log.warning(
            "%s holds weights that are not finite (NaN), which find nothing: train anew", path
        )
    return network, size


def import_weights(
    source: str | Path,
    target: str | Path,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    class_names: Sequence[str] | None = None,
) -> CenterNet:
    """Write a released detection checkpoint as one of this project.

    Args:
        source: ``.pth`` of the original release.
        target: ``.ckpt`` to write; its folder is made.
        mean: as in :func:`centernet.models.official.load`, and so is ``std``.
        std: see ``mean``.
        class_names: by channel of the heatmap; by default COCO's for 80 and VOC's for 20 classes.

    Returns:
        The network.

    Raises:
        InputError: the source is no such checkpoint, the number of names is not its number of
            classes, or the target cannot be written.
    """
    if is_checkpoint(read_file(source)):
        raise InputError(f"{source} is a checkpoint of this project already: use it as it is")
    network = official.load(source, mean=mean, std=std)
    if class_names and len(class_names) != network.num_classes:
        raise InputError(
            f"{source} has {network.num_classes} classes, but {len(class_names)} names are given"
        )
    network.class_names = tuple(class_names or network.class_names)
    save_file(checkpoint_of(network, image_size=None), target)
    return network


def has_class_names(network: DetectionModel) -> bool:
    """Whether the names of a network's classes are known, and not only their number."""
    return network.class_names != tuple(map(str, range(network.num_classes)))


@dataclass(frozen=True)
class Start:
    """What a network got from a trained one; as a string, in words.

    Attributes:
        taken: names of the tensors that were copied.
        new: names of those that were not, for the classes are others.
    """

    taken: tuple[str, ...]
    new: tuple[str, ...]
    known_classes: tuple[str, ...]

    def __str__(self) -> str:
        parts = Counter(re.match(r"(earlier_heads|heads\.\w+|\w+)", name)[0] for name in self.taken)
        said = "tensors taken: " + ", ".join(f"{part} {count}" for part, count in parts.items())
        if self.new:
            said += (
                f"\ntensors made anew: {', '.join(self.new)}, for the weights tell apart "
                f"{len(self.known_classes)} other classes ({truncate_list(self.known_classes)})"
            )
        return said


def load_pretrained(network: DetectionModel, trained: DetectionModel) -> Start:
    """Copy the tensors of a trained network into a new one of the same architecture.

    What tells the classes apart is left new where the classes are others.
    """
    new = [] if _same_classes(network, trained) else network.classifier_parameter_names()
    taken = {name: value for name, value in trained.state_dict().items() if name not in new}
    network.load_state_dict(network.state_dict() | taken)
    return Start(tuple(taken), tuple(new), trained.class_names)


def _same_classes(network: DetectionModel, trained: DetectionModel) -> bool:
    """By name; weights without names are taken to be of these classes if there are as many."""
    if has_class_names(trained):
        return network.class_names == trained.class_names
    return network.num_classes == trained.num_classes
