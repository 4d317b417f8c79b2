"""Estimates activity: the share of a picture's bits that each block will take, from the luma of the sampled frames.

A uniform estimate makes files too large where the salient area holds the activity, and the gradient alone counts a still
background, which costs nothing after its first frame; so activity mixes gradient and change. ``benchmarks/roi_gain.py`` prints the
resulting sizes against plain encodes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TEMPORAL_WEIGHT = 0.75
"""Share of the temporal difference in the mix; the rest is the spatial gradient."""


def activity_map(luma: NDArray[np.float32], previous: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """``(1 - TEMPORAL_WEIGHT) * gradient + TEMPORAL_WEIGHT * change + 1/255`` for ``luma`` ``[h, w]`` in 0..1.

    ``change`` is the absolute difference to the sampled frame before, so it shows all motion, not only what motion compensation
    misses; without a frame before it equals the gradient. The constant is a floor of one code value, so that the blocks of a flat
    picture weigh the same.
    """
    across = np.abs(np.diff(luma, axis=1, append=luma[:, -1:]))
    down = np.abs(np.diff(luma, axis=0, append=luma[-1:]))
    gradient = across + down
    change = gradient if previous is None else np.abs(luma - previous)
    activity: NDArray[np.float32] = ((1 - TEMPORAL_WEIGHT) * gradient + TEMPORAL_WEIGHT * change + 1 / 255).astype(np.float32)
    return activity
