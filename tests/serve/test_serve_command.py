"""``centernet serve`` as a process: start, signals, messages."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import ROOT, run_centernet
from http_server import png
from spot_model import write_model


class Process:
    """A running command; its URL is None if it has ended."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        command = [sys.executable, "-m", "centernet", "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.line = self.process.stdout.readline()
        found = re.search(r"http://\S+", self.line)
        self.url = found and found[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def post(self, body: bytes) -> int:
        request = urllib.request.Request(f"{self.url}/detect", body, {"Content-Type": "image/png"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status
        except (urllib.error.URLError, ConnectionError) as error:
            return getattr(error, "code", 0)

    def active(self) -> int:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=20) as answer:
            return int(re.search(r"requests_active (\d+)", answer.read().decode())[1])

    def end(self) -> tuple[int, str]:
        """Exit status and stderr."""
        errors = self.process.communicate(timeout=30)[1]
        return self.process.returncode, errors


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("serve") / "spots.onnx")


@pytest.fixture(scope="module")
def large() -> bytes:
    """Takes the decoder longer than the other steps."""
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    return png(cv2.resize(pixels, (2400, 1800)))


@pytest.mark.guard
def test_the_start_says_where_and_what(model):
    with Process("--weights", model, "--access-log") as server:
        assert "spots (3 classes; onnxruntime, cpu)" in server.line
        assert server.url.startswith("http://127.0.0.1:") and server.post(png()) == 200
        assert 'POST /detect HTTP/1.1" 200' in server.process.stdout.readline()
        server.process.send_signal(signal.SIGINT)
        assert server.end() == (0, "")


@pytest.mark.guard
def test_no_request_is_lost_at_the_end(model, large):
    with Process("--weights", model) as server, ThreadPoolExecutor(32) as pool:
        answers = [pool.submit(server.post, large) for _ in range(32)]
        while server.active() < 20:
            pass
        server.process.terminate()
        assert server.end() == (0, "")
        statuses = [answer.result() for answer in answers]
    # Those whose connection was not accepted yet are refused, not lost.
    assert set(statuses) <= {0, 200} and statuses.count(200) >= 20


@pytest.mark.guard
def test_a_second_signal_stops_at_once(model, large):
    with Process("--weights", model, "--batch-size", 1) as server, ThreadPoolExecutor(32) as pool:
        answers = [pool.submit(server.post, large) for _ in range(32)]
        while server.active() < 20:
            pass
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.02)
        server.process.send_signal(signal.SIGINT)
        start = time.monotonic()
        status, errors = server.end()
        assert time.monotonic() - start < 3 and "Traceback" not in errors
        assert status == 130
        assert 0 in [answer.result() for answer in answers]


@pytest.mark.guard
def test_a_server_for_everyone_warns_unless_it_has_a_token(model):
    with Process("--weights", model, "--host", "0.0.0.0") as server:
        server.process.terminate()
        status, errors = server.end()
        assert status == 0 and errors.startswith("warning: ") and errors.count("\n") == 1
        assert "0.0.0.0" in errors and "CENTERNET_TOKEN" in errors
    with Process("--weights", model, "--host", "0.0.0.0", CENTERNET_TOKEN="secret") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{url}/metadata", timeout=20)
        server.process.terminate()
        assert server.end() == (0, "")


@pytest.fixture
def damaged_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no.ckpt").touch()


in_folder_of_weights = pytest.mark.usefixtures("damaged_weights")


@in_folder_of_weights
def test_a_port_in_use_is_reported_before_the_weights_are_loaded(capsys):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        message, *_ = run_centernet(["serve", "--weights", "no.ckpt", "--port", port], capsys)
    assert message.startswith("error: ") and str(port) in message and "--port" in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "nowhere.invalid"], ["nowhere.invalid"]),
        (["--port", "70000"], ["port", "70000"]),
        (["--batch-size", "0"], ["batch_size", "0"]),
        (["--queue", "0"], ["queue", "0"]),
        (["--timeout", "-1"], ["timeout", "-1"]),
        (["--max-pixels", "500M"], ["max_pixels", "500000000", "CENTERNET_MAX_IMAGE_PIXELS"]),
        (["--token-file", "nowhere"], ["nowhere"]),
        (["--cors", "example.com"], ["cors", "'example.com'"]),
        (["--cors", "https://example.com/"], ["cors", "https://example.com"]),
        (["--port", "0"], ["no.ckpt"]),
    ],
)
@in_folder_of_weights
def test_wrong_options_end_in_one_line(capsys, options, words):
    message, *_ = run_centernet(["serve", "--weights", "no.ckpt", *options], capsys)
    assert message.startswith("error: ") and "\n" not in message
    assert all(word in message for word in words)


@in_folder_of_weights
def test_an_empty_token_is_refused(capsys, tmp_path, monkeypatch):
    (tmp_path / "token").write_text(" \n")
    arguments = ["serve", "--weights", "no.ckpt"]
    message, *_ = run_centernet([*arguments, "--token-file", tmp_path / "token"], capsys)
    assert "token" in message
    monkeypatch.setenv("CENTERNET_TOKEN", "")
    message, *_ = run_centernet(arguments, capsys)
    assert "CENTERNET_TOKEN" in message


@in_folder_of_weights
def test_a_missing_package_is_named(capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("centernet.serve", "fastapi"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    message, *_ = run_centernet(["serve", "--weights", "no.ckpt"], capsys)
    assert "fastapi is missing" in message and "serve" in message


def test_help_lists_the_limits(capsys):
    status, text, _ = run_centernet(["serve", "--help"], capsys)
    assert status == 0
    for word in ("--max-bytes", "20MB", "50M", "--timeout", "--queue", "curl", "CENTERNET_TOKEN"):
        assert word in text
