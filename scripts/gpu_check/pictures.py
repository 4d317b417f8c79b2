"""The samples of decoded pictures, of libavcodec's and of those in GPU memory, in one form so that they can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.cuda.decode.surface import SampleLayout, Surface


def picture_hash(planes: Sequence[NDArray[Any]]) -> str:
    """A checksum of the samples of luma, Cb and Cr."""
    return hashlib.sha1(b"".join(np.ascontiguousarray(plane).tobytes() for plane in planes)).hexdigest()


def host_planes(frame: av.VideoFrame, layout: SampleLayout) -> list[NDArray[Any]]:
    """The samples of each plane of a planar ``frame`` of libavcodec, ``[lines, width]``."""
    planes = []
    for number, plane in enumerate(frame.planes):
        width, lines = (frame.width, frame.height) if number == 0 else layout.chroma_size(frame.width, frame.height)
        rows: NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        planes.append(_samples(rows[:lines, : width * layout.sample_bytes], layout.sample_bytes))
    return planes


def device_planes(surface: Surface, stream: Any) -> list[NDArray[Any]]:
    """The samples of each plane of ``surface``, copied to the host, with Cb and Cr apart and the unused low bits removed."""
    import cupy

    layout = surface.layout
    across, lines = layout.chroma_size(surface.width, surface.height)
    interleaved = layout.chroma_planes == 1
    sizes = [(surface.width, surface.height, surface.luma_pitch)]
    sizes += [(across * (2 if interleaved else 1), lines, surface.chroma_pitch)] * layout.chroma_planes
    planes = []
    for address, (width, height, pitch) in zip(surface.planes, sizes, strict=True):
        memory = cupy.cuda.UnownedMemory(address, pitch * height, None)
        rows = cupy.ndarray((height, pitch), cupy.uint8, cupy.cuda.MemoryPointer(memory, 0)).get(stream=stream)
        stream.synchronize()
        planes.append(_samples(rows[:, : width * layout.sample_bytes], layout.sample_bytes) >> layout.sample_shift)
    if interleaved:
        planes[1:] = [planes[1][:, 0::2], planes[1][:, 1::2]]
    return planes


def _samples(rows: NDArray[np.uint8], sample_bytes: int) -> NDArray[Any]:
    return np.ascontiguousarray(rows).view(np.uint8 if sample_bytes == 1 else np.uint16)
