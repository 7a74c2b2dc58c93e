import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from centernet.data.archives import unpacked
from centernet.errors import InputError


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


@pytest.mark.parametrize(
    "content",
    [
        damaged_after(b"inside", zipped(inside="text" * 100)),
        zipped(zipfile.ZIP_STORED, a="text").replace(b"text", b"tent"),  # another checksum
        zipped(inside="text" * 100)[:-30],
        b"<html>",
    ],
    ids=["damaged", "changed", "cut off", "no archive"],
)
def test_a_damaged_archive_is_refused(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with (
        pytest.raises(InputError, match=r"a\.zip \(.+\): remove it") as error,
        unpacked([tmp_path / "a.zip"], tmp_path / "out"),
    ):
        pass
    assert "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_archives_are_unpacked_into_one_temporary_folder(tmp_path):
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


def test_tar_files_are_unpacked_without_extraction_filters(tmp_path, monkeypatch):
    def extract(self, member, path="", set_attrs=True, *, numeric_owner=False):
        """As of Python 3.11.0: without a filter."""

    monkeypatch.setattr(tarfile.TarFile, "extract", extract)
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.addfile(tarfile.TarInfo("top/a"), io.BytesIO())
    with unpacked([tmp_path / "a.tar"], tmp_path / "out") as folder:
        assert (folder / "top" / "a").exists()


def tar(path, name, kind=tarfile.REGTYPE):
    with tarfile.open(path, "w") as file:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        file.addfile(entry, io.BytesIO())


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil-of-a-test"])
@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_paths_outside_of_the_folder_are_refused(tmp_path, name, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".tar":
        tar(path, name)
    else:
        path.write_bytes(zipped(**{name: "1"}))
    with (
        pytest.raises(InputError, match=rf"a\{suffix} .*'{name}'"),
        unpacked([path], tmp_path / "in" / "out"),
    ):
        pass
    assert not list(tmp_path.rglob("evil")) and not Path("/tmp/evil-of-a-test").exists()
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_not_unpacked(tmp_path, kind):
    tar(tmp_path / "a.tar", "link", kind)
    with unpacked([tmp_path / "a.tar"], tmp_path / "out") as folder:
        assert not list(folder.iterdir())


def test_a_full_disk_is_reported(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "a.zip").write_bytes(zipped(a="text"))
    monkeypatch.setattr("shutil.copyfileobj", full)
    with (
        pytest.raises(InputError, match=r"a\.zip: No space left on device"),
        unpacked([tmp_path / "a.zip"], tmp_path / "out"),
    ):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
