import socket

import numpy as np
import pytest
from fakes import Web, picture

from centernet.errors import InputError
from centernet.inference import remote_images
from centernet.inference.remote_images import fetch_image

SPOT = picture(("red", 8, 8), size=(24, 32))


@pytest.fixture
def web():
    with Web() as web:
        yield web


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/a.png", "image/png"),
        ("/a.JPG", ""),  # the content decides on the format
        ("/a.jpg", "text/plain"),
        ("/photo", "image/png"),
        ("/photo.php", "image/jpeg"),
        ("/", "image/png"),
    ],
)
def test_images_are_told_by_suffix_or_content_type(web, path, kind):
    web.serve(path, SPOT, kind)
    image = fetch_image(web.url("", f"{path}?x=1"))
    assert image.name == web.url("", path) and web.asked == [f"{path}?x=1"]
    np.testing.assert_array_equal(image.pixels, SPOT)


@pytest.mark.parametrize(
    ("path", "kind", "requests"),
    [
        ("/clip.mp4", "video/mp4", 0),
        ("/live.m3u8", "application/vnd.apple.mpegurl", 1),
        ("/stream", "multipart/x-mixed-replace; boundary=x", 1),
        ("/video.jpg", "multipart/x-mixed-replace; boundary=x", 1),
        ("/page", "text/html", 1),
        ("/missing", None, 1),
    ],
)
def test_videos_and_streams_are_no_images(web, path, kind, requests):
    if kind is not None:
        web.serve(path, b"content", kind)
    assert fetch_image(web.url("", path)) is None and len(web.asked) == requests


@pytest.mark.parametrize(
    "source", ["0", "a.jpg", "rtsp://host/a.jpg", "http://127.0.0.1:9/x", "http://[::1", "ftp://x"]
)
def test_other_sources_are_no_images(source):
    assert fetch_image(source) is None


def test_spaces_and_letters_in_a_url_are_encoded(web):
    web.serve("/%C3%A4%20b.png", SPOT)
    assert fetch_image(web.url("", "/ä b.png?q=ä")).pixels.shape == (24, 32, 3)
    assert fetch_image(web.url("", "/%C3%A4%20b.png")).pixels.shape == (24, 32, 3)
    assert web.asked == ["/%C3%A4%20b.png?q=%C3%A4", "/%C3%A4%20b.png"]


def test_the_password_of_a_url_is_used_and_not_shown(web):
    web.password = "me:se@cret"
    web.serve("/a.png", SPOT)
    assert fetch_image(web.url("me:se%40cret@", "/a.png")).name == web.url("", "/a.png")
    with pytest.raises(InputError, match="401") as error:
        fetch_image(web.url("me:wrong@", "/a.png?key=wrong"))
    assert "wrong" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("{}/missing.jpg", "/missing.jpg: 404"),
        ("{}/page.jpg", "/page.jpg is not an image"),
        ("http://127.0.0.1:9/a.jpg", "Connection refused"),
        ("http://me:secret@127.0.0.1:port/a.jpg", "http://127.0.0.1:port/a.jpg"),
        ("http://nowhere.invalid/a.jpg?secret", "nowhere.invalid/a.jpg"),
    ],
)
def test_what_fails_is_told_in_one_line(web, url, words):
    web.serve("/page.jpg", b"<html>", "text/html")
    with pytest.raises(InputError, match=words) as error:
        fetch_image(url.format(web.url("", "")))
    assert "\n" not in str(error.value) and "secret" not in str(error.value)


def test_a_server_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(remote_images, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match=r"/a\.jpg: timed out"):
            fetch_image(f"{url}/a.jpg")
        assert fetch_image(f"{url}/a") is None


def test_too_large_an_image_is_refused(web, monkeypatch):
    monkeypatch.setattr(remote_images, "_MAX_BYTES", 20)
    web.serve("/a.png", SPOT)
    with pytest.raises(InputError, match=r"/a\.png is larger than"):
        fetch_image(web.url("", "/a.png"))
