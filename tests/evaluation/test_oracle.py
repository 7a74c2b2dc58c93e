import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes import TINY_CONFIG, checkpoint, run_centernet

from centernet.cli import oracle as oracle_command
from centernet.data.annotations import DatasetSplit
from centernet.data.shapes import make_shapes
from centernet.decode import decode
from centernet.errors import InputError
from centernet.evaluation.ground_truth_maps import (
    dense_map,
    drop_zero_scores,
    ground_truth_outputs,
    largest_in_cell,
    nearest_center_map,
    scatter_to_centers,
)
from centernet.evaluation.oracle import Row
from centernet.heads import HEADS
from centernet.models.centernet import CenterNet
from centernet.models.checkpoints import DESCRIPTION
from centernet.models.pretrained import load_weights
from centernet.models.retinanet.network import RetinaNet
from centernet.targets import encode_targets


def encoded(boxes, labels=None, *, shape=(1, 2, 8, 8)):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.zeros(len(boxes), dtype=torch.long) if labels is None else torch.tensor(labels)
    return encode_targets([{"boxes": boxes, "labels": labels}], shape)


def predicted(value=-9.0, channels=2):
    return torch.full((1, channels, 8, 8), value)


# Centres (9, 9) and (22.5, 21): cells (2, 2) and (5, 5), offsets (.25, .25) and (.625, .25).
TWO = [[5.0, 6.0, 13.0, 12.0], [16.0, 16.0, 29.0, 26.0]]


def decoded(targets):
    outputs = {"size": predicted(), "offset": predicted(), "heatmap": predicted()}
    outputs |= ground_truth_outputs(outputs, targets)
    return drop_zero_scores(decode(outputs, top_k=100))[0]


def test_decoding_the_truth_gives_the_boxes_back():
    found = decoded(encoded(TWO, [0, 1]))
    assert found["scores"].tolist() == [1, 1]
    order = found["labels"].argsort()
    assert found["boxes"][order].tolist() == TWO
    assert found["labels"][order].tolist() == [0, 1]


def test_an_image_without_objects_gives_nothing_and_keeps_what_was_predicted():
    targets = encoded([])
    assert len(decoded(targets)["boxes"]) == 0
    assert (nearest_center_map(HEADS["size"], targets, predicted()) == -9).all()


def test_of_two_objects_in_a_cell_the_larger_is_found():
    small, large = [6.0, 6.0, 11.0, 11.0], [2.0, 2.0, 16.0, 16.0]
    assert largest_in_cell(encoded([small, large])).tolist() == [1]
    assert decoded(encoded([small, large]))["boxes"].tolist() == [large]
    # Of two classes both are found, at one size.
    assert decoded(encoded([small, large], [0, 1]))["boxes"].tolist() == [large, large]


def test_sizes_are_those_of_the_nearest_center():
    targets = encoded(TWO)
    size = nearest_center_map(HEADS["size"], targets, predicted())[0]
    assert size[:, 2, 2].tolist() == size[:, 0, 0].tolist() == [2.0, 1.5]
    assert size[:, 5, 5].tolist() == size[:, 7, 4].tolist() == [3.25, 2.5]
    # (3, 4) in x and y is as near to both: sqrt(1 + 4).
    assert size[:, 4, 3].tolist() == [3.25, 2.5]


def test_an_offset_is_the_point_of_the_cell_nearest_to_the_center():
    offset = nearest_center_map(HEADS["offset"], encoded(TWO), predicted())[0]
    assert offset[:, 2, 2].tolist() == [0.25, 0.25]
    assert offset[:, 2, 1].tolist() == [1.0, 0.25]
    assert offset[:, 3, 3].tolist() == [0.0, 0.0]
    assert offset[:, 6, 5].tolist() == [0.625, 0.0]


def test_sides_lead_from_every_cell_to_the_same_box():
    # In cells the box is 1.25, 1.5 to 3.25, 3; the middle of its center's cell is 2.5, 2.5.
    sides = nearest_center_map(HEADS["sides"], encoded(TWO[:1]), predicted(channels=4))[0]
    assert sides[:, 2, 2].tolist() == [1.25, 1.0, 0.75, 0.5]
    assert sides[:, 2, 1].tolist() == [0.25, 1.0, 1.75, 0.5]
    assert sides[:, 3, 3].tolist() == [2.25, 2.0, 0.0, 0.0]


def test_true_sides_are_decoded_to_the_boxes():
    targets = encoded(TWO, [0, 1])
    outputs = {"heatmap": predicted(), "sides": predicted(channels=4)}
    outputs |= ground_truth_outputs(outputs, targets)
    found = drop_zero_scores(decode(outputs))[0]
    assert sorted(found["boxes"].tolist()) == TWO


def test_truth_at_centers_alone_is_zero_elsewhere():
    size = scatter_to_centers(encoded(TWO).size, encoded(TWO))
    assert size[0, :, 2, 2].tolist() == [2.0, 1.5] and size.count_nonzero() == 4


def test_the_nearest_of_many_is_the_nearest():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 200, (90, 2))
    targets = encoded(np.hstack([corners, corners + rng.uniform(4, 50, (90, 2))]).tolist(),
                      shape=(1, 2, 64, 64))  # fmt: skip
    size = nearest_center_map(HEADS["size"], targets, torch.zeros(1, 2, 64, 64))[0]
    kept = largest_in_cell(targets)
    at = torch.stack([targets.cell_index % 64, targets.cell_index // 64], -1)[kept]
    for y, x in rng.integers(0, 64, (50, 2)):
        distance = ((at - torch.tensor([x, y])) ** 2).sum(1)
        assert size[:, y, x].tolist() == targets.size[kept[distance.argmin()]].tolist()


def test_the_true_heatmap_has_a_peak_at_each_center_and_no_other():
    probability = dense_map(HEADS["heatmap"], encoded(TWO, [0, 1])).sigmoid()[0]
    assert (probability == 1).nonzero().tolist() == [[0, 2, 2], [1, 5, 5]]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Shapes, two of which share a cell, and a network that knows their classes."""
    folder = tmp_path_factory.mktemp("oracle")
    make_shapes(folder / "shapes", train=4, val=5, size=64)
    path = folder / "shapes/annotations/instances_val.json"
    content = json.loads(path.read_text())
    x, y, w, h = content["annotations"][0]["bbox"]
    twin = content["annotations"][0] | {"id": 999, "bbox": [x + 1, y + 1, w - 2, h - 2]}
    content["annotations"].append(twin)
    path.write_text(json.dumps(content))
    names = [category["name"] for category in content["categories"]]
    content = checkpoint(names, image_size=(64, 64))
    # Untrained, but with boxes of a shape's size some of its many guesses are right.
    content["state_dict"]["model.heads.size.2.bias"].fill_(5)
    torch.save(content, folder / "w.ckpt")
    (folder / "tiny.yaml").write_text(TINY_CONFIG)
    return folder


def oracle(folder, capsys, *arguments, weights="w.ckpt"):
    status, said, _ = run_centernet(
        ["oracle", *arguments, "--weights", folder / weights, "--device", "cpu",
         "--json", folder / "oracle.json"],
        capsys,
    )  # fmt: skip
    assert not status, status
    return said, json.loads((folder / "oracle.json").read_text())


def test_the_table_has_every_choice_of_outputs(workplace, capsys):
    said, rows = oracle(workplace, capsys, workplace / "shapes")
    assert [row["replaced"] for row in rows] == [
        [], ["heatmap"], ["size"], ["offset"], ["heatmap", "size"], ["heatmap", "offset"],
        ["size", "offset"], ["heatmap", "size", "offset"],
    ]  # fmt: skip
    assert "heatmap  size  offset" in said and "AP star" in said and "gain in AP" in said
    # All but one of the objects are found: two are in one cell.
    assert 0.9 < rows[-1]["metrics"]["AP"] < 1
    assert rows[-1]["metrics"]["AP"] > rows[0]["metrics"]["AP"]


def test_a_network_of_sides_has_its_own_table(workplace, capsys):
    content = checkpoint(["circle", "rectangle", "triangle", "star"], image_size=(64, 64))
    architecture = content[DESCRIPTION]["model"] | {"box_head": "sides"}
    network = CenterNet(**architecture)
    content["state_dict"] = {f"model.{k}": v for k, v in network.state_dict().items()}
    content[DESCRIPTION]["model"] = architecture
    torch.save(content, workplace / "sides.ckpt")
    said, rows = oracle(workplace, capsys, workplace / "shapes", weights="sides.ckpt")
    assert [row["replaced"] for row in rows] == [
        [], ["heatmap"], ["sides"], ["heatmap", "sides"]
    ]  # fmt: skip
    assert "heatmap  sides" in said
    _, of_size = oracle(workplace, capsys, workplace / "shapes")
    assert rows[-1] == of_size[-1] | {"replaced": ["heatmap", "sides"]}


def test_nothing_replaced_is_what_validate_says(workplace, capsys, monkeypatch):
    pytest.importorskip("lightning")
    from centernet.training.train_cli import main

    monkeypatch.chdir(workplace)
    options = ["--config=tiny.yaml", f"--data.root={workplace / 'shapes'}"]
    main(["validate", *options, "--ckpt_path=w.ckpt"])
    capsys.readouterr()
    expected = json.loads((workplace / "validate-instances_val/metrics.json").read_text())
    _, rows = oracle(workplace, capsys, "--config", "tiny.yaml", "--data.root", "shapes")
    assert rows[0]["metrics"] == expected and expected["AR_100"] > 0
    # As a dataset, at the size the network was trained for, by as many at a time.
    _, again = oracle(workplace, capsys, "shapes", "--batch-size", "4")
    assert again == rows


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either a DATASET or --config"),
        (["shapes", "--config", "tiny.yaml"], "either a DATASET or --config"),
        (["nowhere"], "DATASET nowhere does not exist"),
        (["shapes", "--split", "test"], "no split 'test': give --split, one of train, val"),
        (["shapes", "--image-size", "50"], "--image-size must be in multiples of 32, got 50x50"),
        (["shapes", "--data.root", "x"], "--data.root requires --config"),
        (["shapes", "--data.val_annotations", "x"], "--data.val_annotations requires --config"),
        (["--config", "tiny.yaml", "--split", "val"], "--split requires a DATASET"),
        (["shapes", "--top-k", "0"], "top_k must be at least 1, got 0"),
        (["shapes", "--batch-size", "-1"], "batch_size must be at least 1, got -1"),
        (["shapes", "--batch-size", "0"], "batch_size must be at least 1, got 0"),
        (["--config", "tiny.yaml"], "data/coco"),
        (["--config", "none.yaml"], "configuration none.yaml: No such file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(workplace, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(workplace)
    message, _, _ = run_centernet(["oracle", *arguments, "--weights", "w.ckpt"], capsys)
    assert message.startswith("error: ") and said in message and "\n" not in message


def test_a_size_that_is_not_the_networks_is_named(workplace, capsys, monkeypatch):
    """An hourglass wants multiples of 128, which a config of another network has not."""

    def load(path):
        network, size = load_weights(path)
        network.size_multiple = 128
        return network, size

    monkeypatch.setattr("centernet.models.pretrained.load_weights", load)
    monkeypatch.chdir(workplace)
    arguments = ["--config", "tiny.yaml", "--data.root", "shapes", "--weights", "w.ckpt"]
    message, _, _ = run_centernet(["oracle", *arguments], capsys)
    assert message.startswith("error: ") and "\n" not in message
    assert all(part in message for part in ("128", "64x64", "--image-size"))


@pytest.mark.parametrize(
    ("heatmap", "size", "said"),
    [
        (0.4, 0.6, ["size  +0.100  boxes have"]),
        (0.52, 0.6, ["size     +0.100  boxes have", "heatmap  +0.020  objects are"]),
        (0.5, 0.5, ["no single output"]),
        (0.4, 0.3, ["no single output"]),
        (np.nan, np.nan, ["no single output"]),
    ],
)
def test_advice_is_given_where_something_is_to_be_gained(heatmap, size, said):
    base = np.nan if np.isnan(size) else 0.5
    gained = {(): base, ("heatmap",): heatmap, ("size",): size, ("heatmap", "size"): 1.0}
    rows = [
        Row(true, SimpleNamespace(metrics={"AP": ap}, headline=["AP"]))
        for true, ap in gained.items()
    ]
    first, *lines = oracle_command._advice(rows).splitlines()
    found = [line.strip() for line in lines if not line.startswith(" " * 10)]
    assert "gain in AP" in first and len(found) == len(said)
    assert all(line.startswith(begin) for line, begin in zip(found, said, strict=True))


def test_a_ceiling_below_1_has_a_remedy():
    rows = [
        Row(true, SimpleNamespace(metrics={"AP": ap}, headline=["AP"]))
        for true, ap in {(): 0.5, ("heatmap",): 0.5, ("heatmap", "size"): 0.9}.items()
    ]
    assert "all true  0.900  centers share cells" in oracle_command._advice(rows)


def test_a_detector_without_heatmaps_is_refused():
    from centernet.evaluation.oracle import analyze

    with pytest.raises(InputError, match="heatmaps"):
        analyze(RetinaNet(2, "test_resnet"), None)


def test_a_split_says_where_it_is_from(tmp_path):
    assert str(DatasetSplit("val", tmp_path, {}, tmp_path / "a.json")) == str(tmp_path / "a.json")


@pytest.mark.parametrize(("split", "images"), [(None, 4), ("val", 4), ("train", 16)])
def test_a_dataset_without_val_has_the_held_out_images_of_training(tmp_path, split, images):
    make_shapes(tmp_path / "shapes", train=20, val=1, size=64)
    (tmp_path / "shapes/annotations/instances_val.json").unlink()
    options = SimpleNamespace(dataset=str(tmp_path / "shapes"), split=split, image_size=None)
    network = CenterNet(4, "test_resnet")
    assert len(oracle_command._data_of_dataset(options, network, (64, 64))[0]) == images


def test_a_split_that_does_not_exist_is_an_error(tmp_path):
    make_shapes(tmp_path / "shapes", train=2, val=1, size=64)
    file = tmp_path / "shapes/annotations/instances_train.json"
    options = SimpleNamespace(dataset=str(file), split="night", image_size=None)
    with pytest.raises(InputError, match="'night'"):
        oracle_command._data_of_dataset(options, CenterNet(4, "test_resnet"), (64, 64))
