"""The answers of the server: detections, errors, pages, access."""

import base64
import io
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fakes import picture, spot_detector
from http_server import MULTIPART, form, part, png, post, running
from PIL import Image

from centernet.inference.output_paths import ResultName
from centernet.inference.outputs import JsonLines
from centernet.serve.limits import Limits

RAW = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def server():
    with running() as server:
        yield server


def test_an_empty_image_has_no_detections(server):
    answer = server.send(post(png(picture()), RAW))
    assert answer.status == 200 and answer.headers["cache-control"] == "no-store"
    assert answer.json["images"] == [
        {"source": "image", "width": 128, "height": 128, "detections": []}
    ]


def test_detections_are_those_of_detect(server, tmp_path):
    """Also for several images of several formats, in their order."""
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    file = io.BytesIO()
    pixels = picture(("red", 12, 8), ("blue", 60, 20), size=(64, 96))
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, exif=exif)
    files = {"a b.png": png(), "größe.webp": file.getvalue()}
    answer = server.send(post(form(*(part(data, filename=name) for name, data in files.items()))))
    detector, expected = spot_detector(), []
    with JsonLines(tmp_path) as lines:
        for name, data in files.items():
            (tmp_path / "file").write_bytes(data)
            prediction = detector.predict(tmp_path / "file", threshold=0.3)
            lines.write(prediction, ResultName(name, tmp_path, tmp_path))
    for line in (tmp_path / "detections.jsonl").read_text().splitlines():
        expected.append(json.loads(line))
    assert answer.json["images"] == expected
    assert [len(one["detections"]) for one in expected] == [1, 2]
    assert (expected[1]["width"], expected[1]["height"]) == (64, 96)
    seconds = answer.json["seconds"]
    assert seconds.keys() == {"receive", "load", "wait", "network", "decode", "total"}
    assert 0 < seconds["network"] < seconds["total"] and seconds["load"] > 0


@pytest.mark.parametrize(
    ("query", "status", "count"),
    [
        ("", 200, 1),
        ("?threshold=0.01", 200, 2),
        ("?threshold=1", 200, 0),
        ("?threshold=best", 422, None),
        ("?threshold=1.5", 422, None),
        ("?threshold=nan", 422, None),
        ("?threshold=high", 422, None),
        ("?threshold=", 422, None),
    ],
)
def test_thresholds(server, query, status, count):
    image = picture(("red", 40, 60))
    image[100:104, 20:24] = (90, 0, 0)  # score 0.05
    answer = server.send(post(png(image), RAW, f"/detect{query}"))
    assert answer.status == status
    if count is None:
        assert "threshold" in answer.json["detail"]
    else:
        assert len(answer.json["images"][0]["detections"]) == count


def test_each_of_several_requests_gets_its_own_answer(server):
    spots = [(4 * i, 8 * (i % 5) + 4) for i in range(30)]

    def ask(spot):
        body = png(picture(("blue", *spot)))
        threshold = "?threshold=0.5" if spot[0] % 3 else ""
        answer = server.send(post(body, RAW, f"/detect{threshold}"))
        return answer.json["images"][0]["detections"]

    with ThreadPoolExecutor(30) as pool:
        found = list(pool.map(ask, spots))
    for (x, y), detections in zip(spots, found, strict=True):
        (one,) = detections
        assert one["class"] == "blue" and one["box"] == [
            max(0, x - 6),
            y - 2,
            min(128, x + 10),
            y + 6,
        ]


def test_health_and_metadata(server):
    assert server.get("/health").json == {"status": "ok"}
    about = server.get("/metadata").json
    assert about["classes"] == ["red", "blue", "white"] and about["input_size"] == [128, 128]
    assert about["thresholds"] == [0.3] * 3 and about["best_thresholds"] is None
    assert about["limits"]["bytes"] == Limits().max_bytes and about["engine"] == "torch"


def test_metrics_count_requests_images_and_batches():
    with running() as server:
        server.send(post(png(), RAW))
        server.send(post(form(part(png()), part(png()))))
        server.send(post(b"x", RAW))
        for path in ("/nowhere", "/else", "/health"):
            server.get(path)
        text = server.get("/metrics").body.decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert values['centernet_requests_total{path="/detect",status="200"}'] == "2.0"
    assert values['centernet_requests_total{path="/detect",status="422"}'] == "1.0"
    assert values['centernet_requests_total{path="other",status="404"}'] == "2.0"
    assert values["centernet_images_total"] == "3.0" == values["centernet_batch_size_sum"]
    assert values["centernet_requests_active"] == "0.0" == values["centernet_images_waiting"]
    assert float(values['centernet_step_seconds_total{step="network"}']) > 0
    assert float(values["process_resident_memory_bytes"]) > 1e7


def test_errors_are_json(server):
    for answer, status, word in (
        (server.get("/nowhere"), 404, "/docs"),
        (server.get("/detect"), 405, "GET"),
        (server.send(post(b"", RAW, "/health")), 405, "POST"),
    ):
        assert answer.status == status and answer.headers["content-type"] == "application/json"
        assert answer.json.keys() == {"detail"} and word in answer.json["detail"]
        assert "server" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_failure_is_500_without_its_reason(capfd):
    detector = spot_detector()
    detector.predict_batch = lambda *_, **__: 1 / 0
    with running(detector) as server:
        answer = server.send(post(png(), RAW))
        assert answer.status == 500 and answer.json.keys() == {"detail"}
        assert "division" not in answer.json["detail"]
        assert server.get("/health").status == 200
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_the_docs_page_describes_everything_and_loads_nothing(server):
    page = server.get("/docs", {"Host": "detector.example:80"}).body.decode()
    for word in ("POST", "/detect", "/health", "/metadata", "threshold", "DetectedImage", "503"):
        assert word in page
    assert "http://detector.example:80/detect" in page
    assert not re.search(r"<script|<img|<link rel=.(?!icon)|@import|url\(", page)
    strange = server.get("/docs", {"Host": '"><b>'})
    assert strange.status == 200 and b"<b>" not in strange.body


def test_the_openapi_document(server):
    document = server.get("/openapi.json").json
    assert document["paths"].keys() == {"/detect", "/health", "/metadata"}
    body = document["paths"]["/detect"]["post"]["requestBody"]["content"]
    assert {"multipart/form-data", "image/*"} <= body.keys()


def test_a_token_protects_all_but_health():
    secret = "s3cret-wörd"
    with running(token=secret) as server:
        basic = base64.b64encode(f"me:{secret}".encode()).decode()
        bearer = f"Bearer {secret}".encode().decode("latin-1")
        for path in ("/", "/detect", "/metadata", "/metrics", "/docs", "/openapi.json", "/x"):
            answer = server.get(path)
            assert answer.status == 401 and "Bearer" in answer.headers["www-authenticate"]
        assert server.get("/health").status == 200
        for wrong in (
            "Bearer x",
            "Bearer",
            f"Basic {basic[:-4]}",
            "Basic ö",
            f"Token {secret}",
            "",
        ):
            assert post_with(server, wrong.encode().decode("latin-1")).status == 401, wrong
        for right in (bearer, f"Basic {basic}", bearer.replace("Bearer", "bearer")):
            assert post_with(server, right).status == 200
        document = server.get("/openapi.json", {"Authorization": bearer}).json
        assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"


def post_with(server, authorization: str):
    return server.send(post(png(), RAW | {"Authorization": authorization}))


def test_other_origins_are_allowed_by_name_only(server):
    headers = {"Origin": "https://a.example"}
    assert not any(
        name.startswith("access-control") for name in server.get("/health", headers).headers
    )
    with running(origins=["https://a.example"]) as other:
        allowed = other.get("/health", headers).headers
        assert allowed["access-control-allow-origin"] == "https://a.example"
        strange = other.get("/health", {"Origin": "https://b.example"}).headers
        assert "access-control-allow-origin" not in strange


def test_further_requests_are_refused_while_the_queue_is_full():
    entered, release = threading.Event(), threading.Event()
    detector = spot_detector()
    predict = detector.predict_batch

    def wait(*arguments, **options):
        entered.set()
        release.wait(20)
        return predict(*arguments, **options)

    detector.predict_batch = wait
    with (
        running(detector, limits=Limits(queue=2, timeout=20)) as server,
        ThreadPoolExecutor() as pool,
    ):
        first = pool.submit(server.send, post(png(), RAW))
        entered.wait(20)
        second = pool.submit(server.send, post(png(), RAW))
        while server.service.metrics.active._value.get() < 2:
            pass
        third = server.send(post(png(), RAW))
        assert third.status == 503 and int(third.headers["retry-after"]) >= 1
        assert server.get("/health").status == 200
        server.service.stopping = True
        assert server.get("/health").status == 503
        release.set()
        assert first.result().status == second.result().status == 200


def test_what_waits_too_long_is_dropped():
    release, sizes = threading.Event(), []
    detector = spot_detector()
    predict = detector.predict_batch

    def wait(images, *arguments, **options):
        sizes.append(len(images))
        release.wait(20)
        return predict(images, *arguments, **options)

    detector.predict_batch = wait
    with (
        running(detector, limits=Limits(timeout=0.3), batch_size=1) as server,
        ThreadPoolExecutor() as pool,
    ):
        late = list(pool.map(server.send, [post(png(), RAW)] * 3))
        assert {answer.status for answer in late} == {504} and "0.3 s" in late[0].json["detail"]
        release.set()
        assert server.send(post(png(), RAW)).status == 200
    assert sizes == [1, 1]  # the first, which had started, and the last


def test_work_for_clients_that_are_gone_is_dropped():
    entered, release, sizes = threading.Event(), threading.Event(), []
    detector = spot_detector()
    predict = detector.predict_batch

    def wait(images, *arguments, **options):
        sizes.append(len(images))
        entered.set()
        release.wait(20)
        return predict(images, *arguments, **options)

    detector.predict_batch = wait
    with running(detector, batch_size=1) as server, ThreadPoolExecutor() as pool:
        first = pool.submit(server.send, post(png(), RAW))
        entered.wait(20)
        for _ in range(5):
            with server.connect() as connection:
                connection.sendall(post(png(), RAW))
                while server.service.metrics.active._value.get() < 2:
                    pass
            while server.service.metrics.active._value.get() > 1:
                pass
        release.set()
        assert first.result().status == 200
        assert server.send(post(png(), RAW)).status == 200
    assert len(sizes) == 2


def test_a_bad_image_of_several_is_named(server):
    body = form(part(png(), filename="good.png"), part(b"x" * 99, filename="bad.png"))
    answer = server.send(post(body, MULTIPART))
    assert answer.status == 422 and "bad.png" in answer.json["detail"]
    cut = png()[:-20]
    assert "truncated" in server.send(post(cut, RAW)).json["detail"]


def test_pixels_of_all_requests_together_are_bounded():
    side = 64
    images = [png(np.zeros((side, side, 3), np.uint8))] * 4
    with running(limits=Limits(max_pixels=side * side, timeout=20)) as server:
        answer = server.send(post(form(*map(part, images))))
        assert answer.status == 200 and len(answer.json["images"]) == 4
        budget = server.service._pixels
        assert budget.take(2 * side * side) and not budget.take(1)
