"""Small drawn datasets, each with the fault of a public report; nothing in them is copied.

Every dataset has six images of 160x120 pixels with the 18 objects of :data:`OBJECTS`.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from sample_datasets import text, voc_xml, write_json

WIDTH, HEIGHT = 160, 120
NAMES = ("bolt", "nut")
# Image, class and box xywh in pixels.
OBJECTS = [
    (number // 3, NAMES[number % 2], [13 * number % 115 + 2, 17 * number % 76 + 3, w, h])
    for number, (w, h) in enumerate([(20 + 3 * i % 17, 18 + 5 * i % 23) for i in range(18)])
]


@dataclass(frozen=True)
class Report:
    """A public report.

    Attributes:
        where: repository and number of the issue.
        what: the fault of the dataset.
        build: writes such a dataset to a folder.
        outcome: what happens: words of a note or of an error.
        boxes: objects that are read; None for an error.
    """

    where: str
    what: str
    build: Callable[[Path], object]
    outcome: str
    boxes: int | None = 18


REPORTS: list[Report] = []


def report(where: str, what: str, outcome: str, boxes: int | None = 18) -> Callable[..., Any]:
    """Register a function that writes the dataset of a report."""

    def register(build: Callable[[Path], object]) -> Callable[[Path], object]:
        REPORTS.append(Report(where, what, build, outcome, boxes))
        return build

    return register


def draw(path: Path, number: int, size: tuple[int, int] = (WIDTH, HEIGHT), **save: Any) -> Path:
    """Write the picture of an image, scaled to a (width, height)."""
    pixels = np.random.default_rng(number).integers(60, 120, (8, 10, 3), np.uint8)
    pixels = cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for image, name, (x, y, w, h) in OBJECTS:
        if image == number:
            color = (230, 40, 40) if name == "bolt" else (40, 40, 230)
            cv2.rectangle(pixels, (x, y), (x + w - 1, y + h - 1), color, -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cv2.resize(pixels, size)).save(path, **save)
    return path


def draw_all(folder: Path, pattern: str = "p{}.png", **more: Any) -> None:
    for number in range(6):
        draw(folder / pattern.format(number), number, **more)


def coco(name: str = "p{}.png", size: tuple[int, int] = (WIDTH, HEIGHT)) -> dict[str, Any]:
    """The content of a valid COCO file."""
    width, height = size
    return {
        "images": [
            {"id": i + 1, "file_name": name.format(i), "width": width, "height": height}
            for i in range(6)
        ],
        "annotations": [
            {"id": i, "image_id": image + 1, "category_id": NAMES.index(label) + 1, "iscrowd": 0}
            | {"bbox": box, "area": box[2] * box[3]}
            for i, (image, label, box) in enumerate(OBJECTS, 1)
        ],
        "categories": [{"id": i, "name": label} for i, label in enumerate(NAMES, 1)],
    }


def write_coco_dataset(root: Path, content: dict[str, Any]) -> None:
    draw_all(root / "images")
    write_json(root / "annotations" / "instances_train.json", content)


def of_image(number: int) -> Iterator[tuple[str, list[int]]]:
    """Class and box of each object of an image."""
    yield from ((label, box) for image, label, box in OBJECTS if image == number)


def yolo_lines(number: int, line: str = "{} {:.6f} {:.6f} {:.6f} {:.6f}") -> str:
    """The label file of an image; ``line`` formats the class number and the four fractions."""
    return "".join(
        line.format(
            NAMES.index(label),
            (x + w / 2) / WIDTH,
            (y + h / 2) / HEIGHT,
            w / WIDTH,
            h / HEIGHT,
        )
        + "\n"
        for label, (x, y, w, h) in of_image(number)
    )


def add_label(root: Path, line: str) -> None:
    """Append a line to the label file of the first image of :func:`write_yolo_dataset`."""
    with (root / "labels" / "train" / "p0.txt").open("a") as file:
        file.write(line)


def write_yolo_dataset(root: Path, line: str = "{} {:.6f} {:.6f} {:.6f} {:.6f}") -> None:
    draw_all(root / "images" / "train")
    for number in range(6):
        text(root / "labels" / "train" / f"p{number}.txt", yolo_lines(number, line))
    names = json.dumps(list(NAMES))
    text(root / "data.yaml", f"train: images/train\nval: images/train\nnames: {names}\n")


def write_voc_dataset(root: Path, change: Callable[[str], str] = str, **size: Any) -> None:
    """VOC without splits; ``change`` edits the text of every XML file."""
    draw_all(root / "images", **size)
    for number in range(6):
        found = [(n, (x, y, x + w, y + h), 0) for n, (x, y, w, h) in of_image(number)]
        content = voc_xml(f"p{number}.png", found, size=(HEIGHT, WIDTH))
        text(root / "annotations" / f"p{number}.xml", change(content))


@report("ultralytics/ultralytics 7907", "YOLO labels with commas", "commas")
def yolo_with_commas(root: Path) -> None:
    write_yolo_dataset(root, "{},{:.6f},{:.6f},{:.6f},{:.6f}")


@report("ultralytics/ultralytics 707", "YOLO labels with class names", "name of a class")
def yolo_with_names(root: Path) -> None:
    write_yolo_dataset(root)
    for path in (root / "labels" / "train").iterdir():
        content = path.read_text()
        for number, name in enumerate(NAMES):
            content = re.sub(rf"^{number} ", f"{name} ", content, flags=re.MULTILINE)
        path.write_text(content)


@report(
    "ultralytics/ultralytics 8839", "Open Images by OIDv4: names and pixels", "copies of an image"
)
def oidv4(root: Path) -> None:
    for label in NAMES:
        for number in range(6):
            found = [box for name, box in of_image(number) if name == label]
            draw(root / "train" / label / f"p{number}.png", number)
            lines = [f"{label} {x}.0 {y}.0 {x + w}.0 {y + h}.0" for x, y, w, h in found]
            text(root / "train" / label / "Label" / f"p{number}.txt", "\n".join(lines))


@report("ultralytics/yolov3 569", "YOLO labels in pixels", "pixels")
def yolo_in_pixels(root: Path) -> None:
    write_yolo_dataset(root)
    for number in range(6):
        lines = [
            f"{NAMES.index(name)} {x + w / 2} {y + h / 2} {w} {h}"
            for name, (x, y, w, h) in of_image(number)
        ]
        text(root / "labels" / "train" / f"p{number}.txt", "\n".join(lines))


@report("roboflow/supervision 2593", "YOLO class numbers as decimals", "")
def yolo_with_decimals(root: Path) -> None:
    write_yolo_dataset(root, "{:.18e} {:.18e} {:.18e} {:.18e} {:.18e}")


@report("HumanSignal/label-studio 5014", "YOLO labels slightly above 1", "", 19)
def yolo_above_one(root: Path) -> None:
    write_yolo_dataset(root)
    add_label(root, "0 0.3040172 0.5002812 0.6080344 1.0004374\n")


@report("voxel51/fiftyone 2827", "a link as folder of images", "")
def linked_images(root: Path) -> None:
    write_yolo_dataset(root)
    (root / "images" / "train").rename(root / "elsewhere")
    (root / "images" / "train").symlink_to(root / "elsewhere")


@report("cvat-ai/cvat 7008", "a class number without a name", "whose class number has no name", 18)
def yolo_unknown_class(root: Path) -> None:
    write_yolo_dataset(root)
    add_label(root, "2 0.3 0.5 0.6 0.4\n")


@report("facebookresearch/detectron2 1861", "width and height exchanged in COCO", "exchanged")
def exchanged_sides(root: Path) -> None:
    write_coco_dataset(root, coco(size=(HEIGHT, WIDTH)))


@report("facebookresearch/detectron2 5366", "boxes that ignore the EXIF orientation", "--repair")
def boxes_before_exif(root: Path) -> None:
    # Stored as 160x120; programs that apply orientation 6 show 120x160.
    exif = Image.Exif()
    exif[0x0112] = 6
    draw_all(root / "images", "p{}.jpg", exif=exif)
    write_json(root / "annotations" / "instances_train.json", coco("p{}.jpg"))


@report("jsbroks/coco-annotator 359", "images scaled after annotation", "--repair")
def scaled_images(root: Path) -> None:
    write_coco_dataset(root, coco())
    draw_all(root / "images", size=(WIDTH // 2, HEIGHT // 2))


@report("HumanSignal/labelImg 445", "VOC sizes that differ by pixels", "another size")
def voc_other_size(root: Path) -> None:
    write_voc_dataset(root, lambda xml: xml.replace("<width>160<", "<width>163<"))


@report("HumanSignal/labelImg 59", "VOC sizes of 0", "without a size")
def voc_without_size(root: Path) -> None:
    def without(xml: str) -> str:
        return xml.replace("<width>160<", "<width>0<").replace("<height>120<", "<height>0<")

    write_voc_dataset(root, without)


@report("HumanSignal/labelImg 92", "VOC file names without suffix", "")
def voc_without_suffix(root: Path) -> None:
    write_voc_dataset(root, lambda xml: xml.replace(".png</filename>", "</filename>"))


@report("Tony607/voc2coco 5", "VOC corners with fractions", "")
def voc_with_fractions(root: Path) -> None:
    write_voc_dataset(root, lambda xml: xml.replace("</ymin>", ".700000762</ymin>"))


@report("alankbi/detecto 56", "a VOC box without width", "", 17)
def voc_zero_box(root: Path) -> None:
    write_voc_dataset(root)
    path = root / "annotations" / "p0.xml"
    path.write_text(path.read_text().replace("<xmax>22</xmax>", "<xmax>2</xmax>"))


@report("open-mmlab/mmdetection 804", "COCO annotations without area and iscrowd", "")
def coco_without_area(root: Path) -> None:
    content = coco()
    for annotation in content["annotations"]:
        del annotation["area"], annotation["iscrowd"]
    write_coco_dataset(root, content)


@report("open-mmlab/mmdetection 6351", "an empty bbox for an image without objects", "empty bbox")
def coco_empty_box(root: Path) -> None:
    content = coco()
    empty = {"id": 99, "image_id": 1, "category_id": 1, "bbox": [], "area": 0.0, "iscrowd": 0}
    content["annotations"].append(empty)
    write_coco_dataset(root, content)


@report("matterport/Mask_RCNN 1922", "COCO by VIA: no category_id, ids as text", "category", None)
def coco_by_via(root: Path) -> None:
    content = coco()
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        del annotation["category_id"]
        annotation["image_id"] = str(annotation["image_id"])
        annotation["segmentation"] = [x, y, x + w, y, x + w, y + h, x, y + h]
    write_coco_dataset(root, content)


@report("facebookresearch/detectron2 1966", "COCO by VIA: images of size -1", "")
def coco_negative_size(root: Path) -> None:
    content = coco()
    for image in content["images"][1:]:
        image["width"] = image["height"] = -1
    write_coco_dataset(root, content)


@report("cvat-ai/cvat 6392", "a polygon that is not in a list", "")
def coco_flat_polygon(root: Path) -> None:
    content = coco()
    for annotation in content["annotations"]:
        x, y, w, h = annotation.pop("bbox")
        annotation["segmentation"] = [x, y, x + w, y, x + w, y + h, x, y + h]
    write_coco_dataset(root, content)


@report("cvat-ai/cvat 955", "polygons of two points", "")
def coco_two_points(root: Path) -> None:
    content = coco()
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + w, y + h]]
    write_coco_dataset(root, content)


@report("ashnair1/COCO-Assistant 24", "annotation ids twice after a merge", "")
def coco_ids_twice(root: Path) -> None:
    content = coco()
    for number, annotation in enumerate(content["annotations"]):
        annotation["id"] = number % 9
    write_coco_dataset(root, content)


@report("roboflow/supervision 188", "images without annotations", "")
def coco_empty_images(root: Path) -> None:
    content = coco()
    content["images"].append({"id": 7, "file_name": "p6.png", "width": WIDTH, "height": HEIGHT})
    write_coco_dataset(root, content)
    draw(root / "images" / "p6.png", 6)


@report("roboflow/rf-detr 1303", "a parent class in front of the classes", "")
def coco_parent_class(root: Path) -> None:
    content = coco()
    content["categories"].insert(0, {"id": 0, "name": "parts", "supercategory": "none"})
    for category in content["categories"][1:]:
        category["supercategory"] = "parts"
    write_coco_dataset(root, content)


@report("fizyr/keras-retinanet 347", "Windows paths in a CSV file", "")
def csv_windows_paths(root: Path) -> None:
    draw_all(root / "kdef_sorted" / "fear")
    rows = [
        f"kdef_sorted\\fear\\p{image}.png,{x},{y},{x + w},{y + h},{name}\n"
        for image, name, (x, y, w, h) in OBJECTS
    ]
    text(root / "annotations.csv", "".join(rows))


@report("fizyr/keras-retinanet 437", "a CSV box with x1 = x2", "", 18)
def csv_zero_box(root: Path) -> None:
    csv_windows_paths(root)
    with (root / "annotations.csv").open("a") as file:
        file.write("kdef_sorted\\fear\\p0.png,51,20,51,60,nut\n")


@report("fizyr/keras-retinanet 1495", "a CSV column `location` for images", "")
def csv_location(root: Path) -> None:
    draw_all(root / "images")
    rows = [
        f"p{image}.png, {x}, {y}, {x + w}, {y + h}, {name}\n"
        for image, name, (x, y, w, h) in OBJECTS
    ]
    text(root / "boxes.csv", "location , x1, y1, x2, y2, class_name\n" + "".join(rows))


@report("ayoolaolafenwa/PixelLib 122", "LabelMe paths of Windows", "")
def labelme_windows(root: Path) -> None:
    draw_all(root / "train", "butterfly ({}).png")
    for number in range(6):
        shapes = [
            {"label": name, "shape_type": "rectangle", "points": [[x, y], [x + w, y + h]]}
            for name, (x, y, w, h) in of_image(number)
        ]
        content = {"shapes": shapes, "imagePath": f"..\\butterfly ({number}).png"}
        write_json(root / "train" / f"butterfly ({number}).json", content | {"imageData": None})


@report("PaddlePaddle/PaddleDetection 88", "file names with several dots", "")
def dots_in_names(root: Path) -> None:
    write_voc_dataset(root)
    for folder, suffix in (("images", "png"), ("annotations", "xml")):
        for number in range(6):
            old = root / folder / f"p{number}.{suffix}"
            old.rename(root / folder / f"1569478414.7358{number}.{suffix}")


@report("voxel51/fiftyone 993", "COCO as `data/` and `labels.json`", "")
def fiftyone_coco(root: Path) -> None:
    draw_all(root / "data")
    write_json(root / "labels.json", coco())


@report("matterport/Mask_RCNN 1045", "VIA attributes named after the class", "")
def via_class_attribute(root: Path) -> None:
    draw_all(root)
    content: dict[str, Any] = {}
    for number in range(6):
        regions = [
            {
                "shape_attributes": dict(
                    zip(("x", "y", "width", "height"), box, strict=True), name="rect"
                ),
                "region_attributes": {name: name},
            }
            for name, box in of_image(number)
        ]
        content[f"p{number}"] = {"filename": f"p{number}.png", "size": 1, "regions": regions}
    write_json(root / "via_region_data.json", content)


@report("HumanSignal/label-studio 3140", "Label Studio boxes of negative height", "swapped corners")
def label_studio_negative(root: Path) -> None:
    draw_all(root / "images")
    tasks = []
    for number in range(6):
        results = [
            {"type": "rectanglelabels", "value": {"rectanglelabels": [name], "rotation": 0}}
            for name, _ in of_image(number)
        ]
        for result, (_, (x, y, w, h)) in zip(results, of_image(number), strict=True):
            start = {"x": 100 * x / WIDTH, "y": 100 * (y + h) / HEIGHT}
            result["value"] |= start | {"width": 100 * w / WIDTH, "height": -100 * h / HEIGHT}
            result |= {"original_width": WIDTH, "original_height": HEIGHT}
        image = f"/data/upload/18/0f6142fb-p{number}.png"
        tasks.append({"data": {"image": image}, "annotations": [{"result": results}]})
    write_json(root / "project-18.json", tasks)


@report("ultralytics/ultralytics 21224", "labels beside images, in a folder `images`", "")
def labels_in_images(root: Path) -> None:
    write_yolo_dataset(root)
    for number in range(3):
        path = root / "labels" / "train" / f"p{number}.txt"
        path.rename(root / "images" / "train" / path.name)


@report("ultralytics/yolov5 424", "YOLO class numbers that begin at 1", "from 1 to 2", None)
def yolo_from_one(root: Path) -> None:
    write_yolo_dataset(root)
    for path in (root / "labels" / "train").iterdir():
        lines = path.read_text().splitlines()
        path.write_text("".join(f"{int(line[0]) + 1}{line[1:]}\n" for line in lines))
