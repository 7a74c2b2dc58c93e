"""The extras of this package: what each is for, what it requires, and what is missing."""

import importlib.metadata
import tomllib
from dataclasses import dataclass
from functools import cache

from packaging.requirements import Requirement

from centernet.installation import NAME, checkout, install_command

# What the package can do with each extra; the empty name is the package alone.
FEATURES = {
    "": "convert datasets; this command",
    "onnx": "detect with exported models (.onnx)",
    "openvino": "detect with exported models in OpenVINO",
    "torch": "detect with checkpoints; check datasets",
    "export": "export checkpoints to ONNX and HTML",
    "train": "train, validate, inspect, report, oracle, labels",
    "serve": "detections over HTTP, with onnx or torch",
    "track": "track objects in videos, with onnx or torch",
    "wandb": "log training runs to W&B (fit --log wandb)",
    "mlflow": "log training runs to MLflow (fit --log mlflow)",
    "pretrained": "ImageNet weights of two backbones without a download",
}
# Packages that provide the module of a required one, and are accepted in its place.
ALTERNATIVES = {
    "opencv-python": (
        "opencv-python-headless",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
}


@dataclass(frozen=True)
class Extra:
    """An extra on this machine.

    Attributes:
        name: name of the extra; empty for the package alone.
        lacking: packages that are missing or too old, with the required version.
    """

    name: str
    lacking: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command that installs the extra."""
        return install_command(self.name)


def installed_version(package: str) -> str | None:
    """The version of an installed package by its metadata; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def requirements(extra: str = "") -> tuple[Requirement, ...]:
    """What this package requires with an extra, extras within extras resolved.

    In a checkout, ``pyproject.toml`` is read: it is newer than the metadata of an installation.
    """
    found: dict[str, Requirement] = {}
    for requirement in _listed(extra):
        parts = [requirement]
        if requirement.name == NAME:
            parts = [part for name in sorted(requirement.extras) for part in requirements(name)]
        for part in parts:
            found.setdefault(part.name, part)
    return tuple(found.values())


def _listed(extra: str) -> list[Requirement]:
    """The requirements that the metadata lists for an extra alone."""
    folder = checkout()
    if folder is not None:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        texts = project["optional-dependencies"][extra] if extra else project["dependencies"]
        return [found for text in texts if _applies(found := Requirement(text), "")]
    listed = map(Requirement, importlib.metadata.requires(NAME) or [])
    return [r for r in listed if _applies(r, extra) and (not extra or not _applies(r, ""))]


def _applies(requirement: Requirement, extra: str) -> bool:
    """Whether a requirement applies with an extra to this Python and this platform."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def examine(extra: str = "") -> Extra:
    """Compare the requirements of an extra with the installed packages."""
    lacking = []
    for requirement in requirements(extra):
        names = (requirement.name, *ALTERNATIVES.get(requirement.name, ()))
        versions = [version for name in names if (version := installed_version(name))]
        if not versions:
            lacking.append(str(requirement.name))
        elif not any(requirement.specifier.contains(v, prereleases=True) for v in versions):
            lacking.append(f"{requirement.name} {requirement.specifier} (not {versions[0]})")
    return Extra(extra, tuple(lacking))
