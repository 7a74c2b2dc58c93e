"""Damage to files: of any bytes, and of the structure of each format."""

import copy
import io
import json
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import seeds
import torch

Rng = np.random.Generator

INTEGERS = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\1\0\0"]
DEEP: list = []
for _ in range(60):
    DEEP = [DEEP]
VALUES = [
    None, True, False, -1, 0, 1, 0.5, 1e300, -1e300, 2**31, 2**63, 2**70, 10**400, 10**9,
    float("nan"), float("inf"), "", "x" * 5000, "\ud800", "a\nb", "\0", "/etc/passwd",
    "../../etc/passwd", "7", "nan", "hf-hub:evil/model", [], {}, [1], {"a": 1}, DEEP,
]  # fmt: skip
TEXTS = [
    "", "-1", "0", "nan", "inf", "-inf", "1e300", "1e400", "3000000", "9" * 400, "x" * 5000,
    "/etc/passwd", "../../x.png", "\x00", "\n", "<<: *a", "&a [*a, *a]", "!!python/object:x",
    "!!int ''", "<!ENTITY a 'b'>", "<object>" * 500, "a.png", "2", "\ufffe", "[" * 500, "1:60:60",
]  # fmt: skip


def damaged_bytes(data: bytes, rng: Rng, most: int = 3) -> bytes:
    """The bytes after a few random changes."""
    found = bytearray(data)
    for _ in range(rng.integers(1, most + 1)):
        at = int(rng.integers(len(found) + 1))
        size = int(rng.integers(1, 32))
        match int(rng.integers(7)):
            case 0 if at < len(found):
                found[at] ^= 1 << int(rng.integers(8))
            case 1:
                found[at : at + 1] = bytes([int(rng.integers(256))])
            case 2:
                found[at : at + 4] = INTEGERS[int(rng.integers(len(INTEGERS)))]
            case 3:
                del found[at : at + size]
            case 4:
                found[at:at] = found[at : at + size]
            case 5:
                found[at:at] = rng.bytes(size)
            case _ if rng.random() < 0.3:
                del found[at:]
    return bytes(found)


def damaged_png(data: bytes, rng: Rng) -> bytes:
    """A PNG with one damaged chunk whose checksum fits."""
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    chosen = int(rng.integers(len(chunks)))
    kind, content = chunks[chosen]
    if content:
        chunks[chosen] = kind, damaged_bytes(content, rng, 2)
    if rng.random() < 0.2:
        chunks.insert(int(rng.integers(len(chunks))), chunks[int(rng.integers(len(chunks)))])
    parts = (
        struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks
    )
    return data[:8] + b"".join(parts)


def damaged_value(content: Any, rng: Rng, values: list = VALUES) -> Any:
    """A copy of nested dicts and lists in which one or two entries are other values, or gone."""
    content = copy.deepcopy(content)
    for _ in range(rng.integers(1, 3)):
        places = [p for p in _axis_mapping(content) if isinstance(p[0], dict | list)]
        if not places:
            break
        parent, key = places[int(rng.integers(len(places)))]
        if rng.random() < 0.15:
            del parent[key]
        else:
            parent[key] = copy.deepcopy(values[int(rng.integers(len(values)))])
    return content


def _axis_mapping(content: Any) -> list[tuple[Any, Any]]:
    pairs = (
        list(content.items())
        if isinstance(content, dict)
        else list(enumerate(content))
        if isinstance(content, list)
        else []
    )
    return [p for k, v in pairs for p in ((content, k), *_axis_mapping(v))][:5000]


def damaged_text(text: str, rng: Rng) -> str:
    """Text with a word or the content of an element replaced."""
    for _ in range(rng.integers(1, 4)):
        words = [*re.finditer(r"(?<=>)[^<>\n]+(?=<)|[^\s<>:]+", text)]
        if words:
            word = words[int(rng.integers(len(words)))]
            new = TEXTS[int(rng.integers(len(TEXTS)))]
            text = text[: word.start()] + new + text[word.end() :]
    return text


def damaged_checkpoint(rng: Rng, crater: Path, *, legacy: bool) -> bytes:
    """A checkpoint with other values, damaged bytes, or code that makes the folder ``crater``."""
    content = seeds.checkpoint()
    match int(rng.integers(5)):
        case 0:
            return damaged_bytes(seeds.saved(content, legacy=legacy), rng)
        case 1:
            content = damaged_value(content, rng, [seeds.Bomb(crater)])
        case 2:
            tensors = [
                torch.zeros(3), torch.zeros(0), torch.ones(2, 2).to_sparse(),
                torch.empty(9, device="meta"), torch.zeros(1).expand(10**9), torch.tensor(1j),
                torch.tensor(float("nan")), torch.zeros((), dtype=torch.bool),
            ]  # fmt: skip
            content = damaged_value(content, rng, tensors)
        case 3 if not legacy:
            return _damaged_members(seeds.saved(content, legacy=False), rng)
        case _:
            content = damaged_value(content, rng)
            if rng.random() < 0.5:
                part = {"centernet": damaged_value(seeds.checkpoint()["centernet"], rng)}
                content = seeds.checkpoint() | part
    return seeds.saved(content, legacy=legacy)


def _damaged_members(data: bytes, rng: Rng) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        names = old.namelist()
        pickles = [name for name in names if name.endswith("data.pkl")]
        chosen = pickles[0] if rng.random() < 0.7 else names[int(rng.integers(len(names)))]
        for name in names:
            content = old.read(name)
            new.writestr(name, damaged_bytes(content, rng, 3) if name == chosen else content)
    return file.getvalue()


def damaged_json(content: Any, rng: Rng) -> bytes:
    if rng.random() < 0.3:
        return damaged_bytes(seeds.as_json(content), rng)
    return json.dumps(damaged_value(content, rng)).encode()


def damaged_cell(text: str, rng: Rng) -> str:
    """Text with one part between commas, quotes and line ends replaced."""
    parts = re.split(r'([,\n"])', text)
    parts[2 * int(rng.integers(len(parts) // 2 + 1))] = TEXTS[int(rng.integers(len(TEXTS)))]
    return "".join(parts)
