import pytest

from centernet.suggestions import did_you_mean, did_you_mean_path, suggest_option

KNOWN = [
    "--trainer.max_epochs", "--trainer.reload_dataloaders_every_n_epochs", "--data.batch_size",
    "--data.root", "--data.folds", "--model.learning_rate", "--threshold", "--trainer.accelerator",
    "--ckpt_path",
]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--treshold", "--threshold"),
        ("--epochs", "--trainer.max_epochs"),
        ("--batch-size", "--data.batch_size"),
        ("--data.batchsize", "--data.batch_size"),
        ("--data.lr", "--model.learning_rate"),
        ("--data", "--data.root"),
        ("--device", "--trainer.accelerator"),
        ("--resume", "--ckpt_path"),
        ("--learning-rat", "--model.learning_rate"),
        ("--xyz", None),
        ("--data.colour", None),
        ("--epoch", "--trainer.max_epochs"),
    ],
)
def test_similar_names(word, meant):
    assert did_you_mean(word, KNOWN) == (f" (did you mean {meant}?)" if meant else "")


def test_similar_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("runs/custom/best.ckpt", "runs/custom-2/last.ckpt", "mine/a.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert did_you_mean_path("runs/custm/best.ckpt") == " (did you mean runs/custom/best.ckpt?)"
    assert did_you_mean_path("runs/custm/last.ckpt") == " (did you mean runs/custom-2/last.ckpt?)"
    assert did_you_mean_path(tmp_path / "mime") == f" (did you mean {tmp_path / 'mine'}?)"
    for name in ("photo.jpg", "mine/a.jpg/b", "", "\0", "a" * 5000):
        assert did_you_mean_path(name) == ""


def test_the_option_in_a_message_of_argparse():
    message = "unrecognized arguments: photo--1.jpg --treshold 0.3"
    assert suggest_option(message, KNOWN) == " (did you mean --threshold?)"
    assert suggest_option("the following arguments are required: --threshol", KNOWN) == ""
