"""Computes the matrix that converts Y'CbCr codes to full-range R'G'B' codes (ITU-T H.273)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.source.colour import MATRICES


def yuv_to_rgb_matrix(colorspace: int, is_full: bool, bits: int, *, has_chroma: bool = True) -> NDArray[np.float32]:
    """Compute the conversion matrix ``[12]``: for each of R', G', B' the factors of Y', Cb, Cr, and an offset.

    Y', Cb, Cr are codes of ``bits`` bits; the results are in 0..255. The formulas are H.273, equations 20 to 31 (quantisation) and
    38 to 40 (matrix), solved for R'G'B'; but full range of more than 8 bits ends at 255 times 2^(bits - 8), 0.3 % below the
    standard's 2^bits - 1, as in swscale on the CPU path. Without chroma the factors of Cb and Cr are 0. Raises `KeyError` for a
    ``colorspace`` that `resolve_colorspace` does not return.
    """
    _, red, blue = MATRICES[colorspace]
    green = 1 - red - blue
    # R'G'B' of E'Y in 0..1 and E'PB, E'PR in -0.5..0.5.
    matrix = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    unit, middle = 2.0 ** (bits - 8), 2.0 ** (bits - 1)
    black, luma_span, chroma_span = (0.0, 255 * unit, 255 * unit) if is_full else (16 * unit, 219 * unit, 224 * unit)
    factors = 255 * matrix / np.array([luma_span, chroma_span, chroma_span])
    if not has_chroma:
        factors[:, 1:] = 0
    offset = -factors @ np.array([black, middle, middle])
    return np.concatenate((factors, offset[:, None]), axis=1).astype(np.float32).reshape(12)
