"""Split from gpu_saliency.plan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.plan.policy import MAX_OFFSET


def symmetric_offsets(saliency: NDArray[np.floating], offset: int) -> NDArray[np.int8]:
    """``round((2 s - 1) * offset)`` for saliency ``[rows, cols]``."""
    return _to_int8((2 * saliency - 1) * offset)


def balanced_offsets(
    saliency: NDArray[np.floating], rate_share: NDArray[np.floating], offset: int
) -> tuple[NDArray[np.int8], float]:
    """Offsets ``[rows, cols]`` that keep the size, and what to add to all of them; see the module's text for the formula.

    ``rate_share`` ``[rows, cols]`` sums to 1.
    """
    peak = float(saliency.max())
    low, high = sorted((0.0, 2.0 * offset))

    def shift(k: float) -> float:
        return 6 * float(np.log2((rate_share * np.exp2(-k * saliency / 6)).sum()))

    # k * peak + shift(k) rises with k (its slope is peak minus a weighted mean of s), so bisection finds the asked offset.
    for _ in range(40):
        k = (low + high) / 2
        if k * peak + shift(k) < offset:
            low = k
        else:
            high = k
    k = (low + high) / 2
    rounded = _to_int8(k * saliency + shift(k))
    left = 6 * float(np.log2((rate_share * np.exp2(-rounded / 6)).sum()))
    return rounded, left


def _to_int8(offsets: NDArray[np.floating]) -> NDArray[np.int8]:
    rounded: NDArray[np.int8] = np.clip(np.rint(offsets), -MAX_OFFSET, MAX_OFFSET).astype(np.int8)
    return rounded
