"""How much of a picture's bits each part will take, guessed from its luma."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class DetailMeter:
    """Mean gradient of the sampled frames' luma, as a stream. ``[h, w]`` in, ``[h, w]`` out, luma units per pixel."""

    def __init__(self) -> None:
        self._sum: NDArray[np.float64] | None = None
        self._count = 0

    def add(self, luma: NDArray[np.float32]) -> None:
        """``luma`` ``[h, w]`` in 0..1."""
        across = np.abs(np.diff(luma, axis=1, append=luma[:, -1:]))
        down = np.abs(np.diff(luma, axis=0, append=luma[-1:]))
        if self._sum is None:
            self._sum = np.zeros(luma.shape, np.float64)
        self._sum += across + down
        self._count += 1

    def result(self) -> NDArray[np.float32]:
        """Mean gradient, with a floor of one code value so that a flat picture weighs evenly."""
        if self._sum is None:
            raise ValueError("no frame was added")
        return (self._sum / self._count + 1 / 255).astype(np.float32)
