"""Runs every snippet of docs/python.md, in its order and unchanged, on a tiny dataset."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from fakes import write_video

from centernet.data.shapes import make_shapes

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "python.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
# What makes the page's training small: the configuration of this name in the working folder.
CHECKS = """
assert run.metrics["AP"] >= 0 and run.history[-1]["epoch"] == 1
assert len(result.images) == 2 and result.metrics["AP"] == numbers["metrics"]["AP"]
assert matrix.counts.shape == (5, 5) and matrix.counts[:-1].sum() > 0
assert prediction.frame == 2 and prediction.heatmaps is not None
assert maps["heatmap"].shape == heatmaps.probabilities.shape
assert picture.shape[1] == 96
"""


@pytest.fixture
def workplace(tmp_path):
    """A folder with the data and pictures of the page, where runs are small."""
    mine = tmp_path / "data" / "mine"
    make_shapes(tmp_path / "shapes", train=4, val=2, size=64)
    (mine / "images").mkdir(parents=True)
    for part in ("train", "val"):
        (tmp_path / "shapes" / part).rename(mine / "images" / part)
    (tmp_path / "shapes" / "annotations").rename(mine / "annotations")
    picture = np.full((64, 96, 3), 90, np.uint8)
    cv2.imwrite(str(tmp_path / "photo.jpg"), picture)
    write_video(tmp_path / "video.mp4", [picture] * 3)
    recipe = yaml.safe_load((ROOT / "configs" / "custom.yaml").read_text())
    recipe["model"] |= {"backbone": "test_resnet", "pretrained": False}
    recipe["data"] |= {"workers": 0}
    recipe["trainer"] |= {"check_val_every_n_epoch": 1, "accelerator": "cpu"}
    (tmp_path / "custom").write_text(yaml.safe_dump(recipe))
    return tmp_path


@pytest.mark.slow
def test_every_snippet_runs(workplace):
    assert len(SNIPPETS) >= 9
    text = "\n".join(SNIPPETS).replace("epochs=50", "epochs=1").replace("epochs=60", "epochs=2")
    text = text.replace("320x256", "96x64")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable, "-c", text + CHECKS]
    subprocess.run(words, cwd=workplace, check=True, timeout=300, env=environment)
