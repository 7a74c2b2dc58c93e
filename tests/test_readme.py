"""Runs every command and snippet of the README, unchanged, on a tiny dataset."""

import os
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from fakes import released_weights

from centernet.analysis.labels.corrections import Corrections
from centernet.analysis.labels.corrections_file import write_corrections
from centernet.data.formats import convert_dataset
from centernet.data.shapes import make_shapes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted(
    page.relative_to(ROOT)
    for pattern in ("*.md", "data/*.md", "docs/*.md", "tests/**/*.md")
    for page in ROOT.glob(pattern)
)
# Commands that are not run, with the reason.
NOT_RUN = {
    "make demo": "installs several GB and trains for minutes",
    "python3 -m venv": "installs several GB",
    "pip install": "installs several GB",
    "detect 0 ": "needs a camera and a screen",
    "https://host": "needs an internet connection",
    "rtsp://host": "needs a network camera",
}
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
# Runs the first word of a command with this Python.
PROGRAMS = {"python": [], "centernet": ["-c", "from centernet.cli import main; main()"]}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands():
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    lines = [re.split(r"(?:^|\s)# ", line)[0].strip() for line in lines]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A new user's checkout, with weights, images and videos of the README's names."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("train.py", "demo.py", "configs"):
        (folder / name).symlink_to(ROOT / name)
    make_shapes(folder / "shapes", train=4, val=2, size=64)
    convert_dataset(folder / "shapes", folder / "my_voc", format="voc")
    mine = folder / "data" / "mine"
    (mine / "images").mkdir(parents=True)
    for part in ("train", "val"):
        (folder / "shapes" / part).rename(mine / "images" / part)
    (folder / "shapes" / "annotations").rename(mine / "annotations")
    picture = np.full((40, 60, 3), 90, np.uint8)
    for name in ("photo.jpg", "aerial.tif"):
        cv2.imwrite(str(folder / name), picture)
    writer = cv2.VideoWriter(
        str(folder / "video.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (60, 40)
    )
    for _ in range(3):
        writer.write(picture)
    writer.release()
    torch.save({"state_dict": released_weights("dla_34")}, folder / "ctdet_coco_dla_2x.pth")
    write_corrections(folder / "corrections.json", Corrections("mine", ("circle",)))
    recipe = yaml.safe_load((ROOT / "configs" / "custom.yaml").read_text())
    recipe["model"] |= {"backbone": "test_resnet", "pretrained": False}
    recipe["data"] |= {"image_size": 64, "workers": 0}
    recipe["trainer"] |= {"max_epochs": 1, "check_val_every_n_epoch": 1, "accelerator": "cpu"}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def test_the_readme_has_commands_and_snippets():
    assert len(commands()) >= 8 and len(blocks("python")) == 1


def serve_once(words, folder):
    """Start a server at a free port, send it an image, and stop it."""
    words = [*words, "--port", "0"]
    with subprocess.Popen(
        words, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            url = re.search(r"http://\S+", process.stdout.readline())[0]
            body, headers = (folder / "photo.jpg").read_bytes(), {"Content-Type": "image/jpeg"}
            request = urllib.request.Request(f"{url}/detect", body, headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert answer.status == 200
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.mark.slow
def test_every_command_and_snippet_runs(workplace):
    """In the README's order, because commands use the output of earlier ones."""
    tiny = (
        "--model.backbone=test_resnet --model.pretrained=false --data.image_size=64 "
        "--data.workers=0 --trainer.max_epochs=1 --trainer.check_val_every_n_epoch=1 "
        "--trainer.accelerator=cpu"
    )
    small = {
        "centernet fit": tiny,
        "centernet validate": "--data.image_size=64",
        "centernet labels data/mine": "--config tiny.yaml",
    }
    ran = []
    for command in commands():
        if any(part in command for part in NOT_RUN):
            continue
        extra = next((more for part, more in small.items() if part in command), "")
        words = shlex.split(f"{command} {extra}")
        assert words[0] in PROGRAMS, f"neither run nor in NOT_RUN: {command}"
        is_server = words[1] == "serve"
        words = [sys.executable, *PROGRAMS[words[0]], *words[1:]]
        if is_server:
            serve_once(words, workplace)
            ran.append(command)
            continue
        subprocess.run(words, cwd=workplace, check=True, timeout=120, env=ENVIRONMENT)
        ran.append(command)
    assert len(ran) >= 5
    for snippet in blocks("python"):
        subprocess.run([sys.executable, "-c", snippet], cwd=workplace, check=True, env=ENVIRONMENT)
    written = workplace / "runs" / "detect"
    assert (written / "photo.npz").is_file() and (written / "detections.csv").is_file()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_to_a_file_leads_somewhere(page):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", (ROOT / page).read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target
