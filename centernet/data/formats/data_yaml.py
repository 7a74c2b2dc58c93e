"""The data.yaml of a YOLO dataset: load it safely, validate it, and find the images it names."""

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from centernet.data.entries import is_integer, short
from centernet.data.formats.image_finder import ImageFinder, image_files, path_parts
from centernet.data.formats.splits import USUAL_SPLITS, folders_in, is_hidden, lines_of, split_name
from centernet.errors import InputError
from centernet.files import read_bytes

SPLIT_KEYS = ("train", "val", "valid", "validation", "test")

_MAX_REASON = 200  # characters of a parser's message
_REMEDIES = {
    "'utf-8' codec": ": save it as UTF-8",
    "'\\t'": ": replace its tabs by blanks",
}
_MAX_YAML = 1 << 20  # bytes, which takes the parser seconds


class _YamlLoader(yaml.SafeLoader):
    """A safe loader without merge keys (``<<``), a few of which can expand to fill any memory."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Reject merge keys, which the base class expands."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(
                None, None, "merge keys (<<) are not supported", node.start_mark
            )
        super().flatten_mapping(node)


# "no" and "on" are names of classes, not booleans.
_YamlLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_yaml(path: Path) -> Any:
    """Read a YAML file from an untrusted source.

    Raises:
        InputError: it cannot be read, is too large, or uses merge keys.
    """
    try:
        return yaml.load(read_bytes(path, _MAX_YAML).decode("utf-8-sig"), _YamlLoader)
    except RecursionError:
        reason = "it is nested too deeply"
    except (OSError, ValueError, yaml.YAMLError, LookupError, AttributeError) as error:
        # The last two are raised for explicit tags of other types, such as "!!int ''".
        reason = " ".join(str(error).split())[:_MAX_REASON]
    remedy = next((text for word, text in _REMEDIES.items() if word in reason), "")
    raise InputError(f"{path} cannot be read as YAML: {reason}{remedy}")


@dataclass(frozen=True)
class Description:
    """Description of a YOLO dataset: a data.yaml, or a folder without one.

    Attributes:
        path: the file or folder.
        base: folder that the entries are relative to.
        entries: images by split: a folder, a ``.txt`` list of images, or several of these.
        names: class names by number; None if no file contains class names.
        has_keypoints: whether labels continue with keypoints after the box.
    """

    path: Path
    base: Path
    entries: dict[str, Any]
    names: dict[int, str] | None
    has_keypoints: bool = False


def read_description(path: Path, notes: list[str]) -> Description:
    """Read and validate a data.yaml.

    Args:
        path: path of the file.
        notes: list to which guesses are appended.

    Raises:
        InputError: the file does not describe a dataset.
    """
    content = load_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} does not describe a dataset: it needs train, val and names")
    if not isinstance(content.get("names"), list | dict) or not content["names"]:
        raise InputError(f"{path} has no list 'names' of classes")
    if not any(content.get(key) for key in SPLIT_KEYS):
        raise InputError(f"{path} names no folder of images: it needs train, val or test")
    for key in ("path", *SPLIT_KEYS):
        value = content.get(key)
        if not all(map(_is_scalar, value if isinstance(value, list) else [value])):
            raise InputError(f"{path}: {key!r} must be a folder or a list, got {short(value)}")
    return Description(
        path,
        base=_base(path, content, notes),
        entries={split_name(key): content[key] for key in SPLIT_KEYS if content.get(key)},
        names=_names(path, content["names"]),
        has_keypoints="kpt_shape" in content,
    )


def _names(path: Path, names: list[Any] | dict[Any, Any]) -> dict[int, str]:
    """Class names by number, from a list or a mapping."""
    pairs = list(names.items() if isinstance(names, dict) else enumerate(names))
    if not all(_is_number(number) for number, _ in pairs):
        raise InputError(f"{path}: the keys of 'names' must be numbers, got {short(names)}")
    # As text, nested aliases of lists can expand to fill any memory.
    if wrong := [name for _, name in pairs if not _is_scalar(name)]:
        raise InputError(f"{path}: each of 'names' must be text, got {short(wrong[0])}")
    return {int(number): str(name) for number, name in pairs}


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | float | bool | date) or is_integer(value)


def _is_number(key: Any) -> bool:
    return is_integer(key) or (isinstance(key, str) and key.isdecimal() and len(key) < 10)


def _base(path: Path, content: dict[str, Any], notes: list[str]) -> Path:
    """The folder that the entries are relative to: ``path``, or the folder of the file."""
    named = Path(str(content.get("path") or "."))
    for base in (path.parent / named, path.parent / named.name):
        if base.is_dir():
            return base
    notes.append(f"{path}: folder {named} does not exist, the file's own folder is used instead")
    return path.parent


def find_images(description: Description, split: str, notes: list[str]) -> tuple[Path, list[Path]]:
    """The image files of a split, and a folder that contains them all.

    Raises:
        InputError: an entry is neither a folder nor a list, or there are no images.
    """
    path, base, entry = description.path, description.base, description.entries[split]
    entries = entry if isinstance(entry, list) else [entry]
    finder = ImageFinder(base, split if split in USUAL_SPLITS else "")
    files: list[Path] = []
    for one in entries:
        place = _resolve(str(one), base, path, notes)
        if place.is_dir():
            files += image_files(place)
        else:
            lines = [line.strip() for line in lines_of(place) if line.strip()]
            folders = (place.parent, base)
            files += [finder.find(line, folders) or place.parent / line for line in lines]
            notes += finder.note(place)
    files = [Path(os.path.normpath(file)) for file in files]
    unique = list(dict.fromkeys(files))
    if len(unique) < len(files):
        notes.append(f"{path}: {len(files) - len(unique)} images are listed twice")
    if not unique:
        names = sorted(p.name for p in place.iterdir())[:3] if place.is_dir() else []
        inside = f", but {', '.join(names)}" if names else ""
        raise InputError(f"{path}: {short(entry)} contains no images{inside}")
    if len(entries) == 1 and place.is_dir():
        return Path(os.path.normpath(place)), unique
    return Path(os.path.commonpath([file.parent for file in unique])), unique


def _resolve(entry: str, base: Path, path: Path, notes: list[str]) -> Path:
    """The folder or list that an entry refers to.

    Roboflow writes ``../train/images`` for ``train/images``, so a leading ``../`` is dropped if
    that path exists. So no file outside of the dataset is read by mistake.
    """
    inside = entry.lstrip("./") if entry.startswith("../") else entry
    for candidate in (base / inside, base / entry, path.parent / entry):
        if candidate.is_dir() or (candidate.is_file() and candidate.suffix == ".txt"):
            if candidate == base / inside != base / entry:
                notes.append(f"{path}: {entry} is read as {inside}")
            return candidate
    parts = path_parts(entry)
    for start in range(len(parts)):
        for root in dict.fromkeys((base, path.parent)):
            candidate = root.joinpath(*parts[start:])
            # Not "images" alone, which holds the images of all splits.
            is_specific = len(parts) - start > 1 or split_name(parts[start]) in USUAL_SPLITS
            is_folder = candidate.is_dir() and is_specific
            if is_folder or (candidate.is_file() and candidate.suffix == ".txt"):
                notes.append(f"{path}: {entry} is read as {'/'.join(parts[start:])}")
                return candidate
    if renamed := _other_spelling(entry, base, path.parent):
        notes.append(f"{path}: {entry} is read as {renamed}")
        return renamed
    existing = ", ".join(folder.name for folder in folders_in(base) if not is_hidden(folder))
    raise InputError(
        f"{path} names {entry}, but {base / entry} is neither a folder nor a .txt list of images: "
        f"correct the path; the folders in {base} are {existing or 'none'}"
    )


def _other_spelling(entry: str, *bases: Path) -> Path | None:
    """The only folder that spells the split of an entry otherwise, such as validate for valid."""
    parts = path_parts(entry)
    found = {
        other
        for number, part in enumerate(parts)
        if split_name(part) in USUAL_SPLITS
        for base in bases
        for start in range(number + 1)
        if (parent := base.joinpath(*parts[start:number])).is_dir()
        for folder in folders_in(parent)
        if split_name(folder.name) == split_name(part)
        if (other := folder.joinpath(*parts[number + 1 :])).is_dir()
    }
    return found.pop() if len(found) == 1 else None
