"""Test doubles with known answers: a network of colored spots, a camera, a web server."""

import base64
import contextlib
import copy
import functools
import http.server
import inspect
import json
import threading
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from centernet import cli
from centernet.inference.detector import Detector
from centernet.models.centernet import CenterNet
from centernet.models.checkpoints import DESCRIPTION

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"

# A 12-image excerpt of a real dataset, as COCO (images, annotations) and Pascal VOC (voc).
BCCD = GOLDEN / "bccd"
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))

# The smallest training run on the shapes dataset.
_TINY: dict[str, Any] = {
    "report": False,
    "data": {
        "train_images": "train",
        "train_annotations": "annotations/instances_train.json",
        "val_images": "val",
        "val_annotations": "annotations/instances_val.json",
        "image_size": 64,
        "batch_size": 4,
        "workers": 0,
    },
    "model": {"backbone": "test_resnet", "box_head": "sides"},
    "trainer": {
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "max_epochs": 1,
        "check_val_every_n_epoch": 1,
    },
}


def tiny_config(**changes: Mapping[str, Any]) -> str:
    """The YAML of the smallest training run, with changes by section: data, model, trainer."""
    config = copy.deepcopy(_TINY)
    for section, options in changes.items():
        config[section] |= options
    return yaml.safe_dump(config, sort_keys=False)


TINY_CONFIG = tiny_config()


def config_paths(config: Path) -> list[str]:
    """The folders and annotation files that a config names, relative to its ``data.root``."""
    from centernet.training.datamodule import DetectionData  # imports Lightning, which is slow

    data = yaml.safe_load(config.read_text())["data"]
    defaults = inspect.signature(DetectionData).parameters
    names = ("train_images", "train_annotations", "val_images", "val_annotations")
    return [data.get(name, defaults[name].default) for name in names]


def configs_of(dataset: str) -> list[Path]:
    """The configs of ``data/dataset``."""
    root = f"data/{dataset}"
    return [c for c in CONFIGS if yaml.safe_load(c.read_text())["data"]["root"] == root]


COLORS = {"red": (255, 0, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
# Score of a full spot.
SCORE = 1 / (1 + np.exp(-10))


class SpotNetwork(nn.Module):
    """Detects cells that are red, blue or white; each box is 4 cells wide and 2 cells high."""

    size_multiple, stride, has_heatmaps = CenterNet.size_multiple, CenterNet.stride, True
    decode = CenterNet.decode
    thresholds, point_sizes, counting, top_k = None, None, None, 100

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        self.seen = tuple(images.shape)
        red, green, blue = F.avg_pool2d(images.float() / 255, 4).unbind(1)
        amounts = torch.stack([red - blue, blue - red, torch.minimum(green, red)], 1)
        size = torch.tensor([4.0, 2.0]).view(1, 2, 1, 1).expand(len(images), 2, *red.shape[1:])
        return {
            "heatmap": 20 * amounts - 10,
            "size": size,
            "offset": torch.full_like(size, 0.5),
        }


def spot_detector(
    class_names=tuple(COLORS), *, thresholds=None, counting=None, point_sizes=None, **options
) -> Detector:
    options = {"device": "cpu", "image_size": (128, 128)} | options
    network = SpotNetwork()
    network.thresholds, network.counting = thresholds, counting
    network.point_sizes = point_sizes
    return Detector.from_network(network, class_names, **options)


def picture(*spots: tuple[str, int, int], size: tuple[int, int] = (128, 128)) -> np.ndarray:
    """A black RGB image; each spot (color, x, y) fills the cell with its corner at (x, y)."""
    image = np.zeros((*size, 3), np.uint8)
    for color, x, y in spots:
        image[y : y + 4, x : x + 4] = COLORS[color]
    return image


def blob(size: tuple[int, int], x: float, y: float, sigma: float) -> np.ndarray:
    """A black image with a gray Gaussian centered at (x, y)."""
    rows, columns = np.indices(size) + 0.5
    bump = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat((160 * bump[..., None]).round().astype(np.uint8), 3, axis=2)


def checkpoint(
    class_names: Iterable[str] = ("cat", "dog"),
    image_size: tuple[int, int] = (64, 96),
    box_head: str = "size",
) -> dict[str, Any]:
    """A checkpoint as train.py fit writes it, of a tiny network."""
    names = list(class_names)
    architecture = {
        "num_classes": len(names),
        "backbone": "test_efficientnet",
        "neck_channels": [8, 8, 8],
        "head_channels": 8,
        "box_head": box_head,
    }
    torch.manual_seed(0)
    state = CenterNet(**architecture).state_dict()
    return {
        "state_dict": {f"model.{name}": value for name, value in state.items()},
        DESCRIPTION: {
            "model": architecture,
            "class_names": names,
            "image_size": list(image_size),
        },
        "epoch": 3,
    }


class Capture:
    """A camera with these frames; a frame of None is a failed read, an exception is raised.

    Attributes:
        turn: if given, the next frame comes when it is released, so that no frame is dropped.
    """

    turn: threading.Semaphore | None = None

    def __init__(self, *frames, fps: float = 10.0, count: float = 0, opened: bool = True) -> None:
        self.frames, self.opened, self.released = list(frames), opened, False
        self.properties = {cv2.CAP_PROP_FPS: fps, cv2.CAP_PROP_FRAME_COUNT: count}

    def isOpened(self) -> bool:
        return self.opened

    def get(self, name: int) -> float:
        return self.properties.get(name, 0.0)

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.turn and self.frames:
            assert self.turn.acquire(timeout=5)
        frame = self.frames.pop(0) if self.frames else None
        if isinstance(frame, BaseException):
            raise frame
        return frame is not None, frame

    def release(self) -> None:
        self.released = True


class FakeWindow:
    """A preview window; the user presses these keys one after another.

    Attributes:
        shown: the pictures.
        keys: the keys that are left; an exception is raised.
    """

    def __init__(self, *keys: str | BaseException) -> None:
        self.shown: list[np.ndarray] = []
        self.keys = list(keys)

    def show(self, picture: np.ndarray) -> None:
        self.shown.append(picture)

    def read_key(self, milliseconds: int) -> str:
        key = self.keys.pop(0) if self.keys else ""
        if isinstance(key, BaseException):
            raise key
        return key


class Web:
    """A local web server; it answers 404 for paths without content.

    Attributes:
        asked: the paths and queries of all requests.
        password: USER:PASSWORD that every request needs, if any.
    """

    def __init__(self) -> None:
        self.asked, self.password = [], ""
        self._content: dict[str, tuple[str, bytes]] = {}
        self._streams: dict[str, Iterable[np.ndarray]] = {}
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                given = self.headers.get("Authorization", "").removeprefix("Basic ")
                if web.password and base64.b64decode(given).decode() != web.password:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="x"')
                    self.end_headers()
                    return
                path = self.path.split("?")[0]
                if path in web._streams:
                    self.send_response(200)
                    self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                    self.end_headers()
                    with contextlib.suppress(ConnectionError):
                        for frame in web._streams[path]:
                            self.wfile.write(_jpeg_part(frame))
                    return
                if path not in web._content:
                    self.send_error(404)
                    return
                kind, body = web._content[path]
                self.send_response(200)
                if kind:
                    self.send_header("Content-Type", kind)
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, *_) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def __enter__(self) -> "Web":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, user: str, path: str) -> str:
        return f"http://{user}127.0.0.1:{self._server.server_port}{path}"

    def stream(self, path: str, frames: Iterable[np.ndarray]) -> None:
        """Serve RGB frames as motion JPEG, as cameras do, as fast as they come."""
        self._streams[path] = frames

    def serve(self, path: str, content: np.ndarray | bytes, kind: str = "") -> None:
        """Serve bytes, or an RGB image as PNG; ``kind`` is the content type."""
        if isinstance(content, np.ndarray):
            content = cv2.imencode(".png", np.ascontiguousarray(content[..., ::-1]))[1].tobytes()
        self._content[path] = kind, content


def _jpeg_part(frame: np.ndarray) -> bytes:
    data = cv2.imencode(".jpg", np.ascontiguousarray(frame[..., ::-1]))[1].tobytes()
    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data + b"\r\n"


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float = 10.0) -> Path:
    """A motion-JPEG video of RGB frames."""
    frames = list(frames)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


def read_video(path: Path) -> tuple[float, list[np.ndarray]]:
    """Frame rate and RGB frames."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    return capture.get(cv2.CAP_PROP_FPS), frames


def released_tensor(key: str, shape: Iterable[int]) -> Tensor:
    """A tensor computed from its released name, so that tests need no weights file."""
    shape = tuple(shape)
    z = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith("running_var"):
        return torch.tensor(1 + 0.2 * np.abs(z))
    if len(shape) == 4:
        gain = 0.2 if "conv_offset_mask" in key else 1.0
        return torch.tensor(z * gain * np.sqrt(2 / np.prod(shape[1:])).astype(np.float32))
    if key.endswith("weight"):
        return torch.tensor(1 + 0.1 * z)
    return torch.tensor(0.1 * z)


def released_weights(name: str, *, num_classes: int | None = None) -> dict[str, Tensor]:
    """A released state dict: res_18, resdcn_18, dla_34 or hourglass.

    The dict is new, its tensors are shared: replace them, but do not write into them.
    """
    return dict(_released_weights(name, num_classes))


@functools.lru_cache(maxsize=4)
def _released_weights(name: str, num_classes: int | None) -> dict[str, Tensor]:
    about = json.loads((GOLDEN / f"network_{name}.json").read_text())
    last = "hm.1.1." if name == "hourglass" else "hm.2."
    return {
        key: released_tensor(
            key, [num_classes, *shape[1:]] if num_classes and key.startswith(last) else shape
        )
        for key, shape in about["state_dict"].items()
    }


def run_centernet(arguments: list[str], capsys) -> tuple[int | str, str, str]:
    """Exit status (or its message), stdout and stderr of the command."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return end.value.code, *capsys.readouterr()
