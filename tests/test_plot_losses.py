"""scripts/plot_losses.py with an untrained network."""

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fakes import checkpoint

from centernet.errors import InputError

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "plot_losses.py"))


def test_curves_need_no_network(tmp_path):
    SCRIPT["main"](["--output", str(tmp_path / "new")])
    picture = (tmp_path / "new" / "losses.svg").read_text()
    assert "cross-entropy" in picture and "FL*" in picture
    assert len(list((tmp_path / "new").iterdir())) == 1


@pytest.mark.parametrize("box_head", ["size", "sides"])
def test_shares_of_a_network(tmp_path, tiny_coco, capsys, box_head):
    boxes = [{"bbox": [2, 3, 30, 20]}, {"bbox": [5, 5, 9, 9], "category_id": 7}]
    files = tiny_coco(boxes, sizes=((40, 60),) * 3)
    torch.save(checkpoint(box_head=box_head), tmp_path / "best.ckpt")
    given = ["--weights", str(tmp_path / "best.ckpt"), "--annotations", str(files.annotations)]
    SCRIPT["main"](
        [*given, "--images", str(files.images), "--batch-size=2", f"--output={tmp_path}"]
    )
    assert cv2.imread(str(tmp_path / "gradient_shares.png")) is not None
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    shares = {" ".join(row[:-10]): np.array(row[-10:], float) for row in rows}
    assert list(shares) == ["all cells", *(name for name, _, _ in SCRIPT["COMPARED"])]
    for values in shares.values():
        assert values.sum() == pytest.approx(1, abs=0.01)
    # The bias prior makes p about 0.1 everywhere: nearly all cells are easy, centers are hard.
    assert shares["all cells"][:2].sum() > 0.99
    assert shares["ghm"][5:].sum() > shares["cross-entropy"][5:].sum()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("--limit=0", "limit.* 0"),
        ("--batch-size=0", "batch_size.* 0"),
        ("--device=tpu", "device.*tpu"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, wrong, message):
    given = ["--weights=best.ckpt", "--images=.", "--annotations=a.json", f"--output={tmp_path}"]
    with pytest.raises(InputError, match=message):
        SCRIPT["main"]([*given, wrong])


def test_weights_need_images(tmp_path, capsys):
    with pytest.raises(SystemExit):
        SCRIPT["main"](["--weights", "best.ckpt", "--output", str(tmp_path)])
    assert "--images" in capsys.readouterr().err
