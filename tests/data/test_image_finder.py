"""Images are found under the names of other machines and tools."""

from pathlib import Path

import pytest

from centernet.data.formats.image_finder import ImageFinder, image_files, path_parts
from centernet.errors import InputError


def files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"image")
    return root


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("images/a.jpg", "images/a.jpg"),
        ("images\\a.jpg", "images/a.jpg"),
        ("C:\\Users\\me\\set\\images\\a.jpg", "images/a.jpg"),
        ("/home/you/set/images/a.jpg", "images/a.jpg"),
        ("../../upload/4/a.jpg", "images/a.jpg"),
        ("/data/local-files/?d=set/a.jpg", "images/a.jpg"),
        ("~/set/a.jpg", "images/a.jpg"),
        ("data/A.JPG", "images/a.jpg"),
        ("a.png", "images/a.jpg"),
        ("a", "images/a.jpg"),
        ("my%20b%20(1).jpg", "images/my b (1).jpg"),
        ("cam2/images/c.jpg", "other/cam2/c.jpg"),
        ("x/cam1/c.jpg", "other/cam1/c.jpg"),
        ("absent.jpg", None),
        ("", None),
        ("..", None),
        ("a\0.jpg", None),
        ("x" * 5000 + ".jpg", None),
    ],
)
def test_the_longest_common_tail_is_meant(tmp_path, name, found):
    names = ("images/a.jpg", "images/my b (1).jpg", "other/cam1/c.jpg", "other/cam2/images/d.jpg")
    root = files(tmp_path, *names, "other/cam2/c.jpg", "notes.txt")
    finder = ImageFinder(root)
    if name == "cam2/images/c.jpg":  # neither tail is longer: c.jpg is in cam1 and cam2
        with pytest.raises(InputError, match=r"cam1/c\.jpg or .*cam2/c\.jpg"):
            finder.find(name, (root,))
        return
    path = finder.find(name, (root,))
    assert path == (root / found if found else None)
    direct = name == found
    assert finder.resolved == (found is not None and not direct)
    assert bool(finder.note(root)) == bool(finder.resolved)


def test_names_lead_nowhere_outside(tmp_path):
    files(tmp_path, "secret.jpg", "set/a.jpg")
    finder = ImageFinder(tmp_path / "set")
    assert finder.find("../secret.jpg", (tmp_path / "set",)) is None
    assert finder.find(str(tmp_path / "secret.jpg"), (tmp_path / "set",)) is None


def test_splits_that_number_their_images_alike(tmp_path):
    files(tmp_path, "train/1.jpg", "valid/2.jpg")
    assert ImageFinder(tmp_path, "val").find("x/1.jpg") is None
    assert ImageFinder(tmp_path, "val").find("x/2.jpg") == tmp_path / "valid/2.jpg"
    assert ImageFinder(tmp_path).find("x/1.jpg") == tmp_path / "train/1.jpg"


def test_linked_folders_are_followed_once_and_hidden_files_are_not_images(tmp_path):
    files(tmp_path, "store/a.jpg", "set/b.jpg", "set/._b.jpg", "set/__MACOSX/b.jpg", "set/.x/c.jpg")
    (tmp_path / "set" / "link").symlink_to(tmp_path / "store", target_is_directory=True)
    (tmp_path / "store" / "loop").symlink_to(tmp_path / "set", target_is_directory=True)
    found = [
        path.relative_to(tmp_path / "set").as_posix() for path in image_files(tmp_path / "set")
    ]
    assert found == ["b.jpg", "link/a.jpg"]


def test_parts_of_a_path():
    assert path_parts("..\\..\\A\\./b//c.jpg") == ["A", "b", "c.jpg"]
