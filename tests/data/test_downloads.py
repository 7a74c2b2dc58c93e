import contextlib
import errno
import hashlib
import http.client
import http.server
import re
import ssl
import threading

import pytest

from centernet.data import downloads
from centernet.data.downloads import Download, fetch
from centernet.errors import InputError

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server:
    """Serves CONTENT at any path; can cut it off, and notes what it is asked for."""

    def __init__(self):
        self.ranges, self.cuts, self.knows_ranges, self.content = [], [], True, CONTENT
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/folder/file.bin"
        threading.Thread(target=self.http.serve_forever, args=[0.01], daemon=True).start()

    def answer(self, request):
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        if "missing" in request.path:
            request.send_error(404, "Not Found")
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.knows_ranges else 0
        if start >= len(self.content):
            request.send_error(416)
            return
        body = self.content[start:]
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        with contextlib.suppress(ConnectionError):  # whoever asks may go away
            request.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(downloads, "_RETRY_AFTER", (0.0, 0.0))
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def file(server):
    return Download(server.url, "file.bin", MD5)


def test_a_file_is_downloaded_once(server, file, tmp_path):
    (path,) = fetch([file], tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "file.bin"
    assert path.read_bytes() == CONTENT
    assert fetch([file], path.parent) == [path]
    assert server.ranges == [None]
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_a_download_resumes_after_a_cut_off(server, file, tmp_path):
    server.cuts = [1000, 5000, 0, 7]
    assert fetch([file], tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-", "bytes=6000-", "bytes=6000-", "bytes=6007-"]


def test_a_download_resumes_after_network_errors(server, file, tmp_path, monkeypatch):
    read = http.client.HTTPResponse.read
    answers = [None, OSError(errno.EHOSTUNREACH, "No route to host"), None, ssl.SSLError("broken")]

    def sometimes(response, amount):
        answer = answers.pop(0) if answers else None
        if answer:
            raise answer
        return read(response, 1000 if answers else amount)

    monkeypatch.setattr(http.client.HTTPResponse, "read", sometimes)
    assert fetch([file], tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-", "bytes=2000-"]
    (tmp_path / "file.bin").unlink()
    answers += 3 * [OSError(errno.ENETDOWN, "Network is down")]
    with pytest.raises(InputError, match=r"file\.bin \(Network is down\)"):
        fetch([file], tmp_path)


def test_a_later_run_resumes(server, file, tmp_path):
    server.cuts = [1000, 0, 0, 0]
    with pytest.raises(InputError, match=f"{server.url}.*{tmp_path / 'file.bin'}$"):
        fetch([file], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin.part"]
    server.cuts.clear()
    assert fetch([file], tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=1000-"


def test_a_server_without_ranges_starts_again(server, file, tmp_path):
    server.knows_ranges, server.cuts = False, [1000]
    assert fetch([file], tmp_path)[0].read_bytes() == CONTENT


def test_a_complete_part_is_accepted(server, file, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch([file], tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize("present", [False, True])
def test_of_wrong_checksums_only_that_of_a_download_deletes_the_file(server, tmp_path, present):
    path = tmp_path / "file.bin"
    if present:
        path.write_bytes(CONTENT)
    with pytest.raises(InputError, match=f"{MD5}, not {'0' * 32}"):
        fetch([Download(server.url, "file.bin", "0" * 32)], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"] * present
    assert len(server.ranges) == (not present)


def test_without_internet_the_message_names_url_and_file(tmp_path):
    closed = http.server.HTTPServer(("127.0.0.1", 0), None)
    url = f"http://127.0.0.1:{closed.server_port}/a.zip"
    closed.server_close()
    with pytest.raises(InputError, match=rf"{url} \(.*refused\).*{tmp_path / 'b.zip'}$") as error:
        fetch([Download(url, "b.zip")], tmp_path)
    assert "\n" not in str(error.value)


def test_the_message_names_all_files_that_are_missing(server, file, tmp_path):
    missing = server.url.replace("file", "missing")
    more = [Download(server.url + name, name, MD5) for name in ("x", "y", "z")]
    (tmp_path / "y").write_bytes(CONTENT)
    assert fetch([file, more[1]], tmp_path) == [tmp_path / "file.bin", tmp_path / "y"]
    with pytest.raises(InputError, match=rf"missing\.bin.*{server.url}x.*{server.url}z$") as error:
        fetch([file, Download(missing, "missing.bin"), *more], tmp_path)
    assert f"{server.url}y" not in str(error.value)


def test_a_missing_file_is_requested_once(server, tmp_path):
    with pytest.raises(InputError, match=r"\(404 Not Found\)"):
        fetch([Download(server.url.replace("file", "missing"), "a")], tmp_path)
    assert len(server.ranges) == 1


def test_a_full_disk_is_reported_before_the_download(server, file, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: Free(1000))
    with pytest.raises(InputError, match=r"cannot write .*file\.bin\.part: .*0\.0 GB free"):
        fetch([file], tmp_path)
    assert not list(tmp_path.iterdir())


class Free:
    def __init__(self, free):
        self.free = free
