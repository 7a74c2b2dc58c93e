"""The web application: routes, errors, and the OpenAPI document."""

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from centernet import __version__
from centernet.serve import schemas
from centernet.serve.bodies import read_uploads
from centernet.serve.docs_page import render_docs
from centernet.serve.middleware import Observed, TokenRequired
from centernet.serve.page import DetectorPage
from centernet.serve.schemas import DETECT_BODY, problems
from centernet.serve.service import Answer, Service

# The client has closed the connection; no one receives this status, which nginx uses, too.
_CLIENT_GONE = 499
_Threshold = Annotated[
    Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)] | Literal["best"] | None,
    Query(
        description="Minimum score, or best: for each class the best in validation. By default "
        "the thresholds of /metadata"
    ),
]


def make_app(
    service: Service,
    page: DetectorPage,
    *,
    token: str | None = None,
    origins: Sequence[str] = (),
) -> FastAPI:
    """The application of a server.

    Args:
        service: detects.
        page: the page at ``/``.
        token: what each request must send, except for ``/health``; None for nothing.
        origins: origins of other web pages that may use the server from a browser.
    """
    app = FastAPI(
        title=f"CenterNet: {service.title}",
        description="Detects objects in images.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
    )
    secured = [Depends(HTTPBearer(auto_error=False))] if token else []
    _add_api(app, service, secured, [401] if token else [])
    _add_pages(app, service, page)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _invalid_value)
    app.add_exception_handler(Exception, _server_error)
    # The last one is the outermost.
    if token:
        app.add_middleware(TokenRequired, token=token)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.add_middleware(Observed, metrics=service.metrics)
    return app


def _add_api(app: FastAPI, service: Service, secured: list[Any], refused: list[int]) -> None:
    """Add the routes of the OpenAPI document."""

    @app.post(
        "/detect",
        dependencies=secured,
        response_model=schemas.Detections,
        response_description="The detections",
        responses=problems(400, *refused, 408, 413, 415, 422, 503, 504),
        openapi_extra=DETECT_BODY,
    )
    async def detect(request: Request, threshold: _Threshold = None) -> Response:
        """Detect objects in one or several images."""
        start = perf_counter()
        try:
            with service.admit() as lease:
                uploads = await read_uploads(request, service.limits, lease)
                received = perf_counter() - start
                answer = await _unless_gone(request, service.detect(uploads, threshold))
        except ClientDisconnect:
            return Response(status_code=_CLIENT_GONE)
        seconds = {"receive": received} | answer.seconds | {"total": perf_counter() - start}
        rounded = {step: round(value, 6) for step, value in seconds.items()}
        headers = {"Cache-Control": "no-store"}
        return JSONResponse({"images": answer.images, "seconds": rounded}, headers=headers)

    @app.get(
        "/health",
        response_model=schemas.Health,
        response_description="The server can detect",
        responses=problems(503),
    )
    async def health() -> Response:
        """Whether the server can detect; needs no token."""
        if service.ready:
            return JSONResponse({"status": "ok"})
        raise HTTPException(503, "the server shuts down" if service.stopping else "no inference")

    @app.get(
        "/metadata",
        dependencies=secured,
        response_model=schemas.Metadata,
        response_description="The properties",
        responses=problems(*refused),
    )
    async def metadata() -> Response:
        """Properties of the model and of the server."""
        return JSONResponse(service.about())


async def _unless_gone(request: Request, work: Any) -> Answer:
    """The result of a coroutine, which is canceled if the client closes the connection.

    Raises:
        ClientDisconnect: the client has closed the connection.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_wait_until_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        gone.cancel()


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _add_pages(app: FastAPI, service: Service, page: DetectorPage) -> None:
    """Add the routes that are not part of the OpenAPI document."""

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    async def docs(request: Request) -> Response:
        text = render_docs(app.openapi(), service.title, request.headers.get("host", ""))
        return Response(text, media_type="text/html")

    app.add_route("/metrics", metrics)
    app.add_route("/docs", docs)
    app.add_route("/", page.respond)


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == 404:
        detail = "there is nothing at this path: /docs describes the paths"
    elif error.status_code == 405:
        detail = f"{request.method[:20]} is not possible here: /docs describes the paths"
    return JSONResponse({"detail": detail}, error.status_code, error.headers)


async def _invalid_value(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # The threshold is the only value that routes declare. Its value can be of any length.
    given = next((str(one["input"])[:60] for one in error.errors()), "")
    detail = f"threshold must be a number from 0 to 1, or best, got {given!r}"
    return JSONResponse({"detail": detail}, 422)


async def _server_error(request: Request, error: Exception) -> Response:
    # The server prints the traceback.
    return JSONResponse({"detail": "the server failed: see its log"}, 500)
