"""The prefilter's backgrounds: filters that remove detail which the encoder's quantiser would hardly keep.

Both limit the change of each sample to about the error that the quantiser makes anyway. So edges and strong texture stay; a plain
blur takes most where the texture is strongest, which costs far more PSNR for the same bits.

``fast`` is the kernel [1 2 1] in both directions, then the limit. On 8-bit pictures both steps have SIMD code
in ffmpeg (``removegrain`` mode 11, ``maskedclamp``). ``best`` begins with a denoiser in the frequency domain over three frames
(``fftdnoiz``), which takes about a hundred times as long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import av

from gpu_saliency.encode.channels.strengths import Strength

BACKGROUNDS = ("fast", "best")
_REMOVEGRAIN_FORMATS = frozenset(
    {f"yuv{sampling}p" for sampling in (410, 411, 420, 422, 440, 444)} | {f"yuvj{sampling}p" for sampling in (420, 422, 440, 444)}
) | {"gray"}
"""The formats of vf_removegrain.c that have one to three planes of Y'CbCr; all have 8 bits."""
_KERNEL_VARIANCE = 0.5
"""Variance of the kernel [1 2 1] / 4, in pixels squared."""
_SIGMA_PER_CHANGE = 1.5
"""Sigma of the denoiser, in 8-bit samples, for each sample of the most change."""
_MAX_LIMIT = 0.25
"""Most change of a sample as a part of the full range."""


@dataclass(frozen=True, slots=True)
class Background:
    """The filters that make the background, and the mask's value where only the background shows."""

    filters: str
    """Text of a filter graph with one open input and one open output."""
    level: float
    """0..1: blends the filtered picture with the source, so that strengths between whole limits are possible."""


def background(kind: str, strength: Strength, offset: float, quality: float | None, pix_fmt: str) -> Background:
    """Build the background ``kind`` for a policy's ``offset`` in QP, the encoder's base ``quality`` and its pixel format."""
    form = av.VideoFormat(pix_fmt)
    bits = form.components[0].bits
    change = min(strength.change(offset, quality), _MAX_LIMIT * 255) * 2 ** (bits - 8)
    limit = max(1, math.ceil(change))
    smooth = kernel(pix_fmt)
    if kind == "best":
        smooth = f"fftdnoiz=sigma={_SIGMA_PER_CHANGE * change / 2 ** (bits - 8):.4g}:prev=1:next=1,{smooth}"
    return Background(
        f"split=3[whole][low][high];[whole]{smooth}[smooth];[smooth][low][high]maskedclamp=undershoot={limit}:overshoot={limit}",
        min(1.0, change / limit),
    )


def kernel(pix_fmt: str) -> str:
    """The kernel [1 2 1] in both directions, or a Gaussian of the same variance where ffmpeg lacks SIMD code for the format."""
    return "removegrain=m0=11:m1=11:m2=11" if pix_fmt in _REMOVEGRAIN_FORMATS else f"gblur=sigma={math.sqrt(_KERNEL_VARIANCE):.4g}"
