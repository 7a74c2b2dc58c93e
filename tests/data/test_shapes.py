import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from centernet.data.shape_images import draw_image
from centernet.data.shapes import main, make_shapes
from centernet.errors import InputError

SMALL = {"train": 3, "val": 2, "size": 48}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes(root, train=160, val=20, size=64)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_equal_seeds_give_equal_bytes(tmp_path):
    for name, seed in {"a": 0, "b": 0, "c": 1}.items():
        make_shapes(tmp_path / name, **SMALL, seed=seed)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert len(a) == 3 + 2 + 2
    assert all(a[name] != c[name] for name in a)


def test_an_image_does_not_depend_on_how_many_there_are(tmp_path):
    make_shapes(tmp_path / "few", train=1, val=1, size=48)
    make_shapes(tmp_path / "more", train=3, val=2, size=48)
    for name in ("train/000000.png", "val/000000.png"):
        assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "more" / name).read_bytes()


@pytest.mark.parametrize(("split", "count"), [("train", 160), ("val", 20)])
def test_annotations_are_sound_coco(shapes, split, count):
    coco = COCO(shapes / "annotations" / f"instances_{split}.json")
    assert [c["id"] for c in coco.cats.values()] == [1, 3, 5, 9]
    assert {a["category_id"] for a in coco.anns.values()} == {1, 3, 5, 9}
    assert len(coco.imgs) == len(list((shapes / split).iterdir())) == count
    for image in coco.imgs.values():
        assert cv2.imread(str(shapes / split / image["file_name"])).shape == (64, 64, 3)
    for annotation in coco.anns.values():
        x, y, width, height = annotation["bbox"]
        assert x >= 0 and y >= 0 and x + width <= 64 and y + height <= 64
        assert width > 3 and height > 2
        assert 0 < annotation["area"] <= width * height


def test_boxes_are_those_of_the_segmentations(shapes):
    coco = COCO(shapes / "annotations" / "instances_train.json")
    for annotation in coco.anns.values():
        x, y, width, height = annotation["bbox"]
        if isinstance(annotation["segmentation"], dict):
            box = cv2.boundingRect(coco.annToMask(annotation))
            assert box == pytest.approx((x, y, width, height), abs=1.5)
        else:
            points = np.reshape(annotation["segmentation"], (-1, 2))
            assert points.min(0).tolist() == [x, y]
            assert points.max(0).tolist() == [x + width, y + height]


def test_crowds_and_empty_images_occur(shapes):
    coco = COCO(shapes / "annotations" / "instances_train.json")
    crowds = [a for a in coco.anns.values() if a["iscrowd"]]
    assert {type(crowd["segmentation"]) for crowd in crowds} == {dict, list}
    assert all(coco.annToMask(crowd).any() for crowd in crowds)
    assert any(not coco.getAnnIds(imgIds=image) for image in coco.imgs)


def test_a_shape_is_drawn_where_its_polygon_says():
    generators = (np.random.default_rng(seed) for seed in range(100))
    image, (annotation,) = next(d for d in map(draw_image, generators) if len(d[1]) == 1)
    assert image.shape == (128, 128, 3) and image.dtype == np.uint8
    corners = np.round(np.reshape(annotation["segmentation"], (-1, 2)) - 0.5).astype(np.int32)
    shape = cv2.fillPoly(np.zeros((128, 128), np.uint8), [corners], 1)
    ring = cv2.dilate(shape, np.ones((15, 15))) - cv2.dilate(shape, np.ones((5, 5)))
    inside, around = (image[mask > 0].mean(0) for mask in (shape, ring))
    assert np.linalg.norm(inside - around) > 40


def test_a_second_run_changes_nothing(tmp_path, capsys):
    arguments = ["--train", "2", "--val", "1", "--size", "48", "--output", str(tmp_path / "s")]
    main(arguments)
    times = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    main(arguments)
    wrote, up_to_date = capsys.readouterr().out.splitlines()
    assert wrote.startswith("wrote") and up_to_date.startswith("up to date")
    assert times == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}


def test_other_settings_need_force(tmp_path):
    root = tmp_path / "s"
    make_shapes(root, **SMALL)
    with pytest.raises(InputError, match="--force"):
        make_shapes(root, **SMALL, seed=1)
    assert make_shapes(root, **SMALL, seed=1, force=True)
    info = json.loads((root / "annotations" / "instances_train.json").read_text())["info"]
    assert info["recipe"]["seed"] == 1
    assert list(tmp_path.iterdir()) == [root]


def test_a_lost_image_is_noticed(tmp_path):
    make_shapes(tmp_path / "s", **SMALL)
    (tmp_path / "s" / "train" / "000001.png").unlink()
    with pytest.raises(InputError, match="--force"):
        make_shapes(tmp_path / "s", **SMALL)


@pytest.mark.parametrize("made_here", [False, True])
def test_foreign_files_are_never_replaced(tmp_path, made_here):
    root = tmp_path / "s"
    if made_here:
        make_shapes(root, **SMALL)
    root.mkdir(exist_ok=True)
    (root / "notes.txt").write_text("mine")
    before = contents(root)
    with pytest.raises(InputError, match=str(tmp_path)):
        make_shapes(root, **SMALL, seed=1, force=True)
    assert contents(root) == before
    assert list(tmp_path.iterdir()) == [root]


def test_nothing_is_left_of_a_run_that_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "imencode", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make_shapes(tmp_path / "s", **SMALL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "value"),
    [("--size", "47"), ("--size", "wide"), ("--train", "-1"), ("--val", "-1"), ("--seed", "-1")],
)
def test_bad_values_get_one_line(tmp_path, capsys, option, value):
    with pytest.raises(SystemExit) as stop:
        main([option, value, "--output", str(tmp_path / "s")])
    message = capsys.readouterr().err
    assert stop.value.code == 2
    assert message.count("\n") == 1 and option.strip("-") in message and value in message
    assert not list(tmp_path.iterdir())
