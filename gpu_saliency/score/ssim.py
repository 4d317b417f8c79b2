"""SSIM map of two pictures with the Gaussian window of the original definition, so that it can be weighted pixel by pixel.

Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity", IEEE Transactions on
Image Processing 13(4), 2004: window 11x11 of sigma 1.5, K1 = 0.01, K2 = 0.03, where the window lies wholly inside the picture.
ffmpeg's filter ``ssim`` has other windows (8x8, without weights) and gives other numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW = 11
MARGIN = WINDOW // 2
"""Pixels at each edge that have no value."""
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03
_STRIP = 16
"""Rows at a time, so that all intermediate pictures stay in the cache."""


def _window() -> NDArray[np.float32]:
    taps = np.exp(-((np.arange(WINDOW) - MARGIN) ** 2) / (2 * _SIGMA**2))
    return np.asarray(taps / taps.sum(), np.float32)


_TAPS = _window()


def ssim_map(a: NDArray[np.float32], b: NDArray[np.float32], peak: float) -> NDArray[np.float32] | None:
    """SSIM of each pixel, ``[height - 10, width - 10]``; ``None`` where the picture is smaller than the window."""
    height, width = a.shape
    if min(height, width) < WINDOW:
        return None
    result = np.empty((height - 2 * MARGIN, width - 2 * MARGIN), np.float32)
    for top in range(0, len(result), _STRIP):
        rows = slice(top, min(top + _STRIP, len(result)) + 2 * MARGIN)
        result[top : top + _STRIP] = _strip(a[rows], b[rows], peak)
    return result


def _strip(a: NDArray[np.float32], b: NDArray[np.float32], peak: float) -> NDArray[np.float32]:
    # Variances do not change when a constant is subtracted, and float32 keeps more digits of smaller numbers.
    middle = np.float32(peak / 2)
    x, y = a - middle, b - middle
    mean_x, mean_y, xx, yy, xy = _blur(np.stack([x, y, x * x, y * y, x * y]))
    var_x, var_y, cov = xx - mean_x * mean_x, yy - mean_y * mean_y, xy - mean_x * mean_y
    mean_x += middle
    mean_y += middle
    c1, c2 = np.float32((_K1 * peak) ** 2), np.float32((_K2 * peak) ** 2)
    similar = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    result: NDArray[np.float32] = similar / ((mean_x * mean_x + mean_y * mean_y + c1) * (var_x + var_y + c2))
    return result


def _blur(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each of ``pictures`` ``[n, h, w]`` under the window: ``[n, h - 10, w - 10]``."""
    height, width = pictures.shape[1] - 2 * MARGIN, pictures.shape[2] - 2 * MARGIN
    down = _TAPS[MARGIN] * pictures[:, MARGIN : MARGIN + height]
    for i in range(MARGIN):
        down += _TAPS[i] * (pictures[:, i : i + height] + pictures[:, WINDOW - 1 - i : WINDOW - 1 - i + height])
    across: NDArray[np.float32] = _TAPS[MARGIN] * down[:, :, MARGIN : MARGIN + width]
    for i in range(MARGIN):
        across += _TAPS[i] * (down[:, :, i : i + width] + down[:, :, WINDOW - 1 - i : WINDOW - 1 - i + width])
    return across
