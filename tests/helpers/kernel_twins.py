"""Twins of the kernels in numpy and float64, except where a function of the CPU path is the twin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.cuda.decode.surface import SampleLayout

Image = NDArray[np.float64]


def axis_weights(pixels: int, samples: int, offset: float = 0.0) -> Image:
    """``[pixels, samples]``, rows sum to 1: the weight of each sample of an axis in each pixel of the shrunk axis.

    With at least as many samples as pixels it is their overlap; else the two nearest centres are interpolated. ``offset``, in
    samples, shifts all pixels; the edge samples are repeated without end.
    """
    if samples >= pixels:
        edges = np.arange(pixels + 1) / pixels * samples + offset
        sample_edges = np.arange(samples + 1, dtype=np.float64)
        sample_edges[[0, -1]] = -np.inf, np.inf
        shared = np.minimum(edges[1:, None], sample_edges[None, 1:]) - np.maximum(edges[:-1, None], sample_edges[None, :-1])
        return np.asarray(np.clip(shared, 0, None) * pixels / samples)
    centres = (np.arange(pixels) + 0.5) / pixels * samples - 0.5 + offset
    return np.stack([np.interp(centres, np.arange(samples), unit) for unit in np.eye(samples)], axis=1)


def shrunk_rgb(
    planes: Sequence[NDArray[np.unsignedinteger]], layout: SampleLayout, to_rgb: NDArray[np.floating], shrunk: tuple[int, int]
) -> Image:
    """``[h, w, 3]`` R'G'B' in 0..255, as coded (not turned). ``planes`` hold sample values; ``shrunk`` is (width, height)."""
    across, down = (offset / 8 for offset in layout.chroma_offset)
    channels = [_shrink(planes[0], shrunk, 0, 0), *(_shrink(chroma, shrunk, across, down) for chroma in planes[1:])]
    while len(channels) < 3:
        channels.append(np.zeros_like(channels[0]))
    matrix = to_rgb.astype(np.float64).reshape(3, 4)
    return np.asarray(np.clip(np.stack(channels, axis=-1) @ matrix[:, :3].T + matrix[:, 3], 0, 255))


def _shrink(plane: NDArray[np.unsignedinteger], shrunk: tuple[int, int], across: float, down: float) -> Image:
    height, width = plane.shape
    columns, lines = axis_weights(shrunk[0], width, across), axis_weights(shrunk[1], height, down)
    return np.asarray(lines @ plane.astype(np.float64) @ columns.T)
