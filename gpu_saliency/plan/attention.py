"""The mapping ``attention``: QP offsets from a measured curve of how much viewers look at a block.

Let ``w`` be a block's attention: recorded gaze density there, as a multiple of the frame's mean. A curve gives it from the model's
gaze map ``G`` (or from the saliency ``s``, for a model without one), plus a term for objects, and a floor:

    w = max(curve(G) + object * s, floor)
    q = -3 * beta * log2(w) + c, limited to -12..limit

An encoder spends bits so that one more bit lowers the squared error alike in every block, and 3 QP change that exchange rate by
a factor of 2. So ``beta = 1`` minimises the error weighted by ``w``, and ``beta = 0`` the error of the whole frame; between them
lies the compromise. ``c`` keeps the size as in mapping.py: ``sum rate_share * 2 ** (-q / 6) = 1``, found with the limits applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.plan.policy import MAX_OFFSET

_LEAST = 1e-6
"""Map values below it are read as it; the logarithm of 0 is not finite."""
_STEPS = 40
"""Bisection steps; 48 QP / 2 ** 40 is far below a float's rounding of the sum."""


@dataclass(frozen=True, slots=True)
class AttentionCurve:
    """How much viewers look at a block, by what a model says of it. Raises `ValueError` for a curve that falls."""

    gaze: tuple[tuple[float, float], ...]
    """``(G, w)`` with both rising; between points both are interpolated on logarithmic scales, outside the last value holds."""
    saliency: tuple[tuple[float, float], ...]
    """``(s, w)``, likewise, for tracks without a gaze map."""
    object: float = 0.0
    """Added to ``w`` for each unit of saliency; 0 or more."""
    floor: float = 0.0
    """Least ``w``."""
    beta: float = 0.5
    """Exponent at the nominal strength."""

    def __post_init__(self) -> None:
        for points in (self.gaze, self.saliency):
            x, w = np.array(points, np.float64).reshape(-1, 2).T
            rises = len(x) > 1 and min(x[0], w[0]) > 0 and bool(np.all(np.diff(x) > 0) and np.all(np.diff(w) >= 0))
            if not rises or not np.isfinite(points).all():
                raise ValueError(f"attention curve {points}: needs two or more points above 0 that rise")
        if self.object < 0 or self.floor < 0 or not np.isfinite([self.object, self.floor, self.beta]).all():
            raise ValueError(f"attention curve: object {self.object}, floor {self.floor}, beta {self.beta}: needs 0 or more")

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> AttentionCurve:
        """From the JSON of a model's metadata entry ``gpu_saliency.attention``; the inverse of `to_json`."""
        gaze, saliency = (tuple((float(x), float(w)) for x, w in data[key]) for key in ("gaze", "saliency"))
        return cls(gaze, saliency, float(data["object"]), float(data["floor"]), float(data["beta"]))

    def to_json(self) -> dict[str, Any]:
        return {
            "gaze": [list(pair) for pair in self.gaze],
            "saliency": [list(pair) for pair in self.saliency],
            "object": self.object,
            "floor": self.floor,
            "beta": self.beta,
        }

    def weight(self, gaze: NDArray[np.floating] | None, saliency: NDArray[np.floating]) -> NDArray[np.float64]:
        """``w`` of each block, above 0; ``gaze`` and ``saliency`` in 0..1, any one shape."""
        by_gaze = _interpolate(self.saliency, saliency) if gaze is None else _interpolate(self.gaze, gaze)
        return np.maximum(by_gaze + self.object * np.asarray(saliency, np.float64), self.floor)


def attention_offsets(
    gaze: NDArray[np.floating] | None,
    saliency: NDArray[np.floating],
    rate_share: NDArray[np.floating],
    curve: AttentionCurve,
    beta: float,
    limit: float = MAX_OFFSET,
) -> tuple[NDArray[np.int8], float]:
    """Offsets ``[rows, cols]`` that keep the size, and the ``recentre`` to add to all of them.

    ``beta`` 0 gives the plain encode, a negative one favours what viewers do not look at. ``rate_share`` ``[rows, cols]`` sums to
    1. ``limit``, 0 or more, is the largest offset.
    """
    asked = -3 * beta * np.log2(curve.weight(gaze, saliency))
    rounded = np.rint(balance(asked, rate_share, limit)).astype(np.int8)
    return rounded, 6 * float(np.log2(_size(rounded, rate_share)))


def balance(asked: NDArray[np.float64], rate_share: NDArray[np.floating], limit: float = MAX_OFFSET) -> NDArray[np.float64]:
    """``asked + c`` limited to ``-12..limit``, with the ``c`` that keeps the predicted size of a plain encode."""
    low, high = -MAX_OFFSET - float(asked.max()), MAX_OFFSET - float(asked.min())
    for _ in range(_STEPS):
        shift = (low + high) / 2
        if _size(np.clip(asked + shift, -MAX_OFFSET, limit), rate_share) > 1:
            low = shift
        else:
            high = shift
    return np.clip(asked + (low + high) / 2, -MAX_OFFSET, limit)


def _size(offsets: NDArray[Any], rate_share: NDArray[np.floating]) -> float:
    """Predicted size relative to a plain encode; a block's bits follow ``2 ** (-q / 6)``."""
    return float((rate_share * np.exp2(-offsets / 6.0)).sum())


def _interpolate(points: tuple[tuple[float, float], ...], values: NDArray[np.floating]) -> NDArray[np.float64]:
    x, w = np.log(np.array(points, np.float64)).T
    interpolated: NDArray[np.float64] = np.exp(np.interp(np.log(np.maximum(np.asarray(values, np.float64), _LEAST)), x, w))
    return interpolated
