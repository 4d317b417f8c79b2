"""Merges a grid of offsets into few rectangles, because an addroi graph needs one filter for each rectangle."""

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
