import cv2
import numpy as np
import pytest
from PIL import Image
from sample_datasets import picture, text

from centernet.data.formats import read_dataset
from centernet.errors import InputError

# In an image 40 high and 60 wide: center (15, 10), 30 wide, 8 high.
LABEL = "1 0.25 0.25 0.5 0.2\n"
BOX = [0, 6, 30, 8]
NAMES = "names: [cat, dog]\n"


def boxes(split):
    return [pytest.approx(a["bbox"]) for a in split.coco["annotations"]]


@pytest.fixture
def yolo(tmp_path):
    """images/train/{a,b}.jpg, images/val/c.jpg; a and c have labels."""
    for file in ("train/a", "train/b", "val/c"):
        picture(tmp_path / "images" / f"{file}.jpg")
    for file in ("train/a", "val/c"):
        text(tmp_path / "labels" / f"{file}.txt", LABEL)
    text(tmp_path / "data.yaml", "train: images/train\nval: images/val\n" + NAMES)
    return tmp_path


def test_a_dataset_as_ultralytics_has_it(yolo):
    splits = read_dataset(yolo)
    assert list(splits) == ["train", "val"]
    train = splits["train"]
    assert train.images == yolo / "images" / "train" and train.source == yolo / "data.yaml"
    assert train.coco["images"] == [
        {"id": 1, "file_name": "a.jpg", "width": 60, "height": 40},
        {"id": 2, "file_name": "b.jpg", "width": 60, "height": 40},
    ]
    (found,) = train.coco["annotations"]
    assert found | {"id": 1, "image_id": 1, "category_id": 2, "iscrowd": 0} == found
    assert found["bbox"] == pytest.approx(BOX) and found["area"] == pytest.approx(240)
    assert train.coco["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    missing = yolo / "labels" / "train" / "b.txt"
    (note,) = train.notes
    assert note.startswith(f"{train.images}: 1 of 2 images") and note.endswith(str(missing))
    assert splits["val"].notes == []
    assert read_dataset(yolo / "data.yaml").keys() == splits.keys()


@pytest.mark.parametrize(
    "lines",
    [
        "path: .\ntrain: images/train\nval: images/val\nnames: {0: cat, 1: dog}\n",
        "path: /somewhere/else\ntrain: images/train/\nvalid: [images/val]\n" + NAMES,
        "train: train.txt\nval: val.txt\n" + NAMES,
        "train: ../images/train\nval: ../images/val\n" + NAMES,  # Roboflow's
        "train: {root}/images/train\nval: {root}/images/val\ntest:\n" + NAMES,
    ],
)
def test_ways_to_name_the_images(yolo, lines):
    text(yolo / "train.txt", "./images/train/a.jpg\nimages/train/b.jpg\n")
    text(yolo / "val.txt", f"{yolo}/images/val/c.jpg\n")
    text(yolo / "data.yaml", lines.replace("{root}", str(yolo)))
    splits = read_dataset(yolo)
    files = {
        name: [split.images / i["file_name"] for i in split.coco["images"]]
        for name, split in splits.items()
    }
    images = yolo / "images"
    assert files == {
        "train": [images / "train" / "a.jpg", images / "train" / "b.jpg"],
        "val": [images / "val" / "c.jpg"],
    }
    assert boxes(splits["train"]) == [BOX] and boxes(splits["val"]) == [BOX]


def test_several_folders_make_one_split(yolo):
    text(yolo / "data.yaml", "train: [images/train, images/val, images/val]\n" + NAMES)
    train = read_dataset(yolo)["train"]
    assert train.images == yolo / "images"
    files = [i["file_name"] for i in train.coco["images"]]
    assert files == ["train/a.jpg", "train/b.jpg", "val/c.jpg"]
    assert any(f"{yolo / 'data.yaml'}: 1 images" in note for note in train.notes)


def test_a_test_split_that_is_not_there_is_left_out_but_no_other(yolo):
    description = "train: images/train\nval: images/val\n" + NAMES
    file = text(yolo / "data.yaml", description + "test: ../test/images\n")
    splits = read_dataset(yolo)
    assert list(splits) == ["train", "val"]
    note = splits["train"].notes[-1]
    assert note.startswith(f"{file} names ../test/images") and note.endswith("left out 'test'")
    text(file, "test: ../test/images\n" + NAMES)
    with pytest.raises(InputError, match=r"names \.\./test/images"):
        read_dataset(yolo)


@pytest.mark.parametrize("layout", ["train/{}", "{}/train"])
def test_folders_alone_will_do(tmp_path, layout):
    picture(tmp_path / layout.format("images") / "a.png")
    text(tmp_path / layout.format("labels") / "a.txt", LABEL)
    found = read_dataset(tmp_path)["train"]
    assert boxes(found) == [BOX]
    assert [c["name"] for c in found.coco["categories"]] == ["0", "1"]
    assert "classes.txt" in found.notes[-1]
    text(tmp_path / "classes.txt", "cat\ndog\n\n")
    found = read_dataset(tmp_path)["train"]
    assert [c["name"] for c in found.coco["categories"]] == ["cat", "dog"]
    assert found.notes == []


def test_an_empty_line_keeps_the_numbers_of_the_classes_after_it(tmp_path):
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", LABEL)
    text(tmp_path / "classes.txt", "\ncat\n\n \n")
    found = read_dataset(tmp_path)["train"].coco
    assert found["categories"] == [{"id": 1, "name": "0"}, {"id": 2, "name": "cat"}]
    assert found["annotations"][0]["category_id"] == 2


def test_text_of_another_encoding_is_refused_and_a_mark_before_it_is_not(yolo):
    text(yolo / "data.yaml", "train: train.txt\n" + NAMES)
    (yolo / "train.txt").write_bytes(b"\xef\xbb\xbfimages/train/a.jpg\nimages/train/b.jpg\n")
    files = [i["file_name"] for i in read_dataset(yolo)["train"].coco["images"]]
    assert files == ["a.jpg", "b.jpg"]
    (yolo / "train.txt").write_bytes("images/train/ä.jpg\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"train\.txt is not UTF-8") as error:
        read_dataset(yolo)
    assert "\n" not in str(error.value)


def test_one_folder_of_images_is_for_training(tmp_path):
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", LABEL)
    text(tmp_path / "classes.txt", "cat\ndog")
    found = read_dataset(tmp_path)["train"]
    assert found.images == tmp_path / "images" and "'train'" in found.notes[0]


def test_labels_may_lie_beside_their_images(tmp_path):
    picture(tmp_path / "train" / "a.png")
    text(tmp_path / "train" / "a.txt", LABEL)
    text(tmp_path / "data.yaml", "train: train\n" + NAMES)
    assert boxes(read_dataset(tmp_path)["train"]) == [BOX]


def test_polygons_become_their_boxes(yolo):
    # A triangle (6, 4), (30, 4), (6, 24); and a quadrangle as oriented boxes have it.
    lines = "0 0.1 0.1 0.5 0.1 0.1 0.6\n1 0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6\n"
    text(yolo / "labels" / "val" / "c.txt", lines)
    val = read_dataset(yolo)["val"]
    assert boxes(val) == [[6, 4, 24, 20]] * 2
    triangle, quadrangle = val.coco["annotations"]
    assert triangle["segmentation"] == [pytest.approx([6, 4, 30, 4, 6, 24])]
    assert triangle["area"] == pytest.approx(240) and quadrangle["area"] == pytest.approx(480)
    (note,) = val.notes
    assert note.startswith(f"{yolo / 'images' / 'val'}: 2 polygons")


def test_keypoints_are_no_polygon(yolo):
    (yolo / "data.yaml").open("a").write("kpt_shape: [2, 3]\n")
    text(yolo / "labels" / "val" / "c.txt", LABEL.strip() + " 0.1 0.2 2 0.3 0.4 1\n")
    assert boxes(read_dataset(yolo)["val"]) == [BOX]


def test_an_image_that_lies_on_its_side_counts_as_it_is_seen(yolo):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (60, 40)).save(yolo / "images" / "val" / "c.jpg", exif=exif)
    val = read_dataset(yolo)["val"]
    assert (val.coco["images"][0]["width"], val.coco["images"][0]["height"]) == (40, 60)
    assert boxes(val) == [[0, 9, 20, 12]]


def test_what_is_broken_is_kept_where_coco_can_hold_it_and_else_noted(yolo):
    file = yolo / "labels" / "val" / "c.txt"
    text(
        file, "0 0.5 0.5 0 0.2\n0 1.5 0.5 0.1 0.1\n2 .1 .1 .1 .1\n0 1 2\n0 a b c d\n1.5 0 0 1 1\n\n"
    )
    text(yolo / "images" / "val" / "z.jpg", "no image")
    val = read_dataset(yolo)["val"]
    assert boxes(val) == [[30, 16, 0, 8], [87, 18, 6, 4]]
    assert [i["file_name"] for i in val.coco["images"]] == ["c.jpg"]
    expected = [
        ("2 lines left out, whose class", f"'2 .1 .1 .1 .1' in {file}:3"),
        ("1 lines left out", f"'0 1 2' in {file}:4"),
        ("1 lines left out", f"'0 a b c d' in {file}:5"),
        ("1 images", f"{yolo}/images/val/z.jpg"),
    ]
    for note, (start, example) in zip(val.notes, expected, strict=True):
        assert note.startswith(f"{yolo}/images/val: {start}") and example in note


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("train: nowhere\n" + NAMES, "names nowhere, but .*nowhere is neither a folder nor"),
        ("train: empty\n" + NAMES, "'empty'"),
        ("train: images/train\nnames:\n", "has no list 'names'"),
        ("train: images/train\nnames: {cat: 0}\n", "keys of 'names' must be numbers"),
    ],
)
def test_a_wrong_description_is_told_in_one_line(yolo, lines, message):
    (yolo / "empty").mkdir()
    file = text(yolo / "data.yaml", lines)
    with pytest.raises(InputError, match=message) as error:
        read_dataset(file)
    assert str(error.value).startswith(str(file)) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["[", "- a\n", "names: [a]\n"])
def test_a_yaml_file_of_something_else_is_refused(tmp_path, content):
    file = text(tmp_path / "data.yaml", content)
    with pytest.raises(InputError, match=r"data\.yaml"):
        read_dataset(file)


def test_gray_images_and_sizes_of_their_own(yolo):
    cv2.imwrite(str(yolo / "images" / "val" / "c.jpg"), cv2.imread(
        str(yolo / "images" / "train" / "a.jpg"), cv2.IMREAD_GRAYSCALE)[:20])  # fmt: skip
    assert boxes(read_dataset(yolo)["val"]) == [[0, 3, 30, 4]]


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ("train: images/train\n" + BOMB + "names: [cat, *a11]\n", "'names'"),
        ("train: images/train\n" + BOMB + "names: {0: cat, 1: *a11}\n", "'names'"),
        ("train: images/train\n" + BOMB + "names: {cat: *a11}\n", "'names'"),
        (BOMB + "train: [images/train, *a11]\n" + NAMES, "'train'"),
        ("train: images/train\n" + BOMB + "path: *a11\n" + NAMES, "'path'"),
        ("train: images/train\nnames: {1.5: cat}\n", "1.5"),
        ("train: images/train\nnames: [0x" + "f" * 5000 + "]\n", "'names'"),
        ("train: images/train\nnames: " + "[" * 5000 + "]" * 5000 + "\n", "cannot be read"),
        ("train: images/train\nx: !!int ''\n" + NAMES, "cannot be read"),
        ("train: images/train\nx: " + "9" * 5000 + "\n" + NAMES, "cannot be read"),
    ],
)
def test_a_description_of_any_depth_and_size_is_refused_in_one_line(yolo, lines, value):
    file = text(yolo / "data.yaml", lines)
    with pytest.raises(InputError, match=value) as error:
        read_dataset(file)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("number", ["1e300", "3000000", "10000", "nan", "inf", "-1"])
@pytest.mark.parametrize("named", [True, False])
def test_a_number_that_is_no_class_is_left_out(tmp_path, number, named):
    picture(tmp_path / "images" / "a.png")
    file = text(tmp_path / "labels" / "a.txt", f"{number} 0.5 0.5 0.2 0.2\n{LABEL}")
    if named:
        text(tmp_path / "classes.txt", "cat\ndog")
    found = read_dataset(tmp_path)["train"]
    assert len(found.coco["categories"]) == 2 and len(found.coco["annotations"]) == 1
    assert any(f"'{number} 0.5" in note and f"{file}:1" in note for note in found.notes)


def test_numbers_that_are_not_finite_are_kept_for_check_to_find(tmp_path):
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", "0 inf 0.5 0.2 0.2\n0 1e308 1e308 1e308 nan 0.1 0.1\n")
    text(tmp_path / "classes.txt", "cat")
    found = [a["bbox"] for a in read_dataset(tmp_path)["train"].coco["annotations"]]
    assert len(found) == 2 and not np.isfinite(found).all(1).any()


@pytest.mark.parametrize("line", ["1,.25,.25,.5,.2", "1, .25, .25, .5, .2", "1;0,25;0,25;0,5;0,2"])
def test_commas_and_semicolons_separate_numbers(yolo, line):
    text(yolo / "labels" / "train" / "a.txt", f"{line}\n")
    split = read_dataset(yolo)["train"]
    assert boxes(split) == [BOX] and "1 lines with commas" in " ".join(split.notes)


def test_pixels_that_fit_as_corners_and_as_width_and_height_are_not_guessed(yolo):
    lines = [f"0 {i} 2 40 30\n" for i in range(1, 7)]
    text(yolo / "labels" / "train" / "a.txt", "".join(lines))
    split = read_dataset(yolo)["train"]
    assert "6 labels are in pixels" in " ".join(split.notes)
    assert boxes(split)[0] == [60 - 1200, 80 - 600, 2400, 1200]  # as fractions
