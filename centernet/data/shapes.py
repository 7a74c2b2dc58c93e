"""The shapes dataset: small drawn images with COCO annotations, the same on every run.

It also has the difficult parts of COCO: sparse category ids, overlaps, objects cut by the border,
crowd regions, and images without objects.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from centernet.data.shape_images import CATEGORY_IDS, CROWD_RATES, draw_image
from centernet.errors import InputError

# Written to every dataset, to recognize it. Change the version when the images change.
GENERATOR, VERSION = "centernet.data.shapes", 1


def make_shapes(
    root: Path,
    *,
    train: int = 400,
    val: int = 80,
    size: int = 128,
    seed: int = 0,
    force: bool = False,
) -> bool:
    """Write ``train/*.png``, ``val/*.png`` and ``annotations/instances_{train,val}.json``.

    An image depends only on ``seed``, ``size``, its split and its number there. The folder is
    created atomically. An existing dataset of the same options is kept; one of other options is
    replaced with ``force``; a folder with any other file is refused.

    Args:
        root: folder to write.
        train: number of training images.
        val: number of validation images.
        size: height and width of the images in pixels.
        seed: seed of the images.
        force: replace a dataset of other options.

    Returns:
        Whether anything was written.

    Raises:
        InputError: a number is out of range, or ``root`` contains something else.
    """
    recipe = {"train": train, "val": val, "size": size, "seed": seed, "version": VERSION}
    for name, value in recipe.items():
        low, high = (48, 2048) if name == "size" else (0, 999_999)
        if not low <= value <= high:
            raise InputError(f"{name} must be {low} to {high}, got {value}")
    root = Path(root).resolve()
    state = _state(root, recipe)
    if state == "current":
        return False
    if state == "foreign":
        raise InputError(f"{root} contains other files: choose another folder")
    if state == "other" and not force:
        raise InputError(f"{root} contains shapes of other options: replace them with --force")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}-") as scratch:
        for number, split in enumerate(CROWD_RATES):
            _write_split(Path(scratch, "new"), split, number, recipe)
        if root.exists():
            root.rename(Path(scratch, "old"))
        Path(scratch, "new").rename(root)
    return True


def _state(root: Path, recipe: dict[str, int]) -> str:
    """The state of ``root``: "absent", "current", "other" (options) or "foreign" (files)."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return "absent"
    ours = {root / "annotations" / f"instances_{split}.json" for split in CROWD_RATES}
    try:
        info = json.loads((root / "annotations" / "instances_val.json").read_text())["info"]
        for split in CROWD_RATES:
            ours |= {root / split / f"{index:06d}.png" for index in range(info["recipe"][split])}
    except (OSError, ValueError, KeyError, TypeError):
        return "foreign"
    files = {path for path in root.rglob("*") if path.is_symlink() or not path.is_dir()}
    if info.get("contributor") != GENERATOR or files - ours:
        return "foreign"
    return "current" if info["recipe"] == recipe and files == ours else "other"


def _write_split(root: Path, split: str, number: int, recipe: dict[str, int]) -> None:
    """Write the images and the annotation file of one split."""
    size = recipe["size"]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (root / split).mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    for index in tqdm(range(recipe[split]), desc=split, unit="image", disable=None):
        rng = np.random.default_rng([recipe["seed"], number, index])
        image, objects = draw_image(rng, size, crowd_rate=CROWD_RATES[split])
        name = f"{index:06d}.png"
        (root / split / name).write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
        images.append({"id": index + 1, "file_name": name, "width": size, "height": size})
        annotations += [{"image_id": index + 1, **annotation} for annotation in objects]
    contents = {
        "info": {"description": "Drawn shapes", "contributor": GENERATOR, "recipe": recipe},
        "licenses": [],
        "images": images,
        "annotations": [{"id": id, **item} for id, item in enumerate(annotations, 1)],
        "categories": [{"id": id, "name": name} for name, id in CATEGORY_IDS.items()],
    }
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(contents))


def main(argv: list[str] | None = None) -> None:
    """Command line of :func:`make_shapes`; exits with a one-line message and status 2 on errors."""
    parser = argparse.ArgumentParser(
        description="Draw circles, rectangles, triangles and stars, and write them as a COCO "
        "dataset: FOLDER/train, FOLDER/val and FOLDER/annotations/instances_{train,val}.json.",
        epilog="Equal options give equal files. An existing dataset of equal options is kept.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        exit_on_error=False,
    )
    parser.add_argument("--output", dest="root", metavar="FOLDER", type=Path, help="destination")
    parser.add_argument("--train", type=int, help="number of training images")
    parser.add_argument("--val", type=int, help="number of validation images")
    parser.add_argument("--size", type=int, help="height and width of the images, 48 to 2048")
    parser.add_argument("--seed", type=int, help="of the images; changes all of them")
    parser.add_argument("--force", action="store_true", help="replace a dataset of other options")
    parser.set_defaults(root=Path("data/shapes"), **(make_shapes.__kwdefaults__ or {}))
    try:
        options = vars(parser.parse_args(argv))
        is_new = make_shapes(**options)
    except (argparse.ArgumentError, InputError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print("wrote" if is_new else "up to date:", options["root"])


if __name__ == "__main__":
    main()
