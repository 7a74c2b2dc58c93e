"""HTTP connections with limits that uvicorn lacks, and errors as JSON."""

import asyncio
import json
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from centernet.serve.limits import Limits

# Seconds for the head of a request, and for the rest of a body that the server does not need.
_HEAD_SECONDS = 10.0
# Seconds for a refused client to read the answer.
_LINGER_SECONDS = 2.0
# Connections for each request that the server accepts: some are idle.
_CONNECTIONS_PER_REQUEST = 4


class Config(uvicorn.Config):
    """The configuration of uvicorn, with limits for :class:`Protocol`.

    Attributes:
        most_connections: number of open connections.
        head_seconds: seconds for the head of a request.
        stalled_seconds: seconds in which a client must read something of an answer.
    """

    def __init__(self, app: ASGIApp, limits: Limits, **options: Any) -> None:
        """Configure a server.

        Args:
            app: the application.
            limits: limits of requests.
            **options: those of uvicorn.
        """
        super().__init__(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            server_header=False,
            log_level="error",
            timeout_graceful_shutdown=round(limits.timeout) + 1,
            **options,
        )
        # The level hides the log of requests, too.
        logging.getLogger("uvicorn.access").setLevel(logging.INFO)
        self.most_connections = _CONNECTIONS_PER_REQUEST * limits.queue
        self.head_seconds = min(_HEAD_SECONDS, limits.timeout)
        self.stalled_seconds = limits.timeout


class Protocol(H11Protocol):
    """Closes connections that send no request in time or do not read their answer.

    The class and the attributes ``conn``, ``cycle``, ``transport``, ``connections``, ``loop`` are
    not documented, but public; ``tests/serve/test_connections.py`` fails when they change.
    """

    config: Config
    _waiting: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or refuse it if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.config.most_connections:
            self._refuse(503, "too many connections: try again later", [("Retry-After", "1")])
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request."""
        if self._refused:
            return
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Continue with the next request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        super().connection_lost(exc)
        self._stop_waiting()
        if self._stalled:
            self._stalled.cancel()

    def pause_writing(self) -> None:
        """Wait for a client that does not read, but not forever."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.config.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Continue to write."""
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(400, "this is not a valid HTTP request")

    def _watch(self) -> None:
        """Run a timer while no request is in work."""
        if self._refused:
            return
        working = self.cycle is not None and not self.cycle.response_complete
        if working or self.transport.is_closing():
            self._stop_waiting()
        elif not self._waiting:
            self._waiting = self.loop.call_later(self.config.head_seconds, self._end_waiting)

    def _stop_waiting(self) -> None:
        if self._waiting:
            self._waiting.cancel()
            self._waiting = None

    def _end_waiting(self) -> None:
        """End a connection without a complete head, or with an endless body after the answer."""
        self._waiting = None
        if self.conn.our_state is not h11.IDLE or self.conn.their_state is not h11.IDLE:
            self.transport.abort()
        elif self.cycle is None or self.conn.trailing_data[0]:
            self._refuse(408, f"no complete request within {self.config.head_seconds:g} s")
        else:
            self.transport.close()  # idle since its last request

    def _refuse(self, status: int, detail: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Answer without the application, and close the connection.

        It is closed when the client has done so, or after a moment: closed at once, with bytes of
        the request left unread, the client would get an error instead of the answer.
        """
        body = json.dumps({"detail": detail}).encode()
        fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        fields += [("Connection", "close"), ("X-Content-Type-Options", "nosniff"), *headers]
        reason = HTTPStatus(status).phrase
        try:
            for event in (
                h11.Response(status_code=status, headers=fields, reason=reason),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            self.transport.close()  # an answer has begun
            return
        self._refused = True
        self.transport.write_eof()
        self._stop_waiting()
        self._waiting = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)
