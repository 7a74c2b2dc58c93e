"""What is fuzzed: a damaged file of each kind, and the functions that read it."""

import json
from pathlib import Path

import mutations_of_files as damage
import numpy as np
import seeds
import tool_seeds

from centernet.analysis.check.check_dataset import check_dataset
from centernet.analysis.check.check_page import render_check_page
from centernet.analysis.check.check_report import as_dict
from centernet.analysis.check.check_text import format_text
from centernet.data.images import image_size, read_image
from centernet.inference.inputs import Video
from centernet.models.pretrained import load_weights

KINDS = (
    *seeds.IMAGE_KINDS, "coco", "voc", "yolo", "checkpoint", "legacy", *seeds.VIDEO_KINDS,
    *tool_seeds.FILES,
)  # fmt: skip
# Cases of each kind, relative to the others: what takes longer is tried less often.
SHARES = {"coco": 0.5, "voc": 0.5, "yolo": 0.5, "checkpoint": 2, "legacy": 1}
SHARES |= dict.fromkeys(tool_seeds.FILES, 0.25)
CRATER = "code-was-executed"
_MOST_FRAMES = 200


def write_case(kind: str, seed: int, number: int, folder: Path) -> Path:
    """Write a case; number -1 is the valid file. Returns what to read."""
    rng = np.random.default_rng([seed, KINDS.index(kind), max(number, 0)])
    valid = number < 0
    path = folder / f"case.{kind}"
    if kind in seeds.IMAGE_KINDS:
        files = seeds.images(kind)
        data = files[0 if valid else int(rng.integers(len(files)))]
        if not valid:
            structured = kind == "png" and rng.random() < 0.6
            data = damage.damaged_png(data, rng) if structured else damage.damaged_bytes(data, rng)
        path.write_bytes(data)
    elif kind in seeds.VIDEO_KINDS:
        data = seeds.video(kind)
        path.write_bytes(data if valid else damage.damaged_bytes(data, rng))
    elif kind in ("checkpoint", "legacy"):
        legacy = kind == "legacy"
        crater = folder / CRATER
        data = (
            seeds.saved(seeds.checkpoint(), legacy=legacy)
            if valid
            else damage.damaged_checkpoint(rng, crater, legacy=legacy)
        )
        path.write_bytes(data)
    else:
        path = folder / kind
        if kind in tool_seeds.FILES:
            _write_tool(kind, path, rng, valid)
            return path
        {"coco": _write_coco, "voc": _write_voc, "yolo": _write_yolo}[kind](path, rng, valid)
    return path


def read_case(kind: str, path: Path) -> None:
    """Read a case as the package does; InputError is the right answer to a damaged file."""
    if kind in seeds.IMAGE_KINDS:
        pixels = read_image(path)
        size = image_size(path)
        # Around damage, OpenCV may find or lose EXIF data that the header alone does not.
        turned = size[::-1] if kind in ("webp", "png") else size
        assert pixels.shape[:2] in (size, turned), f"image_size {size}, pixels {pixels.shape}"
    elif kind in seeds.VIDEO_KINDS:
        for _, frame in zip(range(_MOST_FRAMES), Video(str(path)), strict=False):
            assert frame.ndim == 3
    elif kind in ("checkpoint", "legacy"):
        load_weights(path)
    else:
        report = check_dataset(path, input_size=(32, 32), sample=3)
        json.dumps(as_dict(report), allow_nan=False)
        format_text(report).encode(errors="backslashreplace")
        render_check_page(report).encode(errors="backslashreplace")


def _write_coco(root: Path, rng: np.random.Generator, valid: bool) -> None:
    seeds.write_images(root / "train", "a.png", "b.png")
    (root / "annotations").mkdir(exist_ok=True)
    content = seeds.as_json(seeds.coco()) if valid else damage.damaged_json(seeds.coco(), rng)
    (root / "annotations" / "instances_train.json").write_bytes(content)


def _write_voc(root: Path, rng: np.random.Generator, valid: bool) -> None:
    seeds.write_images(root / "JPEGImages", "a.png", "b.png")
    (root / "Annotations").mkdir(exist_ok=True)
    (root / "Annotations" / "b.xml").write_text(seeds.VOC.replace("a.png", "b.png"))
    (root / "Annotations" / "a.xml").write_bytes(_damaged(seeds.VOC, rng, valid))


def _write_yolo(root: Path, rng: np.random.Generator, valid: bool) -> None:
    for part in ("train", "val"):
        seeds.write_images(root / "images" / part, "a.png")
        (root / "labels" / part).mkdir(parents=True, exist_ok=True)
        (root / "labels" / part / "a.txt").write_text(seeds.YOLO_LABELS)
    of_labels = rng.random() < 0.5
    labels = _damaged(seeds.YOLO_LABELS, rng, valid or not of_labels)
    (root / "labels" / "train" / "a.txt").write_bytes(labels)
    (root / "data.yaml").write_bytes(_damaged(seeds.YOLO_YAML, rng, valid or of_labels))


def _write_tool(kind: str, root: Path, rng: np.random.Generator, valid: bool) -> None:
    seeds.write_images(root / "images", "a.png")
    name, content = tool_seeds.FILES[kind]
    (root / name).parent.mkdir(exist_ok=True)
    if not isinstance(content, str):
        data = seeds.as_json(content) if valid else damage.damaged_json(content, rng)
    elif valid or rng.random() < 0.5:
        data = (content if valid else damage.damaged_cell(content, rng)).encode()
    else:
        data = _damaged(content, rng, valid)
    (root / name).write_bytes(data)


def _damaged(content: str, rng: np.random.Generator, valid: bool) -> bytes:
    if valid:
        return content.encode()
    if rng.random() < 0.3:
        return damage.damaged_bytes(content.encode(), rng)
    return damage.damaged_text(content, rng).encode()
