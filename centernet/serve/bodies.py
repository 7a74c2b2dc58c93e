"""Read the images in the body of a request, within limits."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from centernet.serve.budget import Budget, Lease
from centernet.serve.limits import Limits

FIELD = "image"
_MULTIPART = "multipart/form-data"
# Fields of a form that are no files: there is none that the server reads.
_MAX_FIELDS = 8
_MAX_FIELD_BYTES = 4096
_HOW = (
    f"send image files as {_MULTIPART} in the field {FIELD!r}, or one image as the body with its "
    "type, as image/jpeg; URLs are never fetched"
)
BUSY = {"Retry-After": "1"}


@dataclass(frozen=True)
class Upload:
    """An image file of a request.

    Attributes:
        name: its name, from the client; not a path of this machine.
        data: its content.
    """

    name: str
    data: bytes


async def read_uploads(request: Request, limits: Limits, lease: Lease) -> list[Upload]:
    """The image files of a request: those of a form, or the body itself.

    Args:
        request: the request; its body is not read yet.
        limits: limits of a request.
        lease: share of the budget for bodies of all requests.

    Raises:
        HTTPException: 400 for a damaged form, 408 if the body is slow, 413 if it is large, 415 for
            another type, 422 if there is no image, 503 if the budget is used up.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    is_image = kind.startswith("image/") or kind == "application/octet-stream"
    if kind != _MULTIPART and not is_image:
        given = f"content type {kind[:60]!r}" if kind else "no content type"
        raise HTTPException(415, f"{given}: {_HOW}")
    length = request.headers.get("content-length")
    if length and "transfer-encoding" in request.headers:
        # Proxies could disagree with this server about where the request ends.
        raise HTTPException(400, "a length and chunks: give one of them", {"Connection": "close"})
    _check_length(int(length or 0), limits)
    try:
        async with asyncio.timeout(limits.timeout):
            chunks = _chunks(request, limits, lease)
            if is_image:
                uploads = [Upload("image", b"".join([chunk async for chunk in chunks]))]
            else:
                form = await _parse_form(request, chunks, limits)
                uploads = [await _read_field(name, value) for name, value in form.multi_items()]
    except TimeoutError:
        raise HTTPException(
            408, f"the body was not complete after {limits.timeout:g} s: send it faster"
        ) from None
    if not uploads:
        raise HTTPException(422, f"no image: {_HOW}")
    for upload in uploads:
        if not upload.data:
            raise HTTPException(422, f"image {upload.name!r} is empty (0 bytes)")
    return uploads


def _check_length(length: int, limits: Limits) -> None:
    if length > limits.max_bytes:
        raise HTTPException(
            413, f"the body is larger than {limits.max_bytes:,} bytes: send fewer or smaller images"
        )


async def _chunks(request: Request, limits: Limits, lease: Lease) -> AsyncGenerator[bytes, None]:
    """The body in pieces, until it is too large."""
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        _check_length(total, limits)
        if not lease.grow(len(chunk)):
            raise HTTPException(503, "too many large requests: send it again later", BUSY)
        yield chunk


class _Parser(MultiPartParser):
    """Keeps files in memory, which the limits bound, and not on the disk."""

    spool_max_size = 1 << 62


async def _parse_form(
    request: Request, chunks: AsyncGenerator[bytes, None], limits: Limits
) -> FormData:
    parser = _Parser(
        Headers({"content-type": request.headers["content-type"]}),
        chunks,
        max_files=limits.max_images,
        max_fields=_MAX_FIELDS,
        max_part_size=_MAX_FIELD_BYTES,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"the form cannot be read: {error.message}") from None
    except UnicodeError:  # of a charset that the request names
        raise HTTPException(400, "the form cannot be read: its names are not UTF-8") from None


async def _read_field(name: str, value: UploadFile | str) -> Upload:
    if isinstance(value, str):
        known = name == FIELD
        problem = "is text, not a file" if known else "is unknown (the threshold is in the URL)"
        raise HTTPException(422, f"field {name[:60]!r} {problem}: {_HOW}")
    if name != FIELD:
        raise HTTPException(422, f"file field {name[:60]!r} is unknown: {_HOW}")
    data = await value.read()
    await value.close()
    # A charset of the request can decode to characters that no encoding has.
    readable = (value.filename or "image")[:200].encode("utf-8", "replace").decode()
    return Upload(readable, data)


def make_budget(limits: Limits) -> Budget:
    """The budget for bodies of all requests."""
    return Budget(limits.bytes_in_memory)
