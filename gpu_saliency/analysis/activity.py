"""How many of a picture's bits each part will take, guessed from the luma of the sampled frames.

A uniform guess makes files too large where the salient part holds the activity, and the gradient alone counts a still background,
which costs nothing after its first frame; so it is a mix of gradient and change. What it comes to in size against a plain encode,
``benchmarks/roi_gain.py`` prints.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TEMPORAL_WEIGHT = 0.75
"""Share of the temporal difference in the mix; the rest is the spatial gradient."""


def activity_map(luma: NDArray[np.float32], previous: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """``(1 - TEMPORAL_WEIGHT) * gradient + TEMPORAL_WEIGHT * change + 1/255`` for ``luma`` ``[h, w]`` in 0..1.

    ``change`` is against the sampled frame before, so it shows what moves at all rather than what motion compensation will miss;
    without one the gradient stands in for it. The constant is a floor of one code value, so that a flat picture weighs evenly.
    """
    across = np.abs(np.diff(luma, axis=1, append=luma[:, -1:]))
    down = np.abs(np.diff(luma, axis=0, append=luma[-1:]))
    gradient = across + down
    change = gradient if previous is None else np.abs(luma - previous)
    activity: NDArray[np.float32] = ((1 - TEMPORAL_WEIGHT) * gradient + TEMPORAL_WEIGHT * change + 1 / 255).astype(np.float32)
    return activity
