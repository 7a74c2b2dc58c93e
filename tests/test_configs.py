from pathlib import Path

import pytest

from centernet.data.augment import Augment
from centernet.data.shapes import make_shapes
from centernet.errors import InputError
from centernet.training.train_cli import main

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes(root, train=4, val=2, size=64)
    return root


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_trains(config, shapes, tmp_path, monkeypatch):
    """As it stands, but for a tiny network on tiny images for one step."""
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
            "--trainer.check_val_every_n_epoch=1",
            "--trainer.enable_progress_bar=false",
            "--report=false",
        ]
    )
    assert (tmp_path / "runs" / config.stem / "best.ckpt").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"scale": (0, 0)}, r"scale .* \(0, 0\)"),
        ({"scale": (1.2, 0.8)}, "scale"),
        ({"flip": 1.5}, r"flip .* 1\.5"),
        ({"contrast": -0.1}, r"contrast .* -0\.1"),
    ],
)
def test_augmentation_out_of_range_is_said(wrong, said):
    with pytest.raises(InputError, match=said):
        Augment(**wrong)
