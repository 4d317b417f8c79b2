"""Keeps the matrices that convert Y'CbCr to R'G'B' in GPU memory."""

from __future__ import annotations

from typing import Any

from gpu_saliency.analysis.cuda.decode.colour import yuv_to_rgb_matrix
from gpu_saliency.analysis.cuda.decode.interface import Colour
from gpu_saliency.analysis.cuda.memory import Traffic


class ColourMatrices:
    """The matrices of one GPU, each copied at its first use."""

    def __init__(self, traffic: Traffic) -> None:
        """The copied bytes are added to ``traffic``."""
        self._traffic = traffic
        self._arrays: dict[Colour, Any] = {}

    def get(self, colour: Colour, cuda_stream: Any) -> Any:
        """The matrix of ``colour``, float32 ``[12]``, for work on ``cuda_stream`` of the current device, the same in each call."""
        import cupy

        if colour not in self._arrays:
            matrix = yuv_to_rgb_matrix(colour.colorspace, colour.is_full, colour.bits, has_chroma=colour.has_chroma)
            with cuda_stream:
                self._arrays[colour] = cupy.asarray(matrix)
            self._traffic.to_device += matrix.nbytes
        return self._arrays[colour]

    def clear(self) -> None:
        """Free all matrices."""
        self._arrays.clear()
