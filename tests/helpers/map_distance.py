"""Limits of the difference between the saliency maps of two devices."""

from __future__ import annotations

import numpy as np
from gpu_parity import HIGH_CODES, MEAN_CODES
from numpy.typing import NDArray


def assert_close_maps(found: NDArray[np.floating], expected: NDArray[np.floating]) -> None:
    """Check maps of values 0..1 against the limits; ``expected`` must have contrast, because a flat map proves nothing."""
    assert expected.std() > 0.05
    apart = 255 * np.abs(np.asarray(found, np.float64) - expected)
    assert apart.mean() <= MEAN_CODES
    assert np.quantile(apart, 0.999) <= HIGH_CODES
