"""Encodes generated pictures by PyAV alone, for machines without an ffmpeg program."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av


def encode_lavfi(path: Path, graph: str, pix_fmt: str, codec: str, options: Mapping[str, str]) -> Path:
    """Encode the output of a libavfilter ``graph`` to ``path``, a ``.yuv`` as raw video. Raises `av.error.FFmpegError`."""
    with _same_priority():
        _encode(path, graph, pix_fmt, codec, options)
    return path


@contextlib.contextmanager
def _same_priority() -> Iterator[None]:
    """Give this thread its scheduling back at the end: as root SVT-AV1 4.1 gives its caller real-time priority."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _encode(path: Path, graph: str, pix_fmt: str, codec: str, options: Mapping[str, str]) -> None:
    container_format = "rawvideo" if path.suffix == ".yuv" else None
    with (
        av.open(f"{graph},format={pix_fmt}[out0]", format="lavfi") as source,
        av.open(path, "w", format=container_format) as target,
    ):
        video = source.streams.video[0]
        rate = video.average_rate or Fraction(24)
        encoded = cast("Any", target.add_stream(codec, rate=rate, options=dict(options)))
        encoded.width, encoded.height, encoded.pix_fmt = video.width, video.height, pix_fmt
        for frame in source.decode(video):
            target.mux(encoded.encode(frame))
        target.mux(encoded.encode(None))
