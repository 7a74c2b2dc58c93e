import re
import tomllib
from pathlib import Path

from centernet.doctor.extras import FEATURES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "install.md").read_text()


def test_the_table_of_extras_is_that_of_the_package():
    rows = dict(re.findall(r"^\| (?:`(\w+)`|\(none\)) \| (.*) \|$", PAGE, re.MULTILINE))
    assert rows.pop("all")
    assert rows == FEATURES


def test_every_extra_that_the_page_names_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = set(re.findall(r"(?:\.whl|centernet|\.)\[(\w+)\]", PAGE))
    assert named and named <= project["optional-dependencies"].keys()


def test_its_version_is_that_of_the_package():
    from centernet import __version__

    assert set(re.findall(r"centernet-([\d.]+)-py3", PAGE)) == {__version__}
