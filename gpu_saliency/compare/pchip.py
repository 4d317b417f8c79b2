"""Monotone piecewise cubic interpolation (PCHIP), which BD-rates integrate.

F. N. Fritsch and J. Butland, "A method for constructing local monotone piecewise cubic interpolants", SIAM J. Sci. Stat. Comput.
5(2), 1984; the slopes at the ends are those of C. Moler, "Numerical Computing with MATLAB", 2004, 3.6. Both as in scipy's
``PchipInterpolator``; the tests compare the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pchip:
    """A monotone cubic through points, ``[n]`` each with n of 2 or more. Produced by `interpolate`."""

    x: Values
    """Strictly rising."""
    y: Values
    slope: Values
    """Derivative at each point."""

    def __call__(self, at: ArrayLike) -> Values:
        """The curve at ``at``, which lies within ``x``."""
        at = np.asarray(at, np.float64)
        i, t, h = self._local(at)
        y0, y1, d0, d1 = self.y[i], self.y[i + 1], self.slope[i] * h, self.slope[i + 1] * h
        value: Values = y0 + t * (d0 + t * (3 * (y1 - y0) - 2 * d0 - d1 + t * (2 * (y0 - y1) + d0 + d1)))
        return value

    def integral(self, low: float, high: float) -> float:
        """The integral from ``low`` to ``high``, both within ``x``."""
        a, b = self._antiderivative(np.array([low, high]))
        return float(b - a)

    def _antiderivative(self, at: Values) -> Values:
        """The integral from the first point to each of ``at``."""
        i, t, h = self._local(at)
        pieces = np.diff(self.x) * (self.y[:-1] + self.y[1:]) / 2 + np.diff(self.x) ** 2 * (self.slope[:-1] - self.slope[1:]) / 12
        before = np.concatenate(([0.0], np.cumsum(pieces)))
        y0, y1, d0, d1 = self.y[i], self.y[i + 1], self.slope[i] * h, self.slope[i + 1] * h
        inner = t * (y0 + t * (d0 / 2 + t * ((3 * (y1 - y0) - 2 * d0 - d1) / 3 + t * (2 * (y0 - y1) + d0 + d1) / 4)))
        total: Values = before[i] + h * inner
        return total

    def _local(self, at: Values) -> tuple[NDArray[np.intp], Values, Values]:
        """The piece of each value, the place in it in 0..1, and the width of the piece."""
        i = np.clip(np.searchsorted(self.x, at, side="right") - 1, 0, len(self.x) - 2)
        h = self.x[i + 1] - self.x[i]
        return i, (at - self.x[i]) / h, h


def interpolate(x: ArrayLike, y: ArrayLike) -> Pchip:
    """The curve through (``x``, ``y``). Raises `ValueError` unless there are two points or more and ``x`` rises strictly."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) < 2 or len(x) != len(y) or not (np.diff(x) > 0).all():
        raise ValueError("the points of a curve must be two or more, in rising order")
    h, secant = np.diff(x), np.diff(y) / np.diff(x)
    if len(x) == 2:
        return Pchip(x, y, np.full(2, secant[0]))
    slope = np.zeros_like(x)
    before, after = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    rising = secant[:-1] * secant[1:] > 0
    inner = np.zeros(len(x) - 2)
    weights = before + after
    np.divide(weights, before / np.where(rising, secant[:-1], 1) + after / np.where(rising, secant[1:], 1), out=inner, where=rising)
    slope[1:-1] = inner
    slope[0] = _end_slope(h[0], h[1], secant[0], secant[1])
    slope[-1] = _end_slope(h[-1], h[-2], secant[-1], secant[-2])
    return Pchip(x, y, slope)


def _end_slope(h0: float, h1: float, first: float, second: float) -> float:
    """The slope at an end, by three points, limited so that the curve keeps the data's direction."""
    slope = ((2 * h0 + h1) * first - h0 * second) / (h0 + h1)
    if np.sign(slope) != np.sign(first):
        return 0.0
    if np.sign(first) != np.sign(second) and abs(slope) > 3 * abs(first):
        return 3 * first
    return slope
