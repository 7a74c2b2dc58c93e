import numpy as np
import pytest

from centernet import InputError
from centernet.api.arguments import command_arguments


def words(named=None, **options):
    config, *rest = command_arguments("custom", named or {}, options)
    assert config.endswith("custom.yaml")
    return rest


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, []),
        ({"epochs": None}, []),
        ({"data": "data/mine", "epochs": 5}, ["--data.root=data/mine", "--trainer.max_epochs=5"]),
        ({"image_size": "320x256"}, ["--data.image_size=320x256"]),
        ({"pretrained": False, "report": True}, ["--model.pretrained=false", "--report=true"]),
        ({"device": "cpu"}, ["--trainer.accelerator=cpu"]),
        ({"device": "cuda:1"}, ["--trainer.accelerator=gpu", "--trainer.devices=[1]"]),
        ({"resume": True}, ["--ckpt_path=last"]),
        ({"resume": False}, []),
        ({"resume": "runs/a/last.ckpt"}, ["--ckpt_path=runs/a/last.ckpt"]),
        ({"output": "out", "seed": 3}, ["--trainer.default_root_dir=out", "--seed_everything=3"]),
    ],
)
def test_named_arguments_become_options(named, expected):
    assert words(named) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (0.5, "0.5"), ({"sides": 5.0}, '{"sides": 5.0}'), ([0.9, 1], "[0.9, 1]")],
)
def test_any_option_is_given_by_its_full_name(value, text):
    assert words(**{"model.x": value}) == [f"--model.x={text}"]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("epoch", "epochs"), ("imgsz", "image_size"), ("lr", "learning_rate")],
)
def test_a_misspelled_argument_is_suggested(wrong, meant):
    with pytest.raises(InputError, match=rf"{wrong}.*mean {meant}\?"):
        words(**{wrong: 1})


def test_an_option_is_given_once():
    with pytest.raises(InputError, match=r"trainer\.max_epochs.*5.*6"):
        words({"epochs": 5}, **{"trainer.max_epochs": 6})


@pytest.mark.parametrize("device", ["tpu", "cuda:x", 3])
def test_a_wrong_device(device):
    with pytest.raises(InputError, match=str(device)):
        words({"device": device})


def test_values_are_plain():
    with pytest.raises(InputError, match="option"):
        words(**{"model.x": np.zeros(2)})


def test_configurations_are_found_by_name_and_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["custom", "custom.yaml", "configs/custom.yaml"]
    assert len({command_arguments(name, {}, {})[0] for name in names}) == 1
    (tmp_path / "custom.yaml").write_text("data: {}")
    assert command_arguments("custom.yaml", {}, {}) == ["--config=custom.yaml"]
    with pytest.raises(InputError, match=r"custm.*mean custom\?"):
        command_arguments("custm", {}, {})


@pytest.mark.parametrize("value", ["csv", ["csv", "tensorboard"]])
def test_trackers_are_words(value):
    assert words(log=value) == ["--log", *([value] if isinstance(value, str) else value)]
