"""The mapping ``attention``: QP offsets from how much viewers look at a block, by a curve that was measured on recorded gaze.

Let ``w`` be a block's attention as a multiple of the frame's mean (model/attention.py). Then

    q = -3 * beta * log2(w) + c, limited to -12..limit

With ``beta = 1`` one more bit lowers the squared error weighted by ``w`` alike in every block: 3 QP double the error that a bit
saves. ``beta = 0`` is the plain encode, which does so for the unweighted error, and a negative one favours what viewers do not look
at. ``c`` keeps the size as in
mapping.py, ``sum rate_share * 2 ** (-q / 6) = 1``, with the limits applied. Offsets are rounded to whole QP, so that neighbouring
blocks share one and a plan needs few regions; ``recentre`` takes the rest. `balancing_share` gives the rate shares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.plan.policy import MAX_OFFSET

DEFAULT_CURVE = AttentionCurve(
    gaze=((0.001, 0.0117), (0.003, 0.0687), (0.01, 0.189), (0.03, 0.591), (0.1, 1.76), (0.3, 4.8), (0.6, 10.4), (0.9, 17.7)),
    saliency=((0.001, 0.0188), (0.003, 0.119), (0.01, 0.308), (0.03, 0.987), (0.1, 2.67), (0.3, 3.93)),
    object=6.0,
    floor=0.2,
    beta=0.5,
)
"""For models without a curve of their own: that of saliency_fast_v1, fitted to 70 photographs with recorded gaze."""

RATE_SHARE_POWER = 0.6
"""Exponent of the rate shares in the balance: activity overstates how much the bits of blocks differ."""
_STEPS = 40
"""Bisection steps; 48 QP / 2 ** 40 is far below a float's rounding of the sum."""


def attention_offsets(
    gaze: NDArray[np.floating] | None,
    saliency: NDArray[np.floating],
    rate_share: NDArray[np.floating],
    curve: AttentionCurve,
    beta: float,
    limit: float = MAX_OFFSET,
) -> tuple[NDArray[np.int8], float]:
    """Offsets ``[rows, cols]`` that keep the size, and the ``recentre`` to add to all of them; the module gives the formula.

    ``gaze`` and ``saliency`` ``[rows, cols]`` in 0..1; ``None``: the curve of the saliency serves. ``rate_share`` ``[rows, cols]``
    sums to 1. No block gets more than ``limit``, 0 or more, offset and recentre together.
    """
    asked = -3 * beta * np.log2(curve.weight(gaze, saliency))

    def rounded(shift: float) -> tuple[NDArray[np.int8], float]:
        whole = np.clip(np.rint(asked + shift), -MAX_OFFSET, np.floor(limit)).astype(np.int8)
        return whole, 6 * float(np.log2(_size(whole, rate_share)))

    def fits(shift: float) -> bool:
        whole, recentre = rounded(shift)
        return float(whole.max()) + recentre <= limit

    shift = balance(asked, rate_share, limit)
    if not fits(shift):
        # Rounding made the plan too large, and the recentre would lift the worst blocks over the limit: the others give way.
        shift = _first(fits, shift, _highest(asked))
    return rounded(shift)


def balancing_share(activity: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rate shares for the balance, sum 1, from the ``activity`` of each block: in proportion to its power `RATE_SHARE_POWER`."""
    weight = np.asarray(activity, np.float64) ** RATE_SHARE_POWER
    share: NDArray[np.float64] = weight / weight.sum()
    return share


def balance(asked: NDArray[np.float64], rate_share: NDArray[np.floating], limit: float = MAX_OFFSET) -> float:
    """The ``c`` with which ``asked + c``, limited to ``-12..limit``, keeps the predicted size of a plain encode."""

    def is_small(shift: float) -> bool:
        return _size(np.clip(asked + shift, -MAX_OFFSET, limit), rate_share) <= 1

    return _first(is_small, -MAX_OFFSET - float(asked.max()), _highest(asked))


def _highest(asked: NDArray[np.float64]) -> float:
    """The shift from which on every block is at the limit."""
    return MAX_OFFSET - float(asked.min())


def _first(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The least number from ``low`` to ``high`` for which ``holds`` is true; it is true from there on, up to ``high``."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


def _size(offsets: NDArray[Any], rate_share: NDArray[np.floating]) -> float:
    """Predicted size relative to a plain encode; a block's bits follow ``2 ** (-q / 6)``."""
    return float((rate_share * np.exp2(-offsets / 6.0)).sum())
