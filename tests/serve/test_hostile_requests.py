"""Requests that are damaged, too large or meant to do harm: each is refused, and nothing else."""

import io
import struct
import zlib

import numpy as np
import pytest
from http_server import BOUNDARY, MULTIPART, form, part, png, post, running
from PIL import Image

from centernet.serve.limits import Limits

LIMITS = Limits(max_bytes=200_000, max_pixels=1_000_000, max_images=3, timeout=5)
RAW = {"Content-Type": "image/png"}
CHUNKED = {"Transfer-Encoding": "chunked", "Content-Length": ""}


@pytest.fixture(scope="module")
def server():
    with running(limits=LIMITS, token=None) as server:
        yield server


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in parts) + b"0\r\n\r\n"


def png_chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def claimed_png(width: int, height: int, pixels: bytes = zlib.compress(bytes(1000))) -> bytes:
    """A small file that claims a size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = [png_chunk(b"IHDR", head), png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def claimed_tiff(side: int) -> bytes:
    tags = struct.pack("<HHIIHHIII", 256, 4, 1, side, 257, 4, 1, side, 0)
    return b"II*\0\x08\0\0\0\x02\0" + tags


def charset(name: str) -> dict[str, str]:
    return {"Content-Type": f"multipart/form-data; boundary=XX; charset={name}"}


def saved(kind: str, size=(64, 48), **options) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind, **options)
    return file.getvalue()


def jpeg_of_many_scans() -> bytes:
    data = saved("JPEG", progressive=True)
    start, end = data.rfind(b"\xff\xda"), data.rfind(b"\xff\xd9")
    return data[:end] + data[start:end] * 1000 + data[end:]


def jpeg_2000_with_a_larger_codestream() -> bytes:
    data = saved("JPEG2000")
    at = data.find(b"\xff\x4f\xff\x51") + 8
    return data[:at] + struct.pack(">II", 60_000, 60_000) + data[at + 8 :]


def one(data: bytes, **options) -> bytes:
    return post(form(part(data, **options)))


def headed(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def typed(kind: str, body: bytes = b"{}") -> bytes:
    return post(body, {"Content-Type": kind})


BOMB = zlib.compress(b"\0" * 50_000_000, 9)
# What is sent, and the status of the answer.
REQUESTS = {
    # Not HTTP, or at its limits.
    "no http": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50 + b"\r\n\r\n", 400),
    "no host": (headed("GET /health HTTP/1.1"), 400),
    "two hosts": (headed("GET /health HTTP/1.1", "Host: a", "Host: b"), 400),
    "an unknown version": (headed("GET /health HTTP/x", "Host: x"), 400),
    "a header of 1 MB": (headed("GET /health HTTP/1.1", "Host: x", "A: " + "b" * 10**6), 400),
    "100,000 headers": (headed("GET /health HTTP/1.1", "Host: x", *["A: bcdefgh"] * 100_000), 400),
    "a null byte in a header": (headed("GET /health HTTP/1.1", "Host: x", "A: \0"), 400),
    "a path of 1 MB": (headed(f"GET /{'a' * 10**6} HTTP/1.1", "Host: x"), 400),
    "a folded header": (headed("GET /nowhere HTTP/1.1", "Host: x", "A: b", " c"), 404),
    "a path out of the server": (headed("GET /../../etc/passwd HTTP/1.1", "Host: x"), 404),
    "an encoded path": (headed("GET /%2e%2e/%2e%2e/etc/passwd%00 HTTP/1.1", "Host: x"), 404),
    "another server's URL": (headed("GET http://a.example/b HTTP/1.1", "Host: x"), 404),
    "a websocket": (
        headed("GET /x HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket"),
        404,
    ),
    "an unknown method": (headed("BREW /detect HTTP/1.1", "Host: x"), 405),
    "CONNECT": (headed("CONNECT a.example:443 HTTP/1.1", "Host: x"), 404),
    "TRACE": (headed("TRACE /detect HTTP/1.1", "Host: x"), 405),
    "length and chunks": (
        post(chunks(png()), RAW | {"Transfer-Encoding": "chunked", "Content-Length": "5"}),
        400,
    ),
    "a length that is no number": (post(b"", RAW | {"Content-Length": "1e3"}), 400),
    "a negative length": (post(b"", RAW | {"Content-Length": "-1"}), 400),
    "a length of 30 digits": (post(b"", RAW | {"Content-Length": "9" * 30}), 400),
    "two lengths": (
        post(png(), RAW).replace(b"\r\n\r\n", b"\r\nContent-Length: 7\r\n\r\n", 1),
        400,
    ),
    "a damaged chunk": (post(b"zz\r\n", RAW | CHUNKED), 400),
    # The size of the body.
    "a large length": (post(b"", RAW | {"Content-Length": "200001"}), 413),
    "a length of 9 digits": (post(b"", RAW | {"Content-Length": "9" * 9}), 413),
    "a large body": (post(bytes(300_000), RAW), 413),
    "a large body in chunks": (post(chunks(*[bytes(50_000)] * 6), RAW | CHUNKED), 413),
    "a large form in chunks": (
        post(chunks(part(bytes(300_000)), form()), MULTIPART | CHUNKED),
        413,
    ),
    # The type of the body.
    "no type": (post(png(), {"X": "y"}), 415),
    "json": (typed("application/json"), 415),
    "a URL in json": (typed("application/json", b'{"url": "http://a.example/b.jpg"}'), 415),
    "a URL as text": (typed("text/plain", b"http://a.example/b.jpg"), 415),
    "a URL in a form of text": (
        typed("application/x-www-form-urlencoded", b"image=http%3A%2F%2Fa.example%2Fb.jpg"),
        415,
    ),
    "a strange type": (typed("\xff/" + "x" * 5000), 415),
    # Forms.
    "a URL instead of a file": (one(b"http://169.254.169.254/", filename=None), 422),
    "a file URL instead of a file": (one(b"file:///etc/passwd", filename=None), 422),
    "a URL as the content of a file": (one(b"http://a.example/b.jpg"), 422),
    "an unknown file field": (one(png(), name="photo"), 422),
    "the threshold as a field": (
        post(form(part(png()), part(b"0.5", name="threshold", filename=None))),
        422,
    ),
    "no boundary": (post(form(part(png())), {"Content-Type": "multipart/form-data"}), 400),
    "an empty boundary": (
        post(form(part(png())), {"Content-Type": "multipart/form-data; boundary="}),
        400,
    ),
    "another boundary": (
        post(form(part(png())), {"Content-Type": "multipart/form-data; boundary=YY"}),
        400,
    ),
    "an empty body": (post(b""), 422),
    "an empty form": (post(form()), 422),
    "a form without its end": (post(part(png())), 422),
    "a part without a name": (
        post(form(b"--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n")),
        400,
    ),
    "a part without headers": (post(form(b"--XX\r\n\r\nx\r\n")), 400),
    "1,000 fields": (post(form(*[part(b"", name="a", filename=None)] * 1000)), 400),
    "too many files": (post(form(*[part(png())] * 4)), 400),
    "1,000 empty files": (post(form(*[part(b"")] * 1000)), 400),
    "1,000 headers of a part": (one(png(), more="A: b\r\n" * 1000), 400),
    "a header of a part of 100 KB": (one(png(), more=f"A: {'b' * 100_000}\r\n"), 400),
    "a field name of 100 KB": (one(png(), name="a" * 100_000), 400),
    "a text field of 100 KB": (one(b"a" * 100_000, filename=None), 400),
    "10,000 boundaries": (post((b"--" + BOUNDARY + b"\r\n") * 10_000), 400),
    "a charset that always fails": (
        post(form(part(b"x")), charset("undefined")),
        400,
    ),
    "a charset that makes surrogates": (
        post(
            form(part(b"x", filename=r"\ud800.png")),
            charset("unicode_escape"),
        ),
        422,
    ),
    "a charset that unpacks": (
        post(form(part(b"x")), charset("zlib")),
        422,
    ),
    # Files.
    "an empty file": (one(b""), 422),
    "text": (one(b"hello"), 422),
    "zeros": (one(bytes(100_000)), 422),
    "svg": (one(b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/a'/>"), 422),
    "html": (one(b"<script>alert(1)</script>", filename="a.html"), 422),
    "a file name that is a path": (one(b"x", filename="../../../etc/passwd"), 422),
    "a file name with markup": (one(b"x", filename="<script>alert(1)</script>"), 422),
    "a file name with a line feed": (one(b"x", filename="a\x0bb"), 422),
    "a pickle": (one(b"\x80\x04\x95\x1a\x00\x00\x00cos\nsystem\n(S'id'\ntR."), 422),
    "half a png": (one(png()[:-30]), 422),
    "half a jpeg": (one(png(kind=".jpg")[:400]), 422),
    "a png of 50,000 x 50,000": (one(claimed_png(50_000, 50_000)), 422),
    "a png of 4 billion x 4 billion": (one(claimed_png(2**32 - 1, 2**32 - 1)), 422),
    "a png of 0 x 0": (one(claimed_png(0, 0)), 422),
    "a png with too little data": (one(claimed_png(900, 900)), 422),
    "more pixels than allowed": (one(saved("PNG", (1001, 1000))), 422),
    "a jpeg of more pixels": (one(saved("JPEG", (1100, 1000))), 422),
    "a jpeg of 1,000 scans": (one(jpeg_of_many_scans()), 422),
    "a jpeg 2000 of two sizes": (one(jpeg_2000_with_a_larger_codestream()), 422),
    "a tiff of 60,000 x 60,000": (
        one(claimed_tiff(60_000)),
        422,
    ),
    # The query.
    "a threshold above 1": (post(form(part(png())), target="/detect?threshold=2"), 422),
    "a threshold that is no number": (post(form(part(png())), target="/detect?threshold=a"), 422),
    "a threshold of 5 KB": (post(form(part(png())), target=f"/detect?threshold={'9' * 5000}"), 422),
    "an infinite threshold": (post(form(part(png())), target="/detect?threshold=inf"), 422),
    "a broken query": (post(form(), target="/detect?%ff%fe&&=&threshold=%00"), 422),
}  # fmt: skip
# Unusual, but correct: the answer is 200.
ACCEPTED = {
    "an image with a zip after it": one(png() + b"PK\x03\x04" * 100),
    "a gif of 500 frames": one(
        saved("GIF", save_all=True, append_images=[
            Image.new("RGB", (64, 48), (i % 256, i // 256, 0)) for i in range(500)
        ])
    ),
    "a png whose pixels unpack to 50 MB": one(claimed_png(10, 10, pixels=BOMB)),
    "a png with text that unpacks to 50 MB": one(
        png()[:33] + png_chunk(b"zTXt", b"a\0\0" + BOMB) + png()[33:]
    ),
    "chunks of one byte": post(chunks(*(bytes([byte]) for byte in png())), RAW | CHUNKED),
    "the type of another format": post(png(), {"Content-Type": "image/jpeg"}),
    "quotes in the boundary": post(
        form(part(png())), {"Content-Type": 'multipart/form-data; boundary="XX"'}
    ),
    "a file name of 3,000 characters": one(png(), filename="a" * 3000),
    "an unknown parameter": post(form(part(png())), target="/detect?url=http://a.example/b.jpg"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def still_answers(server):
    """After each request the server detects as before."""
    yield
    assert server.get("/health").status == 200
    (image,) = server.send(post(png(), RAW)).json["images"]
    assert [one["class"] for one in image["detections"]] == ["red"]
    assert server.service._active == 0
    assert server.service._bodies._free == LIMITS.bytes_in_memory
    assert server.service._pixels._free == LIMITS.pixels_in_memory


@pytest.mark.parametrize(("request_", "status"), REQUESTS.values(), ids=REQUESTS)
def test_it_is_refused(server, request_, status):
    answer = server.send(request_)
    assert answer.status == status, answer.body
    assert answer.json.keys() == {"detail"} and 10 < len(answer.body) < 1200
    detail = answer.json["detail"]
    assert "/tmp" not in detail and "Traceback" not in detail and "\n" not in detail


@pytest.mark.parametrize("request_", ACCEPTED.values(), ids=ACCEPTED)
def test_it_is_accepted(server, request_):
    assert server.send(request_).status == 200


def test_random_bytes_are_refused(server):
    rng = np.random.default_rng(0)
    for _ in range(100):
        data = bytearray(one(png()))
        for at in rng.integers(0, len(data), 8):
            data[at] = rng.integers(256)
        answer = server.send(bytes(data) + b"\r\n\r\n" * 50)
        assert answer.status == 200 or 400 <= answer.status < 500, (answer, bytes(data))
