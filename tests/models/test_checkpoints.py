import os
import pickle
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import checkpoint

from centernet.errors import InputError
from centernet.inference.detector import Detector
from centernet.models.checkpoints import (
    DESCRIPTION,
    build_network,
    network_state,
    read_checkpoint,
    save_file,
)


class Bomb:
    """Unpickled with trust, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def described(**changes) -> dict:
    good = checkpoint()
    return good | {DESCRIPTION: good[DESCRIPTION] | changes}


def truncated(path: Path) -> None:
    torch.save(checkpoint(), path)
    os.truncate(path, path.stat().st_size // 2)


BAD_FILES = {
    "empty": lambda path: path.touch(),
    "random": lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "text": lambda path: path.write_text("hello\nworld\n"),
    "truncated": truncated,
    "a module": lambda path: torch.save(torch.nn.Linear(2, 2), path),
    "other weights": lambda path: torch.save({"state_dict": {"a": torch.zeros(2)}}, path),
    "a tensor": lambda path: torch.save(torch.zeros(3), path),
    "no weights": lambda path: torch.save({DESCRIPTION: checkpoint()[DESCRIPTION]}, path),
    "a folder": lambda path: path.mkdir(),
    "missing": lambda path: None,
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_files_of_other_formats_are_refused_in_one_line(tmp_path, kind, recwarn):
    path = tmp_path / "weights.ckpt"
    BAD_FILES[kind](path)
    with pytest.raises(InputError) as error:
        Detector.load(path, device="cpu")
    message = str(error.value)
    assert str(path) in message and "\n" not in message and len(message) < len(str(path)) + 120
    assert not recwarn.list


@pytest.mark.parametrize("protocol", [None, 0, 2, 4])
def test_code_in_a_file_is_not_executed(tmp_path, protocol):
    path, crater = tmp_path / "weights.ckpt", tmp_path / "crater"
    if protocol is None:
        torch.save(checkpoint() | {"epoch": Bomb(crater)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(crater), protocol))
    with pytest.raises(InputError, match=r"weights\.ckpt.*\bcode\b"):
        Detector.load(path, device="cpu")
    assert not crater.exists()
    # The same file with trust does it: the test would notice.
    torch.load(path, weights_only=False) if protocol is None else pickle.loads(path.read_bytes())
    assert crater.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"model": None},
        {"model": {}},
        {"class_names": ["one too few"]},
        {"class_names": 2},
        {"image_size": [512]},
        {"image_size": "512"},
    ],
)
def test_a_damaged_description_is_refused(tmp_path, changes):
    torch.save(described(**changes), tmp_path / "w.ckpt")
    with pytest.raises(InputError, match=r"w\.ckpt"):
        read_checkpoint(tmp_path / "w.ckpt")


@pytest.mark.parametrize(
    "changes",
    [
        {"head_channels": 16},  # weights of another shape
        {"backbone": "test_resnet"},  # other weights
        {"wings": 2},  # an option of a later version
    ],
)
def test_weights_that_do_not_fit_the_described_network_are_refused(changes):
    good = checkpoint()
    bad = described(model=good[DESCRIPTION]["model"] | changes)
    with pytest.raises(InputError, match="weights do not fit"):
        build_network(bad)


def test_a_network_is_restored(tmp_path):
    saved = checkpoint()
    torch.save(saved, tmp_path / "w.ckpt")
    network = build_network(read_checkpoint(tmp_path / "w.ckpt"))
    assert not network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, saved["state_dict"][f"model.{name}"])


def test_network_state_contains_only_the_network():
    state = {"model.a": torch.zeros(1), "model.model.b": torch.ones(1), "loss.c": torch.zeros(2)}
    assert network_state({"state_dict": state}) == {
        "a": state["model.a"],
        "model.b": state["model.model.b"],
    }


def test_a_checkpoint_does_not_download_backbone_weights(monkeypatch):
    import timm

    asked = []
    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda *a, **k: (asked.append(k["pretrained"]), create(*a, **k))[1]
    )
    build_network(described(model=checkpoint()[DESCRIPTION]["model"] | {"pretrained": True}))
    assert asked[-1] is False


def test_a_full_disk_is_an_error(tmp_path, monkeypatch):
    def fail(content, file):
        file.write(b"half")
        raise RuntimeError("unexpected pos 4000832 vs 4000784")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(InputError, match=r"best\.ckpt"):
        save_file(checkpoint(), tmp_path / "best.ckpt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "backbone",
    [
        "hf-hub:evil/model",
        "hf_hub:evil/model",
        "timm/resnet18",
        "local-dir:/tmp/x",
        "x" * 10**6,
        "",
    ],
)
def test_a_backbone_from_a_file_must_be_in_the_registry_of_timm(tmp_path, backbone, monkeypatch):
    def connect(*_, **__):
        raise AssertionError("it reached for the internet")

    monkeypatch.setattr("socket.socket.connect", connect)
    good = checkpoint()
    bad = described(model=good[DESCRIPTION]["model"] | {"backbone": backbone})
    torch.save(bad, tmp_path / "w.ckpt")
    with pytest.raises(InputError, match="backbone") as error:
        Detector.load(tmp_path / "w.ckpt", device="cpu")
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("image_size", value) for value in ([10**9, 32], [-32, 32], [True, 32], [32, 2**70])),
        *(("top_k", value) for value in (0, -1, 100_001, "9", True, 1.5, None)),
        *(("points", value) for value in (3, [9.0], [9, "x"], [float("inf"), None], [-1, 2])),
        *(("thresholds", value) for value in (3, [0.5], [0.5, "x"], [float("nan"), 0.5], {0: 0.5})),
        *(("counting", value) for value in (3, [1], {}, {"slopes": [1.0, 1.0]}, {"images": 2**70})),
        *(("class_names", value) for value in (["a", 7], ["a", "\ud800"], [["a"], "b"])),
        *(("neck_channels", value) for value in ([10**9] * 3, [8, 8], "abc", [8, -8, 8], None)),
        *(("head_channels", value) for value in (10**9, 0, "8", None, torch.zeros(1))),
        *(("heads", value) for value in ({"heatmap": 9}, {"a.b": 1}, {7: 1}, [1], {"x": 10**9})),
        *(("deformable", value) for value in (None, "yes", [])),
        *(("backbone", value) for value in (None, 7, [])),
    ],
)
def test_a_description_with_a_wrong_value_is_refused(tmp_path, key, value):
    good = checkpoint()
    if key in ("image_size", "top_k", "points", "thresholds", "counting", "class_names"):
        bad = described(**{key: value})
    else:
        bad = described(model=good[DESCRIPTION]["model"] | {key: value})
    torch.save(bad, tmp_path / "w.ckpt")
    with pytest.raises(InputError, match="count" if key == "counting" else key) as error:
        Detector.load(tmp_path / "w.ckpt", device="cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"neck_channels": [65536] * 3},
        {"head_channels": 65536},
        {"backbone": "vit_giant_patch14_224"},
    ],
)
def test_a_network_larger_than_the_weights_is_not_allocated(changes):
    good = checkpoint()
    with pytest.raises(InputError):
        build_network(described(model=good[DESCRIPTION]["model"] | changes))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4e6  # kilobytes


@pytest.mark.parametrize(
    "damage",
    [
        lambda tensor: tensor.to_sparse(),
        lambda tensor: torch.empty(tensor.shape, device="meta"),
        lambda tensor: torch.zeros(1).expand(tensor.shape),
        lambda tensor: tensor[:1],
        lambda tensor: tensor.to(torch.complex64),
        lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
        lambda tensor: "text",
        lambda tensor: None,
    ],
)
def test_weights_that_are_not_plain_tensors_are_refused(tmp_path, damage):
    bad = checkpoint()
    name = next(n for n, v in bad["state_dict"].items() if v.ndim == 4)
    bad["state_dict"][name] = damage(bad["state_dict"][name])
    torch.save(bad, tmp_path / "w.ckpt")
    with pytest.raises(InputError) as error:
        Detector.load(tmp_path / "w.ckpt", device="cpu")
    assert "\n" not in str(error.value)


def test_other_keys_are_ignored(tmp_path):
    odd = checkpoint() | {7: 1, (1, 2): "x"}
    odd["state_dict"][7] = torch.zeros(1)
    torch.save(odd, tmp_path / "w.ckpt")
    Detector.load(tmp_path / "w.ckpt", device="cpu")


def test_a_compressed_archive_is_refused(tmp_path):
    torch.save(checkpoint(), tmp_path / "w.ckpt")
    with (
        zipfile.ZipFile(tmp_path / "w.ckpt") as old,
        zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(InputError, match="compressed"):
        Detector.load(tmp_path / "bomb.ckpt", device="cpu")
