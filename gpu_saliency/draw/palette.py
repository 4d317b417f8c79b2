"""Colours for saliency and QP offsets that people with common kinds of colour blindness can distinguish.

Saliency runs from dark blue to yellow on cividis, whose lightness rises evenly and which looks the same with and without red-green
blindness (Nuñez, Anderton and Renslow, "Optimizing colormaps with consideration for color vision deficiency", PLOS ONE 13(7), 2018,
https://doi.org/10.1371/journal.pone.0199239). Offsets run from blue (better) over white (0) to orange (worse).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A polynomial fit of cividis, as d3-scale-chromatic publishes it (https://github.com/d3/d3-scale-chromatic, src/sequential-multi):
# red, green and blue in 0..255 by rising powers of t in 0..1.
_CIVIDIS = np.array(
    [
        [-4.54, -35.34, 2381.73, -6402.7, 7024.72, -2710.57],
        [32.49, 170.73, 52.82, -131.46, 176.58, -67.37],
        [81.24, 442.36, -2482.43, 6167.24, -6614.94, 2475.67],
    ]
)
_BETTER, _WORSE = np.array([0, 90, 181], np.float64), np.array([220, 100, 0], np.float64)


def saliency_colour(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert saliency ``[...]`` in 0..1 to R'G'B' ``[..., 3]`` in 0..255."""
    powers = np.clip(values, 0, 1)[..., None] ** np.arange(6)
    colours: NDArray[np.float64] = np.clip(powers @ _CIVIDIS.T, 0, 255)
    return colours


def offset_colour(values: NDArray[np.floating], top: float) -> NDArray[np.float64]:
    """Convert QP offsets ``[...]`` to R'G'B' ``[..., 3]`` in 0..255: -top and below blue, 0 white, top and above orange."""
    part = np.clip(values / top, -1, 1)[..., None]
    end = np.where(part < 0, _BETTER, _WORSE)
    mixed: NDArray[np.float64] = 255 + np.abs(part) * (end - 255)
    return mixed
