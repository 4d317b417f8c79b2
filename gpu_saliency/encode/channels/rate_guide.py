"""libaom's rate-guided delta-q: a file that says how many bits each 16x16 block is to take, for all frames alike.

libaom 3.15 (av1/encoder/allintra_vis.c) compares the file with its own estimate of each block's rate and changes a superblock's
quantiser step to ``step * 2 ** -((wanted - estimated) / estimated)``: for an offset of ``e`` QP the file must hold ``estimate *
(1 - e / 6)``. Three things follow, all measured. A superblock's quantiser is hardly ever raised, since the same code limits that
by the largest coefficient that survives; so the subject gains and the base quality pays. What the file asks below the estimate
is ignored, which helps: asking for six tenths everywhere swallows the errors of the estimate. And the sum of the file is scaled
to that of libaom's estimates, so that what was left out there is put into one superblock at the corner.

Turning this on also turns off libaom's default way to spread bits in time (``deltaq-mode=1``), which costs still clips the most.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.channels.base import Channel, Delivery, escape_param
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.target import EncodeTarget
from gpu_saliency.errors import GpuSaliencyError, OutputError, SourceError, UsageError
from gpu_saliency.grid import pool_blocks
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.planes import luma

LOOKED_AT = 24
"""Frames of the clip from which the rates are estimated, evenly spread."""
FLOOR = 0.6
"""Wanted by estimated rate where nothing is to gain: low enough that the estimate's errors stay below 1."""
TOP = 2.0
"""The same where the plan improves most, for an offset of -3; more in proportion."""
SHIFT_PER_QP = 0.45
"""Steps of CRF that pay for each QP of the offset."""
_SIDE = 8
_DCT = np.sqrt(2 / _SIDE) * np.cos(np.pi * np.outer(np.arange(_SIDE), 2 * np.arange(_SIDE) + 1) / (2 * _SIDE))
_DCT[0] /= np.sqrt(2)
_TRANSFORM = np.kron(_DCT, _DCT).astype(np.float32)
"""``[64, 64]``: DCT-II of an 8x8 block, both in raster order."""
_SCAN = np.argsort(np.add.outer(np.arange(_SIDE), np.arange(_SIDE)).ravel(), kind="stable")


@dataclass(frozen=True, slots=True)
class RateGuide(Channel):
    """The channel ``rate-guide``."""

    name: ClassVar[str] = "rate-guide"

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        if target.bitrate is not None:
            return UsageError(f"{target.encoder}: was measured at constant quality alone", cure="use --crf, or the prefilter")
        return None

    def quality_shift(self, target: EncodeTarget, plan: RoiPlan) -> float:
        return SHIFT_PER_QP * abs(plan.policy.offset)

    def deliver(self, target: EncodeTarget, plan: RoiPlan | None, part: Part, folder: Path, quality: float | None) -> Delivery:
        if plan is None:
            return Delivery()
        assert target.crf is not None
        path = folder / "rates.txt"
        rates = wanted_rates(estimate_rates(target.clip, part, quantiser_step(target.crf)), plan.between(part.start, part.end))
        try:
            np.savetxt(path, rates, "%.3f")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
        return Delivery(
            params={"deltaq-mode": "3", "enable-rate-guide-deltaq": "1", "rate-distribution-info": escape_param(str(path))}
        )


def quantiser_step(crf: float) -> float:
    """AV1's quantiser step at ``crf``, 0..63, in 8-bit samples of an orthonormal transform.

    Between CRF 20 and 55 the table of AC steps (AV1 specification, 7.12.2) at qindex ``4 * crf`` follows this to 10 %.
    """
    return float(2.475 * np.exp2(crf / 10.03))


def estimate_rates(clip: Clip, part: Part, step: float) -> NDArray[np.float64]:
    """``[rows, cols]``: bits of each 16x16 block as an intra coder would spend them, mean over some frames of ``part``.

    Per 8x8 block, its mean removed: DCT, quantisation by ``step`` with rounding to nearest, and 1 bit, 1 for each coefficient up to
    the last one, ``floor(log2(1 + level))`` and 1 more for each that is not 0. Raises `SourceError`.
    """
    every = max(1, part.frames // LOOKED_AT)
    frames = islice(decode_frames(clip, DecodeTally()), part.start + every // 2, part.end, every)
    total: NDArray[np.float64] | None = None
    count = 0
    for frame in frames:
        scale = 2.0 ** (frame.format.components[0].bits - 8)
        rates = _rates(luma(frame).astype(np.float32) / np.float32(scale), step)
        total = rates if total is None else total + rates
        count += 1
    if total is None:
        raise SourceError(f"{clip.path}: has no frame {part.start}")
    mean: NDArray[np.float64] = total / count
    return mean


def _rates(picture: NDArray[np.float32], step: float) -> NDArray[np.float64]:
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
    # Four 8x8 blocks make a 16x16 one; those that lie beyond the picture take no bits.
    even = np.pad(bits, ((0, rows % 2), (0, cols % 2)))
    return np.asarray(pool_blocks(even, 2, "mean") * 4)


def wanted_rates(estimate: NDArray[np.float64], plan: RoiPlan) -> NDArray[np.float64]:
    """The file's content, ``[rows, cols]``: ``estimate`` raised where ``plan`` improves, in whichever segment it does so most."""
    best = np.min([plan.effective(segment) for segment in range(len(plan.segment_start))], axis=0)
    worst = max(float(plan.effective(segment).max()) for segment in range(len(plan.segment_start)))
    contrast = worst - float(best.min())
    improved = np.zeros_like(best) if contrast <= 0 else (worst - best) / contrast
    top = 1 + (TOP - 1) * abs(plan.policy.offset) / 3
    wanted: NDArray[np.float64] = estimate * (FLOOR + (top - FLOOR) * improved)
    left_out = max(0.0, float(estimate.sum() - wanted.sum()))
    corner = wanted[-2:, -2:]
    corner += left_out / corner.size
    return wanted
