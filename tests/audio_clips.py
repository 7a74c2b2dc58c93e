"""Small video files with audio."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FPS, RATE = 10, 44100


def write_clip(
    path: Path, codec: str | None, *, seconds: float = 1.0, layout="stereo", begin: float = 0.0
) -> Path:
    """A gray clip with a tone, which begins half way; the clip's times begin at ``begin``."""
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", FPS)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        audio = container.add_stream(codec, RATE) if codec else None
        if audio:
            audio.layout = layout
        for number in range(round(seconds * FPS)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 99, np.uint8), "rgb24")
            frame.pts, frame.time_base = number + round(begin * FPS), Fraction(1, FPS)
            container.mux(video.encode(frame))
        if audio:
            times = np.arange(round(seconds * RATE)) / RATE
            tone = (9000 * np.sin(2765 * times) * (times > seconds / 2)).astype(np.int16)
            samples = np.repeat(tone, audio.channels)[None]
            sound = av.AudioFrame.from_ndarray(samples, "s16", layout)
            sound.rate, sound.time_base = RATE, Fraction(1, RATE)
            sound.pts = round(begin * RATE)
            context = audio.codec_context
            resampler = av.AudioResampler(context.format, layout, RATE, context.frame_size or 1024)
            for part in [*resampler.resample(sound), *resampler.resample(None)]:
                container.mux(audio.encode(part))
            container.mux(audio.encode())
        container.mux(video.encode())
    return path
