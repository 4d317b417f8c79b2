"""Picture-sized maps to a grid of blocks, and to other sizes, by exact area averaging."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK_SIZE = 16
"""Pixels. x264's macroblock and x265's quantisation group; coarser grids are averages of this one."""

_SMALL_PRODUCT = 2**17
"""Multiplications from 2**18 on OpenBLAS spreads over threads (interface/gemm.c), which then wait for cores that the decoder has:
at 1080p that took 16 ms for each map."""


def grid_shape(width: int, height: int, block_size: int = BLOCK_SIZE) -> tuple[int, int]:
    """Rows and columns of the block grid of a ``width`` x ``height`` frame; a partial block at an edge counts as one."""
    return -(-height // block_size), -(-width // block_size)


def overlap_weights(source: int, length: int, block_size: int) -> NDArray[np.float64]:
    """``[blocks, source]``: how much of each block each of ``source`` equal cells covers, when the cells span ``length`` pixels.

    Rows sum to 1. The last block may reach past ``length``; only its part inside counts.
    """
    blocks = -(-length // block_size)
    cell_edges = np.linspace(0, length, source + 1)
    starts = np.arange(blocks) * block_size
    ends = np.minimum(starts + block_size, length)
    overlap = np.minimum(ends[:, None], cell_edges[None, 1:]) - np.maximum(starts[:, None], cell_edges[None, :-1])
    overlap = np.clip(overlap, 0, None)
    weights: NDArray[np.float64] = overlap / overlap.sum(axis=1, keepdims=True)
    return weights


def block_mean(maps: NDArray[np.floating], width: int, height: int, block_size: int = BLOCK_SIZE) -> NDArray[np.float32]:
    """Mean of ``maps`` ``[..., h, w]``, stretched over a ``width`` x ``height`` frame, in each block: ``[..., rows, cols]``."""
    down = overlap_weights(maps.shape[-2], height, block_size)
    across = overlap_weights(maps.shape[-1], width, block_size)
    return np.asarray(_multiply(_multiply(down, maps), across.T), np.float32)


def _multiply(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.floating]:
    """``a @ b``, ``[..., m, k]`` by ``[..., k, n]``, a few rows at a time."""
    rows = max(1, _SMALL_PRODUCT // (b.shape[-2] * b.shape[-1]))
    return np.concatenate([a[..., i : i + rows, :] @ b for i in range(0, a.shape[-2], rows)], axis=-2)


def pool_blocks(grid: NDArray[np.generic], side: int, how: str) -> NDArray[np.float64]:
    """``grid`` ``[rows, cols]`` in squares of ``side`` x ``side`` blocks, by ``mean`` or ``min``; at the edges of what there is.

    ``[ceil(rows / side), ceil(cols / side)]``. Raises `ValueError` for another ``how``.
    """
    rows, cols = grid.shape
    down, across = np.arange(0, rows, side), np.arange(0, cols, side)
    values = grid.astype(np.float64)
    if how == "min":
        return np.asarray(np.minimum.reduceat(np.minimum.reduceat(values, down, axis=0), across, axis=1))
    if how != "mean":
        raise ValueError(f"{how!r} is no way to pool")
    sums = np.add.reduceat(np.add.reduceat(values, down, axis=0), across, axis=1)
    high, wide = np.minimum(side, rows - down), np.minimum(side, cols - across)
    return np.asarray(sums / (high[:, None] * wide))
