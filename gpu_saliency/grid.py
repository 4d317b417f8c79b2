"""The block grid: computes its shape, and averages maps over its blocks, weighted by exact overlap areas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK_SIZE = 16
"""Side of a block in pixels: x264's macroblock and x265's quantisation group. Coarser grids are averages of this grid."""

_SMALL_PRODUCT = 2**17
"""Multiplications per matrix product. From 2**18 on OpenBLAS uses threads (interface/gemm.c), which compete with the decoder for
cores: at 1080p that took 16 ms per map."""


def grid_shape(width: int, height: int, block_size: int = BLOCK_SIZE) -> tuple[int, int]:
    """Rows and columns of the block grid of a ``width`` x ``height`` frame, partial blocks at the edges included."""
    return -(-height // block_size), -(-width // block_size)


def overlap_weights(source: int, length: int, block_size: int) -> NDArray[np.float64]:
    """The fraction of each block that each of ``source`` equal cells covers ``[blocks, source]``; the cells span ``length`` pixels.

    Rows sum to 1. Of a partial last block, only the pixels before ``length`` count.
    """
    blocks = -(-length // block_size)
    cell_edges = np.linspace(0, length, source + 1)
    starts = np.arange(blocks) * block_size
    ends = np.minimum(starts + block_size, length)
    return overlap_shares(starts, ends, cell_edges)


def overlap_shares(starts: NDArray[np.number], ends: NDArray[np.number], cell_edges: NDArray[np.floating]) -> NDArray[np.float64]:
    """The fraction of each interval from ``starts`` to ``ends`` ``[blocks]`` that each cell covers: ``[blocks, cells]``.

    ``cell_edges`` ``[cells + 1]`` rise. Rows sum to 1.
    """
    overlap = np.minimum(ends[:, None], cell_edges[None, 1:]) - np.maximum(starts[:, None], cell_edges[None, :-1])
    overlap = np.clip(overlap, 0, None)
    shares: NDArray[np.float64] = overlap / overlap.sum(axis=1, keepdims=True)
    return shares


def block_mean(maps: NDArray[np.floating], width: int, height: int, block_size: int = BLOCK_SIZE) -> NDArray[np.float32]:
    """Average ``maps`` ``[..., h, w]`` over each block of the ``width`` x ``height`` frame they cover: ``[..., rows, cols]``."""
    down = overlap_weights(maps.shape[-2], height, block_size)
    across = overlap_weights(maps.shape[-1], width, block_size)
    return np.asarray(_multiply(_multiply(down, maps), across.T), np.float32)


def _multiply(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.floating]:
    """``a @ b`` for ``[..., m, k]`` and ``[..., k, n]``, computed a few rows of ``a`` at a time (see `_SMALL_PRODUCT`)."""
    rows = max(1, _SMALL_PRODUCT // (b.shape[-2] * b.shape[-1]))
    return np.concatenate([a[..., i : i + rows, :] @ b for i in range(0, a.shape[-2], rows)], axis=-2)


def pool_blocks(grid: NDArray[np.generic], side: int, how: str) -> NDArray[np.float64]:
    """Pool squares of ``side`` x ``side`` cells of ``grid`` ``[rows, cols]`` by ``mean`` or ``min``.

    Returns ``[ceil(rows / side), ceil(cols / side)]``; the last squares may be partial. Raises `ValueError` for another ``how``.
    """
    rows, cols = grid.shape
    down, across = np.arange(0, rows, side), np.arange(0, cols, side)
    values = grid.astype(np.float64)
    if how == "min":
        return np.asarray(np.minimum.reduceat(np.minimum.reduceat(values, down, axis=0), across, axis=1))
    if how != "mean":
        raise ValueError(f"how={how!r}: is not mean or min")
    sums = np.add.reduceat(np.add.reduceat(values, down, axis=0), across, axis=1)
    high, wide = np.minimum(side, rows - down), np.minimum(side, cols - across)
    return np.asarray(sums / (high[:, None] * wide))
