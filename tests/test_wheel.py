"""What the wheel and the source archive contain."""

import email
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUNTIME = "centernet/export/runtime/"  # in archives that are built after `make runtime`
pytestmark = pytest.mark.guard


def build(source, target, kind):
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (archive,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    pytest.importorskip("hatchling")
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.startswith(RUNTIME)}


def tracked(*folders):
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("no git repository")
    return {name for name in done.stdout.splitlines() if (ROOT / name).exists()}


def test_the_wheel_has_the_package_and_the_configurations(wheel):
    names = names_in(wheel)
    info = {name for name in names if ".dist-info/" in name}
    configs = {f"centernet/{name}" for name in tracked("configs")}
    assert names - info == tracked("centernet") | configs
    assert "centernet/configs/custom.yaml" in configs
    assert {name.partition("/")[2] for name in info} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
        "licenses/centernet/export/web/runtime_license.txt",
    }


def test_the_wheel_is_small(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = {i.filename: i.file_size for i in archive.infolist()}
    assert max(size for name, size in sizes.items() if not name.startswith(RUNTIME)) < 100_000


def test_the_metadata_is_complete(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(name).decode()
    metadata = email.message_from_string(text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Name"] == "centernet" and metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra")) == project["optional-dependencies"].keys()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().startswith("# CenterNet")
    classifiers = metadata.get_all("Classifier")
    for minor in (11, 12, 13, 14):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers
    assert metadata.get_all("Project-URL")


def test_the_source_archive_has_the_tests_and_builds_the_same_wheel(wheel, sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert (source / "tests" / "test_wheel.py").is_file() and (source / "docs").is_dir()
    found = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert {name for name in found - tracked() if not name.startswith(RUNTIME)} == {"PKG-INFO"}
    assert names_in(build(source, tmp_path, "wheel")) == names_in(wheel)
