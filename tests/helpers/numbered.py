"""Clips of which every frame shows its own number, and the numbers that the frames of a file show."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from clips import ffmpeg

_BITS, _COLUMN = 10, 16


def make_numbered(path: Path, *codec: object, frames: int = 120, rate: object = 24, before: str = "", audio: bool = False) -> Path:
    """Make a clip of 160x96 with ``frames`` frames: column i is white where bit i of the frame's number is set.

    ``codec`` are ffmpeg's arguments for the output, ``before`` a filter after the numbers, ``audio`` adds a tone of which the
    loudness rises from 0 over 10 s.
    """
    picture = f"geq=lum='if(mod(floor(N/pow(2,floor(X/{_COLUMN}))),2),220,30)':cb=128:cr=128"
    subject = f"color=black:size={_BITS * _COLUMN}x96:rate={rate},format=yuv420p,{picture},trim=end_frame={frames}"
    inputs: list[object] = ["-f", "lavfi", "-i", subject + before]
    if audio:
        inputs += ["-f", "lavfi", "-i", "aevalsrc=0.09*t*sin(2*PI*1000*t):s=48000:d=10", "-shortest"]
    ffmpeg(*inputs, *codec, path)
    return path


def numbers(path: Path, **options: object) -> list[int]:
    """The numbers that the frames of ``path`` show, in order of presentation."""
    with av.open(str(path), **options) as container:  # type: ignore[call-overload]
        return [number_of(frame) for frame in container.decode(video=0)]


def number_of(frame: av.VideoFrame) -> int:
    """The number that ``frame`` shows."""
    luma = frame.to_ndarray(format="gray")[8:-8].astype(float)
    columns = luma.reshape(len(luma), _BITS, _COLUMN)[:, :, 4:-4].mean(axis=(0, 2))
    return int(np.sum((columns > 125) << np.arange(_BITS)))
