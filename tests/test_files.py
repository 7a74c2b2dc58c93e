import pytest

from centernet.errors import InputError
from centernet.files import atomic_write


def test_a_file_appears_whole_and_its_folder_with_it(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as unfinished:
        unfinished.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_stood_there_stays_when_the_writing_ends_early(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as unfinished:
        unfinished.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "target.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("target.txt")
    with atomic_write(tmp_path / "link.txt") as unfinished:
        unfinished.write_text("new")
    assert (tmp_path / "target.txt").read_text() == "old"
    assert (tmp_path / "link.txt").read_text() == "new"


@pytest.mark.parametrize("path", [".", "", "/"])
def test_a_folder_is_no_file(path):
    with pytest.raises(InputError, match=r"cannot write [./]: it is a folder"), atomic_write(path):
        pass


def test_a_place_that_cannot_be_written_to_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"cannot write .*file/a\.txt"),
        atomic_write(tmp_path / "file" / "a.txt"),
    ):
        pass
