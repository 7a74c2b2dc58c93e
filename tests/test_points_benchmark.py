"""benchmarks/points.py without training."""

from types import SimpleNamespace

import points
from sample_datasets import coco_content

from centernet.data.annotations import DatasetSplit, read_coco
from centernet.data.points import count_points

BOXES = [{"bbox": [4 * i, 5, 6, 8], "image_id": i} for i in range(1, 11)]


def make_splits(tmp_path):
    files = [f"{i}.png" for i in range(1, 11)]
    names = ("train", "val", "test")
    return {n: DatasetSplit(n, tmp_path, coco_content(files, BOXES), tmp_path) for n in names}


def test_annotations_of_each_run(tmp_path):
    counts = {}
    for name in ("boxes", "points", "mix", "a fifth"):
        points.write_annotations(make_splits(tmp_path), name, tmp_path / name)
        for part in ("train", "val"):
            coco = read_coco(tmp_path / name / f"{part}.json")
            counts[name, part] = len(coco["images"]), len(coco["annotations"]), count_points(coco)
    train = {name: found for (name, part), found in counts.items() if part == "train"}
    assert train == {
        "boxes": (10, 10, 0),
        "points": (10, 10, 10),
        "mix": (10, 10, 8),
        "a fifth": (2, 2, 0),
    }
    val = {name: found[2] for (name, part), found in counts.items() if part == "val"}
    assert val == {"boxes": 0, "points": 10, "mix": 0, "a fifth": 0}
    first = read_coco(tmp_path / "points" / "train.json")["annotations"][0]
    assert first["bbox"] == [7, 9, 0, 0]


def test_row_by_hand(tmp_path, monkeypatch):
    def detections(weights, split):
        found = [{"category_id": 3, "score": 0.9} | box for box in BOXES]
        if split.name == "test":  # the cat of the first image is missed, one in the second is false
            found[0] = found[1] | {"bbox": [40, 30, 6, 8]}
        return found

    info = SimpleNamespace(has_box_sizes=False)
    detector = SimpleNamespace(engine=SimpleNamespace(info=info))
    monkeypatch.setattr(points, "detections", detections)
    monkeypatch.setattr(points.Detector, "load", lambda *_, **__: detector)
    cat, dog, cat_error, dog_error, *ap = points.measure("w.ckpt", make_splits(tmp_path), 3.0)
    # 9 of 10 cats and of 10 detections; a count is wrong in 2 of 10 images
    assert (cat, cat_error) == ("0.900", "0.20")
    assert (dog, dog_error) == ("-", "0.00") and ap == ["-", "-"]
