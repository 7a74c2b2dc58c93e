"""Copy the audio of a video file into a written MP4 file."""

import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    import av

# Codecs that browsers play in MP4; others are encoded again, as AAC.
_KEPT_CODECS = ("aac", "mp3", "mp3float", "opus", "flac")
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC_SAMPLES = 1024  # per frame


class AudioTrack:
    """The first audio stream of a video file, in the times of its video stream.

    Packets are copied together with the frames; damaged audio ends early, with a message.
    """

    def __init__(self, path: Path) -> None:
        """Use the audio of a file; see :func:`open_audio`."""
        self._path, self._last = path, 0.0

    def start(self, output: "av.container.OutputContainer") -> None:
        """Open the file, and add a stream to an output that has no frames yet."""
        import av

        self._file = self._path.open("rb")  # FFmpeg would not find a name that is not UTF-8
        self._input = av.open(self._file, "r")
        self._output, self._stream = output, self._input.streams.audio[0]
        video = self._input.streams.video[0]
        begin = video.start_time or 0
        self._begin = float(begin * video.time_base) if video.time_base else 0.0
        if self._stream.codec_context.name in _KEPT_CODECS:
            self._written = output.add_stream_from_template(self._stream)
            packets = self._packets()
        else:
            rate = min(_AAC_RATES, key=lambda rate: abs(rate - self._stream.rate))
            self._written = output.add_stream("aac", rate)
            self._written.layout = "mono" if self._stream.channels == 1 else "stereo"
            packets = self._encoded()
        self._left = self._guarded(packets)
        self._waiting: av.Packet | None = next(self._left, None)

    def copy_until(self, seconds: float) -> None:
        """Write the audio before the time of a frame of the source."""
        self._last = seconds
        while self._waiting is not None and _seconds(self._waiting) < seconds:
            self._output.mux(self._waiting)
            self._waiting = next(self._left, None)

    def finish(self, step: float) -> None:
        """Write the audio of the last frame, which lasts ``step`` seconds."""
        self.copy_until(self._last + step)

    def close(self) -> None:
        """Close the source."""
        self._input.close()
        self._file.close()

    def _packets(self) -> Iterator["av.Packet"]:
        """The packets since the first frame, as they are."""
        for packet in self._input.demux(self._stream):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            shift = round(self._begin / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if packet.pts >= 0:
                packet.stream = self._written
                yield packet

    def _encoded(self) -> Iterator["av.Packet"]:
        """The audio since the first frame, encoded as AAC."""
        import av

        codec = self._written
        resampler = av.AudioResampler("fltp", codec.layout, codec.rate, _AAC_SAMPLES)
        base, samples = Fraction(1, codec.rate), None
        for frame in chain(self._input.decode(self._stream), [None]):
            if samples is None:
                begin = (frame.time or 0.0) if frame else 0.0
                samples = round((begin - self._begin) * codec.rate)
            for part in resampler.resample(frame):
                # Counted, because the resampler may keep the coarse times of the container.
                part.pts, part.time_base = samples, base
                samples += part.samples
                if part.pts >= 0:
                    yield from codec.encode(part)
        yield from codec.encode(None)

    def _guarded(self, packets: Iterator["av.Packet"]) -> Iterator["av.Packet"]:
        """The packets up to damage, which is reported."""
        import av

        try:
            yield from packets
        except av.FFmpegError as error:
            text = f"{self._path}: the audio ends early, {error.strerror}"
            tqdm.write(text, file=sys.stderr)


def open_audio(path: Path) -> AudioTrack | None:
    """The audio of a video file; None, with a message, if the file has none."""
    import av

    try:
        with path.open("rb") as file, av.open(file, "r") as container:
            if container.streams.audio and container.streams.audio[0].codec_context:
                return AudioTrack(path)
    except (av.FFmpegError, OSError):
        pass
    text = f"{path} has no audio that can be read: the video is written without"
    tqdm.write(text, file=sys.stderr)
    return None


def _seconds(packet: "av.Packet") -> float:
    assert packet.pts is not None and packet.time_base is not None
    return float(packet.pts * packet.time_base)
