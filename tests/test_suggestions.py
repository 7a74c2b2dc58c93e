import pytest

from centernet.suggestions import did_you_mean, suggest_option

KNOWN = [
    "--trainer.max_epochs", "--trainer.reload_dataloaders_every_n_epochs", "--data.batch_size",
    "--data.root", "--model.learning_rate", "--threshold", "--trainer.accelerator", "--ckpt_path",
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
    ],
)
def test_similar_names(word, meant):
    assert did_you_mean(word, KNOWN) == (f" (did you mean {meant}?)" if meant else "")


def test_the_option_in_a_message_of_argparse():
    message = "unrecognized arguments: photo--1.jpg --treshold 0.3"
    assert suggest_option(message, KNOWN) == " (did you mean --threshold?)"
    assert suggest_option("the following arguments are required: --threshol", KNOWN) == ""
