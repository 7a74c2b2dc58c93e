"""Split off validation images, or folds; images of one photograph stay together."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from centernet.data.annotations import DatasetSplit
from centernet.data.entries import is_ignore_region
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
    splits: Sequence[DatasetSplit],
    fraction: float,
    *,
    group_by: str | None = None,
    fingerprints: Mapping[Path, Fingerprint | None] | None = None,
) -> tuple[list[DatasetSplit], list[str]]:
    """Move part of the training images to a validation split, always the same images.

    Images of one group stay in one split. Two images are in one group if their pictures are
    identical or near-identical, also mirrored or turned (see
    :func:`centernet.data.similar_images.group_similar`); if Roboflow made both from one photograph
    (equal file names before ``.rf.``); or if ``group_by`` matches the same text in both file names.
    A hash of the group's name decides, so a growing dataset keeps nearly all images in place.

    Args:
        splits: splits of the dataset.
        fraction: fraction of the training images to hold out, met as closely as groups allow.
        group_by: regular expression, searched in the file names (with their folders). Its first
            group is compared if it has one, else the complete match.
        fingerprints: those of the image files, if they are known; by default the files are read.
            Images without one are compared by name only.

    Returns:
        The splits, and messages: how many images are held out, and which are kept together.

    Raises:
        InputError: there is a validation split already, no training split, too few images, or only
            one group; or the regular expression is invalid or matches no file name.
    """
    train = _training_split(splits, fraction)
    files = [image["file_name"] for image in train.coco["images"]]
    if len(files) < 2:
        raise InputError(f"{len(files)} images are too few to hold {fraction:g} of them out")
    groups, names, messages = _group(train.images, files, group_by, fingerprints)
    chosen = _choose(_in_hash_order(groups, names), fraction * len(files))
    if not chosen:
        raise InputError(
            f"nothing can be held out, all images belong to one group: {messages[0]}; "
            "add images of other scenes, or provide a validation split"
        )
    held_out = {train.coco["images"][i]["id"] for i in chosen}
    parts = [_part(train, "train", held_out, False), _part(train, "val", held_out, True)]
    message = (
        f"held out {len(chosen)} of {len(files)} training images for validation "
        f"({len(chosen) / len(files):.1%}, {fraction:.1%} requested)"
    )
    others = [split for split in splits if split is not train]
    return [*parts, *others], [message, *messages]


def split_folds(split: DatasetSplit, folds: int, *, seed: int = 0) -> list[DatasetSplit]:
    """Divide a split into folds of about the same number of images, and of objects of each class.

    Images of one group stay in one fold, as in :func:`split_validation`.

    Args:
        split: the images.
        folds: number of folds.
        seed: another seed gives other folds.

    Returns:
        The folds, ``fold-1``, ``fold-2``, ...

    Raises:
        InputError: there are fewer images or groups than folds.
    """
    images = split.coco["images"]
    files = [image["file_name"] for image in images]
    if len(files) < folds:
        raise InputError(f"{split} has {len(files)} images, too few for {folds} folds")
    groups, names, messages = _group(split.images, files, None)
    if len(groups.every()) < folds:
        raise InputError(
            f"{split} has {len(groups.every())} groups of images, too few for {folds} folds "
            f"({messages[0]}): add images of other scenes"
        )
    fold_of = _assign_folds(_in_hash_order(groups, names, seed), _shares(split), folds)
    parts = []
    for fold in range(folds):
        held_out = {image["id"] for image, own in zip(images, fold_of, strict=True) if own == fold}
        parts.append(_part(split, f"fold-{fold + 1}", held_out, True))
    return parts


def _shares(split: DatasetSplit) -> NDArray[np.float64]:
    """The share (n, C + 1) of each image in the objects of each class, and in the images."""
    images, categories = split.coco["images"], split.coco["categories"]
    row = {image["id"]: i for i, image in enumerate(images)}
    column = {category["id"]: i for i, category in enumerate(categories)}
    counts = np.zeros((len(images), len(categories) + 1))
    counts[:, -1] = 1
    for annotation in split.coco["annotations"]:
        if not is_ignore_region(annotation):
            counts[row[annotation["image_id"]], column[annotation["category_id"]]] += 1
    return counts / counts.sum(0).clip(1)


def _assign_folds(groups: Sequence[list[int]], shares: NDArray, folds: int) -> NDArray[np.int64]:
    """The fold of each image: groups with the largest shares come first, each to the emptiest."""
    share = np.array([shares[group].sum(0) for group in groups])
    filled = np.zeros((folds, shares.shape[1]))
    fold_of = np.zeros(len(shares), np.int64)
    for i in np.argsort(-share.sum(1).round(9), kind="stable").tolist():
        # The growth of the sum of squares, which is smallest for equal folds.
        fold = int(((2 * filled + share[i]) * share[i]).sum(1).round(12).argmin())
        filled[fold] += share[i]
        fold_of[groups[i]] = fold
    return fold_of


def _group(
    folder: Path,
    files: Sequence[str],
    group_by: str | None,
    fingerprints: Mapping[Path, Fingerprint | None] | None = None,
) -> tuple[Groups, list[str], list[str]]:
    """Groups of images that belong together, a name for each image, and messages."""
    matches = _matches(group_by, files)
    originals = [original_name(file) for file in files]
    paths = [folder / file for file in files]
    pictures = for_each_image(_read_fingerprint, paths) if fingerprints is None else fingerprints
    similar = group_similar([pictures.get(path) for path in paths], turned=True)
    relations = {
        "file name before .rf.": _equal(originals),
        "picture": similar,
        f"--group-by {group_by}": _equal(matches),
    }
    groups = Groups(len(files))
    for relation in relations.values():
        groups.join(range(len(files)), relation.label)
    names = [match or original or Path(file).stem
             for match, original, file in zip(matches, originals, files, strict=True)]  # fmt: skip
    messages = [_kept_together(groups, relations)] if groups.several() else []
    if similar.fixed_view:
        messages.append(
            f"{similar.fixed_view} of {len(files)} pictures are similar, as those of a fixed "
            "camera: only identical ones are kept together; use --group-by for sequences"
        )
    return groups, names, messages


def _training_split(splits: Sequence[DatasetSplit], fraction: float) -> DatasetSplit:
    """The training split, if part of it can be held out."""
    named = {split.name: split for split in splits}
    if not 0 < fraction < 1:
        raise InputError(f"--val-fraction must be between 0 and 1, got {fraction}")
    if "val" in named:
        raise InputError(
            f"there is a validation split already, of {len(named['val'].coco['images'])} images: "
            "omit --val-fraction"
        )
    if "train" not in named:
        raise InputError(f"there is no training split to divide among {', '.join(named)}")
    return named["train"]


def _matches(expression: str | None, names: Sequence[str]) -> list[str | None]:
    """The match of the regular expression in each file name; None for no match."""
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


def _in_hash_order(groups: Groups, names: Sequence[str], seed: int = 0) -> list[list[int]]:
    """All groups, ordered by the hash of their alphabetically first name and of the seed."""
    prefix = f"{seed}/" if seed else ""

    def digest(group: list[int]) -> bytes:
        first = min(names[image] for image in group)
        return hashlib.sha256((prefix + first).encode()).digest()

    return sorted(groups.every(), key=digest)


def _choose(groups: Sequence[list[int]], wanted: float) -> list[int]:
    """Choose groups with about the wanted number of images; none if there is only one group.

    Groups that fit are taken in order, then the smallest other one if that is closer.
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
    """The number of groups, and the number of groups joined by each relation."""
    several = groups.several()
    joined = {
        name: len({int(groups.label[group[0]]) for group in relation.several()})
        for name, relation in relations.items()
    }
    reasons = ", ".join(f"{count} by {name}" for name, count in joined.items() if count)
    images = sum(map(len, several))
    return f"{len(several)} groups of {images} images in total kept together ({reasons})"


def _part(split: DatasetSplit, name: str, held_out: set[Any], inside: bool) -> DatasetSplit:
    """One part of a split: the images that are held out, or the others."""
    content = split.coco | {
        "images": [i for i in split.coco["images"] if (i["id"] in held_out) == inside],
        "annotations": [
            a for a in split.coco["annotations"] if (a["image_id"] in held_out) == inside
        ],
    }
    return DatasetSplit(name, split.images, content, split.source, [] if inside else split.notes)
