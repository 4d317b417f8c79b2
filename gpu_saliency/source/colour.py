"""Colour matrix and range of a picture, from its ITU-T H.273 tags; the same for libswscale and the CUDA kernels."""

from __future__ import annotations

from typing import NamedTuple

from av.video.reformatter import ColorRange, Colorspace


class Matrix(NamedTuple):
    """The coefficients of a Y'CbCr matrix: libswscale's name for it, and the weights of red and blue in luma."""

    swscale: Colorspace
    kr: float
    kb: float


MATRICES = {
    1: Matrix(Colorspace.ITU709, 0.2126, 0.0722),  # BT.709
    4: Matrix(Colorspace.FCC, 0.30, 0.11),  # FCC title 47
    5: Matrix(Colorspace.ITU601, 0.299, 0.114),  # BT.470 System B, G
    6: Matrix(Colorspace.ITU601, 0.299, 0.114),  # BT.601, SMPTE 170M
    7: Matrix(Colorspace.SMPTE240M, 0.212, 0.087),  # SMPTE 240M
    9: Matrix(Colorspace.BT2020, 0.2627, 0.0593),  # BT.2020, non-constant luminance
    10: Matrix(Colorspace.BT2020, 0.2627, 0.0593),  # BT.2020, constant luminance: read as non-constant, as swscale does
}
"""Matrix by tag (MatrixCoefficients, H.273, table 4); tags that are missing here count as unspecified."""
_BT709, _BT601 = 1, 6
_HD_LINES = 720


def resolve_colorspace(colorspace: int, height: int) -> int:
    """The key of `MATRICES` for a picture of ``height`` lines with the tag ``colorspace``.

    Without a usable tag the result is BT.709 from 720 lines on and BT.601 below, as in players.
    """
    if colorspace in MATRICES:
        return colorspace
    return _BT709 if height >= _HD_LINES else _BT601


def is_full_range(color_range: int, pix_fmt: str) -> bool:
    """Whether the picture's samples use the full range of codes; ``color_range`` is an AVColorRange, 0 unspecified.

    Grey formats count as full range with any tag, as in FFmpeg.
    """
    return color_range == ColorRange.JPEG or pix_fmt.startswith(("yuvj", "gray"))
