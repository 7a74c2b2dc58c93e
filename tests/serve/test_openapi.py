"""Requests that schemathesis derives from the OpenAPI document, valid and invalid ones."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import spot_detector
from http_server import running

EXAMPLES = os.environ.get("CENTERNET_EXAMPLES", "30")
TOKEN = "a-token"


@pytest.mark.guard
@pytest.mark.parametrize("token", [None, TOKEN])
def test_answers_are_those_of_the_document(token, tmp_path):
    """Checks of schemathesis: status, type and schema of answers, wrong requests refused."""
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert program
    # No schema can say that a file is an image, so files that are none are refused.
    checks = ["--checks", "all", "--exclude-checks", "positive_data_acceptance"]
    detector = spot_detector(thresholds=(0.9, None, 0.5))  # so that threshold=best is valid
    arguments = [*checks, "--max-examples", EXAMPLES, "--no-color", "--seed", "1"]
    if token:
        arguments += ["--header", f"Authorization: Bearer {token}"]
    with running(detector, token=token) as server:
        done = subprocess.run(
            [program, "run", f"http://127.0.0.1:{server.port}/openapi.json", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, done.stdout
        assert re.search(r"Tested: 3\b", done.stdout) and "passed" in done.stdout
