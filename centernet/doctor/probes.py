"""What is asked of a library after its import; runs in a process of its own.

A library that is built for another machine can end its process, so each line of output is complete
when the next import starts.
"""

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any


def run_probes(names: list[str]) -> None:
    """Import libraries and print a line of JSON before and after each.

    Args:
        names: names of modules; those in ``_PROBES`` are asked for more than their version.
    """
    for name in names:
        _print({"start": name})
        try:
            module = importlib.import_module(name)
            facts = {"version": getattr(module, "__version__", None)}
            facts |= _PROBES.get(name, dict)()
        except BaseException as error:  # also SystemExit of a library
            text = " ".join(str(error).split()) or type(error).__name__
            _print({"name": name, "error": f"{type(error).__name__}: {text}"})
        else:
            _print({"name": name, "facts": facts})


def _print(line: dict[str, Any]) -> None:
    print(json.dumps(line, default=str), file=sys.__stdout__, flush=True)


def _torch() -> dict[str, Any]:
    import torch

    devices = []
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            memory = properties.total_memory / 2**30
            has_bf16 = properties.major >= 8  # Ampere; older ones emulate it
            bf16 = "bf16" if has_bf16 else "no bf16"
            devices.append(f"cuda:{number} {properties.name} {memory:.0f} GiB {bf16}")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {"cuda": torch.version.cuda, "devices": devices, "threads": torch.get_num_threads()}


def _opencv() -> dict[str, Any]:
    import cv2

    found = {}
    for line in cv2.getBuildInformation().splitlines():
        name, colon, value = line.strip().partition(":")
        if colon and name in ("GUI", "FFMPEG"):
            found[name.lower()] = value.strip()
    return {"windows": found.get("gui", "NONE"), "ffmpeg": found.get("ffmpeg", "NO")}


def _onnxruntime() -> dict[str, Any]:
    import onnxruntime

    return {"providers": onnxruntime.get_available_providers()}


def _av() -> dict[str, Any]:
    import av

    try:
        av.codec.Codec("libx264", "w")
    except ValueError:  # av's error for unknown codecs is one
        return {"writes_h264": False}
    return {"writes_h264": True}


_PROBES: dict[str, Callable[[], dict[str, Any]]] = {
    "av": _av,
    "cv2": _opencv,
    "onnxruntime": _onnxruntime,
    "torch": _torch,
}
