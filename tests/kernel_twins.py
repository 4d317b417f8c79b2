"""What the kernels compute, by numpy in float64. Where the CPU path has the function already, that is the twin and is not here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.cuda.surface import SampleLayout

Image = NDArray[np.float64]


def axis_weights(pixels: int, samples: int) -> Image:
    """``[pixels, samples]``, rows sum to 1: how much each sample of an axis counts in each pixel of the shrunk axis.

    By the length shared where samples are as fine as pixels; else by interpolation between the two nearest centres.
    """
    if samples >= pixels:
        edges, sample_edges = np.linspace(0, 1, pixels + 1), np.linspace(0, 1, samples + 1)
        shared = np.minimum(edges[1:, None], sample_edges[None, 1:]) - np.maximum(edges[:-1, None], sample_edges[None, :-1])
        return np.asarray(np.clip(shared, 0, None) * pixels)
    centres = (np.arange(pixels) + 0.5) / pixels * samples - 0.5
    return np.stack([np.interp(centres, np.arange(samples), unit) for unit in np.eye(samples)], axis=1)


def shrunk_rgb(
    planes: Sequence[NDArray[np.unsignedinteger]], layout: SampleLayout, to_rgb: NDArray[np.floating], shrunk: tuple[int, int]
) -> Image:
    """``[h, w, 3]`` R'G'B' in 0..255, as coded (not turned). ``planes`` hold sample values; ``shrunk`` is (width, height)."""
    width, height = shrunk
    run = 2 if width % 2 == 0 and layout.chroma_shift != (0, 0) else 1
    channels = [_shrink(planes[0], width, height)]
    for chroma in planes[1:]:
        channels.append(np.repeat(_shrink(chroma, -(-width // run), height), run, axis=1)[:, :width])
    while len(channels) < 3:
        channels.append(np.zeros_like(channels[0]))
    matrix = to_rgb.astype(np.float64).reshape(3, 4)
    return np.asarray(np.clip(np.stack(channels, axis=-1) @ matrix[:, :3].T + matrix[:, 3], 0, 255))


def _shrink(plane: NDArray[np.unsignedinteger], width: int, height: int) -> Image:
    down, across = axis_weights(height, plane.shape[0]), axis_weights(width, plane.shape[1])
    return np.asarray(down @ plane.astype(np.float64) @ across.T)
