"""Write files: images, videos, lines of text. An unfinished file never replaces a finished one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from centernet.errors import InputError
from centernet.files import atomic_write
from centernet.inference.video.timestamps import FrameTimes
from centernet.sizes import format_size

if TYPE_CHECKING:
    import av

    from centernet.inference.video.audio import AudioTrack

# Maximum length of a side in pixels, by suffix. Few players decode larger H.264 videos.
_MAX_SIDE = {".jpg": 65500, ".jpeg": 65500, ".png": 1_000_000, ".mp4": 8190}


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write an image file atomically; the suffix determines the format.

    A picture that is larger than the format allows is scaled down, with a message on stderr. A link
    is replaced, not followed.

    Args:
        path: path of the file; its folder is created.
        picture: (H, W, 3) uint8 RGB.

    Raises:
        InputError: the picture cannot be encoded, or the file cannot be written.
    """
    size = _allowed_size(path, picture)
    try:
        encoded, data = cv2.imencode(path.suffix, _bgr(_resized(picture, size)))
    except cv2.error:
        encoded = False
    if not encoded:
        raise InputError(
            f"cannot write {path}: OpenCV cannot encode {format_size(size[::-1])} pixels"
        )
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(data.tobytes())


class GrowingFile:
    """Base class of a file that is written in parts; the first part creates it.

    The parts go to a temporary file beside it, which :meth:`close` renames. :meth:`discard` removes
    the temporary file, so that an earlier file stays. As a context manager, the file is closed at
    the end, also after Ctrl-C, and discarded after an error.

    Attributes:
        path: path of the file.
    """

    def __init__(self, path: Path) -> None:
        """Write to ``path``.

        Raises:
            InputError: ``path`` is a folder.
        """
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder, remove it")
        self.path = path
        self._temporary = path.with_name(f"{path.stem}.tmp{path.suffix}")
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.close()
        else:
            self.discard()

    def close(self) -> None:
        """Finish the file, if a part was written.

        Raises:
            InputError: the file cannot be written.
        """
        if not self._started:
            return
        try:
            self._finish()
            self._temporary.replace(self.path)
        except OSError as error:
            raise self._error(error) from None
        finally:
            self._remove()

    def discard(self) -> None:
        """Remove the temporary file."""
        if self._started:
            with suppress(Exception):  # the error that led here matters more
                self._finish()
            self._remove()

    def _remove(self) -> None:
        self._started = False
        self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        """Complete the temporary file and close it; raise OSError if that fails."""
        raise NotImplementedError

    def _error(self, error: OSError) -> InputError:
        return InputError(f"cannot write {self.path}: {error.strerror or error}")


class LinesFile(GrowingFile):
    """A text file of lines in UTF-8; a killed process leaves a temporary file of complete lines."""

    _file: TextIO

    def write(self, line: str) -> None:
        """Append a line, which ends in a line feed.

        Raises:
            InputError: the file cannot be written.
        """
        try:
            if not self._started:
                # Bytes of file names that are not UTF-8 become the JSON escape of a lone surrogate.
                self._file = self._temporary.open(
                    "w", buffering=1, encoding="utf-8", errors="backslashreplace"
                )
                self._started = True
            self._file.write(line)
        except OSError as error:
            raise self._error(error) from None

    def _finish(self) -> None:
        self._file.close()


class VideoFile(GrowingFile):
    """An MP4 file with H.264 video, which browsers play, and optionally a file's audio.

    >>> with VideoFile(Path("out.mp4"), fps=25.0) as video:  # doctest: +SKIP
    ...     video.write(picture)
    """

    _container: "av.container.OutputContainer"
    _stream: "av.VideoStream"

    def __init__(self, path: Path, fps: float, *, audio: "AudioTrack | None" = None) -> None:
        """Write to ``path``.

        Args:
            path: path of the file.
            fps: frames per second, for frames without a time.
            audio: the audio to write; the times of the frames are then those of its file.

        Raises:
            InputError: ``path`` is a folder.
        """
        super().__init__(path)
        self._times, self._audio = FrameTimes(fps), audio

    def write(self, picture: NDArray[np.uint8], time: float | None = None) -> None:
        """Append a frame.

        Args:
            picture: (H, W, 3) uint8 RGB; scaled to the size of the first frame.
            time: time of the frame in seconds; None for a constant frame rate. The video begins
                with its first frame.

        Raises:
            InputError: the file cannot be written.
        """
        import av

        try:
            with _ffmpeg_errors():
                if not self._started:
                    self._start(picture)
                picture = _resized(picture, self._size)
                # 4:2:0 needs even sides.
                bottom, right = self._size[1] % 2, self._size[0] % 2
                padded = cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
                frame = av.VideoFrame.from_ndarray(padded.astype(np.uint8, copy=False), "rgb24")
                frame.pts = self._times.ticks(time)
                frame.time_base = self._times.time_base
                self._container.mux(self._stream.encode(frame))
                if self._audio:
                    self._audio.copy_until(time or float(frame.pts * frame.time_base))
        except OSError as error:
            raise self._error(error) from None

    def _start(self, picture: NDArray[np.uint8]) -> None:
        import av

        width, height = self._size = _allowed_size(self.path, picture)
        # The index comes first, so that a browser plays the video before it has all of it.
        options = {"movflags": "+faststart"}
        self._container = av.open(self._temporary, "w", format="mp4", options=options)
        self._started = True
        # With B-frames the duration of a video with a variable frame rate would be wrong.
        options = {"preset": "veryfast", "crf": "20", "bf": "0"}
        self._stream = self._container.add_stream("libx264", self._times.rate, options=options)
        self._stream.codec_context.time_base = self._times.time_base
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        if self._audio:
            self._audio.start(self._container)
        self._container.start_encoding()  # opens the file

    def _finish(self) -> None:
        with _ffmpeg_errors():
            try:
                self._container.mux(self._stream.encode())
                if self._audio:
                    self._audio.finish(float(self._times.step * self._times.time_base))
            finally:
                self._container.close()
                if self._audio:
                    self._audio.close()


@contextmanager
def _ffmpeg_errors() -> Iterator[None]:
    """Turn FFmpeg's errors into OSError, which some of them are not."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


def _allowed_size(path: Path, picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height to write a picture at: its own unless a side exceeds the format's limit."""
    height, width = picture.shape[:2]
    most = _MAX_SIDE.get(path.suffix.lower(), max(width, height))
    scale = min(1, most / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1:
        tqdm.write(
            f"{path} is scaled from {format_size((height, width))} to {format_size(size[::-1])} "
            f"pixels: a side of {path.suffix} has at most {most}",
            file=sys.stderr,
        )
    return size


def _bgr(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[..., ::-1])


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture scaled to (width, height)."""
    if picture.shape[1::-1] == size:
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
