"""Public archives: fetched with resume, checked, unpacked; a clear word where there is no network.

The scripts in ``data/`` are made of these.
"""

import contextlib
import hashlib
import http.client
import lzma
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from centernet.errors import InputError

_CHUNK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte
# Seconds to wait before going on after a cut-off; a byte more than before starts them anew.
_RETRY_AFTER = (1.0, 2.0, 4.0, 8.0)
# The last two are of encrypted files and of unknown methods of compression.
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, tarfile.TarError, EOFError, ValueError,
    RuntimeError, NotImplementedError,
)  # fmt: skip
# Unpacked, an archive may have so many times its bytes, and so many more; images hardly shrink.
_MOST_TIMES, _MOST_MORE = 50, 10**9


@dataclass(frozen=True)
class Archive:
    """A file to fetch.

    Attributes:
        url: where it is.
        name: of the file here; by default the last part of the URL.
        md5: what is published of it, if anything; without, it must be a zip, which is checked by
            the sums that it carries itself.
    """

    url: str
    name: str = ""
    md5: str | None = None

    @property
    def file(self) -> str:
        """The name of the file here."""
        return self.name or Path(urllib.parse.urlsplit(self.url).path).name


def fetch(archive: Archive, folder: str | Path) -> Path:
    """The archive's file in ``folder``, fetched where it is not there yet, and checked.

    What an interrupted download left (``NAME.part``) is gone on with.

    Raises:
        InputError: it cannot be fetched, with what to do by hand; or it is not what it should be.
    """
    folder = Path(folder)
    target, part = folder / archive.file, folder / f"{archive.file}.part"
    if target.exists():
        _check(archive, target, f"remove {target} and run this again")
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _download(archive, part, target)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        raise InputError(_by_hand(archive, target, network_error(error))) from None
    except OSError as error:
        raise InputError(f"cannot write {part}: {error.strerror or error}") from None
    try:
        _check(archive, part, "what was fetched is removed, run this again")
    except InputError:
        part.unlink()
        raise
    part.rename(target)
    return target


def fetch_all(archives: Sequence[Archive], folder: Path) -> list[Path]:
    """The files of several archives, see :func:`fetch`.

    Raises:
        InputError: one cannot be had; the message also names those that are still to come.
    """
    paths = []
    for number, archive in enumerate(archives, 1):
        try:
            paths.append(fetch(archive, folder))
        except InputError as error:
            rest = [a.url for a in archives[number:] if not (folder / a.file).exists()]
            more = f"; then come {' and '.join(rest)}" if rest else ""
            raise InputError(f"{error}{more}") from None
    return paths


@contextlib.contextmanager
def unpacked(
    archives: Sequence[Path], beside: Path, *, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[Path]:
    """A folder that all the archives are unpacked in; what is still in it afterwards is removed.

    Args:
        archives: zip and tar files.
        beside: what the folder is made beside, so that files can be moved there at no cost.
        wanted: whether to unpack a file, by its name.

    Raises:
        InputError: an archive is broken, or there is no room for it.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside.parent, prefix=f".{beside.name}-") as scratch:
        folder = Path(scratch, "new")
        folder.mkdir()
        for path in archives:
            try:
                _unpack(path, folder, wanted)
            except _DAMAGED as error:
                raise InputError(f"{path} cannot be unpacked, fetch it anew: {error}") from None
            except OSError as error:
                raise InputError(
                    f"cannot unpack {path} beside {beside}: {error.strerror or error}"
                ) from None
        yield folder


def network_error(error: Exception) -> str:
    """The reason for a failed request, in one line."""
    if isinstance(error, urllib.error.HTTPError):
        reason = f"{error.code} {error.reason}"
    else:
        reason = getattr(error, "reason", None) or error
        reason = getattr(reason, "strerror", None) or reason
    return " ".join(str(reason).split())


def _by_hand(archive: Archive, target: Path, reason: str) -> str:
    return (
        f"cannot fetch {archive.url} ({reason}): run this again to go on, "
        f"or fetch it elsewhere and put it at {target}"
    )


def _download(archive: Archive, part: Path, target: Path) -> None:
    """Fetch into ``part``, going on after cut-offs as long as anything comes."""
    waits, started = list(_RETRY_AFTER), False
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _download_once(archive, part, target):
                return
            lost: Exception = http.client.HTTPException("the connection was cut off")
        except (http.client.IncompleteRead, ConnectionError, TimeoutError) as error:
            lost = error
        except (urllib.error.URLError, http.client.HTTPException) as error:
            # Where nothing has come yet, waiting helps little.
            if isinstance(error, urllib.error.HTTPError) or not started:
                raise
            lost = error
        if part.exists() and part.stat().st_size > before:
            waits, started = list(_RETRY_AFTER), True
        if not waits:
            raise http.client.HTTPException(str(lost))
        time.sleep(waits.pop(0))


def _download_once(archive: Archive, part: Path, target: Path) -> bool:
    """Whether all of the file has come."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(archive.url, headers={"User-Agent": "centernet"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with _network():
            response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            # Nothing lies beyond: all is here, or it is another file, and the check will tell.
            return True
        raise
    with response:
        resumes = response.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if resumes else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        free = shutil.disk_usage(part.parent).free
        if total and total - have > free:
            raise InputError(
                f"{archive.file} needs {(total - have) / 1e9:.1f} GB more in {part.parent}, "
                f"which has {free / 1e9:.1f} GB free"
            )
        with (
            part.open("ab" if resumes else "wb") as file,
            _bar(target.name, total, have) as bar,
        ):
            while chunk := _read(response):
                file.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))
    return total is None or have >= total


def _read(response: http.client.HTTPResponse) -> bytes:
    with _network():
        return response.read(_CHUNK)


@contextlib.contextmanager
def _network() -> Iterator[None]:
    """Raises ConnectionError for what the system says of the network, and not of the disk."""
    try:
        yield
    except urllib.error.URLError:
        raise
    except OSError as error:
        raise ConnectionError(error.strerror or str(error)) from None


def _check(archive: Archive, path: Path, remedy: str) -> None:
    if archive.md5:
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("rb") as file, _bar("checking", path.stat().st_size) as bar:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                bar.update(len(chunk))
        if digest.hexdigest() != archive.md5:
            raise InputError(
                f"{path} has the MD5 sum {digest.hexdigest()}, not {archive.md5}: {remedy}"
            )
        return
    try:
        with zipfile.ZipFile(path) as file:
            broken = file.testzip()
    except _DAMAGED as error:
        broken = str(error)
    if broken:
        raise InputError(f"{path} is damaged ({broken}): {remedy}")


def _most_bytes(path: Path, folder: Path) -> int:
    """How many bytes the files of an archive may have together."""
    most = _MOST_TIMES * path.stat().st_size + _MOST_MORE
    return min(most, shutil.disk_usage(folder).free)


def _check_total(total: int, most: int) -> None:
    if total > most:
        raise tarfile.TarError(f"its files have {total:,} bytes or more, and {most:,} are allowed")


def _unpack(path: Path, folder: Path, wanted: Callable[[str], bool]) -> None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            members = [m for m in file.infolist() if not m.is_dir() and wanted(m.filename)]
            _check_total(sum(m.file_size for m in members), _most_bytes(path, folder))
            for member in tqdm(members, path.name, unit="file", disable=None):
                file.extract(member, folder)
        return
    total, most = 0, _most_bytes(path, folder)
    with tarfile.open(path) as file:
        for member in tqdm(file, path.name, unit="file", disable=None):
            if member.isfile() and wanted(member.name):
                target = (folder / member.name).resolve()
                if not target.is_relative_to(folder.resolve()):
                    raise tarfile.TarError(f"{member.name!r} would lie outside of it")
                _check_total(total := total + member.size, most)
                # Not by extract: its filter came with Python 3.11.4.
                target.parent.mkdir(parents=True, exist_ok=True)
                with file.extractfile(member) as content, target.open("wb") as copy:
                    shutil.copyfileobj(content, copy)


def _bar(name: str, total: int | None, done: int = 0) -> tqdm:
    return tqdm(
        desc=name, total=total, initial=done, unit="B", unit_scale=True, unit_divisor=1024,
        disable=None,
    )  # fmt: skip
