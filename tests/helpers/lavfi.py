"""Clips made by PyAV alone, for tests that also run on GPU machines without an ffmpeg program."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av

TESTSRC = "testsrc2=size={size}:rate=24,trim=end_frame={frames}"
# testsrc2 rounds its sides down to even numbers; cropping a larger 4:4:4 picture allows odd sizes.
SUBJECT = "testsrc2=size={w}x{h}:rate={rate}:duration={seconds},format=yuv444p,crop={width}:{height}:0:0:exact=1"


def encode_lavfi(path: Path, graph: str, pix_fmt: str = "yuv420p", codec: str = "libx264", **options: object) -> Path:
    """Encode the output of a libavfilter ``graph``; ``options`` are the encoder's. Raises `av.error.FFmpegError`."""
    container_format = "rawvideo" if path.suffix == ".yuv" else None
    with (
        av.open(f"{graph},format={pix_fmt}[out0]", format="lavfi") as source,
        av.open(path, "w", format=container_format) as target,
    ):
        video = source.streams.video[0]
        settings = {name: str(value) for name, value in options.items()}
        encoded = cast("Any", target.add_stream(codec, rate=video.average_rate or Fraction(24), options=settings))
        encoded.width, encoded.height, encoded.pix_fmt = video.width, video.height, pix_fmt
        for frame in source.decode(video):
            target.mux(encoded.encode(frame))
        target.mux(encoded.encode(None))
    return path
