"""Runs every command and snippet of the README and the documentation on a tiny dataset.

Exceptions, each with its reason, are in NOT_RUN of documents.py.
"""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from contextlib import redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from documents import ROOT, RUN_PAGES, blocks, commands, reason_not_run, text
from fakes import released_weights

from centernet import Detector
from centernet.analysis.labels.corrections import Corrections
from centernet.analysis.labels.corrections_file import write_corrections
from centernet.cli import main
from centernet.data.formats import convert_dataset
from centernet.data.shapes import make_shapes

pytestmark = pytest.mark.slow
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
PROGRAM = [sys.executable, "-c", "from centernet.cli import main; main()"]
TINY = (
    "--model.backbone=test_resnet --model.pretrained=false --data.image_size=64 "
    "--data.workers=0 --trainer.max_epochs=1 --trainer.check_val_every_n_epoch=1 "
    "--trainer.accelerator=cpu"
)
# Options that are added to a command that contains the text.
SMALLER = {
    "centernet fit": TINY,
    "centernet validate": "--data.image_size=64",
    "centernet benchmark": "--seconds 0.2",
    "--data.tile 512": "--data.image_size=256 --data.tile=128",
    "--folds 5": "--config tiny.yaml",
}
# The class of the dataset that stands for one of a page.
CLASSES = {'"cell"': '"circle"'}
VIDEOS = ("video", "street", "walk", "road", "shop")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A checkout of a new user, with the datasets, pictures and weights that the pages name."""
    folder = tmp_path_factory.mktemp("documents")
    for name in ("train.py", "demo.py", "configs", "examples", "scripts"):
        (folder / name).symlink_to(ROOT / name)
    make_shapes(folder / "shapes", train=10, val=3, size=64)
    convert_dataset(folder / "shapes", folder / "my_voc", format="voc")
    mine = folder / "data" / "mine"
    (mine / "images").mkdir(parents=True)
    for part, source in (("train", "train"), ("val", "val"), ("test", "val")):
        shutil.copytree(folder / "shapes" / source, mine / "images" / part)
    annotations = shutil.copytree(folder / "shapes" / "annotations", mine / "annotations")
    shutil.copy(annotations / "instances_val.json", annotations / "instances_test.json")
    shutil.copytree(folder / "shapes", folder / "data" / "custom")
    shutil.copytree(folder / "shapes", folder / "data" / "dots")
    labeled = folder / "labeled"
    convert_dataset(folder / "shapes", labeled, format="labelme")
    shutil.copytree(labeled / "train", folder / "my_photos")
    write_clips(folder / "shapes", folder / "data" / "clips")
    shutil.copytree(mine / "images" / "val", folder / "photos")
    shutil.copytree(mine / "images" / "val", folder / "cells")
    picture = cv2.imread(str(next((folder / "photos").iterdir())))
    for name in ("photo.jpg", "slide.jpg", "aerial.tif"):
        cv2.imwrite(str(folder / name), picture)
    for name in VIDEOS:
        write_video(folder / f"{name}.mp4", picture)
    (folder / "zones.json").write_text('{"zones": [{"points": [[0, 0], [0.5, 0], [0.5, 1]]}]}')
    torch.save({"state_dict": released_weights("dla_34")}, folder / "ctdet_coco_dla_2x.pth")
    write_corrections(folder / "corrections.json", Corrections("mine", ("circle",)))
    recipe = yaml.safe_load((ROOT / "configs" / "custom.yaml").read_text())
    recipe["model"] |= {"backbone": "test_resnet", "pretrained": False}
    recipe["data"] |= {"image_size": 64, "workers": 0}
    recipe["trainer"] |= {"max_epochs": 1, "check_val_every_n_epoch": 1, "accelerator": "cpu"}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    train(folder)
    return folder


def write_clips(shapes, folder):
    """A dataset of video frames: training images only, named after their videos."""
    content = json.loads((shapes / "annotations" / "instances_train.json").read_text())
    (folder / "images").mkdir(parents=True)
    for number, image in enumerate(content["images"]):
        name = f"video{number // 2}_frame{number % 2}.png"
        shutil.copy(shapes / "train" / image["file_name"], folder / "images" / name)
        image["file_name"] = name
    (folder / "annotations.json").write_text(json.dumps(content))


def write_video(path, picture):
    """Four frames of 640x480, the size that the lines and zones of the pages expect."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (640, 480))
    for _ in range(4):
        writer.write(cv2.resize(picture, (640, 480)))
    writer.release()


def train(folder):
    fit = f"centernet fit --config configs/custom.yaml --data.root data/mine {TINY}"
    export = "centernet export runs/custom/best.ckpt model.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_command(shlex.split(fit), folder)
        run_command(shlex.split(export), folder)
    (folder / "runs" / "bccd_resnet18").mkdir()
    shutil.copy(folder / "runs" / "custom" / "best.ckpt", folder / "runs" / "bccd_resnet18")


@pytest.fixture
def workplace(prepared, tmp_path, monkeypatch):
    """A copy of the checkout, which is the current folder."""
    folder = tmp_path / "checkout"
    shutil.copytree(prepared, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def run_command(words, folder):
    """Run a command of the package in this process, another program in its own."""
    if words[:2] == ["centernet", "benchmark"]:  # starts processes of its own
        arguments, words = None, [*PROGRAM, *words[1:]]
    elif words[0] == "centernet":
        arguments = words[1:]
    elif words[:2] == ["python", "demo.py"]:
        arguments = ["detect", *words[2:]]
    else:
        arguments = None
    if arguments is None:
        words = [sys.executable if word == "python" else word for word in words]
        subprocess.run(words, cwd=folder, check=True, timeout=120, env=ENVIRONMENT)
        return
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code in (None, 0), f"{' '.join(words)}: {ended.value.code}"


def serve_once(words, folder):
    """Start a server at a free port, send it an image, and stop it."""
    words = [*PROGRAM, *words[1:], "--port", "0"]
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


def run_all(page, folder):
    """Run the commands of a page in their order, because they use the output of earlier ones."""
    for command in commands(page):
        if reason_not_run(page, command):
            continue
        extra = " ".join(more for part, more in SMALLER.items() if part in command)
        if "--config tiny.yaml" in extra and "centernet fit" in command:
            extra = TINY
        words = shlex.split(f"{command} {extra}")
        if words[:2] == ["centernet", "serve"]:
            serve_once(words, folder)
        else:
            run_command(words, folder)


def run_snippets(page, folder):
    """Run the Python snippets of a page, each with the names that its text mentions."""
    for snippet in blocks(page, "python"):
        if reason_not_run(page, snippet):
            continue
        names = {"frames": [np.zeros((48, 64, 3), np.uint8)] * 3, "__name__": "__main__"}
        if "Detector" not in snippet and "detector" in snippet:
            names["detector"] = Detector.load("runs/custom/best.ckpt")
        if "import" not in snippet.split("Detector")[0]:
            names["Detector"] = Detector
        for word, name in CLASSES.items():
            snippet = snippet.replace(word, name)
        with redirect_stdout(io.StringIO()):
            exec(compile(snippet, str(page), "exec"), names)


def check_fields(folder, page):
    """The page names every field of the detections."""
    line = json.loads((folder / "detections.jsonl").read_text().splitlines()[0])
    names = set(line) | set().union(*map(set, line["detections"]))
    names |= set((folder / "detections.csv").read_text().splitlines()[0].split(","))
    with np.load(folder / "photo.npz") as arrays:
        names |= set(arrays)
    assert {name for name in names if f"`{name}`" not in page} == set()


def has_code(page):
    code = [*commands(page), *blocks(page, "python")]
    return any(not reason_not_run(page, one) for one in code)


@pytest.mark.parametrize("page", [page for page in RUN_PAGES if has_code(page)], ids=str)
def test_every_command_and_snippet_runs(page, workplace):
    run_all(page, workplace)
    run_snippets(page, workplace)
    if page == Path("docs/outputs.md"):
        check_fields(workplace / "runs" / "detect", text(page))
    if page == Path("README.md"):
        assert (workplace / "runs" / "detect" / "detections.csv").is_file()
