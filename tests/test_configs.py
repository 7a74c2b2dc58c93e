"""Every file in configs/: its network, its options and its paths, and a training step with it."""

import re

import pytest
import torch
import yaml
from fakes import CONFIGS, ROOT, config_paths

from centernet.data.augment import Augment
from centernet.errors import InputError
from centernet.inference.config import InferenceConfig
from centernet.models.registry import make_network
from centernet.training.checks import validate_input_size
from centernet.training.datamodule import DetectionData
from centernet.training.task import DetectionTask
from centernet.training.train_cli import main

every_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)


@every_config
def test_every_config_names_a_network_a_loss_and_an_input_size(config, monkeypatch):
    """Builds the network of the file on the meta device, where it takes no memory."""

    def make_on_meta(architecture):
        with torch.device("meta"):
            return make_network(architecture)

    monkeypatch.setattr("centernet.training.task.make_network", make_on_meta)
    content = yaml.safe_load(config.read_text())
    model = content["model"] | {"pretrained": False}
    model["test"] = InferenceConfig(**model.get("test", {}))
    task = DetectionTask(["class"] * 80, **model)
    data = dict(content["data"])
    if data.get("augment"):
        data["augment"] = Augment(**data["augment"])
    if data["image_size"] == "auto":
        data["image_size"] = 512
    validate_input_size(task.model, DetectionData(**data).input_size)


@pytest.mark.parametrize("config", [c for c in CONFIGS if c.stem.startswith("shapes")])
def test_paths_of_the_shapes_are_those_that_are_written(config, shapes):
    assert all((shapes / path).exists() for path in config_paths(config))


def test_paths_of_custom_are_those_of_the_dataset_page():
    page = (ROOT / "data" / "README.md").read_text()
    options = dict(re.findall(r"--data\.(\w+) (\S+)", page))
    data = yaml.safe_load((ROOT / "configs" / "custom.yaml").read_text())["data"]
    assert {name: data[name] for name in options if name != "root"} == {
        name: value for name, value in options.items() if name != "root"
    }
    assert {"train_images", "train_annotations", "val_images", "val_annotations"} <= set(options)


QUICK = ("custom", "bccd_retinanet", "coco_dla34", "voc_resdcn18")


@pytest.mark.guard
@pytest.mark.parametrize(
    "config",
    [pytest.param(c, marks=() if c.stem in QUICK else pytest.mark.slow) for c in CONFIGS],
    ids=lambda path: path.stem,
)
def test_every_config_trains(config, shapes, tmp_path, monkeypatch):
    """As it is, but with a tiny network on tiny images for one step."""
    monkeypatch.chdir(tmp_path)
    main(
        [
            "fit",
            f"--config={config}",
            f"--data.root={shapes}",
            "--data.train_images=train",
            "--data.train_annotations=annotations/instances_train.json",
            "--data.val_images=val",
            "--data.val_annotations=annotations/instances_val.json",
            "--data.image_size=64",
            "--data.workers=0",
            "--model.backbone=test_resnet",
            "--model.pretrained=false",
            "--trainer.accelerator=cpu",
            "--trainer.precision=32-true",
            "--trainer.max_epochs=1",
            "--trainer.limit_train_batches=1",
            "--trainer.check_val_every_n_epoch=1",
            "--trainer.enable_progress_bar=false",
            "--report=false",
        ]
    )
    assert (tmp_path / "runs" / config.stem / "best.ckpt").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale": (0, 0)}, r"scale .* \(0, 0\)"),
        ({"scale": (1.2, 0.8)}, "scale"),
        ({"flip": 1.5}, r"flip .* 1\.5"),
        ({"contrast": -0.1}, r"contrast .* -0\.1"),
    ],
)
def test_augmentation_out_of_range_is_named(wrong, message):
    with pytest.raises(InputError, match=message):
        Augment(**wrong)
