"""Searches over expensive measurements: few calls, interpolation between them, steps of a grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

MOST_CALLS = 8
_LONGEST_JUMP = 10.0
"""Steps beyond what is known are at most this long: curves bend."""
_LEAST_SLOPE = 0.25
"""Of the expected slope: a flatter stretch between two measurements does not send the next one far away."""
_GROWTH = 1.5
"""Each further step to smaller ``x`` is longer by this factor than the slope asks for: VMAF flattens there."""
_PATIENCE = 4
"""After this many calls twice the tolerance is close enough: some encodes do not follow the quality in order."""
_INTERPOLATIONS = 3
"""After this many measurements between two bounds every other one is in the middle, which ends a search on a bent curve."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The values that may be tried: multiples of ``step`` from ``low`` to ``high``."""

    low: float
    high: float
    step: float
    finest: float | None = None
    """A smaller step, for between two neighbours around the target of which neither is close to it; ``None``: there is none."""

    def nearest(self, x: float) -> float:
        """The value of the grid nearest to ``x``."""
        return min(max(round(round(x / self.step) * self.step, 9), self.low), self.high)


@dataclass(frozen=True, slots=True)
class Found:
    """The result of `search_falling`."""

    x: float
    value: float
    reached: bool
    """Whether the target lies between two measurements, or within the tolerance of one."""


def search_falling(
    measure: Callable[[float], float],
    target: float,
    grid: Grid,
    *,
    guess: float,
    slope: float,
    tolerance: float,
    at_least: bool = False,
    most_calls: int = MOST_CALLS,
) -> Found:
    """Find the ``x`` of ``grid`` at which ``measure``, which falls with ``x``, is nearest to ``target``.

    ``guess`` is tried first, ``slope`` (negative) is the expected change per unit of ``x``. The search ends at a value within
    ``tolerance`` (twice of it after `_PATIENCE` calls), at two neighbours around the target, at an end of the grid, or after
    ``most_calls``. If neither of the neighbours is within the tolerance, it goes on between them in steps of ``grid.finest``. With
    ``at_least`` the result is the largest measured ``x`` of which the value is ``target`` or more, if there is one.
    """
    tried: dict[float, float] = {}
    inside, outside, wanted = 0, 0, tolerance
    x = grid.nearest(guess)
    while True:
        tried[x] = measure(x)
        above, below = _bounds(tried, target)
        if len(tried) >= _PATIENCE and not at_least:
            tolerance = 2 * wanted
        if len(tried) >= most_calls or _is_close(tried[x], target, tolerance, at_least=at_least):
            break
        if above is not None and below is not None:
            if below - above < 1.5 * grid.step:
                is_close = any(_is_close(value, target, tolerance, at_least=at_least) for value in tried.values())
                if grid.finest is None or is_close or at_least:
                    break
                grid = replace(grid, step=grid.finest, finest=None)
            inside += 1
            share = (tried[above] - target) / (tried[above] - tried[below])
            middle = inside > _INTERPOLATIONS and (inside - _INTERPOLATIONS) % 2 == 1
            x = above + (0.5 if middle else share) * (below - above)
            x = min(max(grid.nearest(x), above + grid.step), below - grid.step)
        else:
            edge, sign = (above, 1) if above is not None else (below, -1)
            assert edge is not None
            if edge == (grid.high if sign > 0 else grid.low):
                break
            jump = _GROWTH**outside * abs(tried[edge] - target) / abs(_slope(tried, edge, slope))
            outside += sign < 0
            x = grid.nearest(edge + sign * min(max(jump, grid.step), _LONGEST_JUMP))
        if x in tried:
            break
    return _choose(tried, target, tolerance, at_least=at_least)


def _bounds(tried: dict[float, float], target: float) -> tuple[float | None, float | None]:
    """The largest ``x`` with at least the target, and the smallest one beyond it with less; ``None`` where there is none."""
    above = max((x for x, value in tried.items() if value >= target), default=None)
    below = min((x for x, value in tried.items() if value < target and (above is None or x > above)), default=None)
    return above, below


def _slope(tried: dict[float, float], edge: float, expected: float) -> float:
    """The slope between ``edge`` and its nearest neighbour, no flatter than a part of the expected one."""
    others = [x for x in tried if x != edge]
    if not others:
        return expected
    other = min(others, key=lambda x: abs(x - edge))
    return min((tried[edge] - tried[other]) / (edge - other), expected * _LEAST_SLOPE)


def _is_close(value: float, target: float, tolerance: float, *, at_least: bool) -> bool:
    return 0 <= value - target <= 2 * tolerance if at_least else abs(value - target) <= tolerance


def _choose(tried: dict[float, float], target: float, tolerance: float, *, at_least: bool) -> Found:
    good = [x for x, value in tried.items() if value >= target]
    x = max(good) if at_least and good else min(tried, key=lambda x: (abs(tried[x] - target), -x))
    around = bool(good) and len(good) < len(tried)
    return Found(x, tried[x], around or _is_close(tried[x], target, tolerance, at_least=at_least))


def strongest(
    gain: Callable[[float], float], grid: Grid, *, start: float, least: float = 0.0, most_calls: int = MOST_CALLS
) -> float:
    """The largest ``x`` of ``grid`` found with ``gain(x) >= least``; ``grid.low``, which is not measured, where there is none.

    Beyond some ``x`` the gain is expected to fall. ``start`` is tried first; then the search doubles ``x`` while the gain
    suffices, and interpolates between the bounds afterwards.
    """
    good: tuple[float, float | None] = (grid.low, None)
    bad: tuple[float, float] | None = None
    x = grid.nearest(start)
    for _ in range(most_calls):
        value = gain(x)
        if value >= least:
            good = (x, value)
            if x == grid.high:
                break
        else:
            bad = (x, value)
        x = _between(good, bad, grid, least)
        if bad is not None and not good[0] < x < bad[0]:
            break
    return good[0]


def _between(good: tuple[float, float | None], bad: tuple[float, float] | None, grid: Grid, least: float) -> float:
    low, value = good
    if bad is None:
        return grid.nearest(2 * low)
    high, worse = bad
    # The gain rises before it falls, so that a line from the lower end says nothing.
    share = 0.5 if value is None else (value - least) / (value - worse)
    return min(max(grid.nearest(low + share * (high - low)), low + grid.step), high - grid.step)
