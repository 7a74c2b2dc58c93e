"""Files that a stranger made to do harm: refused in one line, at once, in little memory."""

import json
import os
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib

import numpy as np
import pytest
from sample_datasets import coco_content, picture, text, voc_xml, write_coco

from centernet.analysis.check.boxes import near_duplicates
from centernet.analysis.check.check_dataset import check_dataset
from centernet.analysis.check.check_page import render_check_page
from centernet.analysis.check.check_report import as_dict
from centernet.analysis.check.check_text import format_text
from centernet.analysis.check.split_arrays import MAX_LISTED
from centernet.data.annotations import load_json
from centernet.data.archives import unpacked
from centernet.data.entries import annotation_area
from centernet.data.formats import read_dataset
from centernet.data.images import for_each_image, image_size, read_image
from centernet.decode import MAX_TOP_K
from centernet.errors import InputError
from centernet.inference.inputs import Video
from centernet.inference.tta import clip_to_image
from centernet.models.checkpoints import read_file
from centernet.training.auto_config import top_k_for


def png(width: int, height: int) -> bytes:
    """A black PNG of which every row is the same few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        sum_ = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", sum_)

    packed, row = zlib.compressobj(1), bytes(1 + width)
    data = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    )


@pytest.fixture
def limit(monkeypatch):
    monkeypatch.setenv("CENTERNET_MAX_IMAGE_PIXELS", "100000")


@pytest.mark.parametrize("read", [read_image, image_size])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, read, limit):
    (tmp_path / "a.png").write_bytes(png(400, 300))
    with pytest.raises(InputError, match=r"400x300.*100,000.*CENTERNET_MAX_IMAGE_PIXELS"):
        read(tmp_path / "a.png")


def test_a_huge_header_over_few_bytes_is_refused(tmp_path):
    header = bytearray(png(4, 4))
    header[16:24] = struct.pack(">II", 20000, 20000)
    (tmp_path / "a.png").write_bytes(header)
    with pytest.raises(InputError, match="20000x20000"):
        image_size(tmp_path / "a.png")


def test_the_codestream_of_a_jpeg_2000_counts_too(tmp_path, limit):
    import cv2

    data = bytearray(cv2.imencode(".jp2", np.zeros((40, 60, 3), np.uint8))[1].tobytes())
    at = data.index(b"\xff\x4f\xff\x51") + 8  # the box before still says 60x40
    data[at : at + 8] = struct.pack(">II", 30000, 30000)
    (tmp_path / "a.jp2").write_bytes(data)
    with pytest.raises(InputError, match="900,000,000"):
        read_image(tmp_path / "a.jp2")


@pytest.mark.parametrize("value", ["0", "-1", "many", "1e9", ""])
def test_a_wrong_limit_is_refused(tmp_path, monkeypatch, value):
    monkeypatch.setenv("CENTERNET_MAX_IMAGE_PIXELS", value)
    with pytest.raises(InputError, match="CENTERNET_MAX_IMAGE_PIXELS"):
        image_size(picture(tmp_path / "a.png"))


def test_images_in_memory_at_once_have_no_more_pixels_than_one_may(tmp_path, limit):
    paths = [picture(tmp_path / f"{i}.png", (200, 300)) for i in range(6)]  # 60,000 each
    together, most = [], []

    def read(path):
        if not path.exists():
            return
        together.append(path)
        most.append(len(together))
        time.sleep(0.01)
        together.remove(path)

    for_each_image(read, [*paths, tmp_path / "missing.png"])
    assert most == [1] * 6


@pytest.mark.parametrize(
    "read",
    [read_image, image_size, load_json, read_file, lambda path: Video(str(path))],
)
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "unreadable"])
def test_what_is_no_regular_file_does_not_block(tmp_path, read, kind):
    path = tmp_path / "a\nb.png"
    if kind == "device" and "lambda" in read.__name__:
        pytest.skip("cameras are devices")
    if kind == "unreadable" and os.geteuid() == 0:
        pytest.skip("root reads everything")
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "unreadable":
            picture(path).chmod(0)
    with pytest.raises(InputError):
        read(path)


def test_pipes_and_folders_among_the_files_of_a_dataset_do_not_block(tmp_path):
    for name in ("a.png", "b.png"):
        picture(tmp_path / "images" / "train" / name)
    os.mkfifo(tmp_path / "images" / "train" / "c.png")
    (tmp_path / "images" / "train" / "d.png").mkdir()
    (tmp_path / "labels" / "train").mkdir(parents=True)
    os.mkfifo(tmp_path / "labels" / "train" / "a.txt")
    text(tmp_path / "labels" / "train" / "b.txt", "0 0.5 0.5 0.5 0.5\n")
    os.mkfifo(tmp_path / "other.yaml")
    text(tmp_path / "data.yaml", "train: images/train\nnames: [cat]\n")
    report = check_dataset(tmp_path)
    assert len(report.splits[0].files) == 2 and report.splits[0].objects.sum() == 1


BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1 or str()};" * 10}">' for i in range(1, 12))
    + "]>"
)


@pytest.mark.parametrize(
    "content",
    [
        BILLION_LAUGHS + "<annotation><filename>&a11;</filename></annotation>",
        (BILLION_LAUGHS + "<annotation/>").encode("utf-16"),
        "<annotation>" + "<object>" * 20_000,
        "<annotation>" + "<object>" * 20_000 + "</object>" * 20_000 + "</annotation>",
        voc_xml("a.png", [("cat", (1, 2, 3, 4), 0)]).replace("<width>60", "<width>inf"),
        voc_xml("../../../etc/passwd", [("cat", (1, 2, 3, 4), 0)]),
    ],
    ids=["entities", "UTF-16", "open", "deep", "inf", "path"],
)
def test_hostile_xml_costs_an_image_at_most(tmp_path, content):
    for name in ("a", "b"):
        picture(tmp_path / "JPEGImages" / f"{name}.png")
        xml = voc_xml(f"{name}.png", [("cat", (1, 2, 30, 30), 0)])
        text(tmp_path / "Annotations" / f"{name}.xml", xml)
    path = tmp_path / "Annotations" / "b.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    start = time.process_time()
    report = check_dataset(tmp_path)
    assert time.process_time() - start < 10
    assert {*report.splits[0].files} <= {"a.png", "b.png"}


@pytest.mark.guard
@pytest.mark.parametrize(
    "content",
    [
        "a0: &a0 {x: 1}\n"
        + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 40)),
        "a0: &a0 [x]\n"
        + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
        + "names: *a29\ntrain: images\n",
        "x: " + "[" * 20_000,
        "x" * (2 << 20),
    ],
    ids=["merge keys", "aliases", "deep", "long"],
)
def test_hostile_yaml_is_refused(tmp_path, content):
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "data.yaml", content)
    start = time.process_time()
    with pytest.raises(InputError, match=r"data\.yaml") as error:
        read_dataset(tmp_path)
    assert time.process_time() - start < 10
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_names_outside_are_an_error_of_check(tmp_path):
    write_coco(tmp_path / "train.json", tmp_path, ["a.png"])
    content = coco_content(["a.png", "/etc/passwd"], [{"bbox": [1, 2, 30, 30]}])
    text(tmp_path / "train.json", json.dumps(content))
    report = check_dataset(tmp_path)
    assert not report.is_trainable and "/etc/passwd" in str(report.findings)
    assert report.splits[0].files == ["a.png"]


@pytest.mark.guard
@pytest.mark.parametrize("equal", [False, True])
def test_very_many_boxes_in_one_image_are_checked_in_bounded_work(tmp_path, equal):
    count = 20_000
    rng = np.random.default_rng(0)
    boxes = np.hstack([rng.uniform(0, 600, (count, 2)), rng.uniform(1, 40, (count, 2))]).round(1)
    boxes = np.full((count, 4), 9.0) if equal else boxes
    annotations = [{"bbox": box, "area": 9} for box in boxes.tolist()]
    content = coco_content(["a.png"], annotations)
    content["images"][0] |= {"width": 640, "height": 480}
    text(tmp_path / "train.json", json.dumps(content))
    start = time.process_time()
    report = check_dataset(tmp_path / "train.json", read_images=False)
    page, said = render_check_page(report), format_text(report)
    assert time.process_time() - start < 30
    assert len(page) < 200_000 and len(said) < 20_000
    assert all(sum(f.kind == kind for f in report.findings) <= MAX_LISTED
               for kind in {f.kind for f in report.findings})  # fmt: skip
    if equal:
        listed = sum(f.kind == "box-duplicate" for f in report.findings)
        assert listed + report.unlisted["box-duplicate"] == count - 1
        assert as_dict(report)["unlisted"]["box-duplicate"] == count - 1 - MAX_LISTED
        assert f"{count - 1:,}" in said
    assert "image-crowded" in {f.kind for f in report.findings}


def test_equal_boxes_are_paired_with_the_first():
    boxes = np.tile([3.0, 3.0, 12.0, 12.0], (5, 1))
    pairs = list(near_duplicates(boxes, np.array([0, 0, 1, 0, 1])))
    assert pairs == [(0, 1, 1.0), (0, 3, 1.0), (2, 4, 1.0)]


def test_detections_per_image_are_bounded():
    assert top_k_for(10**6) == MAX_TOP_K


def test_detections_that_are_not_finite_are_dropped():
    nan, inf = np.nan, np.inf
    boxes = np.array([[1, 1, 9, 9], [nan, 1, 9, 9], [-inf, 1, inf, 9], [1, 1, 9, 9], [1, 1, 9, 9]])
    scores = np.array([0.9, 0.8, 0.7, nan, inf])
    found = clip_to_image({"boxes": boxes, "scores": scores, "labels": np.arange(5)}, (20, 20))
    assert found["labels"].tolist() == [0] and found["scores"].tolist() == [0.9]


def bomb(path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", bytes(3 * 10**6))


def unknown_method(path, method: int = 99, flags: int = 0) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a", b"text")
    data = bytearray(path.read_bytes())
    for start, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        struct.pack_into("<HH", data, data.index(start) + offset, flags, method)
    path.write_bytes(data)


def tar_bomb(path) -> None:
    big = path.with_suffix(".big")
    big.write_bytes(bytes(3 * 10**6))
    with tarfile.open(path, "w:gz") as file:
        file.add(big, "a")


@pytest.mark.parametrize(
    "write",
    [bomb, tar_bomb, unknown_method, lambda path: unknown_method(path, 0, 1)],
    ids=["zip bomb", "tar bomb", "method 99", "encrypted"],
)
def test_hostile_archives_are_refused_in_one_line(tmp_path, monkeypatch, write):
    monkeypatch.setattr("centernet.data.archives._MAX_EXTRA", 1000)
    write(tmp_path / "a.zip")
    with (
        pytest.raises(InputError, match=r"cannot unpack .*a\.zip") as error,
        unpacked([tmp_path / "a.zip"], tmp_path / "out"),
    ):
        pass
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_bomb_takes_no_memory_in_check(tmp_path):
    """In a process of its own, to measure it."""
    (tmp_path / "train").mkdir()
    files = [f"{i}.png" for i in range(4)]
    bomb = png(20000, 20000)
    for file in files:
        (tmp_path / "train" / file).write_bytes(bomb)
    content = json.dumps(coco_content(files, [{"bbox": [1, 2, 30, 30]}]))
    text(tmp_path / "annotations" / "instances_train.json", content)
    code = (
        "import resource, sys; from centernet.analysis.check.check_dataset import check_dataset; "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "report = check_dataset(sys.argv[1]); "
        "print(sum(f.kind == 'image-broken' for f in report.findings), "
        "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True)
    count, kilobytes = map(int, done.stdout.split())
    assert count == 4 and kilobytes < 200_000


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "\u2028", "x" * 10**6])
def test_messages_are_one_short_line_of_printable_text(name):
    message = str(InputError(f"cannot read {name}: give a file"))
    assert len(message) < 1000 and "\n" not in message and "\x1b" not in message
    assert message.startswith("cannot read ") and message.endswith(": give a file")


@pytest.mark.parametrize("read", [read_image, load_json])
def test_a_huge_empty_file_is_not_read(tmp_path, read):
    path = tmp_path / "a.png"
    path.write_bytes(png(4, 4) if read is read_image else b"{")
    os.truncate(path, 3 << 30)  # sparse: it takes no room
    with pytest.raises(InputError, match="3,221,225,472 bytes"):
        read(path)


def test_very_many_classes_are_read_in_linear_time(tmp_path):
    content = coco_content(["a.png"])
    content["categories"] = [
        {"id": i, "name": str(i), "supercategory": "x"} for i in range(1, 50_000)
    ]
    text(tmp_path / "train.json", json.dumps(content))
    start = time.process_time()
    assert len(read_dataset(tmp_path)["train"].coco["categories"]) == 49_999
    assert time.process_time() - start < 5


@pytest.mark.parametrize(("area", "expected"), [(1e300, 12), (1e11, 12), (9e9, 9e9), (0, 12)])
def test_an_impossible_area_is_that_of_the_box(area, expected):
    assert annotation_area({"area": area}, [1, 2, 3, 4]) == expected


def test_a_report_without_an_ap_is_json(tmp_path):
    box = [0, 0, 5e5, 5e5]  # too large for the evaluation
    content = coco_content(["a.png"], [{"bbox": box}])
    content["images"][0] |= {"width": 600_000, "height": 600_000}
    text(tmp_path / "train.json", json.dumps(content))
    report = check_dataset(tmp_path / "train.json", input_size=(32, 32), read_images=False)
    json.dumps(as_dict(report), allow_nan=False)
