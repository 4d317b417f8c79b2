"""Merges a grid of offsets into few rectangles; an addroi graph needs one filter for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Blocks ``[top, bottom) x [left, right)`` that share ``value``."""

    top: int
    left: int
    bottom: int
    right: int
    value: int


def merge_blocks(grid: NDArray[np.integer], background: int) -> list[Rectangle]:
    """Cover every block of ``grid`` ``[rows, cols]`` that differs from ``background`` exactly once.

    Greedy: runs of one value in a row, each grown down while the run below is the very same.
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
    """``(left, right, value)`` of each run of equal values that are not ``background``."""
    edges = np.flatnonzero(np.diff(row)) + 1
    starts, ends = [0, *edges.tolist()], [*edges.tolist(), len(row)]
    return [(a, b, int(row[a])) for a, b in zip(starts, ends, strict=True) if row[a] != background]
