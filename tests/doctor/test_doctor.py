import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import packaging
import pytest

from centernet import cli
from centernet.doctor import extras, libraries, machine
from centernet.doctor.diagnosis import Diagnosis
from centernet.doctor.extras import FEATURES, Extra, examine, requirements
from centernet.doctor.libraries import probe
from centernet.doctor.machine import cores, examine_machine

ROOT = Path(__file__).parents[2]


def doctor(*arguments, path=(), command=(sys.executable,), **options):
    """Run the command in another process, with further folders in front of its path."""
    program = f"import sys; sys.path[:0] = {[*map(str, path), str(ROOT)]!r}\n"
    program += f"from centernet.cli import main; main({['doctor', *arguments]!r})"
    return subprocess.run([*command, "-c", program], capture_output=True, text=True, **options)


def module(folder, name, content):
    (folder / f"{name}.py").write_text(content)


def test_quick_imports_nothing_and_has_all_sections(capsys, monkeypatch):
    monkeypatch.setattr(libraries, "probe", None)
    with pytest.raises(SystemExit) as end:
        cli.main(["doctor", "--quick", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert end.value.code == 0 and found["errors"] == []
    assert {"system", "machine", "packages", "offline", "features", "warnings"} <= found.keys()
    assert found["packages"]["numpy"] and "libraries" not in found
    assert found["features"]["onnx"] == {
        "for": FEATURES["onnx"],
        "lacking": [],
        "install": None,
    }


def test_features_are_the_extras_of_the_package_without_those_of_developers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert FEATURES.keys() == {"", *project["optional-dependencies"]} - {"dev", "docs", "all"}


def test_requirements_of_a_checkout_include_those_of_extras_within_extras():
    names = {requirement.name for requirement in requirements("export")}
    assert {"torch", "onnxruntime", "onnx"} <= names and "centernet" not in names
    assert "numpy" not in names and "numpy" in {r.name for r in requirements()}


def test_requirements_of_a_wheel_are_read_from_its_metadata(monkeypatch):
    listed = [
        "numpy>=2",
        'centernet[onnx]; extra == "export"',
        'onnx>=1; extra == "export"',
        'onnxruntime>=1.20; extra == "onnx"',
        'windows-only; sys_platform == "none" and extra == "onnx"',
    ]
    monkeypatch.setattr(extras, "checkout", lambda: None)
    monkeypatch.setattr(extras.importlib.metadata, "requires", lambda name: listed)
    names = {extra: {r.name for r in requirements.__wrapped__(extra)} for extra in ("", "onnx")}
    assert names == {"": {"numpy"}, "onnx": {"onnxruntime"}}
    assert [r.name for r in extras._listed("export")] == ["centernet", "onnx"]


@pytest.mark.parametrize(
    ("versions", "lacking"),
    [
        ({"onnxruntime": "1.20.0"}, ()),
        ({"onnxruntime": "2.0rc1"}, ()),
        ({"onnxruntime-gpu": "1.30.0"}, ()),
        ({}, ("onnxruntime",)),
        ({"onnxruntime": "1.3"}, ("onnxruntime >=1.20 (not 1.3)",)),
    ],
)
def test_packages_that_are_missing_or_too_old(monkeypatch, versions, lacking):
    monkeypatch.setattr(extras, "installed_version", versions.get)
    assert examine("onnx") == Extra("onnx", lacking)


def test_the_text_names_the_command_for_a_missing_extra():
    text = Diagnosis({"a": {"memory_gib": 2, "b": None}}, [Extra("serve", ("fastapi",))]).as_text()
    assert "2 GiB" in text and "unknown" in text
    assert f"fastapi: {Extra('serve', ()).command}" in text


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("cpu.max", "50000 100000\n", 0.5),
        ("cpu.max", "max 100000\n", None),
        ("cpu/cpu.cfs_quota_us", "-1\n", None),
        ("cpu/cpu.cfs_quota_us", "10000\n", 0.1),
    ],
)
def test_cores_within_the_limit_of_a_container(tmp_path, file, content, expected):
    path = tmp_path / "sys" / "fs" / "cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text(content)
    (path.parent / "cpu.cfs_period_us").write_text("100000\n")
    assert cores(tmp_path) == (expected or len(os.sched_getaffinity(0)))


def test_memory_and_disk_of_a_small_container(tmp_path, monkeypatch):
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{3 * 2**30}\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text("model name : Fast One\nflags : sse avx512_bf16\n")
    usage = SimpleNamespace(total=64 * 2**20, free=2**30)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: usage)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").touch()
    examine_machine(diagnosis := Diagnosis(), tmp_path)
    facts = diagnosis.sections["machine"]
    assert facts["memory_gib"] == 3 and facts["bf16"] is True and not facts["runs_writable"]
    assert diagnosis.sections["system"]["processor"].startswith("Fast One")
    text = "\n".join(diagnosis.warnings)
    assert all(word in text for word in ("64 MiB", "--shm-size", "1.0 GiB", "runs"))


def test_libraries_that_fail_in_any_way_are_one_line_each(tmp_path, monkeypatch):
    module(tmp_path, "crashing", "import os\nos.kill(os.getpid(), 11)")
    module(tmp_path, "leaving", "raise SystemExit(3)")
    module(tmp_path, "ending", "import os\nos._exit(4)")
    module(tmp_path, "broken", "raise ImportError('two\\nlines')")
    module(tmp_path, "fine", "print('hello')\n__version__ = '1.5'")
    monkeypatch.syspath_prepend(tmp_path)
    names, seen = ["broken", "crashing", "leaving", "ending", "fine"], []
    results = {result["name"]: result for result in probe(names, seen.append)}
    assert list(results) == seen == names
    assert results["fine"]["facts"] == {"version": "1.5"}
    assert results["broken"]["error"] == "ImportError: two lines"
    assert "SIGSEGV" in results["crashing"]["error"] and signal.SIGSEGV == 11
    assert "SystemExit" in results["leaving"]["error"] and "4" in results["ending"]["error"]


def test_an_import_that_hangs_is_stopped(tmp_path, monkeypatch):
    module(tmp_path, "hanging", "import time\ntime.sleep(60)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(libraries, "_SECONDS", 0.3)
    assert "0.3 seconds" in probe(["hanging"])[0]["error"]


def test_two_opencv_packages_are_a_warning(monkeypatch):
    versions = {"opencv-python": "5.0", "opencv-python-headless": "4.13"}
    monkeypatch.setattr(libraries, "installed_version", versions.get)
    libraries._examine_opencv_packages(diagnosis := Diagnosis())
    (warning,) = diagnosis.warnings
    assert "pip uninstall -y opencv-python opencv-python-headless" in warning


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"cv2": {"windows": "NONE"}}, "headless"),
        ({"cv2": {"windows": "QT5"}}, "no screen"),
        ({"av": {"writes_h264": False}}, "H.264"),
        ({"torch": {"devices": [], "cuda": "13.0"}}, "CUDA 13.0"),
    ],
)
def test_what_works_only_in_part_is_a_warning(monkeypatch, facts, named):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(libraries.sys, "platform", "linux")
    monkeypatch.setattr(libraries.Path, "exists", lambda path: True)
    libraries._add_warnings(diagnosis := Diagnosis(), facts)
    assert len(diagnosis.warnings) == 1 and named in diagnosis.warnings[0]


def test_without_any_library_the_command_works(tmp_path):
    (tmp_path / "packaging").symlink_to(Path(packaging.__file__).parent)
    done = doctor("--json", path=[tmp_path], command=[sys.executable, "-I", "-S"], cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr
    found = json.loads(done.stdout)
    assert found["packages"] == found["libraries"] == {} and found["errors"] == []
    assert "numpy" in found["features"]["centernet"]["lacking"]


@pytest.mark.guard
def test_broken_opencv_is_an_error_with_the_remedy_and_status_1(tmp_path):
    text = "libGL.so.1: cannot open shared object file: No such file or directory"
    module(tmp_path, "cv2", f"raise ImportError({text!r})")
    for name in ("torch", "torchvision", "timm", "lightning", "openvino", "trackers"):
        module(tmp_path, name, "__version__ = '1'")
    module(tmp_path, "torch", "raise OSError('libcudart.so.13: cannot open shared object file')")
    done = doctor(path=[tmp_path])
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    errors = [line for line in done.stdout.splitlines() if line.startswith("  error: ")]
    assert len(errors) == 2
    assert "libGL.so.1" in errors[0] and "apt-get install -y libgl1" in errors[0]
    assert "libcudart.so.13" in errors[1] and "--force-reinstall torch" in errors[1]


@pytest.mark.slow
def test_a_machine_without_the_libraries_of_opencv(tmp_path):
    """Hides libGL from the process, in its own view of the file system."""
    library = Path("/usr/lib/x86_64-linux-gnu/libGL.so.1")
    hide = f"mount -t tmpfs none {tmp_path} && mkdir {tmp_path}/u {tmp_path}/w && "
    hide += f"mount -t overlay none -o lowerdir={library.parent},upperdir={tmp_path}/u,"
    hide += f"workdir={tmp_path}/w {library.parent} && rm {library} && "
    start = ["unshare", "--mount", "sh", "-c", f'{hide} exec "$@"', "sh"]
    can = shutil.which("unshare") and library.exists()
    if not can or subprocess.run([*start, "true"], capture_output=True).returncode:
        pytest.skip("needs root, unshare and libGL")
    done = doctor(command=[*start, sys.executable])
    assert done.returncode == 1 and "lacks libGL.so.1" in done.stdout
