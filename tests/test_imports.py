"""What each entry point must not import: imports are most of the time of short commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTORCH = {"torch", "torchvision", "timm", "lightning"}
# Libraries that draw or compute with tables, which take longest beside PyTorch.
HEAVY = PYTORCH | {"supervision", "scipy", "matplotlib", "pandas", "onnxruntime", "openvino", "av"}
IMAGES = HEAVY | {"cv2", "numpy", "PIL"}
MAIN = "from centernet.cli import main; main(['{}'])"


@pytest.mark.parametrize(
    ("program", "forbidden"),
    [
        ("import centernet", IMAGES | {"packaging", "yaml", "importlib.metadata"}),
        ("from centernet import Detector", HEAVY | {"jinja2", "importlib_metadata"}),
        ("from centernet import Tracker", HEAVY),
        ("import centernet.inference.engines.exported", PYTORCH | {"matplotlib", "pandas"}),
        (MAIN.format("--version"), IMAGES | {"packaging", "shtab", "yaml"}),
        (MAIN.format("--help"), IMAGES | {"packaging", "shtab", "yaml"}),
        (MAIN.format("detect', '--help"), HEAVY | {"cv2"}),
        (MAIN.format("serve', '--help"), HEAVY | {"cv2", "fastapi", "uvicorn"}),
        (MAIN.format("convert', '--help"), HEAVY),
        (MAIN.format("doctor', '--quick"), IMAGES | {"yaml"}),
    ],
)
def test_an_entry_point_does_not_import(program, forbidden):
    program = (
        f"import sys, atexit; known = {sorted(forbidden)!r}\n"
        "atexit.register(lambda: print(*(name for name in known if name in sys.modules)))\n"
        f"{program}"
    )
    command, environment = [sys.executable, "-c", program], os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""
