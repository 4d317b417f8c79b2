"""Fits a map of any size to a clip's picture, by area; a map of another shape is refused, never stretched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.grid import BLOCK_SIZE, grid_shape, pool_blocks
from gpu_saliency.source.clip import Clip

_SHAPE_TOLERANCE = 0.02
"""By how much the aspect may differ: pictures padded to whole blocks differ by up to 1.5 % (1088 lines for 1080, 864 for 854)."""


def has_shape_of(shape: tuple[int, ...], clip: Clip) -> bool:
    """Whether a map of ``shape`` (height, width) has the aspect of the upright picture, as coded or as displayed.

    The sides of small maps are rounded, so one pixel is always allowed.
    """
    height, width = shape
    turned = clip.rotation % 180 != 0
    coded = clip.height / clip.width if turned else clip.width / clip.height
    return any(_is_near(width, height, aspect) for aspect in (coded, float(clip.upright_aspect)))


def _is_near(width: int, height: int, aspect: float) -> bool:
    rounded = abs(width - height * aspect) < 1 or abs(height - width / aspect) < 1
    return rounded or abs(width / height / aspect - 1) <= _SHAPE_TOLERANCE


def fit(one: NDArray[np.floating], width: int, height: int) -> NDArray[np.float32]:
    """``one`` scaled by area to ``[height, width]``: each pixel is the mean of what it covers."""
    if one.shape == (height, width):
        return np.ascontiguousarray(one, np.float32)
    edges = (np.linspace(0, have, want + 1) for have, want in zip(one.shape, (height, width), strict=True))
    return _fit_edges(one, *edges)


def fit_blocks(one: NDArray[np.floating], width: int, height: int) -> NDArray[np.float32]:
    """``one``, which covers a frame of ``width`` x ``height`` pixels, averaged over each of its blocks, ``[rows, cols]``.

    The result is that of `block_mean`, to rounding; for maps of the size of pictures this is many times as fast.
    """
    if one.shape == (height, width):
        return np.asarray(pool_blocks(one, BLOCK_SIZE, "mean"), np.float32)
    edges = (
        np.minimum(np.arange(blocks + 1) * BLOCK_SIZE, length) * (have / length)
        for blocks, length, have in zip(grid_shape(width, height), (height, width), one.shape, strict=True)
    )
    return _fit_edges(one, *edges)


def _fit_edges(one: NDArray[np.floating], down: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.float32]:
    """The means of ``one`` between the edges ``down`` and ``across``, in its pixels."""
    fitted = _fit_rows(_fit_rows(one.astype(np.float64), down).T, across).T
    return np.ascontiguousarray(fitted, np.float32)


def _fit_rows(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[rows, n]`` averaged between ``edges``: differences of the running sum there."""
    rows = len(values)
    first = np.minimum(edges.astype(np.intp), rows - 1)
    sums = np.concatenate((np.zeros_like(values[:1]), np.cumsum(values, axis=0)))
    at_edges = sums[first] + (edges - first)[:, None] * values[first]
    return np.maximum(np.diff(at_edges, axis=0) / np.diff(edges)[:, None], 0)
