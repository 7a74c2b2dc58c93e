"""Split validation images off the training split, all images of one photograph together."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from centernet.data.annotations import DatasetSplit
from centernet.data.images import for_each_image, read_image
from centernet.data.similar_images import (
    Fingerprint,
    Groups,
    fingerprint,
    group_similar,
    original_name,
)
from centernet.errors import InputError


def split_validation(
    splits: Sequence[DatasetSplit], fraction: float, *, group_by: str | None = None
) -> tuple[list[DatasetSplit], list[str]]:
    """Make a validation split of part of the training images, always of the same ones.

    Images of one group go to the same split. Two images are in one group if their pictures are
    identical or near-identical, also mirrored or turned (see
    :func:`centernet.data.similar_images.group_similar`); if Roboflow made both from one photograph
    (the same file name before ``.rf.``); or if ``group_by`` finds the same in both file names. A
    hash of a group's name decides, so a dataset that grows keeps nearly all images where they were.

    Args:
        splits: of the dataset.
        fraction: of the training images to hold out; met as nearly as whole groups allow.
        group_by: regular expression, searched in the file names (with their folders). Its first
            group counts if it has one, else the whole match.

    Returns:
        The splits, and messages: how many images were held out, and which were kept together.

    Raises:
        InputError: there is a validation split already, no training split, too few images, or only
            one group; or the regular expression is invalid or matches no file name.
    """
    train = _training_split(splits, fraction)
    files = [image["file_name"] for image in train.coco["images"]]
    if len(files) < 2:
        raise InputError(f"{len(files)} images are too few to hold {fraction:g} of them out")
    matches = _matches(group_by, files)
    originals = [original_name(file) for file in files]
    pictures = for_each_image(_read_fingerprint, [train.images / file for file in files])
    similar = group_similar([pictures[train.images / file] for file in files], turned=True)
    relations = {
        "file name before .rf.": _equal(originals),
        "picture": similar,
        f"--group-by {group_by}": _equal(matches),
    }
    groups = Groups(len(files))
    for relation in relations.values():
        groups.join(range(len(files)), relation.label)
    kept_together = _kept_together(groups, relations)
    names = [match or original or Path(file).stem
             for match, original, file in zip(matches, originals, files, strict=True)]  # fmt: skip
    chosen = _choose(_in_hash_order(groups, names), fraction * len(files))
    if not chosen:
        raise InputError(
            f"nothing can be held out, all images belong to one group: {kept_together}; "
            "add images of other scenes, or provide a validation split"
        )
    held_out = {train.coco["images"][i]["id"] for i in chosen}
    parts = [_part(train, "train", held_out, False), _part(train, "val", held_out, True)]
    message = (
        f"held out {len(chosen)} of {len(files)} training images for validation "
        f"({len(chosen) / len(files):.1%}, {fraction:.1%} requested)"
    )
    warning = similar.fixed_view and (
        f"{similar.fixed_view} of {len(files)} pictures are similar, as those of a fixed camera: "
        "only identical ones are kept together; use --group-by for sequences"
    )
    others = [split for split in splits if split is not train]
    return [*parts, *others], [message, *filter(None, [kept_together, warning])]


def _training_split(splits: Sequence[DatasetSplit], fraction: float) -> DatasetSplit:
    named = {split.name: split for split in splits}
    if not 0 < fraction < 1:
        raise InputError(f"the fraction for validation must lie between 0 and 1, got {fraction}")
    if "val" in named:
        raise InputError(
            f"there is a validation split already, of {len(named['val'].coco['images'])} images: "
            "leave out --val-fraction"
        )
    if "train" not in named:
        raise InputError(f"there is no training split to divide among {', '.join(named)}")
    return named["train"]


def _matches(expression: str | None, names: Sequence[str]) -> list[str | None]:
    """What the regular expression finds in each file name; None where it does not match."""
    if expression is None:
        return [None] * len(names)
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise InputError(
            f"--group-by {expression!r} is not a regular expression: {error}"
        ) from None
    found = [pattern.search(name) for name in names]
    matches = [match and match[min(1, pattern.groups)] for match in found]
    if not any(matches):
        raise InputError(
            f"--group-by {expression!r} matches none of the {len(names)} file names of train, "
            f"the first is {names[0]!r}"
        )
    return [match or None for match in matches]


def _read_fingerprint(path: Path) -> Fingerprint | None:
    try:
        return fingerprint(read_image(path))
    except InputError:
        return None


def _equal(keys: Sequence[str | None]) -> Groups:
    groups = Groups(len(keys))
    groups.join_equal(keys)
    return groups


def _in_hash_order(groups: Groups, names: Sequence[str]) -> list[list[int]]:
    """All groups, ordered by the hash of the first of their images' names in the alphabet."""

    def digest(group: list[int]) -> bytes:
        return hashlib.sha256(min(names[image] for image in group).encode()).digest()

    return sorted(groups.every(), key=digest)


def _choose(groups: Sequence[list[int]], wanted: float) -> list[int]:
    """Images of whole groups, about as many as wanted; none if there is only one group.

    The groups that fit are taken in order, then the smallest of the others if that comes nearer.
    """
    chosen, others = [], []
    left = min(max(1, round(wanted)), sum(map(len, groups)) - 1)
    for group in groups:
        if len(group) <= left:
            chosen += group
            left -= len(group)
        else:
            others.append(group)
    smallest = min(others, key=len)
    if len(others) > 1 and (not chosen or len(smallest) - left < left):
        chosen += smallest
    return chosen


def _kept_together(groups: Groups, relations: Mapping[str, Groups]) -> str:
    """How many groups there are, and in how many each relation joins images; "" for none."""
    several = groups.several()
    if not several:
        return ""
    joined = {
        name: len({int(groups.label[group[0]]) for group in relation.several()})
        for name, relation in relations.items()
    }
    reasons = ", ".join(f"{count} by {name}" for name, count in joined.items() if count)
    images = sum(map(len, several))
    return f"{len(several)} groups of {images} images in total kept together ({reasons})"


def _part(split: DatasetSplit, name: str, held_out: set[Any], inside: bool) -> DatasetSplit:
    content = split.coco | {
        "images": [i for i in split.coco["images"] if (i["id"] in held_out) == inside],
        "annotations": [
            a for a in split.coco["annotations"] if (a["image_id"] in held_out) == inside
        ],
    }
    return DatasetSplit(name, split.images, content, split.source, [] if inside else split.notes)
