"""Open cameras and streams with OpenCV so that frames arrive with little delay."""

import os
from pathlib import Path

import cv2

# Milliseconds without an answer, after which a stream counts as lost; OpenCV's default is 30 s.
STREAM_TIMEOUT = 10_000


def open_capture(source: int | str | bytes) -> cv2.VideoCapture:
    """Open a file, camera or stream.

    Cameras buffer one frame. Streams end if they hang, and are decoded in one thread: with several,
    FFmpeg delays the frames by one frame for each further thread.

    Args:
        source: a path, the number of a camera, or a URL.
    """
    if isinstance(source, str) and "://" in source and not os.path.exists(source):
        return _open_stream(source)
    capture = cv2.VideoCapture(source)  # type: ignore[arg-type]  # the stubs lack bytes
    if isinstance(source, int) or Path(os.fsdecode(source)).is_char_device():
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def _open_stream(url: str) -> cv2.VideoCapture:
    if not cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG):
        return cv2.VideoCapture(url)
    options = {
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: STREAM_TIMEOUT,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: STREAM_TIMEOUT,
        cv2.CAP_PROP_N_THREADS: 1,
    }
    return cv2.VideoCapture(
        url, cv2.CAP_FFMPEG, [part for item in options.items() for part in item]
    )


def quiet_opencv() -> None:
    """Suppress the messages of OpenCV and FFmpeg; the callers report errors in one line."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
