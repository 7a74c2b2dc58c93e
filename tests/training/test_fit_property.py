"""The promise of ``check``: if it finds no error, an epoch of fit and a validation run.

CENTERNET_EXAMPLES=300 tries more, as ``make fuzz`` does.
"""

import os

import pytest
from fakes import TINY_CONFIG
from hypothesis import HealthCheck, assume, given, settings
from mutations import damages, write_annotations, write_images

from centernet.analysis.check.check_dataset import check_dataset
from centernet.errors import InputError
from centernet.training.train_cli import main


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_images(tmp_path_factory.mktemp("fit") / "set")
    (root.parent / "tiny.yaml").write_text(TINY_CONFIG)
    return root


def sound(root) -> bool:
    try:
        return check_dataset(root, input_size=(64, 64), sample=3).is_trainable
    except InputError:
        return False


@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("CENTERNET_EXAMPLES", 12)),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(damages())
def test_what_check_calls_sound_can_be_trained_on(root, damage):
    write_annotations(root, damage)
    assume(sound(root))
    runs = root.parent / "runs"
    options = [
        f"--config={root.parent / 'tiny.yaml'}", f"--data.root={root}", "--data.batch_size=2",
        f"--trainer.default_root_dir={runs}", "--trainer.logger=false",
    ]  # fmt: skip
    main(["fit", *options])
    run = max(runs.iterdir(), key=lambda folder: folder.stat().st_mtime)
    main(["validate", *options, f"--ckpt_path={run / 'best.ckpt'}"])
    assert (run / "validate-instances_val" / "metrics.json").is_file()
