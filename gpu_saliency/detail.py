"""How many of a picture's bits each part will take, guessed from the luma of the sampled frames.

A uniform guess makes files too large where the salient part holds the detail, and the gradient alone counts a still background,
which costs nothing after its first frame; so it is a mix of gradient and change. What it comes to in size against a plain encode,
``benchmarks/roi_gain.py`` prints.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TEMPORAL_WEIGHT = 0.75
"""Share of the temporal difference in the mix; the rest is the spatial gradient."""


class DetailMeter:
    """``(1 - TEMPORAL_WEIGHT) * gradient + TEMPORAL_WEIGHT * change`` of luma, averaged over frames, as a stream.

    The change is taken between sampled frames, so it shows what moves at all rather than what motion compensation will miss.
    """

    def __init__(self) -> None:
        self._gradient: NDArray[np.float64] | None = None
        self._change: NDArray[np.float64] | None = None
        self._previous: NDArray[np.float32] | None = None
        self._count = 0

    def add(self, luma: NDArray[np.float32]) -> None:
        """``luma`` ``[h, w]`` in 0..1."""
        across = np.abs(np.diff(luma, axis=1, append=luma[:, -1:]))
        down = np.abs(np.diff(luma, axis=0, append=luma[-1:]))
        if self._gradient is None or self._change is None or self._previous is None:
            self._gradient, self._change = np.zeros(luma.shape), np.zeros(luma.shape)
        else:
            self._change += np.abs(luma - self._previous)
        self._gradient += across + down
        self._previous = luma
        self._count += 1

    def result(self) -> NDArray[np.float32]:
        """``[h, w]``, with a floor of one code value so that a flat picture weighs evenly."""
        if self._gradient is None or self._change is None:
            raise ValueError("no frame was added")
        gradient = self._gradient / self._count
        change = self._change / (self._count - 1) if self._count > 1 else gradient
        mix = (1 - TEMPORAL_WEIGHT) * gradient + TEMPORAL_WEIGHT * change
        return (mix + 1 / 255).astype(np.float32)
