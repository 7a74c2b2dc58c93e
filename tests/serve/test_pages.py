"""The page at ``/``: made once, in the background, or missing with a reason."""

import gzip
import subprocess
import time
from pathlib import Path

import pytest
from fakes import spot_detector
from http_server import running
from spot_model import write_model

from centernet.export import runtime
from centernet.inference.detector import Detector
from centernet.serve import page as page_module


@pytest.fixture
def small_runtime(tmp_path, monkeypatch):
    folder = tmp_path / "runtime"
    folder.mkdir()
    (folder / runtime.SCRIPT).write_bytes(gzip.compress(b"const ort = 1;"))
    (folder / runtime.WASM).write_bytes(gzip.compress(b"wasm"))
    monkeypatch.setattr(runtime, "FOLDER", folder)


def wait_for_page(server, *, status=202):
    for _ in range(600):
        if (answer := server.get("/")).status != status:
            return answer
        time.sleep(0.05)
    raise AssertionError("no page")


def test_the_page_is_made_once(tmp_path, small_runtime):
    model = write_model(tmp_path / "spots.onnx")
    detector = Detector.load(model)
    with running(detector, weights=model) as server:
        answer = wait_for_page(server)
        assert answer.status == 200 and answer.headers["content-type"].startswith("text/html")
        assert b"<bdi>spots</bdi>" in answer.body and b"Content-Security-Policy" in answer.body
        assert int(answer.headers["content-length"]) == len(answer.body) > 50_000
        model.unlink()
        assert server.get("/").body == answer.body
        tag = answer.headers["etag"]
        with server.connect() as connection:
            head = f"GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(10_000).startswith(b"HTTP/1.1 304")


def test_the_page_has_the_model_of_the_server(tmp_path, small_runtime, capfd):
    model = write_model(tmp_path / "spots.onnx")
    with running(Detector.load(model), weights=model) as server:
        model.write_bytes(model.read_bytes() + b"\n")  # as a training run that goes on
        assert b"cannot make the page" in wait_for_page(server).body
    assert "spots.onnx has changed since the server started" in capfd.readouterr().err


@pytest.mark.parametrize("error", [ValueError("wrong"), MemoryError()])
def test_an_unexpected_error_ends_the_waiting(tmp_path, small_runtime, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(page_module, "write_page", fail)
    model = write_model(tmp_path / "spots.onnx")
    with running(Detector.load(model), weights=model) as server:
        assert b"cannot make the page" in wait_for_page(server).body


def test_without_the_runtime_the_page_says_so(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(runtime, "FOLDER", tmp_path / "nowhere")
    with running() as server:
        answer = wait_for_page(server)
        assert answer.status == 200 and b"make runtime" in answer.body
        assert b'href="docs"' in answer.body and str(tmp_path).encode() not in answer.body
    assert str(tmp_path) in capfd.readouterr().err


def test_a_checkpoint_is_exported_by_a_process_that_ends_with_the_server(
    tmp_path, small_runtime, monkeypatch, capfd
):
    commands = []
    popen = subprocess.Popen

    def sleep(command, **options):
        commands.append((command, popen(["sleep", "60"], **options)))
        return commands[0][1]

    monkeypatch.setattr(page_module.subprocess, "Popen", sleep)
    with running(spot_detector(), weights=Path("best.ckpt")) as server:
        answer = server.get("/")
        assert answer.status == 202 and "refresh" in answer.headers
        while not commands:
            time.sleep(0.01)
    (command, process), errors = commands[0], capfd.readouterr().err
    assert command[2:5] == ["centernet", "export", "best.ckpt"]
    assert process.returncode and "no page" not in errors


@pytest.mark.guard
def test_a_failed_export_is_in_the_log(small_runtime, capfd):
    with running(weights=Path("nowhere.ckpt")) as server:
        answer = wait_for_page(server)
        assert b"cannot make the page" in answer.body and b"nowhere" not in answer.body
    assert "nowhere.ckpt" in capfd.readouterr().err
