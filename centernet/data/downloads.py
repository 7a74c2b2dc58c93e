"""Download files of public datasets, and resume interrupted downloads.

torch.hub and pooch cannot resume downloads. :mod:`centernet.data.archives` unpacks the files.
"""

import contextlib
import hashlib
import http
import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from centernet.errors import InputError

_CHUNK, _TIMEOUT = 1 << 20, 30.0  # bytes per read; seconds without a byte
_RETRY_AFTER = (1.0, 2.0, 4.0, 8.0)  # seconds; progress resets the sequence
_NOTHING_LEFT = http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


@dataclass(frozen=True)
class Download:
    """A file to download.

    Attributes:
        url: address of the file.
        file: file name on disk.
        md5: published MD5 sum, or None.
    """

    url: str
    file: str
    md5: str | None = None


def fetch(downloads: Sequence[Download], folder: Path) -> list[Path]:
    """Download the files that ``folder`` lacks, check all, and return their paths.

    Raises:
        InputError: a download fails, a checksum is wrong, or the disk is full. The message
            explains what to do, and lists the files to download by other means without an
            internet connection.
    """
    paths = [folder / download.file for download in downloads]
    for number, (download, path) in enumerate(zip(downloads, paths, strict=True)):
        part = path.with_name(f"{path.name}.part")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _download(download.url, part)
                _check(part, download.md5)
                part.rename(path)
            else:
                _check(path, download.md5)
        except ConnectionError as error:
            later = [d.url for d in downloads[number + 1 :] if not (folder / d.file).exists()]
            raise InputError(
                f"cannot download {download.url} ({error}): run this again to resume, or download "
                f"it by other means to {path}" + "".join(f"; also missing: {url}" for url in later)
            ) from None
        except OSError as error:
            raise InputError(f"cannot write {part}: {error.strerror or error}") from None
    return paths


def _check(path: Path, md5: str | None) -> None:
    """Delete an incomplete file (``.part``) with a wrong MD5 sum; raise InputError for any file."""
    if md5 and (found := _md5(path)) != md5:
        remedy = f"remove {path} and run this again"
        if path.suffix == ".part":
            path.unlink()
            remedy = "run this again"
        raise InputError(f"{path} has the MD5 sum {found}, not {md5}: {remedy}")


def network_error(error: Exception) -> str:
    """The reason for a failed request, in one line."""
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.reason}"
    reason = getattr(error, "reason", error)
    return " ".join(str(getattr(reason, "strerror", None) or reason).split())


def _download(url: str, part: Path) -> None:
    """Append the missing bytes to ``part``; retry as long as data arrives."""
    start, waits = _size(part), list(_RETRY_AFTER)
    while True:
        before, reason, is_refused = _size(part), "the connection was cut off", False
        try:
            if _download_rest(url, part):
                return
        except ConnectionError as error:
            reason, is_refused = str(error), isinstance(error.__cause__, urllib.error.URLError)
        if _size(part) > before:
            waits = list(_RETRY_AFTER)
        # Without any data, a server that cannot be reached will hardly be reached soon.
        if not waits or (is_refused and _size(part) == start):
            raise ConnectionError(reason)
        time.sleep(waits.pop(0))


def _download_rest(url: str, part: Path) -> bool:
    """Request the missing bytes of ``part`` once; False if the connection ended early."""
    done = _size(part)
    headers = {"User-Agent": "centernet"} | ({"Range": f"bytes={done}-"} if done else {})
    try:
        with _network():
            request = urllib.request.Request(url, headers=headers)
            response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except ConnectionError as error:
        if done and getattr(error.__cause__, "code", None) == _NOTHING_LEFT:
            return True
        raise
    with response:
        done = done if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
        length = int(response.headers.get("Content-Length", 0))
        if length > (free := shutil.disk_usage(part.parent).free):
            raise OSError(f"it needs {length / 1e9:.1f} GB, the disk has {free / 1e9:.1f} GB free")
        total = done + length if length else None
        with (
            _bar(part.stem, total, done) as bar,
            part.open("ab" if done else "wb") as file,
        ):
            while chunk := _read(response):
                bar.update(file.write(chunk))
    return total is None or _size(part) >= total


def _read(response: http.client.HTTPResponse) -> bytes:
    with _network():
        return response.read(_CHUNK)


@contextlib.contextmanager
def _network() -> Iterator[None]:
    """Raise ConnectionError for network errors, to distinguish them from disk errors."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(network_error(error)) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file, _bar(f"checking {path.name}", _size(path)) as bar:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def _bar(name: str, total: int | None, done: int = 0) -> "tqdm[Any]":
    return tqdm(desc=name, total=total, initial=done, unit="B", unit_scale=True, disable=None)
