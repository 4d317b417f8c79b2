"""Converts Y'CbCr sample values to full-range R'G'B' codes: the matrices of ITU-T H.273, and which one a clip is tagged with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# MatrixCoefficients of ITU-T H.273, table 4 -> K_R, K_B. The same set that source/shrink.py gives to swscale.
_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC title 47
    5: (0.299, 0.114),  # BT.470 System B, G
    6: (0.299, 0.114),  # BT.601, SMPTE 170M
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020, non-constant luminance
    10: (0.2627, 0.0593),  # BT.2020, constant luminance: read as non-constant, as swscale does
}
_BT709, _BT601 = 1, 6
_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG."""


def resolve_colorspace(colorspace: int, height: int) -> int:
    """The matrix for a picture of ``height`` lines that is tagged ``colorspace``; both are numbers of H.273.

    Without a usable tag it is BT.709 from 720 lines on and BT.601 below, as in `Shrinker`.
    """
    if colorspace in _WEIGHTS:
        return colorspace
    return _BT709 if height >= 720 else _BT601


def is_full_range(color_range: int, pix_fmt: str) -> bool:
    """Whether samples span all codes; ``color_range`` as libavutil numbers it, 0 unspecified.

    Grey always does, whatever its tag, as in FFmpeg.
    """
    return color_range == _FULL_RANGE or pix_fmt.startswith(("yuvj", "gray"))


def yuv_to_rgb_matrix(colorspace: int, is_full: bool, bits: int, *, has_chroma: bool = True) -> NDArray[np.float32]:
    """``[12]``: for each of R', G', B' in 0..255 its factors of Y', Cb, Cr (sample values of ``bits`` bits) and its offset.

    H.273, equations 20 to 31 (quantisation) and 38 to 40 (matrix), solved for R'G'B'; but full range of more than 8 bits ends at
    255 times 2^(bits - 8), 0.3 % below the standard's 2^bits - 1, as in swscale on the CPU path. Without chroma its factors are 0.
    Raises `KeyError` for a ``colorspace`` that `resolve_colorspace` does not return.
    """
    red, blue = _WEIGHTS[colorspace]
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
