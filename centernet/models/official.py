"""Load detection checkpoints of the original release (``ctdet_*.pth``).

The shapes of the tensors determine the architecture. The tables below convert the tensor names of
this project to the released names, so that an error can name a missing, unknown or misshapen tensor
as in the file.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mode
from typing import Any

import torch
from torch import Tensor

from centernet.data import class_names
from centernet.data.annotations import truncate_list
from centernet.errors import InputError
from centernet.models.backbones import HOURGLASS
from centernet.models.centernet import CenterNet
from centernet.models.checkpoints import read_file
from centernet.models.descriptions import check_tensors
from centernet.models.registry import tensor_shapes

# Mean and standard deviation of the released COCO models in their channel order: BGR.
RELEASE_MEAN, RELEASE_STD = (0.408, 0.447, 0.470), (0.289, 0.274, 0.278)

_CLASS_NAMES = {len(names): names for names in (class_names.COCO, class_names.VOC)}

_FOREIGN = (
    "neither a checkpoint of this project nor a detection checkpoint (ctdet) of the original "
    "release"
)
# Tensors in released files that their network never uses: the ImageNet classifier, and the
# projections at the top of two trees, whose subtrees have projections of their own.
_UNUSED = {"dla": re.compile(r"base\.(fc|level3\.project|level4\.project)\.")}
# ResNets by the number of blocks in their four layers, and by whether these are bottlenecks.
_RESNETS: dict[tuple[tuple[int, ...], bool], str] = {
    ((2, 2, 2, 2), False): "resnet18",
    ((3, 4, 6, 3), False): "resnet34",
    ((3, 4, 6, 3), True): "resnet50",
    ((3, 4, 23, 3), True): "resnet101",
    ((3, 8, 36, 3), True): "resnet152",
}


def _head(match: re.Match[str]) -> str:
    """The released name of a head."""
    return {"heatmap": "hm.", "size": "wh.", "offset": "reg."}[match[1]]


def _numbered(*layers: str) -> Callable[[re.Match], str]:
    """Number the layers of all steps of the neck consecutively, as the release does."""

    def released(match: re.Match[str]) -> str:
        step, layer = match.groups()
        return f"deconv_layers.{int(step) * len(layers) + layers.index(layer)}."

    return released


def _from_one(match: re.Match[str]) -> str:
    """Number the aggregated maps from 1, as the release does."""
    aggregation, part, number = match.groups()
    return f"{aggregation}.{part.replace('project', 'proj')}_{int(number) + 1}."


# Substitutions, applied in order, that convert this project's tensor names to the released names.
_RULES: dict[str, list[tuple[str, str | Callable[[re.Match[str]], str]]]] = {
    "res": [
        (r"^heads\.(\w+)\.", _head),
        (r"^backbone\.", ""),
        (r"^neck\.(\d)\.(up|norm)\.", _numbered("up", "norm", "relu")),
    ],
    "resdcn": [
        (r"^heads\.(\w+)\.", _head),
        (r"^backbone\.", ""),
        (
            r"^neck\.(\d)\.(conv\.conv|conv\.norm|up|norm)\.",
            _numbered("conv.conv", "conv.norm", "conv.relu", "up", "norm", "relu"),
        ),
        (r"\.offset_mask\.", ".conv_offset_mask."),
    ],
    "dla": [
        (r"^heads\.(\w+)\.", _head),
        (r"^backbone\.", "base."),
        (r"^neck\.steps\.(\d)\.", r"dla_up.ida_\1."),
        (r"^neck\.merge\.", "ida_up."),
        (r"^(dla_up\.ida_\d|ida_up)\.(project|up|node)\.(\d)\.", _from_one),
        (r"^(dla_up.*|ida_up.*)\.norm\.", r"\1.actf.0."),
        (r"\.offset_mask\.", ".conv_offset_mask."),
    ],
    "hourglass": [
        # Each head exists once per stack; its convolutions are 0.conv and 1.
        (r"^heads\.(\w+)\.", lambda match: _head(match) + "1."),
        (r"^earlier_heads\.0\.(\w+)\.", lambda match: _head(match) + "0."),
        (r"^(hm|wh|reg)\.(\d)\.0\.", r"\1.\2.0.conv."),
        (r"^(hm|wh|reg)\.(\d)\.2\.", r"\1.\2.1."),
        (r"^backbone\.stem\.0\.norm\.", "pre.0.bn."),
        (r"^backbone\.stem\.", "pre."),
        (r"^backbone\.outputs\.(\d)\.norm\.", r"cnvs.\1.bn."),
        (r"^backbone\.outputs\.", "cnvs."),
        (r"^backbone\.keep\.(\d)\.", r"inters_.\1."),
        (r"^backbone\.feed\.(\d)\.", r"cnvs_.\1."),
        (r"^(inters_|cnvs_)\.(\d)\.conv\.", r"\1.\2.0."),
        (r"^(inters_|cnvs_)\.(\d)\.norm\.", r"\1.\2.1."),
        (r"^backbone\.join\.", "inters."),
        (r"^backbone\.stacks\.", "kps."),
        (r"\.side\.", ".up1."),
        (r"\.down\.", ".low1."),
        (r"\.inner(?=\.)", ".low2"),  # nested: several per name
        (r"\.up\.", ".low3."),
        (r"\.first\.conv\.", ".conv1."),
        (r"\.first\.norm\.", ".bn1."),
        (r"\.second\.conv\.", ".conv2."),
        (r"\.second\.norm\.", ".bn2."),
        (r"\.skip\.conv\.", ".skip.0."),
        (r"\.skip\.norm\.", ".skip.1."),
    ],
}


def load(
    path: str | Path, *, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> CenterNet:
    """Load the network of a released detection checkpoint, in eval mode, with ``class_names``.

    The released networks take BGR images. The returned network takes RGB, like all networks of this
    project: the input channels of its first layer are reversed. Nothing in the file is executed.

    Args:
        path: ``.pth`` file.
        mean: mean of the training images in [0, 1], in BGR order; by default that of the COCO
            models. The released VOC models have 0.485 0.456 0.406.
        std: standard deviation of the training images, likewise. The released VOC models have
            0.229 0.224 0.225.

    Raises:
        InputError: the file cannot be read, or is not a detection checkpoint of the release. The
            message names each tensor that is missing, unknown or of another shape.
    """
    content = read_file(path)
    try:
        return convert(state_dict_of(content), mean=mean, std=std)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def state_dict_of(content: Any) -> dict[str, Tensor]:
    """Return the tensors of a file: its entry ``state_dict`` if it has one, else its content.

    Raises:
        InputError: the content is not a dict of tensors.
    """
    state = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise InputError(_FOREIGN)
    check_tensors(state)
    return state


def convert(
    state_dict: Mapping[str, Tensor],
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> CenterNet:
    """Convert a released state dict to a network; arguments and errors as for :func:`load`."""
    released = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    family = _family(released)
    architecture = _architecture(family, released)
    shapes = tensor_shapes(lambda: CenterNet(**architecture))
    names = {ours: _released_name(ours, family) for ours in shapes if ours not in ("mean", "std")}
    _check({name: shapes[ours] for ours, name in names.items()}, released, family)
    network = CenterNet(**architecture)
    state = network.state_dict()
    network.load_state_dict(
        state | {ours: released[name] for ours, name in names.items() if name in released}
    )
    _convert_to_rgb(network, mean or RELEASE_MEAN, std or RELEASE_STD)
    network.class_names = _CLASS_NAMES.get(network.num_classes, network.class_names)
    return network.eval()


def _family(released: Mapping[str, Tensor]) -> str:
    """Return the key of ``_RULES`` for a released state dict."""
    for family, part in (("hourglass", "kps."), ("dla", "dla_up."), ("res", "deconv_layers.")):
        if any(name.startswith(part) for name in released):
            deformable = any(".conv_offset_mask." in name for name in released)
            return "resdcn" if family == "res" and deformable else family
    raise InputError(_FOREIGN)


def _architecture(family: str, released: Mapping[str, Tensor]) -> dict[str, Any]:
    """Derive the arguments of CenterNet from the shapes of the tensors."""

    def width(*names: str) -> int:
        """The most frequent number of output channels, so that one misshapen tensor is no match."""
        sizes = [len(released[n]) for n in names if n in released and released[n].ndim]
        if not sizes:
            raise InputError(f"the tensor {names[0]} is missing")
        return mode(sizes)

    def of_heads(layer: int, heads: Sequence[str]) -> list[str]:
        ours = [f"heads.{head}.{layer}.{part}" for part in ("bias", "weight") for head in heads]
        return [_released_name(name, family) for name in ours]

    arguments = {
        "num_classes": width(*of_heads(2, ["heatmap"])),
        "head_channels": width(*of_heads(0, ["heatmap", "size", "offset"])),
    }
    if family == "hourglass":
        return arguments | {"backbone": HOURGLASS}
    if family == "dla":
        return arguments | {"backbone": "dla34", "neck": "dla", "deformable": True}
    norms = [_released_name(f"neck.{step}.norm.", family) for step in range(3)]
    return arguments | {
        "backbone": _resnet(released),
        "deformable": family == "resdcn",
        "neck_channels": [
            width(*(norm + part for part in ("weight", "bias", "running_mean"))) for norm in norms
        ],
    }


def _resnet(released: Mapping[str, Tensor]) -> str:
    """Derive the depth of a ResNet from its blocks."""
    parts = [re.match(r"layer(\d)\.(\d+)\.(conv3\.)?", name) for name in released]
    tensors = Counter((part[1], part[2]) for part in parts if part)
    # A block counts if most of its tensors are present, so that the error for a missing or
    # additional tensor names that tensor and not the depth.
    blocks = [layer for (layer, _), count in tensors.items() if count > 4]
    count = tuple(blocks.count(layer) for layer in "1234")
    bottleneck = sum(bool(part and part[3]) for part in parts) > len(blocks) / 2
    try:
        return _RESNETS[count, bottleneck]
    except KeyError:
        raise InputError(
            f"layers 1 to 4 have {list(count)} blocks{' with a conv3' * bottleneck}, unlike "
            "ResNets of depth 18, 34, 50, 101 and 152"
        ) from None


def _check(expected: Mapping[str, torch.Size], released: Mapping[str, Tensor], family: str) -> None:
    """Raise InputError if a tensor is missing, unknown or of another shape than expected."""
    unused = _UNUSED.get(family, re.compile("$^"))
    errors = [
        f"{name} is missing"
        for name in expected
        if name not in released and not name.endswith(".num_batches_tracked")
    ]
    errors += [
        f"{name} does not belong to a {family} detector"
        for name in released
        if name not in expected and not unused.match(name)
    ]
    errors += [
        f"{name} has shape {tuple(released[name].shape)} instead of {tuple(shape)}"
        for name, shape in expected.items()
        if name in released and released[name].shape != shape
    ]
    if errors:
        raise InputError(
            f"{truncate_list(errors, 3)} ({len(errors)} in total): the file is not a detection "
            "checkpoint (ctdet) of the original release, or is incomplete"
        )


def _convert_to_rgb(network: CenterNet, mean: Sequence[float], std: Sequence[float]) -> None:
    """Reverse the input channels of the first layer, and set mean and std, given in BGR order."""
    first = next(network.backbone.parameters())
    with torch.no_grad():
        first.copy_(first.flip(1))
        for buffer, values in ((network.mean, mean), (network.std, std)):
            buffer.copy_(torch.tensor(values).flip(0).view(3, 1, 1))


def _released_name(ours: str, family: str) -> str:
    """Convert this project's name of a tensor to the released name."""
    for pattern, replacement in _RULES[family]:
        ours = re.sub(pattern, replacement, ours)
    return ours
