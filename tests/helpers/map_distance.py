"""Limits of the difference between the saliency maps of two devices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MEAN_CODES, HIGH_CODES = 1.0, 12.0
"""Limits in codes of 255 for the mean and the 99.9th percentile.

The kernels round a picture to 1 code of what swscale makes of it; the model enlarges that to 0.4 codes in the mean and 2 to 9 in
single places (the kernels built by g++ against swscale, tests/gpu/test_colour.py). What two builds of the same kernels make of one
picture has tighter limits: tests/gpu/test_kernels_cuda.py.
"""


def assert_close_maps(found: NDArray[np.floating], expected: NDArray[np.floating]) -> None:
    """Check maps of values 0..1 against the limits; ``expected`` must have contrast, because a flat map proves nothing."""
    assert expected.std() > 0.05
    apart = 255 * np.abs(np.asarray(found, np.float64) - expected)
    assert apart.mean() <= MEAN_CODES
    assert np.quantile(apart, 0.999) <= HIGH_CODES
