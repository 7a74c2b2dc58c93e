"""The scripts of data/ on small archives put where the downloads go."""

import importlib.util
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from fakes import BCCD, config_paths, configs_of
from sample_datasets import coco_content, picture, text, voc_xml, write_coco, write_voc

from centernet.cli import run_script
from centernet.data import downloads
from centernet.errors import InputError

SCRIPTS = Path(__file__).parents[1] / "data"


class AnyChecksum(str):
    """Equals every published MD5 sum."""

    __hash__ = None

    def __ne__(self, other):
        return False


@pytest.fixture
def script(monkeypatch):
    """Load a script; files in its downloads folder pass every checksum."""

    def load(name):
        spec = importlib.util.spec_from_file_location(f"data_{name}", SCRIPTS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(downloads, "_md5", lambda path: AnyChecksum())
        return module

    return load


def pack(folder, archive):
    archive.parent.mkdir(exist_ok=True)
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in files:
                file.write(path, path.relative_to(folder))
    else:
        with tarfile.open(archive, "w") as file:
            for path in files:
                file.add(path, path.relative_to(folder))


def load(path):
    return json.loads(path.read_text())


def test_coco_is_left_as_it_comes(script, tmp_path):
    source, site = tmp_path / "site", tmp_path / "downloads"
    for part in ("train2017", "val2017"):
        picture(source / part / part / "a.jpg")
        pack(source / part, site / f"{part}.zip")
        for task in ("instances", "captions"):
            path = source / "annotations" / "annotations" / f"{task}_{part}.json"
            text(path, json.dumps(coco_content(["a.jpg"])))
    pack(source / "annotations", site / "annotations_trainval2017.zip")
    output = tmp_path / "data" / "coco"
    summary = script("coco").prepare(site, output)
    assert summary.startswith(f"{output}: 1 ")
    require_paths_of_configs("coco", output)
    assert sorted(str(p.relative_to(output)) for p in output.rglob("*") if p.is_file()) == [
        "annotations/instances_train2017.json", "annotations/instances_val2017.json",
        "train2017/a.jpg", "val2017/a.jpg",
    ]  # fmt: skip
    assert [p.name for p in output.parent.iterdir()] == ["coco"]


def test_voc_is_joined_as_the_recipe_has_it(script, tmp_path):
    site = tmp_path / "downloads"
    objects = [("cat", (1, 1, 60, 40), 0), ("dog", (2, 2, 9, 9), 1)]
    both = {"train": ["1"], "val": ["2"], "trainval": ["1", "2"]}
    for name, root, lists in (
        ("VOCtrainval_06-Nov-2007", "VOC2007", both),
        ("VOCtest_06-Nov-2007", "VOC2007", {"test": ["3"]}),
        ("VOCtrainval_11-May-2012", "VOC2012", {"train": ["2008_1"], "trainval": ["2008_1"]}),
    ):
        folder = tmp_path / name / "VOCdevkit" / root
        write_voc(folder, lists)
        picture(folder / "SegmentationClass" / "1.png")
        for path in (folder / "Annotations").iterdir():
            path.write_text(voc_xml(f"{path.stem}.jpg", objects, database=f"The {root} Database"))
        pack(tmp_path / name, site / f"{name}.tar")
    output = tmp_path / "voc"
    print(script("voc").prepare(site, output))
    require_paths_of_configs("voc", output)
    trainval = load(output / "annotations" / "instances_trainval.json")
    test = load(output / "annotations" / "instances_test.json")
    assert [i["file_name"] for i in trainval["images"]] == ["1.jpg", "2.jpg", "2008_1.jpg"]
    assert [i["file_name"] for i in test["images"]] == ["3.jpg"]
    assert sorted(p.name for p in (output / "images").iterdir()) == [
        "1.jpg", "2.jpg", "2008_1.jpg", "3.jpg",
    ]  # fmt: skip
    for content in (trainval, test):
        assert [c["name"] for c in content["categories"]][:2] == ["aeroplane", "bicycle"]
        assert len(content["categories"]) == 20
        cat, dog = content["annotations"][-2:]
        assert (cat["bbox"], cat["category_id"], cat.get("ignore")) == ([0, 0, 60, 40], 8, None)
        assert (dog["category_id"], dog["ignore"]) == (12, 1)
    assert len(trainval["annotations"]) == 6


@pytest.fixture
def bccd_archive(tmp_path):
    def pack_it(annotations, images):
        folders = {"Annotations": annotations / "Annotations", "JPEGImages": images}
        folders["ImageSets/Main"] = annotations / "ImageSets" / "Main"
        with zipfile.ZipFile(tmp_path / "bccd.zip", "w") as file:
            file.writestr("BCCD_Dataset-master/README.md", "cells")
            for name, folder in folders.items():
                for path in folder.iterdir():
                    file.write(path, f"BCCD_Dataset-master/BCCD/{name}/{path.name}")

    return pack_it


def test_another_bccd_than_the_known_one_is_refused(script, bccd_archive, tmp_path):
    source = write_voc(tmp_path / "few", {"train": ["1"], "val": ["2"], "test": ["3"]})
    bccd_archive(source, source / "JPEGImages")
    with pytest.raises(InputError, match=r"\{'train': 1, .*'train': 205"):
        script("bccd").prepare(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_excerpt_of_bccd_becomes_a_dataset(script, bccd_archive, tmp_path, monkeypatch):
    bccd_archive(BCCD / "voc", BCCD / "images")
    module = script("bccd")
    monkeypatch.setattr(module, "IMAGES", {"train": 8, "val": 4})
    conversion = module.prepare(tmp_path, tmp_path / "out")
    assert sum("BloodImage_00020" in message for message in conversion.messages) == 1
    require_paths_of_configs("bccd", tmp_path / "out")
    for name in ("train", "val"):
        file = f"annotations/instances_{name}.json"
        assert contents(load(tmp_path / "out" / file)) == contents(load(BCCD / file))


def require_paths_of_configs(dataset, output):
    """Every folder and file that a config of this dataset names is there."""
    for config in configs_of(dataset):
        missing = [path for path in config_paths(config) if not (output / path).exists()]
        assert not missing, f"{config.name} names {missing}, which data/{dataset}.py does not write"


def test_real_bccd_becomes_the_dataset_of_the_results(
    script, bccd_archive, test_data_root, tmp_path
):
    bccd_archive(test_data_root / "bccd_voc", test_data_root / "bccd" / "images")
    conversion = script("bccd").prepare(tmp_path, tmp_path / "out")
    assert sum("annotated twice" in message for message in conversion.messages) == 8
    for name, boxes in (("train", 2799), ("val", 1135), ("test", 944)):
        file = f"annotations/instances_{name}.json"
        ours, known = load(tmp_path / "out" / file), load(test_data_root / "bccd" / file)
        assert len(ours["annotations"]) == boxes
        assert contents(ours) == contents(known)
        assert [c["name"] for c in ours["categories"]] == [c["name"] for c in known["categories"]]
    assert len(list((tmp_path / "out" / "images").iterdir())) == 364


def contents(coco):
    file = {i["id"]: i["file_name"] for i in coco["images"]}
    return sorted((file[a["image_id"]], a["category_id"], *a["bbox"]) for a in coco["annotations"])


def test_the_command_line_of_a_script(script, tmp_path, monkeypatch, capsys):
    module = script("coco")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["coco.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            run_script(module.__doc__, "data/coco", module.prepare)
        return exit.value.code, capsys.readouterr().out

    status, printed = run("--help")
    assert status == 0 and "put them in data/downloads" in printed
    write_coco(tmp_path / "a.json", tmp_path, ["a.png"])
    status, printed = run("--output", tmp_path)
    assert not status and str(tmp_path) in printed
    monkeypatch.setattr(
        module, "ARCHIVES", [downloads.Download("http://127.0.0.1:9/a.zip", "a.zip")]
    )
    status, printed = run("--output", tmp_path / "x", "--downloads", tmp_path / "d")
    assert status.startswith("error: ") and "http://127.0.0.1:9/a.zip (" in status
    assert status.endswith(str(tmp_path / "d" / "a.zip"))
