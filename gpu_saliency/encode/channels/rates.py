"""Estimates the bits that each block of a clip takes, similar to libaom's own estimate for its rate guide."""

from __future__ import annotations

from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.parts import Part
from gpu_saliency.errors import SourceError
from gpu_saliency.grid import pool_blocks
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.planes import luma

SAMPLED_FRAMES = 24
"""Approximate number of frames of a part, evenly spread, from which its rates are estimated."""
_SIDE = 8
_DCT = np.sqrt(2 / _SIDE) * np.cos(np.pi * np.outer(np.arange(_SIDE), 2 * np.arange(_SIDE) + 1) / (2 * _SIDE))
_DCT[0] /= np.sqrt(2)
_TRANSFORM = np.kron(_DCT, _DCT).astype(np.float32)
"""``[64, 64]``: DCT-II of an 8x8 block, both in raster order."""
_SCAN = np.argsort(np.add.outer(np.arange(_SIDE), np.arange(_SIDE)).ravel(), kind="stable")


def quantiser_step(crf: float) -> float:
    """AV1's quantiser step at ``crf``, 0..63, in 8-bit samples of an orthonormal transform.

    It is an approximation: from CRF 20 to 55 the table of AC steps (AV1 specification, 7.12.2) at qindex ``4 * crf`` differs by at
    most 10 %.
    """
    return float(2.475 * np.exp2(crf / 10.03))


def estimate_rates(clip: Clip, part: Part, step: float) -> NDArray[np.float64]:
    """Estimate the bits ``[rows, cols]`` that an intra coder spends on each 16x16 block: the mean over some frames of ``part``.

    Each 8x8 block, without its mean, is transformed by a DCT and quantised by ``step`` with rounding to nearest. It takes 1 bit, 1
    for each coefficient up to the last that is not 0, and ``floor(log2(1 + level)) + 1`` for each that is not 0. Raises
    `SourceError`.
    """
    every = max(1, part.frames // SAMPLED_FRAMES)
    frames = islice(decode_frames(clip, DecodeTally()), part.start + every // 2, part.end, every)
    total: NDArray[np.float64] | None = None
    count = 0
    for frame in frames:
        scale = 2.0 ** (frame.format.components[0].bits - 8)
        rates = _picture_rates(luma(frame).astype(np.float32) / np.float32(scale), step)
        total = rates if total is None else total + rates
        count += 1
    if total is None:
        raise SourceError(f"{clip.path}: has no frame {part.start}", cure="analyse the clip again: it has changed")
    mean: NDArray[np.float64] = total / count
    return mean


def _picture_rates(picture: NDArray[np.float32], step: float) -> NDArray[np.float64]:
    height, width = picture.shape
    padded = np.pad(picture, ((0, -height % _SIDE), (0, -width % _SIDE)), mode="edge")
    rows, cols = padded.shape[0] // _SIDE, padded.shape[1] // _SIDE
    blocks = padded.reshape(rows, _SIDE, cols, _SIDE).transpose(0, 2, 1, 3).reshape(-1, _SIDE * _SIDE)
    coefficients = blocks @ _TRANSFORM.T
    coefficients[:, 0] = 0
    level = np.floor(np.abs(coefficients) / step + 0.5)[:, _SCAN]
    coded = level > 0
    last = np.where(coded.any(axis=1), _SIDE * _SIDE - np.argmax(coded[:, ::-1], axis=1), 0)
    bits = (1 + last + (np.floor(np.log2(1 + level)) + coded).sum(axis=1)).reshape(rows, cols)
    # Four 8x8 blocks make a 16x16 block; blocks outside the picture take no bits.
    even = np.pad(bits, ((0, rows % 2), (0, cols % 2)))
    return np.asarray(pool_blocks(even, 2, "mean") * 4)
