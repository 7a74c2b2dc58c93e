"""Small drawn datasets in the layouts of published repositories; nothing in them is copied.

They are registered beside those of :mod:`reported_datasets`, with the repository and its commit.
"""

from pathlib import Path

from reported_datasets import (
    HEIGHT,
    NAMES,
    OBJECTS,
    WIDTH,
    coco,
    draw,
    draw_all,
    of_image,
    report,
    write_coco_dataset,
    write_yolo_dataset,
    yolo_lines,
)
from sample_datasets import text, voc_xml

CSV_HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


def corners(box: list[int]) -> list[int]:
    x, y, w, h = box
    return [x, y, x + w, y + h]


def write_labels_beside(folder: Path, numbers: range = range(6)) -> None:
    """Images with YOLO labels in the same folder."""
    for number in numbers:
        draw(folder / f"p{number}.jpg", number)
        text(folder / f"p{number}.txt", yolo_lines(number))


@report("BESSTSU/bolt_counter da2c4a1", "the dataset is one of many folders", "the only dataset in")
def below_a_repository(root: Path) -> None:
    write_yolo_dataset(root / "dataset")
    text(root / "README.md", "# Bolt counter\n")
    text(root / "results" / "results_1.csv", "image,total_detected\np0.png,3\n")
    text(root / "runs" / "detect" / "args.yaml", "task: detect\n")
    draw(root / "results" / "annotated" / "p0.png", 0)


@report(
    "NarimT/Computer-Vision-Project e48c891",
    "several datasets two folders below",
    r"several datasets: give one, such as .*sets/coco_v1, .*sets/yolo_v1",
    None,
)
def several_below(root: Path) -> None:
    write_coco_dataset(root / "project" / "sets" / "coco_v1", coco())
    write_yolo_dataset(root / "project" / "sets" / "yolo_v1")
    text(root / "README.md", "# Palms\n")
    text(root / "project" / "notebook.ipynb", "{}")


@report("AgrimonApp/Dataset-Limon-Tahiti 122b473", "Roboflow's YOLO Darknet", "_darknet.labels")
def roboflow_darknet(root: Path) -> None:
    write_labels_beside(root / "train")
    write_labels_beside(root / "valid", range(2))
    write_labels_beside(root / "test", range(1))
    for split in ("train", "valid", "test"):
        text(root / split / "_darknet.labels", "\n".join(NAMES))
    text(root / "README.roboflow.txt", "exported\n")


@report(
    "jekhor/aerial-cars-dataset d2ed927", "flat, with lists of a folder that is gone", "s.names"
)
def darknet_lists(root: Path) -> None:
    write_labels_beside(root)
    text(root / "parts.names", "\n".join(NAMES) + "\n")
    text(root / "train.txt", "parts/p0.jpg\n")
    text(root / "test.txt", "parts/p1.jpg\n")
    text(root / "train2.txt", "".join(f"parts/p{i}.jpg\n" for i in range(6)))


@report("ihians/simd 6270729", "labels in the folder of images", "simd-classes.txt")
def labels_in_flat_images(root: Path) -> None:
    write_labels_beside(root / "images")
    text(root / "images" / "Readme.txt", "Images and labels\n")
    text(root / "simd-classes.txt", "\n".join(NAMES))


@report("Alfatio001/PalmVision 16c2330", "YOLO without class names", "classes.txt")
def yolo_without_names(root: Path) -> None:
    write_labels_beside(root / "train")


@report(
    "InsulatorData/InsulatorDataSet 1f6349f",
    "two VOC datasets, one with an XML file for each class",
    "3 images have several XML files, which are read together; 1 identical boxes are left out",
)
def two_voc_datasets(root: Path) -> None:
    for number in range(6):
        objects = [(name, corners(box), 0) for name, box in of_image(number)]
        if number < 3:
            folder, parts = root / "Normal", {"labels": objects}
        else:
            bolts = [o for o in objects if o[0] == "bolt"]
            nuts = [o for o in objects if o[0] == "nut"]
            more = bolts[:1] if number == 3 else []
            folder, parts = root / "Defective", {"labels/bolt": bolts, "labels/nut": nuts + more}
        name = f"p{number % 3}"  # equal names in both folders
        draw(folder / "images" / f"{name}.png", number)
        for labels, own in parts.items():
            xml = voc_xml(name, own, size=(HEIGHT, WIDTH))
            text(folder / labels / f"{name}.xml", xml)


@report("Ahnd6474/Cell-counting 1c1dbb4", "Roboflow's CSV omits empty images", "without objects")
def roboflow_csv(root: Path) -> None:
    folder = root / "data" / "train"
    draw_all(folder, "p{}.jpg")
    draw(folder / "empty.jpg", 7)
    rows = [
        f"p{image}.jpg,{WIDTH},{HEIGHT},{name},{','.join(map(str, corners(box)))}\n"
        for image, name, box in OBJECTS
    ]
    text(folder / "_annotations.csv", CSV_HEADER + "".join(rows))
    text(root / "data" / "README.roboflow.txt", "exported\n")


@report(
    "AUMANSH/ships-dataset-yoloversion8 f8dfd46", "data.yaml names folders otherwise", "read as"
)
def other_split_names(root: Path) -> None:
    write_yolo_dataset(root)
    for part in ("images", "labels"):
        (root / "training").mkdir(exist_ok=True)
        (root / part / "train").rename(root / "training" / part)
    draw(root / "validate" / "images" / "v.png", 0)
    text(root / "validate" / "labels" / "v.txt", yolo_lines(0))
    names = ", ".join(NAMES)
    text(root / "data.yaml", f"train: ../train/images\nval: ../valid/images\nnames: [{names}]\n")


@report(
    "tangsanli5201/DeepPCB 08e98c4", "text files with corners", "x1 y1 x2 y2 class, such as", None
)
def text_with_corners(root: Path) -> None:
    for number in range(6):
        draw(root / "group" / "00041" / f"p{number}_test.jpg", number)
        lines = [f"{' '.join(map(str, corners(box)))} 3" for _, box in of_image(number)]
        text(root / "group" / "00041_not" / f"p{number}.txt", "\n".join(lines))


@report("Chula-PIC-Lab/Chula-RBC-12-Dataset fa130f4", "points", "points.*filename,x,y", None)
def text_with_points(root: Path) -> None:
    for number in range(6):
        draw(root / "Dataset" / f"{number}.jpg", number)
        lines = [f"{x} {y} 4" for _, (x, y, _, _) in of_image(number)]
        text(root / "Label" / f"{number}.txt", "\n".join(lines))


@report("99002523/dataset 78ab31e", "Roboflow's YOLO Keras TXT", "")
def keras_txt(root: Path) -> None:
    lines = []
    for number in range(6):
        draw(root / "train" / f"a page {number}.jpg", number)
        boxes = [
            f"{','.join(map(str, corners(box)))},{NAMES.index(name)}"
            for name, box in of_image(number)
        ]
        lines.append(" ".join([f"a page {number}.jpg", *boxes]))
    text(root / "train" / "_annotations.txt", "\n".join(lines))
    text(root / "train" / "_classes.txt", "\n".join(NAMES))
