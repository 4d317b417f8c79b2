"""Computes activity, the texture and change of a picture, from the luma of the samples; it estimates a block's rate share.

If all blocks had the same rate share, files would be too large where the salient area has most of the activity. The gradient alone
would count a still background, which takes no bits after its first frame; so activity mixes gradient and change.
``benchmarks/roi_gain.py`` prints the resulting sizes against plain encodes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TEMPORAL_WEIGHT = 0.75
"""Weight, 0..1, of the change over time in activity; the rest is the weight of the spatial gradient."""


def activity_map(luma: NDArray[np.float32], previous: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Compute the activity ``[h, w]``: ``(1 - TEMPORAL_WEIGHT) * gradient + TEMPORAL_WEIGHT * change + 1/255``.

    ``luma`` and ``previous``, the sample before, are ``[h, w]`` in 0..1. ``change`` is the absolute difference of the two, so it
    includes motion that an encoder compensates; for the first sample it equals the gradient. The constant is a floor of one code
    value, so that the blocks of a flat picture weigh the same.
    """
    across = np.abs(np.diff(luma, axis=1, append=luma[:, -1:]))
    down = np.abs(np.diff(luma, axis=0, append=luma[-1:]))
    gradient = across + down
    change = gradient if previous is None else np.abs(luma - previous)
    activity: NDArray[np.float32] = ((1 - TEMPORAL_WEIGHT) * gradient + TEMPORAL_WEIGHT * change + 1 / 255).astype(np.float32)
    return activity
