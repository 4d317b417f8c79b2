"""Keeps copies of decoded surfaces in GPU memory, more than its caches hold, for the benchmark of preprocessing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from gpu_saliency.analysis.cuda.decode.interface import DecodedFrame
from gpu_saliency.analysis.cuda.decode.surface import Surface

_BYTES = 256 << 20
"""At least this much is kept: several times the L2 cache of an H100 or H200, 50 MB."""
_LEAST, _MOST = 8, 256


class KeptSurfaces:
    """Copies of the first surfaces of a clip, each in memory of its own; a short clip's are copied again."""

    def __init__(self, frames: Iterable[DecodedFrame], cuda_stream: Any) -> None:
        """Copy surfaces on ``cuda_stream`` of the current device, and wait for it."""
        self._memory: list[Any] = []
        self.surfaces: list[Surface] = []
        size, wanted = 0, _LEAST
        for frame in frames:
            self.colour = frame.colour
            self._keep(frame.surface(), cuda_stream)
            cuda_stream.synchronize()  # the decoder reuses its surface
            size = self._memory[-1].nbytes
            wanted = min(_MOST, max(_LEAST, -(-_BYTES // size)))
            if len(self.surfaces) == wanted:
                break
        for i in range(wanted - len(self.surfaces)):
            self._keep(self.surfaces[i], cuda_stream)
        cuda_stream.synchronize()

    def _keep(self, surface: Surface, cuda_stream: Any) -> None:
        import cupy

        layout = surface.layout
        across, down = layout.chroma_size(surface.width, surface.height)
        luma_line = surface.width * layout.sample_bytes
        chroma_line = across * layout.sample_bytes * (2 if layout.chroma_planes == 1 else 1)
        planes = [(surface.planes[0], surface.luma_pitch * (surface.height - 1) + luma_line)]
        planes += [(address, surface.chroma_pitch * (down - 1) + chroma_line) for address in surface.planes[1:]]
        with cuda_stream:
            memory = cupy.empty(sum(_padded(size) for _, size in planes), np.uint8)
        at, copies = memory.data.ptr, []
        for address, size in planes:
            copies.append(at)
            cupy.cuda.runtime.memcpyAsync(at, address, size, cupy.cuda.runtime.memcpyDeviceToDevice, cuda_stream.ptr)
            at += _padded(size)
        self._memory.append(memory)
        self.surfaces.append(replace(surface, planes=tuple(copies)))


def _padded(size: int) -> int:
    return -(-size // 256) * 256
