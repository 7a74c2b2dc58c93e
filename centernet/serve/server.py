"""Run the server: socket, weights, signals."""

import asyncio
import re
import socket
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import uvicorn
from starlette.types import ASGIApp

from centernet import __version__
from centernet.data.image_headers import max_pixels
from centernet.errors import InputError, require_at_least
from centernet.export.page import page_title
from centernet.files import sha256_of
from centernet.inference.detector import Detector
from centernet.inference.thresholds import DEFAULT_SCORE_THRESHOLD, Threshold
from centernet.serve.app import make_app
from centernet.serve.limits import DEFAULT_BATCH_SIZE, Limits
from centernet.serve.page import DetectorPage
from centernet.serve.protocol import Config
from centernet.serve.service import Service

_BACKLOG = 128
# The exit status that shells report for a program ended by Ctrl-C.
_INTERRUPTED = 130


def serve(
    weights: str | Path,
    *,
    host: str,
    port: int,
    limits: Limits | None = None,
    threshold: Threshold = DEFAULT_SCORE_THRESHOLD,
    batch_size: int = DEFAULT_BATCH_SIZE,
    token: str | None = None,
    origins: Sequence[str] = (),
    access_log: bool = False,
    device: str = "auto",
    **options: Any,
) -> int:
    """Serve detections over HTTP until Ctrl-C or SIGTERM.

    Args:
        weights: as for :meth:`.Detector.load`.
        host: name or address to listen at.
        port: port to listen at; 0 takes a free one.
        limits: limits of requests.
        threshold: score threshold of requests that give none.
        batch_size: maximum number of images per batch.
        token: what each request must send; None for nothing.
        origins: origins of other web pages that may use the server from a browser.
        access_log: print a line for each request.
        device: as for :meth:`.Detector.load`.
        **options: ``engine``, and those of :class:`.InferenceConfig`.

    Returns:
        The exit status: 0, or 130 if requests were left when a second signal came.

    Raises:
        InputError: an option or the weights are wrong, or the port is in use.
    """
    limits, weights = limits or Limits(), Path(weights)
    _check_options(limits, batch_size, origins)
    with _bind(host, port) as listener:
        detector = Detector.load(weights, device=device, **options)
        _warm_up(detector)
        _warn_if_open(host, token)
        digest = sha256_of(weights)
        service = Service(
            detector,
            title=page_title(weights),
            limits=limits,
            threshold=threshold,
            batch_size=batch_size,
            sha256=digest,
        )
        page = DetectorPage(weights, detector, digest)
        app = make_app(service, page, token=token, origins=origins)
        server = Server(app, service, _url(listener, host), access_log=access_log)
        try:
            server.run([listener])
        finally:
            page.close()
            if not server.force_exit:
                service.close()
    return _INTERRUPTED if server.force_exit else 0


class Server(uvicorn.Server):
    """Announces its URL, and ends by signals with status 0 after the requests in work."""

    def __init__(
        self, app: ASGIApp, service: Service, url: str, *, access_log: bool = False
    ) -> None:
        """Prepare a server.

        Args:
            app: the application.
            service: the service of the application.
            url: the URL to print.
            access_log: print a line for each request.
        """
        super().__init__(Config(app, service.limits, backlog=_BACKLOG, access_log=access_log))
        self._service, self._url = service, url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        detector = self._service.detector
        names = detector.class_names
        classes = names[0] if len(names) == 1 else f"{len(names)} classes"
        print(
            f"centernet {__version__} serves {self._service.title} ({classes}; "
            f"{detector.engine.name}, {detector.device}) at {self._url} - Ctrl-C stops",
            flush=True,
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Finish the requests in work; a second signal stops at once."""
        if self.should_exit:
            self.force_exit = True
            # Not here: the signal may have come while the loop uses a connection.
            asyncio.get_running_loop().call_soon_threadsafe(self._abort_connections)
        self.should_exit = self._service.stopping = True

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _check_options(limits: Limits, batch_size: int, origins: Sequence[str]) -> None:
    require_at_least(1, batch_size=batch_size)
    if limits.max_pixels > (most := max_pixels()):
        raise InputError(
            f"max_pixels must be at most CENTERNET_MAX_IMAGE_PIXELS ({most}), got "
            f"{limits.max_pixels}"
        )
    for origin in origins:
        if not re.fullmatch(r"\*|https?://[^/\s]+", origin):
            raise InputError(f"cors must be an origin as https://example.com, got {origin!r}")


def _bind(host: str, port: int) -> socket.socket:
    """A socket at an address, which does not listen yet: loading the weights takes seconds.

    Raises:
        InputError: the host is unknown, or the port is in use or not allowed.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"port must be from 0 to 65535, got {port}")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family)
    except (OSError, UnicodeError) as error:
        raise InputError(f"host {host!r} is unknown ({error}): give a name or address") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise InputError(
            f"cannot listen at {host} port {port}: {error.strerror}; choose another --port"
        ) from None
    return listener


def _url(listener: socket.socket, host: str) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _warn_if_open(host: str, token: str | None) -> None:
    """Print a warning if other machines can connect without a token."""
    if token is not None:
        return
    try:
        is_local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        print(
            f"warning: everyone who reaches {host} can use this server: set CENTERNET_TOKEN or "
            "give --token-file",
            file=sys.stderr,
        )


def _warm_up(detector: Detector) -> None:
    """Predict once: the first prediction is slow, and a network that cannot run shows now."""
    height, width = detector.engine.info.image_size or (64, 64)
    detector(np.zeros((height, width, 3), np.uint8))
