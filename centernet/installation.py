"""How this package is installed: in a checkout or from a wheel, and how to install its extras."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from centernet.errors import InputError
from centernet.suggestions import did_you_mean

NAME = "centernet"
_PACKAGE = Path(__file__).parent
_SUFFIX = ".yaml"
# System libraries that opencv-python needs and does not contain.
_SYSTEM_LIBRARIES = re.compile(r"lib(GL|EGL|xcb|X|SM|ICE|glib|gthread|gobject)[^ :]*\.so[.\d]*")


def checkout() -> Path | None:
    """The folder of the checkout that this package is imported from; None if it is installed."""
    folder = _PACKAGE.parent
    return folder if (folder / "pyproject.toml").is_file() else None


def install_command(extras: str = "") -> str:
    """The command that installs extras of this package into an environment that has it.

    Args:
        extras: names of extras, separated by commas; empty for the package alone.
    """
    brackets = f"[{extras}]" if extras else ""
    folder = checkout()
    if folder is None:
        # pip does not replace the installed package; it reads the extras in its metadata.
        return f"{_pip()} install '{NAME}{brackets}'"
    place = "." if folder == Path.cwd() else folder
    return f"{_pip()} install -e '{place}{brackets}'"


def _pip() -> str:
    """pip, or uv's in an environment without pip, where ``pip`` would be that of another one."""
    return "pip" if find_spec("pip") or not shutil.which("uv") else "uv pip"


def explain_missing_library(message: str) -> str | None:
    """The remedy if a message of an ImportError names a system library of OpenCV, or None."""
    library = _SYSTEM_LIBRARIES.search(message)
    return library and (
        f"OpenCV cannot be loaded because the system lacks {library[0]}; on Debian or Ubuntu: "
        "sudo apt-get install -y libgl1 libglib2.0-0 libxcb1"
    )


def config_folder() -> Path:
    """The folder of the configurations: in a checkout beside the package, in a wheel inside it."""
    folder = checkout()
    return _PACKAGE / "configs" if folder is None else folder / "configs"


def config_names() -> list[str]:
    """The names of the configurations of this package, as ``custom``."""
    return sorted(path.stem for path in config_folder().glob(f"*{_SUFFIX}"))


def find_config(given: str | Path) -> Path:
    """Find a configuration: a file, or one of this package by its name.

    Args:
        given: path of a file; or ``custom``, ``custom.yaml`` or ``configs/custom.yaml``, if there
            is no such file.

    Raises:
        InputError: there is neither a file nor a configuration of this package.
    """
    path = Path(given)
    if path.exists() and not path.is_dir():
        return path
    name = path.name.removesuffix(_SUFFIX)
    in_package = config_folder() / f"{name}{_SUFFIX}"
    if path.parent in (Path(), Path("configs")) and in_package.is_file():
        return in_package
    if path.is_dir():
        raise InputError(f"cannot read configuration {given}: it is a folder, give a YAML file")
    names = config_names()
    hint = did_you_mean(name, names) or f": use a path, or one of {', '.join(names)}"
    raise InputError(f"cannot read configuration {given}: No such file or directory{hint}")
