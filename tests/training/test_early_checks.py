import subprocess
import sys

import pytest

from centernet.data.shapes import make_shapes
from centernet.errors import InputError
from centernet.training.early_checks import check_arguments
from centernet.training.option_names import known_option_names
from centernet.training.options_cli import OptionsCLI


def test_the_names_equal_those_of_the_parsers(monkeypatch):
    found = []

    def stop(self, *_):
        found.extend(self._subcommand_parsers.values())
        raise StopIteration

    monkeypatch.setattr(OptionsCLI, "parse_arguments", stop)
    with pytest.raises(StopIteration):
        OptionsCLI(["fit"])
    # argparse has no public list of its options.
    words = {word for parser in found for word in parser._option_string_actions}
    levels = {".".join(word.rstrip("+").split(".")[:2]) for word in words if word[:2] == "--"}
    assert known_option_names() == levels


def test_without_source_files_the_parser_decides(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert known_option_names() == set()
    check_arguments(["--epochs", "3"])


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--epochs", "3"], "--trainer.max_epochs"),
        (["--lr=1"], "--model.learning_rate"),
        (["--data.imgsize", "64"], "--data.image_size"),
    ],
)
def test_a_wrong_option_is_reported_with_the_right_one(words, meant, capsys):
    with pytest.raises(SystemExit) as raised:
        check_arguments(words)
    assert raised.value.code == 2
    assert f"{words[0].partition('=')[0]} (did you mean {meant}?)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--model.test.flip", "true"],
        ["--trainer.callbacks+=EMA", "--data.root=x", "--data", "x.yaml"],
        ["--nms", "0.5"],  # the parser knows --model.test.nms
        ["--print_config=skip_default", "--ckpt_path", "last"],
        ["--help", "--epochs"],
        ["--config=custom", "--data.root=gone", "--print_config"],
    ],
)
def test_the_parser_decides_about_all_else(words):
    check_arguments(words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model.weights", "rnus/best.ckpt"], r"--model\.weights.*mean .*runs/best\.ckpt"),
        (["--ckpt_path=gone.ckpt"], r"--ckpt_path gone\.ckpt does not exist"),
        (["--config", "c.yaml", "--data.root", "minee"], r"--data\.root minee.*mean mine\?"),
        (["--config", "c.yaml"], r"--data\.root gone does not exist"),
        (["--config", "c.yaml", "--data.root", "runs"], r"runs/train\.json.*runs is not a dataset"),
    ],
)
def test_missing_files_and_datasets(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    make_shapes("mine", train=1, val=1, size=64)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "best.ckpt").touch()
    (tmp_path / "c.yaml").write_text("data: {root: gone, train_annotations: train.json}")
    with pytest.raises(InputError, match=said):
        check_arguments(words)
    check_arguments(["--config", "c.yaml", "--data.root", "mine", "--model.weights", "null"])
    check_arguments(["--data.root", "runs"])  # whose annotations are not named


def test_a_later_configuration_replaces_an_earlier_option(tmp_path):
    (tmp_path / "t.json").touch()
    config = tmp_path / "c.yaml"
    config.write_text(f"data: {{root: {tmp_path}, train_annotations: t.json}}")
    check_arguments(["--data.root", "gone", "--config", str(config)])
    with pytest.raises(InputError, match="gone"):
        check_arguments(["--config", str(config), "--data.root", "gone"])


def test_validate_needs_the_validation_images_only(tmp_path):
    (tmp_path / "val.json").touch()
    words = [f"--data.root={tmp_path}", "--data.train_annotations=t", "--data.val_annotations"]
    check_arguments([*words, "val.json"], "val")
    with pytest.raises(InputError, match=r"v\.json"):
        check_arguments([*words, "v.json"], "val")


def test_errors_come_before_torch_is_imported():
    code = (
        "import sys; from centernet.cli import main\n"
        "try: main(['fit', '--data.root', 'gone', '--data.train_annotations', 'x'])\n"
        "finally: print([n for n in ('torch', 'lightning') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[]\n", 1)
    assert done.stderr == "error: --data.root gone does not exist\n"
