"""Clips made by PyAV alone, for tests that also run on GPU machines without an ffmpeg program."""

from __future__ import annotations

from pathlib import Path

from gpu_saliency.bench import lavfi

TESTSRC = "testsrc2=size={size}:rate=24,trim=end_frame={frames}"
# testsrc2 rounds its sides down to even numbers; cropping a larger 4:4:4 picture allows odd sizes.
SUBJECT = "testsrc2=size={w}x{h}:rate={rate}:duration={seconds},format=yuv444p,crop={width}:{height}:0:0:exact=1"


def encode_lavfi(path: Path, graph: str, pix_fmt: str = "yuv420p", codec: str = "libx264", **options: object) -> Path:
    """Encode the output of a libavfilter ``graph``; ``options`` are the encoder's. Raises `av.error.FFmpegError`."""
    return lavfi.encode_lavfi(path, graph, pix_fmt, codec, {name: str(value) for name, value in options.items()})
