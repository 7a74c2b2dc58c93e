"""Valid files of every kind, which the fuzzer damages."""

import io
import json
import os
import tempfile
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from centernet.inference.counting import CountCalibration
from centernet.models.centernet import CenterNet
from centernet.models.checkpoints import checkpoint_of

IMAGE_KINDS = ("jpg", "png", "bmp", "webp", "tiff", "ppm", "jp2", "avif")
VIDEO_KINDS = ("mp4", "avi", "mkv")


class Bomb:
    """Unpickled with trust, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)

    def __deepcopy__(self, memo: dict) -> "Bomb":
        return self


def pixels(height: int = 24, width: int = 32) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height))


@cache
def images(kind: str) -> list[bytes]:
    """Files of a format: plain, turned by EXIF, gray."""
    form = {"jpg": "JPEG", "jp2": "JPEG2000"}.get(kind, kind.upper())
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    for array, options in ((pixels(), {}), (pixels(), {"exif": exif}), (pixels()[..., 0], {})):
        file = io.BytesIO()
        Image.fromarray(array).save(file, form, **options)
        files.append(file.getvalue())
    return files


@cache
def coco() -> dict:
    """A COCO file of two images."""
    return {
        "images": [
            {"id": i, "file_name": f"{name}.png", "height": 24, "width": 32}
            for i, name in ((1, "a"), (2, "b"))
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 12], "iscrowd": 0},
            {"id": 2, "image_id": 2, "category_id": 2, "bbox": [5, 5, 20.5, 9], "area": 99.5},
            {"id": 3, "image_id": 1, "category_id": 2, "bbox": [0, 0, 9, 9], "iscrowd": 1,
             "segmentation": {"size": [24, 32], "counts": [10, 20, 738]}},
            {"id": 4, "image_id": 2, "category_id": 1, "bbox": [0, 0, 9, 9], "ignore": 1,
             "segmentation": [[0, 0, 9, 0, 9, 9]]},
        ],
    }  # fmt: skip


VOC = """<?xml version="1.0" encoding="utf-8"?>
<annotation><folder>x</folder><filename>a.png</filename><source><database>Unknown</database>
</source><size><width>32</width><height>24</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult><bndbox><xmin>2</xmin><ymin>3</ymin>
<xmax>20</xmax><ymax>19</ymax></bndbox></object></annotation>
"""
YOLO_YAML = "path: .\ntrain: images/train\nval: images/val\nnc: 2\nnames:\n  0: cat\n  1: dog\n"
YOLO_LABELS = "0 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.4 0.1 0.4 0.4\n"


@cache
def checkpoint() -> dict:
    """A checkpoint of a very small network."""
    torch.manual_seed(0)
    network = CenterNet(2, "test_resnet", neck_channels=(8, 8, 8), head_channels=4)
    network.class_names, network.thresholds = ("cat", "dog"), (0.5, None)
    classes, values = (1.0, 1.0), (1.0, 1.0, None)
    calibration = CountCalibration(classes, classes, classes, values, (1.0, 1.0, 1.0), 20)
    network.counting = calibration.as_dict()
    return checkpoint_of(network, (64, 64))


def saved(content: object, *, legacy: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


@cache
def video(kind: str) -> bytes:
    """A video of five frames."""
    code = {"mp4": "mp4v", "avi": "MJPG", "mkv": "mp4v"}[kind]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a.{kind}")
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 25, (32, 24))
        for shift in range(5):
            writer.write(np.roll(pixels(), shift, 1))
        writer.release()
        return path.read_bytes()


def write_images(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), pixels())


def as_json(content: object) -> bytes:
    return json.dumps(content).encode()
