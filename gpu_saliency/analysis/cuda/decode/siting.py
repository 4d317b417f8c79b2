"""Measures the chroma siting of frames: the position of chroma samples relative to luma samples, as libswscale applies it.

An error of a quarter of a chroma sample changes R'G'B' by many codes at a coloured edge, enough to change a saliency map; so the
GPU must use the same siting as the CPU path. libswscale reads a frame's chroma location, but PyAV does not expose that property. So
libswscale enlarges ramps that have the tags of the frame, and the siting is computed from the result.
"""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

_FORMATS = {(1, 1): "yuv420p", (1, 0): "yuv422p", (0, 1): "yuv440p", (2, 0): "yuv411p", (2, 2): "yuv410p"}
_SAMPLES = 32
"""Chroma samples along a ramp."""
_SLOPE = 8
"""Codes per sample of a ramp, so that an eighth of a sample is one code. The clipped end of the ramp is not used."""


def chroma_offset(frame: av.VideoFrame, chroma_shift: tuple[int, int]) -> tuple[int, int]:
    """Measure `SampleLayout.chroma_offset` for frames with the tags of ``frame``, which is in host memory."""
    if chroma_shift == (0, 0):
        return 0, 0
    ramps = _ramps_like(frame, chroma_shift)
    full = ramps.reformat(format="yuv444p", interpolation=Interpolation.BILINEAR, threads=1)
    width, height = full.width, full.height
    cb, cr = (np.frombuffer(memoryview(p), np.uint8).reshape(-1, p.line_size)[:height, :width] for p in full.planes[1:])
    return _offset(cb.mean(axis=0), chroma_shift[0]), _offset(cr.mean(axis=1), chroma_shift[1])


def _ramps_like(frame: av.VideoFrame, chroma_shift: tuple[int, int]) -> av.VideoFrame:
    """Make a small frame with all tags of ``frame``, in which Cb rises to the right and Cr rises downwards."""
    width, height = (_SAMPLES << shift for shift in chroma_shift)
    if (frame.width, frame.height) == (width, height):
        width += width  # for an equal size PyAV may return the frame itself
    ramps = frame.reformat(width, height, _FORMATS[chroma_shift], threads=1)
    for i, plane in enumerate(ramps.planes):
        samples = np.full((plane.height, plane.line_size), 128, np.uint8)
        if i == 1:
            samples[:, : plane.width] = _ramp(plane.width)
        elif i == 2:
            samples[:] = _ramp(plane.height)[:, None]
        plane.update(samples.tobytes())
    return ramps


def _ramp(samples: int) -> NDArray[np.uint8]:
    return np.minimum(16 + _SLOPE * np.arange(samples), 255).astype(np.uint8)


def _offset(line: NDArray[np.floating], shift: int) -> int:
    """Eighths of a chroma sample by which the enlarged ramp ``line`` is ahead of a ramp with centred chroma samples."""
    if shift == 0:
        return 0
    pixels = np.arange(4 << shift, (_SAMPLES - 6) << shift)  # away from both ends
    found = (line[pixels] - 16) / _SLOPE
    return round(8 * float(np.mean(found - ((pixels + 0.5) / (1 << shift) - 0.5))))
