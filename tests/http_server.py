"""A server of the spot network in this process, and raw HTTP requests to it."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from fakes import picture, spot_detector

from centernet.files import sha256_of
from centernet.serve.app import make_app
from centernet.serve.limits import Limits
from centernet.serve.page import DetectorPage
from centernet.serve.server import Server
from centernet.serve.service import Service

BOUNDARY = b"XX"
MULTIPART = {"Content-Type": "multipart/form-data; boundary=XX"}


def png(image: np.ndarray | None = None, kind: str = ".png") -> bytes:
    """An image file; by default one with a red spot."""
    pixels = picture(("red", 40, 60)) if image is None else image
    return cv2.imencode(kind, np.ascontiguousarray(pixels[..., ::-1]))[1].tobytes()


def part(data: bytes, name: str = "image", filename: str | None = "a.png", more: str = "") -> bytes:
    """A part of a form."""
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'Content-Disposition: form-data; name="{name}"{file}\r\n{more}\r\n'
    return b"--" + BOUNDARY + b"\r\n" + head.encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def post(body: bytes = b"", headers: dict[str, str] | None = None, target="/detect") -> bytes:
    """A request; its length is given unless the headers do."""
    fields = {"Host": "x", "Content-Length": str(len(body))} | (headers or MULTIPART)
    lines = [f"POST {target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items() if v)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass(frozen=True)
class Running:
    """A running server."""

    port: int
    server: Server
    service: Service

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, request: bytes) -> Reply:
        """Send bytes, and read one answer."""
        with self.connect() as connection:
            connection.sendall(request)
            return read_reply(connection)

    def get(self, target: str, headers: dict[str, str] | None = None) -> Reply:
        fields = {"Host": "x"} | (headers or {})
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return self.send(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))


def read_reply(connection: socket.socket) -> Reply:
    with connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        lines = iter(lambda: file.readline().strip().decode(), "")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        return Reply(status, headers, file.read(int(headers["content-length"])))


@contextmanager
def running(
    detector=None, *, weights=Path("spots.onnx"), limits=None, batch_size=8, **options
) -> Iterator[Running]:
    """A server, by default of the spot network, at a free port; ``weights`` are for its page."""
    detector = detector or spot_detector()
    service = Service(
        detector,
        title="spots",
        limits=limits or Limits(timeout=20),
        threshold=0.3,
        batch_size=batch_size,
    )
    page = DetectorPage(weights, detector, sha256_of(weights) if weights.exists() else "")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(make_app(service, page, **options), service, "http://x")
        thread = threading.Thread(target=server.run, args=[[listener]])
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield Running(listener.getsockname()[1], server, service)
        finally:
            server.should_exit = True
            thread.join()
            page.close()
            service.close()
