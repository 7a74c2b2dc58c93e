"""The detector as one HTML page: network, runtime and interface in a file that opens from disk."""

import base64
import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from centernet import __version__
from centernet.analysis.html import render, write_html
from centernet.export import runtime
from centernet.inference.drawing import HEAT_COLORS, class_color
from centernet.inference.thresholds import BEST, DEFAULT_SCORE_THRESHOLD, per_class_thresholds
from centernet.sizes import format_size

if TYPE_CHECKING:
    from centernet.inference.engines.base import EngineInfo

_WEB = "export/web"
_SCRIPTS = ["support", "engine", "state", "boxes", "picture", "results", "images", "live"]
_SCRIPTS += ["zones", "zone_editor", "downloads", "events"]
# In the order in which the page runs them.
SCRIPTS = [
    f"{_WEB}/support.js",
    "analysis/base.js",
    *(f"{_WEB}/{name}.js" for name in _SCRIPTS[1:]),
]
# Those of the worker, which runs the network.
WORKER = [f"{_WEB}/{name}.js" for name in ("resize", "letterbox", "png", "read_image", "worker")]


def write_page(model: bytes, info: "EngineInfo", output: Path, *, title: str) -> None:
    """Write the page. It holds everything it needs, and the same input gives the same file.

    Args:
        model: an ONNX file of the network: input ``images`` uint8 (1, H, W, 3) RGB, outputs
            ``boxes``, ``scores``, ``labels`` and, for networks with heatmaps, ``heatmap``.
        info: the properties of the network.
        output: the HTML file. Missing folders are created.
        title: name of the model; the page's heading.

    Raises:
        InputError: ONNX Runtime Web is missing, or the file cannot be written.
    """
    files = runtime.load_runtime()
    pieces = render(
        f"{_WEB}/page.html",
        title=title,
        settings=_settings(info),
        about=_about(model, info),
        license=files.license,
        runtime=_base64(gzip.compress(files.script.encode(), mtime=0)),
        wasm=_base64(files.wasm),
        network=_base64(gzip.compress(model, 6, mtime=0)),
        worker=WORKER,
        scripts=SCRIPTS,
    )
    write_html(output, pieces)


def page_title(weights: Path) -> str:
    """The heading of a page: the name of the training run, or of the file."""
    is_of_run = weights.stem in ("best", "last")
    return weights.absolute().parent.name if is_of_run else weights.stem


def _settings(info: "EngineInfo") -> dict[str, Any]:
    """The properties of the network for the scripts of the page."""
    best = info.thresholds
    threshold = DEFAULT_SCORE_THRESHOLD if best is None else BEST
    thresholds = per_class_thresholds(threshold, best, info.class_names).tolist()
    return {
        "classes": [
            {"name": name, "color": class_color(label), "threshold": thresholds[label]}
            for label, name in enumerate(info.class_names)
        ],
        "best": best is not None,
        "stride": info.stride,
        "size_multiple": info.size_multiple,
        "image_size": info.image_size and list(info.image_size),
        "top_k": info.top_k,
        "has_heatmaps": info.has_heatmaps,
        "heat_colors": HEAT_COLORS.tolist(),
    }


def _about(model: bytes, info: "EngineInfo") -> list[tuple[str, str]]:
    """Names and values of the page's section About."""
    size = "that of the image"
    if info.image_size:
        size = f"{format_size(info.image_size)} pixels"
    return [
        ("classes", str(len(info.class_names))),
        ("network input", size),
        ("network (SHA-256 of its ONNX file)", hashlib.sha256(model).hexdigest()),
        ("exported by", f"centernet {__version__}, Apache-2.0 license"),
        ("runs in", f"ONNX Runtime Web {runtime.VERSION}, MIT license, below"),
    ]


def _base64(data: bytes) -> Markup:
    return Markup(base64.b64encode(data).decode())
