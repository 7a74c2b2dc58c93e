"""Load a network from any supported checkpoint; initialize a network from pretrained weights."""

import logging
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
    """Load the network of a checkpoint, in eval mode.

    The checkpoint is one of ``train.py fit`` or of the original release. Nothing in the file is
    executed. Weights that are not finite cause a warning.

    Returns:
        The network with its ``class_names``, and the input size (height, width) that it was trained
        at; None for a released network, which accepts images at their own size.

    Raises:
        InputError: the file is missing, damaged, or not such a checkpoint.
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
            "%s contains weights that are not finite (NaN or infinity): the network detects "
            "nothing and must be trained again",
            path,
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
    """Convert a released detection checkpoint to a checkpoint of this project.

    Args:
        source: ``.pth`` file of the original release.
        target: ``.ckpt`` file to write; its folder is created.
        mean: mean of the training images, as for :func:`centernet.models.official.load`.
        std: standard deviation of the training images, likewise.
        class_names: names by channel of the heatmap; by default COCO's for 80 classes and Pascal
            VOC's for 20.

    Returns:
        The network.

    Raises:
        InputError: the source is not such a checkpoint, the number of names differs from the number
            of classes, or the target cannot be written.
    """
    if is_checkpoint(read_file(source)):
        raise InputError(f"{source} is already a checkpoint of this project: use it directly")
    network = official.load(source, mean=mean, std=std)
    if class_names and len(class_names) != network.num_classes:
        raise InputError(
            f"{source} has {network.num_classes} classes, got {len(class_names)} class names"
        )
    network.class_names = tuple(class_names or network.class_names)
    save_file(checkpoint_of(network, image_size=None), target)
    return network


def has_class_names(network: DetectionModel) -> bool:
    """Whether a network has class names other than the default "0", "1", ..."""
    return network.class_names != tuple(map(str, range(network.num_classes)))


@dataclass(frozen=True)
class TransferReport:
    """Result of :func:`load_pretrained`; its string is the text for the log.

    Attributes:
        loaded: names of the tensors that were copied.
        reinitialized: names of the tensors of the classification layer, which keep their random
            initialization because the classes differ; empty if the classes are the same.
        pretrained_classes: class names of the pretrained network.
    """

    loaded: tuple[str, ...]
    reinitialized: tuple[str, ...]
    pretrained_classes: tuple[str, ...]

    def __str__(self) -> str:
        parts = Counter(map(_part_name, self.loaded))
        text = "loaded tensors: " + ", ".join(f"{part} {count}" for part, count in parts.items())
        if self.reinitialized:
            text += (
                "\nthe classification layer is re-initialized because the class names differ: the "
                f"weights have {len(self.pretrained_classes)} classes "
                f"({truncate_list(self.pretrained_classes)}); "
                f"re-initialized tensors: {', '.join(self.reinitialized)}"
            )
        return text


def _part_name(tensor_name: str) -> str:
    """The module of a tensor: ``backbone``, ``neck``, ``heads.heatmap``, ..."""
    first, second, *_ = [*tensor_name.split("."), ""]
    return f"{first}.{second}" if first == "heads" else first


def load_pretrained(network: DetectionModel, pretrained: DetectionModel) -> TransferReport:
    """Copy the tensors of a pretrained network into a new one of the same architecture.

    The classification layer is not copied if the class names differ. Class names are compared in
    order; if the pretrained network has none, its number of classes is compared.
    """
    names = [] if _same_classes(network, pretrained) else network.classifier_parameter_names()
    loaded = {name: value for name, value in pretrained.state_dict().items() if name not in names}
    network.load_state_dict(network.state_dict() | loaded)
    return TransferReport(tuple(loaded), tuple(names), pretrained.class_names)


def _same_classes(network: DetectionModel, pretrained: DetectionModel) -> bool:
    """Whether both networks have the same classes."""
    if has_class_names(pretrained):
        return network.class_names == pretrained.class_names
    return network.num_classes == pretrained.num_classes
