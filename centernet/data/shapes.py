"""A toy detection dataset of drawn shapes in COCO format: small, free, and the same on every run.

Circles, rectangles, triangles and stars lie on textured backgrounds among thin lines and crosses.
The awkward parts of COCO are there as well: sparse category ids, overlaps, objects cut by the
border, crowd regions, and images without objects.
"""

import argparse
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from centernet.errors import InputError

CATEGORY_IDS = {"circle": 1, "rectangle": 3, "triangle": 5, "star": 9}
CORNERS = {"circle": 64, "rectangle": 4, "triangle": 3, "star": 10}
CROWD_RATES = {"train": 0.06, "val": 0.08}
EMPTY_RATE = 0.02
EXTENTS = (0.2, 0.5)  # longer side of an object's box, in image sides
TILT = 0.3  # most an object is turned, in radians
MIN_INSIDE = 0.8  # part of an object's area that lies inside the image
MIN_VISIBLE = 0.6  # part of the inside that later objects leave uncovered
MAX_IOU = 0.3
GENERATOR, VERSION = "centernet.data.shapes", 1  # a new version wherever the images change


def draw_image(
    rng: np.random.Generator, size: int = 128, *, crowd_rate: float = CROWD_RATES["train"]
) -> tuple[np.ndarray, list[dict]]:
    """Draws one image: up to 6 objects, with probability `crowd_rate` a crowd, or nothing at all.

    Returns:
        The image, RGB uint8 `(size, size, 3)`, and COCO annotations without ids: `category_id`,
        `bbox` (x, y, width, height in pixels), `area`, `iscrowd`, `segmentation`. They describe
        all of an object that lies inside the image, also where a later one hides it.
    """
    scene = _Scene(rng, size)
    if rng.random() >= EMPTY_RATE:
        if rng.random() < crowd_rate:
            scene.add_crowd()
        for _ in range(rng.integers(1, 7)):
            scene.add_object()
    canvas = scene.canvas
    if rng.random() < 0.3:
        canvas = cv2.GaussianBlur(canvas, (0, 0), size / 128 * rng.uniform(0.4, 0.9))
    noise = rng.uniform(2, 8) * rng.standard_normal(canvas.shape, np.float32)
    return np.clip(np.round(canvas + noise), 0, 255).astype(np.uint8), scene.annotations


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Two muted colours mixed by a pattern, with a few lines and crosses; RGB uint8."""
    y, x = 2 * np.pi * rng.uniform(3, 9) * np.mgrid[:size, :size].astype(np.float32) / size
    cos, sin = _direction(rng.uniform(0, np.pi))
    along, across = np.sin(x * cos + y * sin), np.sin(y * cos - x * sin)
    knots = rng.uniform(-2, 2, (rng.choice([2, 9]),) * 2)
    smooth = cv2.resize(knots, (size, size), interpolation=cv2.INTER_CUBIC)
    patterns = [smooth, smooth, np.tanh(4 * along), np.tanh(8 * along * across)]
    middle = rng.uniform(60, 195) + rng.uniform(-30, 30, 3)
    contrast = rng.uniform(-15, 15) + rng.uniform(-10, 10, 3)
    image = middle + patterns[rng.integers(4)][..., None] * contrast
    image = np.clip(np.round(image), 0, 255).astype(np.uint8)
    for _ in range(rng.integers(0, 5)):
        start, end, colour = (rng.integers(0, high, 3).tolist() for high in (size, size, 256))
        width, arm = max(1, size // 128), size // int(rng.integers(7, 17))
        if rng.random() < 0.5:
            cv2.line(image, start[:2], end[:2], colour, width, cv2.LINE_AA)
        else:
            cv2.drawMarker(image, start[:2], colour, int(rng.integers(2)), arm, width, cv2.LINE_AA)
    return image


class _Scene:
    """The objects of one image, painted on `canvas` in the order of `annotations`."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng, self.size = rng, size
        self.canvas = _background(rng, size).astype(np.float32)
        self.annotations: list[dict] = []
        self.top = np.zeros((size, size), np.uint8)  # topmost object, counted from 1; 0 is none

    def add_object(self) -> None:
        """Adds one object where there is room; changes nothing if 40 tries find none."""
        for _ in range(40):
            name = str(self.rng.choice(list(CATEGORY_IDS)))
            extent = self.size * np.exp(self.rng.uniform(*np.log(EXTENTS)))
            whole = _polygon(self.rng, name, self.rng.uniform(0, self.size, 2), extent)
            inside = _clip(whole, self.size)
            if cv2.contourArea(inside) < MIN_INSIDE * cv2.contourArea(whole):
                continue
            annotation, mask = _annotation(name, inside), _cover(whole, self.size) > 0.5
            if self.has_room(annotation["bbox"], mask):
                self.paint(whole)
                self.annotations.append(annotation)
                self.top[mask] = len(self.annotations)
                return

    def add_crowd(self) -> None:
        """Adds a cluster of shapes too small to annotate singly, annotated as one crowd."""
        rng, size = self.rng, self.size
        name = str(rng.choice(list(CATEGORY_IDS)))
        radius = size * rng.uniform(0.15, 0.22)
        middle = rng.uniform(radius, size - radius, 2)
        polygons = []
        for _ in range(rng.integers(20, 36)):
            step = radius * np.sqrt(rng.random()) * _direction(rng.uniform(0, 2 * np.pi))
            polygons.append(_polygon(rng, name, middle + step, size * rng.uniform(0.05, 0.075)))
            self.paint(polygons[-1], outline_rate=0)
        hull = _clip(cv2.convexHull(np.concatenate(polygons))[:, 0], size)
        mask = _cover(hull, size) > 0.5
        annotation = _annotation(name, hull) | {"iscrowd": 1}
        if rng.random() < 0.7:
            runs = np.flatnonzero(np.diff(mask.ravel(order="F").astype(int), prepend=0, append=2))
            counts = np.diff(runs, prepend=0).tolist()  # down the columns, zeros first
            annotation["segmentation"] = {"counts": counts, "size": [size, size]}
        self.annotations.append(annotation)
        self.top[mask] = len(self.annotations)

    def has_room(self, bbox: list[float], mask: np.ndarray) -> bool:
        """Whether a new object would leave all earlier ones recognisable."""
        visible = np.bincount(self.top[~mask], minlength=len(self.annotations) + 1)[1:]
        return all(
            pixels >= MIN_VISIBLE * other["area"]
            and coco_mask.iou([bbox], [other["bbox"]], [0]) <= MAX_IOU
            for pixels, other in zip(visible, self.annotations, strict=True)
        )

    def paint(self, polygon: np.ndarray, outline_rate: float = 0.35) -> None:
        """Fills a polygon with a colour unlike those at its corners, sometimes with an outline."""
        x, y = np.clip(polygon.astype(int), 0, self.size - 1).T
        avoid, middle = self.canvas[y, x], polygon.mean(0)
        for scale in (1, 0.8)[: 1 + (self.rng.random() < outline_rate)]:
            colours = self.rng.uniform(0, 255, (16, 3)).astype(np.float32)
            gaps = np.linalg.norm(colours[:, None] - avoid, axis=2).min(1)
            colour = colours[np.argmax(np.minimum(gaps, 100))]  # the first that differs enough
            avoid = np.concatenate([avoid, colour[None]])
            cover = _cover(middle + scale * (polygon - middle), self.size)
            behind = self.canvas[cover > 0]
            self.canvas[cover > 0] += cover[cover > 0][:, None] * (colour - behind)


def _direction(angle: np.ndarray) -> np.ndarray:
    """Unit vectors `(..., 2)` of angles `(...)` in radians."""
    return np.stack([np.cos(angle), np.sin(angle)], -1)


def _polygon(rng: np.random.Generator, name: str, centre: np.ndarray, extent: float) -> np.ndarray:
    """Corners `(P, 2)` of a shape whose box has its middle at `centre` and is `extent` long."""
    points = _direction(2 * np.pi * (np.arange(CORNERS[name]) + 0.5) / CORNERS[name])
    angle = rng.uniform(-TILT, TILT)
    if name == "rectangle":
        points[:, 1] *= rng.uniform(0.4, 0.9)
        angle = rng.choice([0, np.pi / 2, angle], p=[0.25, 0.25, 0.5])
    elif name == "triangle":
        points[:, 1] *= rng.uniform(0.8, 1.2)
    elif name == "star":
        points[::2] *= rng.uniform(0.38, 0.48)
    points = points @ _direction(np.array([angle, angle + np.pi / 2]))
    points -= (points.min(0) + points.max(0)) / 2
    return (centre + points * extent / np.ptp(points, axis=0).max()).astype(np.float32)


def _clip(polygon: np.ndarray, size: int) -> np.ndarray:
    """The part of a polygon `(P, 2)` inside the image, by Sutherland and Hodgman's method."""
    for axis, edge, sign in ((0, 0, 1), (0, size, -1), (1, 0, 1), (1, size, -1)):
        depth, following = sign * (polygon[:, axis] - edge), np.roll(polygon, -1, 0)
        next_depth = np.roll(depth, -1)
        crosses = depth * next_depth < 0
        part = depth / np.where(crosses, depth - next_depth, 1)
        crossings = polygon + part[:, None] * (following - polygon)
        corners = np.stack([polygon, crossings], 1).reshape(-1, 2)
        polygon = corners[np.stack([depth >= 0, crosses], 1).ravel()]
    return polygon


def _cover(polygon: np.ndarray, size: int) -> np.ndarray:
    """How much of each pixel a polygon covers, 0 to 1; float32 `(size, size)`."""
    mask = np.zeros((4 * size, 4 * size), np.uint8)
    cv2.fillPoly(mask, [np.round((polygon * 4 - 0.5) * 16).astype(np.int32)], 255, shift=4)
    for side in (2 * size, size):  # halving twice is far faster than one step
        mask = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)
    return mask.astype(np.float32) / 255


def _annotation(name: str, polygon: np.ndarray) -> dict:
    """COCO annotation of one polygon."""
    polygon = np.round(polygon * 16) / 16  # binary fractions: x + width is exact, never outside
    return {
        "category_id": CATEGORY_IDS[name],
        "bbox": [*polygon.min(0).tolist(), *np.ptp(polygon, axis=0).tolist()],
        "area": cv2.contourArea(polygon),
        "iscrowd": 0,
        "segmentation": [polygon.ravel().tolist()],
    }


def make_shapes(
    root: Path,
    *,
    train: int = 400,
    val: int = 80,
    size: int = 128,
    seed: int = 0,
    force: bool = False,
) -> bool:
    """Writes `train/*.png`, `val/*.png` and `annotations/instances_{train,val}.json` in `root`.

    `train` and `val` count the images, `size` is their height and width in pixels. An image
    depends only on `seed`, `size`, its split and its number there. The folder appears when it is
    complete. One that holds this very dataset already is left alone; one of other settings is
    replaced with `force`; one with any file that is not from here is refused.

    Returns:
        Whether anything was written.

    Raises:
        InputError: A number is out of range, or `root` holds something else.
    """
    recipe = {"train": train, "val": val, "size": size, "seed": seed, "version": VERSION}
    for name, value in recipe.items():
        low, high = (48, 2048) if name == "size" else (0, 999_999)
        if not low <= value <= high:
            raise InputError(f"{name} is {value}, but must be {low} to {high}")
    root = Path(root).resolve()
    state = _state(root, recipe)
    if state == "current":
        return False
    if state == "foreign":
        raise InputError(f"{root} has contents from elsewhere; choose another folder")
    if state == "other" and not force:
        raise InputError(f"{root} holds shapes of other settings; replace them with --force")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}-") as scratch:
        for number, split in enumerate(CROWD_RATES):
            _write_split(Path(scratch, "new"), split, number, recipe)
        if root.exists():
            root.rename(Path(scratch, "old"))
        Path(scratch, "new").rename(root)
    return True


def _state(root: Path, recipe: dict) -> str:
    """What is in `root`: "absent", "current", "other" (safe to replace) or "foreign"."""
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


def _write_split(root: Path, split: str, number: int, recipe: dict) -> None:
    """Writes the images and the annotation file of one split."""
    size, images, annotations = recipe["size"], [], []
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
    """Command line of `make_shapes`; one line and exit status 2 where it cannot be done."""
    parser = argparse.ArgumentParser(
        description="Draws circles, rectangles, triangles and stars, and writes them as a COCO "
        "dataset: FOLDER/train, FOLDER/val and FOLDER/annotations/instances_{train,val}.json.",
        epilog="Equal options give equal files. A run whose dataset is there already does nothing.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        exit_on_error=False,
    )
    parser.add_argument("--output", dest="root", metavar="FOLDER", type=Path, help="destination")
    parser.add_argument("--train", type=int, help="number of training images")
    parser.add_argument("--val", type=int, help="number of validation images")
    parser.add_argument("--size", type=int, help="height and width of the images, 48 to 2048")
    parser.add_argument("--seed", type=int, help="changes every image")
    parser.add_argument("--force", action="store_true", help="replace shapes of other options")
    parser.set_defaults(root=Path("data/shapes"), **make_shapes.__kwdefaults__)
    try:
        options = vars(parser.parse_args(argv))
        is_new = make_shapes(**options)
    except (argparse.ArgumentError, InputError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print("wrote" if is_new else "up to date:", options["root"])


if __name__ == "__main__":
    main()
