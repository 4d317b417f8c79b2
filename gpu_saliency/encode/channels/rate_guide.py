"""The channel ``rate-guide``: libaom's rate-guided delta-q, a file with the wanted bits of each 16x16 block, for all frames.

libaom 3.15 (av1/encoder/allintra_vis.c) compares the file with its own estimate of each block's rate and changes a superblock's
quantiser step to ``step * 2 ** -((wanted - estimated) / estimated)``: for an offset of ``e`` QP the file must contain ``estimate *
(1 - e / 6)``. Measurements show three properties. (1) A superblock's quantiser step is hardly ever raised, since the same code
limits it by the largest coefficient that survives; so the subject gets more bits, and a lower base quality pays for them.
(2) Values below the estimate are ignored; so this channel writes six tenths of the estimate where it wants no change, which hides
the estimate's errors. (3) libaom scales the sum of the file to the sum of its estimates; so the missing sum is added to one
superblock at the corner.

This mode replaces libaom's default distribution of bits over time (``deltaq-mode=1``); still clips lose most by that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.channels.base import FREE_SPACE, Channel, Delivery
from gpu_saliency.encode.channels.escape import escape_param
from gpu_saliency.encode.channels.rates import estimate_rates, quantiser_step
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.target import EncodeTarget
from gpu_saliency.errors import GpuSaliencyError, UsageError, setting
from gpu_saliency.files import writing
from gpu_saliency.plan.roi import RoiPlan

FLOOR = 0.6
"""Ratio of wanted to estimated rate where the plan improves nothing: with the estimate's errors it stays below 1."""
TOP = 2.0
"""The same ratio where the plan improves most, if that is by 3 QP; its excess over 1 is proportional to the improvement."""
EDGE = 1 / 3
"""Offset above which a block asks for `FLOOR`, as a part of the best block's; then an offset of 0 asks for about the estimate."""
SHIFT_PER_QP = 0.45
"""Quality shift in steps of CRF for each QP of the best block's offset; it keeps the size of a plain encode."""


@dataclass(frozen=True, slots=True)
class RateGuide(Channel):
    """The channel ``rate-guide``: libaom's file of wanted bits per block."""

    name: ClassVar[str] = "rate-guide"

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        if target.shape.is_given:
            settings = f"{setting('crop')}, {setting('scale')} and {setting('fps')}"
            cure = f"leave {settings} out, or use {setting('roi_channel', 'prefilter')}"
            return UsageError(f"{target.encoder}: rate-guide measures the rates on the source's own pictures", cure=cure)
        if target.bitrate is not None:
            cure = f"use {setting('crf')}, or {setting('roi_channel', 'prefilter')}"
            return UsageError(f"{target.encoder}: rate-guide supports constant quality only, no bit rate", cure=cure)
        return None

    def quality_shift(self, target: EncodeTarget, plan: RoiPlan) -> float:
        return SHIFT_PER_QP * _strength(plan)

    def deliver_plan(self, target: EncodeTarget, plan: RoiPlan, part: Part, folder: Path, quality: float | None) -> Delivery:
        assert target.crf is not None
        path = folder / "rates.txt"
        rates = wanted_rates(estimate_rates(target.clip, part, quantiser_step(target.crf)), plan)
        with writing(path, cure=FREE_SPACE):
            np.savetxt(path, rates, "%.3f")
        return Delivery(
            params={"deltaq-mode": "3", "enable-rate-guide-deltaq": "1", "rate-distribution-info": escape_param(str(path))}
        )


def _strength(plan: RoiPlan) -> float:
    """QP by which the plan improves its best block."""
    return max(0.0, *(-float(plan.effective(segment).min()) for segment in range(len(plan.segment_start))))


def wanted_rates(estimate: NDArray[np.float64], plan: RoiPlan) -> NDArray[np.float64]:
    """The file's content, the wanted bits ``[rows, cols]``: ``estimate``, raised for blocks that ``plan`` improves.

    The file applies to all frames, so each block takes the lowest effective offset of all segments.
    """
    best = np.min([plan.effective(segment) for segment in range(len(plan.segment_start))], axis=0)
    strength = _strength(plan)
    improved = np.zeros_like(best) if not strength else np.clip((EDGE * strength - best) / (EDGE * strength + strength), 0, 1)
    top = 1 + (TOP - 1) * strength / 3
    wanted: NDArray[np.float64] = estimate * (FLOOR + (top - FLOOR) * improved)
    missing = max(0.0, float(estimate.sum() - wanted.sum()))
    corner = wanted[-2:, -2:]
    corner += missing / corner.size
    return wanted
