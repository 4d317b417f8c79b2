"""The mappings from saliency alone to QP offsets (attention.py has the default).

Let ``s`` be a block's saliency in 0..1 and ``o`` the policy's offset.

``symmetric``: ``q = round((2 s - 1) * o)``. Most of a picture is not salient, so the file becomes smaller.

``balanced``: ``q = round(k * s + c)``, with contrast ``k`` and shift ``c`` chosen so that the size of a plain encode is kept. The
quantiser's step doubles every 6 QP and the rate is nearly inverse to the step, so a block's bits follow ``2 ** (-q / 6)``. For
rate shares ``w`` (``sum w = 1``, estimated from the activity, see analysis/activity.py) the size is kept when
``sum w * 2 ** (-(k s + c) / 6) = 1``, that is ``c = 6 * log2(sum w * 2 ** (-k s / 6))``. ``k`` gives the most salient blocks the
offset ``o``, ``k * max(s) + c = o``, within ``|k| <= 2 |o|``, the contrast of ``symmetric``. Rounding to whole QP changes the size
again; the plan's ``recentre`` restores it: a fraction of a QP that channels add to all blocks of the segment.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.plan.policy import MAX_OFFSET


def symmetric_offsets(saliency: NDArray[np.floating], offset: float) -> NDArray[np.int8]:
    """Offsets ``[rows, cols]`` by the mapping ``symmetric``: ``round((2 s - 1) * offset)``."""
    return _to_int8((2 * saliency - 1) * offset)


def balanced_offsets(
    saliency: NDArray[np.floating], rate_share: NDArray[np.floating], offset: float
) -> tuple[NDArray[np.int8], float]:
    """Offsets ``[rows, cols]`` by the mapping ``balanced``, and the ``recentre`` to add to all; see the module for the formula.

    ``rate_share`` ``[rows, cols]`` sums to 1.
    """
    peak = float(saliency.max())
    low, high = sorted((0.0, 2.0 * offset))

    def shift(k: float) -> float:
        return 6 * float(np.log2((rate_share * np.exp2(-k * saliency / 6)).sum()))

    # k * peak + shift(k) rises with k (its slope is peak minus a weighted mean of s), so bisection finds k for the offset.
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
