"""The documentation: its links lead somewhere, its commands exist and its snippets run."""

import argparse
import importlib
import re
import shlex
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from documents import (
    NOT_RUN,
    PAGES,
    ROOT,
    RUN_PAGES,
    anchors,
    blocks,
    commands,
    links,
    reason_not_run,
    text,
)

from centernet.losses import penalty_reduced_focal_loss

sys.path.insert(0, str(ROOT / "docs"))  # the site's own code, which knows the parsers
CONFIGURED = ("fit", "validate")
# Programs that other packages bring.
OTHERS = {"pip", "python3", "sudo", "tar", "cmake", "build/detect", "node", "npm", "docker"}
OTHERS |= {"curl", "ovc", "trtexec", "cd", "export", "source", "torchrun", "srun", "sbatch"}
OTHERS |= {".venv/bin/pre-commit", "mkdir"}


@cache
def options(command: str) -> frozenset[str]:
    """The options of a command."""
    if command in CONFIGURED:
        configuration = pytest.importorskip("_generate.configuration")
        parser = configuration.fit_parser(command)
        names = {name for action in parser._actions for name in action.option_strings}
        return frozenset(names | {f"--data.augment.{name}" for name in augment_options()})
    parser = argparse.ArgumentParser()
    importlib.import_module(f"centernet.cli.{command.replace('-', '_')}").add_arguments(parser)
    return frozenset(name for action in parser._actions for name in action.option_strings)


def augment_options() -> list[str]:
    from dataclasses import fields

    from centernet.data.augment import Augment

    return [field.name for field in fields(Augment)]


def words_of(command: str) -> list[str]:
    """The words of a command, without variables that are set before it."""
    words = shlex.split(command)
    while re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return words


def option_names(words: list[str]) -> list[str]:
    end = words.index("--") if "--" in words else len(words)
    return [word.split("=")[0] for word in words[:end] if re.match(r"--?[a-z]", word)]


def check_command(command: str) -> None:
    """Assert that a program, its subcommand and its options exist."""
    program, *words = words_of(command)
    if (program, *words[:1]) in (("python", "train.py"), ("python", "demo.py")):
        name = "detect" if words[0] == "demo.py" else words.pop(1)
        program, words = "centernet", [name, *words[1:]]
    if program == "centernet":
        if words[0].startswith("-"):
            return
        folder = ROOT / "centernet" / "cli"
        assert (folder / f"{words[0].replace('-', '_')}.py").is_file(), f"no command {words[0]}"
        known = options(words[0]) | {"--help"}
        for name in option_names(words):  # also an option of a class, such as a profiler's
            assert {name, name.rpartition(".")[0]} & known, f"unknown option {name} in: {command}"
    elif program == "python" and words[0] != "-m":
        script = (ROOT / words[0]).read_text()
        for name in option_names(words):
            known = name in script or name.startswith(("--data.", "--model.", "--trainer."))
            assert known, f"{words[0]} has no option {name}"
    elif program == "make":
        makefile = (ROOT / "Makefile").read_text()
        for target in (word for word in words if "=" not in word):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"no target {target}"
    else:
        assert program in OTHERS | {"python"}, f"unknown program in: {command}"


def test_the_documents_have_commands_and_snippets():
    assert len(commands(Path("README.md"))) >= 8
    assert sum(len(commands(page)) for page in RUN_PAGES) > 100
    assert sum(len(blocks(page, "python")) for page in RUN_PAGES) > 5


@pytest.mark.parametrize("page", RUN_PAGES, ids=str)
def test_every_command_and_option_exists(page):
    for command in commands(page):
        check_command(command)


@pytest.mark.parametrize(
    "wrong", ["centernet fti", "centernet detect a.jpg --weigths b", "make demos", "brew install x"]
)
def test_a_wrong_command_is_found(wrong):
    with pytest.raises(AssertionError):
        check_command(wrong)


@pytest.mark.parametrize("page", RUN_PAGES, ids=str)
def test_every_snippet_is_python(page):
    for snippet in blocks(page, "python"):
        compile(snippet, str(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_block_names_its_language(page):
    """A block without a language would not be checked."""
    fences = re.findall(r"^ *```(\S*)", text(page), re.MULTILINE)
    assert "" not in fences[::2], f"block {fences[::2].index('')} of {page}"


def test_every_exception_is_needed():
    code = {page.as_posix(): [*commands(page), *blocks(page, "python")] for page in RUN_PAGES}
    everything = [one for codes in code.values() for one in codes]
    for page, parts in NOT_RUN.items():
        for part in parts:
            assert any(part in one for one in code.get(page, everything)), (page, part)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file.relative_to(ROOT)), target


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_no_page_names_the_host_of_a_registry(page):
    assert not re.search(r"pypi\.org|pythonhosted|registry\.npmjs", text(page))


def test_the_first_loss_is_what_troubleshooting_says():
    """All cells have the probability 0.1, as at the start of a training run."""
    page = text(Path("docs/troubleshooting.md"))
    constant, factor = map(
        float, re.search(r"([\d.]+) \+ ([\d.]+) \* C \* h \* w / n", page).groups()
    )
    heatmap = torch.zeros(1, 3, 64, 80)
    heatmap.view(-1)[:13] = 1
    logits = torch.full_like(heatmap, 0.1).logit()
    expected = constant + factor * heatmap.numel() / 13
    assert float(penalty_reduced_focal_loss(logits, heatmap)) == pytest.approx(expected, rel=0.01)
    assert f"{expected:.1f} for 3 classes" in page.replace("\n", " ")


def test_reasons_are_given():
    assert reason_not_run(Path("README.md"), "pip install x") == "installs packages"
    assert reason_not_run(Path("README.md"), "centernet check data/mine") is None
    assert all(reason for parts in NOT_RUN.values() for reason in parts.values())
