"""The commands that a training run prints for the user to copy: how to resume, and what is next."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from centernet.data.formats.splits import split_name
from centernet.installation import config_folder
from centernet.training.sources import DataSource

_RESUMED = "--ckpt_path"
_WIDTH = 110  # a comment that would make a line longer stands above the command


def program(command: str) -> list[str]:
    """The words that start a command, as the user started this one.

    ``train.py`` has fit and validate, and ``demo.py`` beside it is detect; both need no
    installation. Other commands are those of the package.
    """
    script = Path(sys.argv[0])
    if script.name == "train.py" and (script.parent / "centernet").is_dir():
        if command in ("fit", "validate"):
            return ["python", str(script), command]
        if command == "detect" and (demo := script.with_name("demo.py")).is_file():
            return ["python", str(demo)]
    if script.name in ("train.py", "__main__.py"):
        return ["python", "-m", "centernet", command]
    return ["centernet", command]


def resume_command(arguments: Sequence[str], checkpoint: str | Path) -> str:
    """The command that resumes ``fit``.

    Args:
        arguments: arguments of the run, without the subcommand.
        checkpoint: the checkpoint to resume, or ``last``.
    """
    kept = []
    words = iter(arguments)
    for word in words:
        if word == _RESUMED:
            next(words, None)
        elif not word.startswith(f"{_RESUMED}="):
            kept.append(_short(word))
    return shlex.join([*program("fit"), *kept, _RESUMED, str(checkpoint)])


def _short(word: str) -> str:
    """The name of a configuration of this package, instead of its path."""
    option, equals, value = word.rpartition("=")
    is_own = Path(value).parent == config_folder() and value.endswith(".yaml")
    return f"{option}{equals}{Path(value).stem}" if is_own else word


def next_commands(run: Path, source: DataSource, longer: Sequence[str]) -> list[str]:
    """Lines with the commands that usually follow a finished run, each with a comment.

    Args:
        run: folder of the run, with ``best.ckpt``, ``last.ckpt`` and ``config.yaml``.
        source: the dataset of the run.
        longer: options that make the run longer, as ``--trainer.max_epochs 100``.
    """
    best, config = str(run / "best.ckpt"), str(run / "config.yaml")
    images = str(source.paths["val"][0])
    if not Path(images).is_dir():
        images = "IMAGES"  # a folder of the user's
    test = options_of_test(source)
    validate = ["validate", "--config", config, "--ckpt_path", best, *test]
    fit = ["fit", "--config", config, "--ckpt_path", str(run / "last.ckpt"), *longer]
    entries = [
        (["detect", images, "--weights", best], "detections as pictures"),
        (validate, "average precision on the test split" if test else "average precision"),
        (["inspect", "--weights", best, "--config", config], "why objects are missed"),
        (["export", best, str(run / "model.onnx")], "a file for ONNX Runtime"),
        (fit, "train longer"),
    ]
    return [line for words, comment in entries for line in _lines(words, comment)]


def _lines(words: Sequence[str], comment: str) -> list[str]:
    command = shlex.join([*program(words[0]), *words[1:]])
    line = f"{command}  # {comment}"
    return [f"  {line}"] if len(line) < _WIDTH else [f"  # {comment}", f"  {command}"]


def options_of_test(source: DataSource) -> list[str]:
    """The options of ``validate`` that name the test split; empty without one."""
    images, annotations = (_of_test(path) for path in source.paths["val"])
    if source.folds or annotations is None:
        return []
    is_file = images is not None and images.is_dir() and annotations.is_file()
    if not (is_file or "test" in source.split_names):
        return []
    options = [f"--data.val_annotations={_relative(annotations, source.root)}"]
    if images is not None:
        options.insert(0, f"--data.val_images={_relative(images, source.root)}")
    return options


def _of_test(path: Path) -> Path | None:
    """The path of the test split, for one of the validation split; None if its name is unusual."""
    for word in ("validation", "valid", "val"):
        before, found, after = path.name.rpartition(word)
        if found and split_name(path.stem) == "val":
            return path.with_name(f"{before}test{after}")
    return None


def _relative(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path
