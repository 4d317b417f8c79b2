"""Describes a grid of offsets by few rectangles; an addroi graph needs one filter for each.

Where rectangles overlap the first one wins. So a grid is painted level by level, and the rectangles of a level may run over blocks
that earlier levels have painted: those keep their value. Offsets rise or fall smoothly around what viewers look at, so painting
begins with the extreme level in the middle of such hills, and each further level needs only the outline of its hill.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Box = tuple[int, int, int, int]
"""Top, left, bottom, right."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Blocks ``[top, bottom) x [left, right)`` that get ``value`` where no earlier rectangle has covered them."""

    top: int
    left: int
    bottom: int
    right: int
    value: int


def paint_blocks(grid: NDArray[np.integer]) -> tuple[list[Rectangle], int]:
    """Rectangles for ``grid`` ``[rows, cols]`` in the order in which they win, and the value of all blocks that they leave out.

    Never more rectangles than `merge_blocks` makes around the commonest value.
    """
    values, counts = np.unique(grid, return_counts=True)
    commonest = int(values[counts.argmax()])
    levels = values.tolist()
    # The runs of all levels together are fewest where the border of the picture is painted last.
    border = np.concatenate([grid[0], grid[-1], grid[:, 0], grid[:, -1]])
    if 2 * border.mean() < levels[0] + levels[-1]:
        levels.reverse()
    painted = np.zeros(grid.shape, bool)
    rectangles: list[Rectangle] = []
    for level in levels[:-1]:
        wanted = grid == level
        painted |= wanted
        rectangles += [Rectangle(*box, level) for box in _cover(wanted, painted)]
    merged = merge_blocks(grid, commonest)
    return (rectangles, levels[-1]) if len(rectangles) <= len(merged) else (merged, commonest)


def _cover(wanted: NDArray[np.bool_], allowed: NDArray[np.bool_]) -> Iterator[_Box]:
    """Rectangles inside ``allowed`` that cover ``wanted``, a part of it.

    Greedy: from the first uncovered block downwards, the rectangle that covers most blocks not yet covered.
    """
    left, right = _run_ends(allowed)
    left_over = wanted.copy()
    while left_over.any():
        top, col = divmod(int(left_over.argmax()), wanted.shape[1])
        column = allowed[top:, col]
        height = len(column) if column.all() else int(column.argmin())
        # Of rectangles through this block, one for each height: as wide as all its rows allow.
        lefts = np.maximum.accumulate(left[top : top + height, col])
        rights = np.minimum.accumulate(right[top : top + height, col])
        first, end = int(lefts[0]), int(rights[0])
        sums = np.zeros((height, end - first + 1), np.int32)
        left_over[top : top + height, first:end].cumsum(axis=0, dtype=np.int32).cumsum(axis=1, out=sums[:, 1:])
        rows = np.arange(height)
        best = int((sums[rows, rights - first] - sums[rows, lefts - first]).argmax())
        box = top, int(lefts[best]), top + best + 1, int(rights[best])
        left_over[box[0] : box[2], box[1] : box[3]] = False
        yield box


def _run_ends(allowed: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each block of ``allowed``, where its row's run of allowed blocks begins and ends (exclusive)."""
    col = np.arange(allowed.shape[1])
    begins = np.maximum.accumulate(np.where(allowed, 0, col + 1), axis=1)
    ends = np.minimum.accumulate(np.where(allowed, len(col), col)[:, ::-1], axis=1)[:, ::-1]
    return begins, ends


def merge_blocks(grid: NDArray[np.integer], background: int) -> list[Rectangle]:
    """Cover each block of ``grid`` ``[rows, cols]`` that differs from ``background`` with exactly one rectangle.

    The greedy algorithm finds runs of one value in a row, and extends each down while the next row has the same run.
    """
    done: list[Rectangle] = []
    growing: dict[tuple[int, int, int], int] = {}
    for row in range(len(grid) + 1):
        runs = set(_runs(grid[row], background)) if row < len(grid) else set()
        for run in [run for run in growing if run not in runs]:
            left, right, value = run
            done.append(Rectangle(growing.pop(run), left, row, right, value))
        for run in runs:
            growing.setdefault(run, row)
    return sorted(done, key=lambda r: (r.top, r.left))


def _runs(row: NDArray[np.integer], background: int) -> list[tuple[int, int, int]]:
    """Find the runs of equal values other than ``background``, as ``(left, right, value)``."""
    edges = np.flatnonzero(np.diff(row)) + 1
    starts, ends = [0, *edges.tolist()], [*edges.tolist(), len(row)]
    return [(a, b, int(row[a])) for a, b in zip(starts, ends, strict=True) if row[a] != background]
