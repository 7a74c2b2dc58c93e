"""The page at ``/``: the HTML export of the server's model, made at the first request for it."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from centernet.analysis.html import render
from centernet.errors import InputError
from centernet.export.page import page_title, write_page
from centernet.export.runtime import load_runtime
from centernet.files import sha256_of
from centernet.inference.detector import Detector
from centernet.inference.engines import is_exported
from centernet.installation import install_command

# Bytes that are sent at a time: a client that does not read them holds no more memory than this.
_CHUNK = 1 << 16
_PREPARING = "The page is being prepared, which takes up to a minute. It will open by itself."
_MISSING = (
    "This server cannot make the page. Its log has the reason, usually that ONNX Runtime Web is "
    f"missing (make runtime) or the extra export ({install_command('export')})."
)


class DetectorPage:
    """The page that detects in the browser, with the model of the server.

    A checkpoint is exported by a process of its own, so that neither its time nor its memory
    burdens the detections.
    """

    def __init__(self, weights: Path, detector: Detector, sha256: str) -> None:
        """Prepare for the first request.

        Args:
            weights: the weights that the server uses.
            detector: the detector with these weights.
            sha256: their SHA-256. The page is not made from a file that has changed since.
        """
        self._weights, self._sha256, self._info = weights, sha256, detector.engine.info
        self._top_k = detector.config.top_k
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._content, self._tag, self._failed, self._closed = b"", "", False, False

    async def respond(self, request: Request) -> Response:
        """The page, or a small one that says that it is being made or why it cannot be."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._build, name="page", daemon=True)
            self._thread.start()
        if self._failed:
            return _note(_MISSING, 200)
        if not self._content:
            return _note(_PREPARING, 202)
        headers = {"ETag": self._tag, "Cache-Control": "private, no-cache"}
        if request.headers.get("if-none-match") == self._tag:
            return Response(status_code=304, headers=headers)
        headers["Content-Length"] = str(len(self._content))
        return StreamingResponse(_pieces(self._content), headers=headers, media_type="text/html")

    def close(self) -> None:
        """Stop the export, if it runs."""
        self._closed = True
        if self._process:
            self._process.kill()
        if self._thread:
            self._thread.join(5)

    def _build(self) -> None:
        """Make the page; runs in a thread."""
        try:
            with TemporaryDirectory(prefix="centernet-") as folder:
                file = Path(folder, "page.html")
                load_runtime()
                if is_exported(self._weights):
                    title = page_title(self._weights)
                    write_page(self._weights.read_bytes(), self._info, file, title=title)
                else:
                    self._export(file)
                content = file.read_bytes()
            if sha256_of(self._weights) != self._sha256:
                raise InputError(
                    f"{self._weights} has changed since the server started: restart the server"
                )
        except Exception as error:  # whatever it is, the page must not wait for ever
            self._failed = True
            if not self._closed:
                print(f"no page at /: {error}", file=sys.stderr, flush=True)
            return
        self._tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        self._content = content

    def _export(self, file: Path) -> None:
        """Run ``centernet export``; raises InputError if it fails."""
        command = [sys.executable, "-m", "centernet", "export", str(self._weights), str(file)]
        # In a session of its own, so that Ctrl-C reaches the server only.
        with subprocess.Popen(
            [*command, "--top-k", str(self._top_k)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            self._process = process
            if self._closed:
                process.kill()
            errors = process.communicate()[1].decode(errors="replace")
        if process.returncode:
            last = (errors.strip().splitlines() or [f"status {process.returncode}"])[-1]
            raise InputError(last.removeprefix("error: "))


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _CHUNK):
        yield content[start : start + _CHUNK]


def _note(text: str, status: int) -> Response:
    """A small page with a text; the browser loads it again while the page is being made."""
    headers = {"Cache-Control": "no-store"} | ({"Refresh": "2"} if status == 202 else {})
    pieces = render("serve/note.html", text=text)
    return HTMLResponse("".join(pieces), status, headers)
