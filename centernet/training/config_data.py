"""The data of a configuration file, for commands that only read images."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from centernet.data.dataset import DetectionDataset
from centernet.errors import InputError
from centernet.training.auto_config import DEFAULT_IMAGE_SIZE
from centernet.training.config_files import read_config, validate_names
from centernet.training.datamodule import DetectionData


def data_of_config(config: str | Path, **changes: Any) -> DetectionData:
    """The data of a configuration, of ``configs/`` or of a run, without augmentation and workers.

    Args:
        config: YAML file.
        **changes: arguments of :class:`DetectionData` that replace those of the configuration; None
            keeps the configuration's value.

    Raises:
        InputError: the configuration cannot be read or used.
    """
    options = read_config(config).get("data")
    if not isinstance(options, dict):
        raise InputError(f"configuration {config} has no section data")
    validate_names({f"data.{name}" for name, value in options.items() if value is not None}, config)
    known = options.keys() & inspect.signature(DetectionData).parameters
    given = {name: options[name] for name in known} | {
        name: value for name, value in changes.items() if value is not None
    }
    return DetectionData(**given | {"augment": None, "workers": 0})


def validation_set(
    config: str | Path,
    class_names: Sequence[str],
    *,
    root: str | Path | None = None,
    point_size: float | None = None,
) -> DetectionDataset:
    """The validation images of a configuration; its input size is arbitrary.

    Args:
        config: YAML file of ``configs/`` or of a run.
        class_names: class names of the detector, by label.
        root: folder of the dataset, if not the configuration's.
        point_size: replaces the configuration's ``data.point_size``.

    Raises:
        InputError: the configuration or its data cannot be read or used.
    """
    # A fixed size, because auto would read the training images.
    known = {"class_names": list(class_names), "image_size": DEFAULT_IMAGE_SIZE}
    return data_of_config(config, root=root, point_size=point_size, **known).val_set
