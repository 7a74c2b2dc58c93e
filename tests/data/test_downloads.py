import contextlib
import errno
import hashlib
import http.client
import http.server
import io
import re
import ssl
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from centernet.data import downloads
from centernet.data.downloads import Archive, fetch, fetch_all, unpacked
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
def archive(server):
    return Archive(server.url, md5=MD5)


def test_a_file_is_fetched_once(server, archive, tmp_path):
    path = fetch(archive, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "file.bin"
    assert path.read_bytes() == CONTENT
    assert fetch(archive, path.parent) == path
    assert server.ranges == [None]
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_it_goes_on_after_being_cut_off(server, archive, tmp_path):
    server.cuts = [1000, 5000, 0, 7]
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-", "bytes=6000-", "bytes=6000-", "bytes=6007-"]


def test_it_goes_on_after_the_network_went_away(server, archive, tmp_path, monkeypatch):
    read = http.client.HTTPResponse.read
    answers = [None, OSError(errno.EHOSTUNREACH, "No route to host"), None, ssl.SSLError("broken")]

    def sometimes(response, amount):
        answer = answers.pop(0) if answers else None
        if answer:
            raise answer
        return read(response, 1000 if answers else amount)

    monkeypatch.setattr(http.client.HTTPResponse, "read", sometimes)
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-", "bytes=2000-"]
    (tmp_path / "file.bin").unlink()
    answers += 3 * [OSError(errno.ENETDOWN, "Network is down")]
    with pytest.raises(InputError, match=r"cannot fetch .* \(Network is down\)"):
        fetch(archive, tmp_path)


def test_it_goes_on_in_a_later_run(server, archive, tmp_path):
    server.cuts = [1000, 0, 0, 0]
    with pytest.raises(InputError) as error:
        fetch(archive, tmp_path)
    target = tmp_path / "file.bin"
    assert str(error.value).startswith(f"cannot fetch {server.url} (the connection was cut off)")
    assert str(error.value).endswith(f"or fetch it elsewhere and put it at {target}")
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin.part"]
    server.cuts.clear()
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=1000-"


def test_a_server_without_ranges_starts_anew(server, archive, tmp_path):
    server.knows_ranges, server.cuts = False, [1000]
    assert fetch(archive, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_whole_is_taken(server, archive, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_a_wrong_checksum_is_said_and_the_file_removed(server, tmp_path):
    with pytest.raises(InputError, match=f"MD5 sum {MD5}, not {'0' * 32}: .*run this again"):
        fetch(Archive(server.url, md5="0" * 32), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_put_there_by_hand_is_checked_but_never_removed(server, archive, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"not .*: remove .*file\.bin and run this again"):
        fetch(archive, tmp_path)
    assert path.read_bytes() == b"something else" and server.ranges == []


def test_without_a_network_it_says_what_to_put_where(tmp_path):
    closed = http.server.HTTPServer(("127.0.0.1", 0), None)
    url = f"http://127.0.0.1:{closed.server_port}/a.zip"
    closed.server_close()
    with pytest.raises(InputError) as error:
        fetch(Archive(url, name="b.zip"), tmp_path)
    assert re.fullmatch(
        rf"cannot fetch {url} \(.*refused\): run this again to go on, "
        rf"or fetch it elsewhere and put it at {tmp_path / 'b.zip'}",
        str(error.value),
    )


def test_all_that_is_to_be_put_there_is_named(server, archive, tmp_path):
    missing = server.url.replace("file", "missing")
    more = [Archive(server.url, name=name, md5=MD5) for name in ("x", "y", "z")]
    (tmp_path / "y").write_bytes(CONTENT)
    assert fetch_all([archive, more[1]], tmp_path) == [tmp_path / "file.bin", tmp_path / "y"]
    with pytest.raises(
        InputError, match=rf"missing\.bin; then come {server.url} and {server.url}$"
    ):
        fetch_all([archive, Archive(missing), *more], tmp_path)


def test_what_is_not_there_is_not_asked_for_again(server, tmp_path):
    with pytest.raises(InputError, match=r"\(404 Not Found\)"):
        fetch(Archive(server.url.replace("file", "missing")), tmp_path)
    assert len(server.ranges) == 1


def test_a_full_disk_is_seen_before(server, archive, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: Free(1000))
    with pytest.raises(InputError, match=r"file\.bin needs 0\.0 GB more"):
        fetch(archive, tmp_path)


class Free:
    def __init__(self, free):
        self.free = free


def zipped(method=zipfile.ZIP_DEFLATED, **files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in files.items():
            file.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def damaged_after(name: bytes, content: bytes) -> bytes:
    """The first byte of a compressed member, which follows its name, is overwritten.

    The name must be long enough not to occur in the header before it, which holds the time.
    """
    start = content.index(name) + len(name)
    return content[:start] + b"\xff" + content[start + 1 :]


def test_without_a_published_sum_the_archive_checks_itself(server, tmp_path):
    server.content = zipped(a__inside="text" * 100)
    archive = Archive(server.url, name="a.zip")
    assert fetch(archive, tmp_path).read_bytes() == server.content
    (tmp_path / "a.zip").unlink()
    garbled = damaged_after(b"a/inside", server.content)
    changed = zipped(zipfile.ZIP_STORED, a="text").replace(b"text", b"tent")
    for damaged in (server.content[:-30], garbled, changed, b"<html>"):
        server.content = damaged
        with pytest.raises(InputError, match=r"a\.zip\.part is damaged .*run this again"):
            fetch(archive, tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_a_damaged_archive_is_not_unpacked(tmp_path):
    content = damaged_after(b"inside", zipped(inside="text" * 100))
    (tmp_path / "a.zip").write_bytes(content)
    with (
        pytest.raises(InputError, match=r"a\.zip cannot be unpacked, fetch it anew: .*invalid"),
        unpacked([tmp_path / "a.zip"], tmp_path / "out"),
    ):
        pass


def test_archives_are_unpacked_into_one_folder_that_goes_again(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(top__a="1", top__no="2"))
    with tarfile.open(tmp_path / "b.tar", "w") as file:
        for name in ("top/b", "top/no"):
            entry = tarfile.TarInfo(name)
            entry.size = 1
            file.addfile(entry, io.BytesIO(b"3"))
    archives = [tmp_path / "a.zip", tmp_path / "b.tar"]
    with unpacked(archives, tmp_path / "out", wanted=lambda name: "no" not in name) as folder:
        found = {
            str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()
        }
        assert found == {"top/a": "1", "top/b": "3"}
        assert folder.parent.parent == tmp_path
    assert not folder.exists()


def test_tar_files_are_unpacked_by_the_first_python_3_11(tmp_path, monkeypatch):
    def extract(self, member, path="", set_attrs=True, *, numeric_owner=False):
        """Knows no filter, and leaves the folder where the archive says so."""

    monkeypatch.setattr(tarfile.TarFile, "extract", extract)
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.addfile(tarfile.TarInfo("top/a"), io.BytesIO())
    with unpacked([tmp_path / "a.tar"], tmp_path / "out") as folder:
        assert (folder / "top" / "a").exists()


def test_nothing_leaves_the_folder(tmp_path):
    with tarfile.open(tmp_path / "b.tar", "w") as file:
        file.addfile(tarfile.TarInfo("../../evil"), io.BytesIO())
    with (
        pytest.raises(InputError, match=r"b\.tar cannot be unpacked, fetch it anew"),
        unpacked([tmp_path / "b.tar"], tmp_path / "in" / "out"),
    ):
        pass
    assert not list(Path(tmp_path).rglob("evil"))
    assert list((tmp_path / "in").iterdir()) == []
