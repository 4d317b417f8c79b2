"""`Maps`: what a model computes for a batch of samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Maps:
    """The maps of a batch, upright and padded; on the device ``cuda`` the arrays are cupy's."""

    saliency: NDArray[np.float32]
    """``[N, H, W]`` in 0..1."""
    gaze: NDArray[np.float32] | None = None
    """``[N, H, W]`` in 0..1; ``None`` where the model has no output ``gaze_map``."""

    def part(self, begin: int, end: int) -> Maps:
        """The maps of the samples from ``begin`` to before ``end``."""
        return Maps(self.saliency[begin:end], None if self.gaze is None else self.gaze[begin:end])
