"""What applies to every request: the token, headers for browsers, and the metrics."""

import base64
import binascii
import hmac
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from centernet.serve.metrics import Metrics

# Monitoring needs no token.
_OPEN = "/health"
# Paths with counters of their own. Of others there could be too many.
_PATHS = frozenset({"/", "/detect", "/docs", "/health", "/metadata", "/metrics", "/openapi.json"})
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # The pages have a policy of their own, which cannot forbid frames.
    "Content-Security-Policy": "frame-ancestors 'none'",
}
_CHALLENGE = 'Basic realm="centernet", charset="UTF-8", Bearer realm="centernet"'


class TokenRequired:
    """Answers 401 to requests without the token.

    Programs send ``Authorization: Bearer TOKEN``. Browsers ask for a user name, which may be
    anything, and a password: the token.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        """Protect an application."""
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http" or scope["path"] == _OPEN or self._is_allowed(scope):
            await self._app(scope, receive, send)
            return
        answer = JSONResponse(
            {"detail": "the token is missing or wrong: send Authorization: Bearer TOKEN"},
            401,
            {"WWW-Authenticate": _CHALLENGE},
        )
        await answer(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        given = Headers(scope=scope).get("authorization", "")
        scheme, _, value = given.partition(" ")
        secret = value.strip().encode("latin-1")
        if scheme.lower() == "basic":
            try:
                secret = base64.b64decode(secret, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(secret, self._token)


class Observed:
    """Adds headers for browsers to each answer, and counts it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Observe an application."""
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            path = scope["path"] if scope["path"] in _PATHS else "other"
            self._metrics.add_request(path, status, perf_counter() - start)
