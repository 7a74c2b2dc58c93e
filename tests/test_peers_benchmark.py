"""benchmarks/peers.py without other libraries, and without training unless slow."""

import json
import runpy
import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import commands
import peer_methods
import peers
import pytest
import torch

from centernet.data.shapes import make_shapes
from centernet.errors import InputError
from centernet.sizes import parse_size

BURN = "import time\nwhile time.process_time() < 0.3: pass"
NUMBERS = {"epochs": 3, "minutes": 9.5, "AP": 0.25, "AP50": 0.5}


def test_cpu_time_includes_the_processes_that_a_command_starts(tmp_path):
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])"
    seconds = commands.run_logged("child", [sys.executable, "-c", child], tmp_path / "log")
    assert 0.3 < seconds < 3


def test_a_failing_command_is_named_with_its_last_line(tmp_path):
    command = [sys.executable, "-c", "print('first'); raise SystemExit('out of memory')"]
    with pytest.raises(InputError, match=r"detect.*a\.log.*out of memory"):
        commands.run_logged("detect", command, tmp_path / "a.log")
    assert "first" in (tmp_path / "a.log").read_text()


def test_a_command_gets_variables(tmp_path):
    command = [sys.executable, "-c", "import os; print(os.environ['A'], 'PATH' in os.environ)"]
    commands.run_logged("a", command, tmp_path / "log", {"A": "7"})
    assert (tmp_path / "log").read_text() == "7 True\n"


def test_the_times_of_start_and_epoch():
    # A start of 5 seconds, and 0.25 seconds for each image.
    found = peers.start_and_epoch((16, 112), (9.0, 33.0), 1000)
    assert found == {"start": 5.0, "epoch": 250.0}


def test_noise_makes_no_image_free():
    found = peers.start_and_epoch((16, 112), (9.0, 8.0), 1000)
    assert found["epoch"] == 1.0 and 0 < found["start"] < 9


@pytest.mark.parametrize(
    ("minutes", "expected"),
    # A start of 20 seconds, epochs of 80 seconds.
    [(1, (1, 0.5)), (1.5, (1, 0.875)), (2, (1, 1.0)), (3, (2, 1.0)), (10, (7, 1.0))],
)
def test_the_length_that_fits_into_the_budget(minutes, expected):
    assert peers.length(minutes, {"start": 20.0, "epoch": 80.0}) == expected


def test_a_budget_below_the_start_is_an_error():
    with pytest.raises(InputError, match=r"--minutes 0\.5.*1\.0"):
        peers.length(0.5, {"start": 60.0, "epoch": 1.0})


def test_splits_are_joined_with_new_ids():
    category = {"id": 4, "name": "rook"}
    part = {
        "images": [{"id": 0, "file_name": "a.jpg"}, {"id": 5, "file_name": "b.jpg"}],
        "annotations": [{"id": 0, "image_id": 5, "category_id": 4}],
        "categories": [category],
    }
    joined = peer_methods.join_splits({"val": part, "test": part})
    assert [image["file_name"] for image in joined["images"]] == [
        *("val/a.jpg", "val/b.jpg", "test/a.jpg", "test/b.jpg")
    ]
    assert [image["id"] for image in joined["images"]] == [1, 2, 3, 4]
    assert joined["annotations"] == [
        {"id": 1, "image_id": 2, "category_id": 4},
        {"id": 2, "image_id": 4, "category_id": 4},
    ]
    assert joined["categories"] == [category]
    assert part["annotations"][0]["image_id"] == 5


def test_the_listed_data_sets_can_be_used():
    sets = peers.read_sets(peers.SETS, Path("out"))
    assert list(sets) == ["groupegs", "chess", "insulator", "palmvision"]
    assert all(parse_size(data.size, name="size", multiple=32) for data in sets.values())
    assert sets["insulator"].longer_side == 512 and sets["insulator"].hold_out == 0.2
    assert sets["palmvision"].top_k == 300 and list(sets["chess"].evaluate) == ["val", "test"]


@pytest.mark.parametrize("name", peer_methods.METHODS)
def test_methods_name_files_that_are_there(name):
    method = peer_methods.METHODS[name]
    own = isinstance(method, peer_methods.OwnMethod)
    assert (peer_methods.ROOT / method.config if own else peers.SCRIPTS / method.script).is_file()


@pytest.fixture
def boxes(tmp_path):
    """A converted data set of one image with two boxes."""
    data = peer_methods.DataSet("boxes", tmp_path / "boxes", "64x32", ("val",), top_k=2)
    data.annotations.parent.mkdir(parents=True)
    corners = ([0, 0, 20, 40], [50, 50, 100, 100])
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 200}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": i, "bbox": box, "iscrowd": 0}
            | {"area": box[2] * box[3]}
            for i, box in enumerate(corners, 1)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    data.annotations.write_text(json.dumps(content))
    data.annotations.with_name("instances_train.json").write_text(json.dumps(content))
    return data


def test_a_peer_gets_the_data_and_options(boxes):
    method = peer_methods.PeerMethod("a.py", "small", ("--x",), Path("python"))
    command = list(map(str, method.train(boxes, Path("run"), 3, 0.5, 7)))
    assert command[0] == "python" and command[2] == "train"
    assert {"--model=small", "--epochs=3", "--fraction=0.5", "--size=64", "--x"} <= set(command)
    assert f"--data={boxes.folder}/yolo/data.yaml" in command
    detect = method.detect(boxes, Path("run"), Path("found.json"))
    assert {"--top-k=2", "--size=64", "--score-threshold=0.001"} <= set(detect)


def test_the_own_method_trains_without_validation(boxes):
    method = peer_methods.OwnMethod("configs/custom.yaml", ("--x=1",))
    command = method.train(boxes, Path("run"), 3, 0.5, 7)
    assert {"--trainer.limit_val_batches=0", "--trainer.limit_train_batches=0.5"} <= set(command)
    assert {"--x=1", "--seed_everything=7", "--data.image_size=64x32"} <= set(command)


@dataclass
class Copier:
    """A method that needs no training: it returns the given detections."""

    content: str

    def train(self, data, folder, epochs, fraction, seed):
        return [sys.executable, "-c", f"{BURN}\nprint({epochs}, {fraction}, {seed})"]

    def detect(self, data, folder, results):
        return [sys.executable, "-c", f"open({str(results)!r}, 'w').write({self.content!r})"]

    def collect(self, data, folder, results):
        assert results.exists()


def test_a_run_is_measured_and_evaluated(boxes, tmp_path):
    found = [
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 20, 40], "score": 0.5},
        {"image_id": 1, "category_id": 2, "bbox": [50, 50, 100, 100], "score": 0.0005},
    ]
    folder = tmp_path / "run"
    peers.train(Copier(json.dumps(found)), boxes, folder, seed=7, minutes=0.02)
    result = json.loads((folder / "result.json").read_text())
    numbers = result["numbers"]
    # The second detection is below the score threshold.
    assert (numbers["AP"], numbers["AP_small"], numbers["AP_large"]) == (0.5, 1.0, 0.0)
    assert numbers["AP_medium"] is None
    assert result["budget_minutes"] == 0.02 and numbers["minutes"] > 0.2 / 60
    epochs, fraction, seed = (folder / "train.log").read_text().split()
    assert float(epochs) * float(fraction) == numbers["epochs"] and seed == "7"


def test_each_image_keeps_its_best_detections():
    scores = {1: [0.2, 0.9, 0.5], 2: [0.3, 0.0005]}
    found = [{"image_id": image, "score": s} for image in scores for s in scores[image]]
    kept = peers.best_per_image(found, 2)
    assert [(d["image_id"], d["score"]) for d in kept] == [(1, 0.9), (1, 0.5), (2, 0.3)]


def write_result(output, name, method, minutes=10.0, **numbers):
    path = output / name / method / "seed-0" / "result.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"budget_minutes": minutes, "numbers": NUMBERS | numbers}))


def test_the_table_of_the_finished_runs(tmp_path):
    write_result(tmp_path, "chess", "yolo11n", epochs=0.5, AP_small=None)
    write_result(tmp_path, "chess", "centernet")
    table = peers.tabulate(tmp_path, ["groupegs", "chess"], [0], 10.0)
    assert table.splitlines() == [
        "| set | method | epochs | minutes | AP | AP50 | AP_small |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| chess | centernet | 3 | 9.5 | 0.250 | 0.500 |  |",
        "| chess | yolo11n | 0.5 | 9.5 | 0.250 | 0.500 |  |",
    ]
    lines = json.loads((tmp_path / "table.json").read_text())
    assert lines[0] == {"set": "chess", "method": "centernet"} | NUMBERS


@pytest.fixture
def trained(monkeypatch):
    """The runs that are trained: (data set, method, seed)."""
    done = []

    def train(method, data, folder, seed, minutes):
        done.append((data.name, folder.parent.name, seed))
        write_result(folder.parents[2], data.name, folder.parent.name, minutes)

    monkeypatch.setattr(peers, "train", train)
    monkeypatch.setattr(peer_methods.DataSet, "prepare", lambda self, source: None)
    return done


def test_a_second_call_trains_what_is_missing(trained, tmp_path, capsys):
    arguments = ["--sets=sets", f"--output={tmp_path}", "--only", "chess", "--methods"]
    peers.main([*arguments, "retinanet-r18"])
    peers.main([*arguments, "centernet", "retinanet-r18"])
    peers.main([*arguments, "centernet", "retinanet-r18"])
    assert trained == [("chess", "retinanet-r18", 0), ("chess", "centernet", 0)]
    printed = capsys.readouterr().out
    assert printed.count("10 minutes of CPU time left") == 2 and "| chess | centernet |" in printed
    with pytest.raises(InputError, match=r"result\.json.* 10 .*--minutes 5.*--output"):
        peers.main([*arguments, "centernet", "--minutes=5"])


def test_a_peer_needs_its_python(trained, tmp_path):
    arguments = ["--sets=sets", f"--output={tmp_path}", "--only", "chess", "--methods", "yolo11n"]
    with pytest.raises(InputError, match=r"yolo11n.*--peers-python"):
        peers.main(arguments)
    peers.main([*arguments, f"--peers-python={sys.executable}"])
    assert trained == [("chess", "yolo11n", 0)]


def test_a_missing_data_set_is_named(tmp_path):
    arguments = ["--sets=nowhere", f"--output={tmp_path}", "--only", "chess"]
    with pytest.raises(InputError, match=r"--sets.*nowhere.chess.*sets\.yaml"):
        peers.main([*arguments, "--methods", "centernet"])


def test_peers_write_coco_results(boxes, tmp_path):
    common = runpy.run_path(str(peers.SCRIPTS / "common.py"))
    options = Namespace(annotations=boxes.annotations, images=tmp_path, output=tmp_path / "a.json")

    def predict(image):
        assert image == tmp_path / "a.jpg"
        return torch.tensor([[1.0, 2, 11, 22]]), torch.tensor([0.5]), ["dog"]

    common["write_results"](options, predict)
    (found,) = json.loads(options.output.read_text())
    assert found == {"image_id": 1, "category_id": 2, "bbox": [1, 2, 10, 20], "score": 0.5}


@pytest.mark.slow
def test_the_own_methods_train_and_detect(tmp_path):
    make_shapes(tmp_path / "shapes", train=20, val=2, size=64)
    data = peer_methods.DataSet("shapes", tmp_path / "data", "64x64", ("val",))
    data.prepare(tmp_path / "shapes")
    assert (data.folder / "yolo" / "data.yaml").is_file() and data.count_images() == 20
    method = peer_methods.METHODS["centernet"]
    peers.train(method, data, tmp_path / "run", seed=0, minutes=0.5)
    numbers = json.loads((tmp_path / "run" / "result.json").read_text())["numbers"]
    assert 0 <= numbers["AP"] <= 1 and numbers["epochs"] >= 1 and 0.05 < numbers["minutes"] < 1.5
