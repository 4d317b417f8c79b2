"""Saliency to QP offsets: the ROI plan, and the two mappings that make it.

Let ``s`` be a block's saliency in 0..1 and ``o`` the asked offset (negative is better quality).

``symmetric``: ``q = round((2 s - 1) * o)``. Salient blocks gain what the others lose; since most of a picture is not salient, the
file shrinks.

``balanced``: ``q = round(k * s + c)`` with the contrast ``k`` and the shift ``c`` chosen so that the file stays as large as a
plain encode's. A block's bits follow ``2 ** (-q / 6)``: the quantiser's step doubles every 6 QP, and the rate is nearly inverse
to it. So for rate shares ``w`` (``sum w = 1``, estimated from the picture's detail, see detail.py) the size is kept when ``sum
w * 2 ** (-(k s + c) / 6) = 1``, that is ``c = 6 * log2(sum w * 2 ** (-k s / 6))``. ``k`` makes the most salient blocks come out
at ``o``: ``k * max(s) + c = o``, bounded by ``|k| <= 2 |o|``, the contrast of ``symmetric``. What rounding to whole QP leaves
of the balance is kept as ``recentre``, a fraction of a QP that channels add to every block alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.blocks import BLOCK_SIZE, grid_shape
from gpu_saliency.errors import UsageError
from gpu_saliency.sidecar import Sidecar

DEFAULT_OFFSET = -3
MAX_OFFSET = 12
MAPPINGS = ("balanced", "symmetric")
DEFAULT_MAPPING = "balanced"


@dataclass(frozen=True, slots=True)
class RoiPolicy:
    """What the user asked of the plan. Raises `UsageError` when it is out of range."""

    offset: int = DEFAULT_OFFSET
    """QP offset of salient blocks, -12..12; negative is better quality."""
    mapping: str = DEFAULT_MAPPING

    def __post_init__(self) -> None:
        if not -MAX_OFFSET <= self.offset <= MAX_OFFSET:
            raise UsageError(f"--saliency-offset {self.offset}: out of range", cure=f"-{MAX_OFFSET} to {MAX_OFFSET}")
        if self.mapping not in MAPPINGS:
            raise UsageError(f"--roi-mapping {self.mapping}: unknown", cure="one of " + ", ".join(MAPPINGS))


@dataclass(frozen=True, slots=True)
class RoiPlan:
    """QP offsets of a clip over time; lives on the host. Raises `ValueError` when its parts do not fit together."""

    qp_offset: NDArray[np.int8]
    """``[segments, rows, cols]``, one per 16x16 block, -12..12; negative is better quality."""
    recentre: NDArray[np.float32]
    """``[segments]``, a fraction of a QP to add to every block of the segment."""
    segment_start: NDArray[np.int64]
    """``[segments]``, the frame at which each begins; the first is 0, strictly rising."""
    frame_count: int
    width: int
    height: int
    policy: RoiPolicy
    block_size: int = BLOCK_SIZE

    def __post_init__(self) -> None:
        segments = len(self.segment_start)
        if self.qp_offset.shape != (segments, *grid_shape(self.width, self.height, self.block_size)):
            raise ValueError(f"a plan of shape {self.qp_offset.shape} for {segments} segments of {self.width}x{self.height}")
        if self.recentre.shape != (segments,) or segments == 0 or self.segment_start[0] != 0:
            raise ValueError("a plan needs a segment that starts at frame 0, and one recentre for each")
        if segments > 1 and np.diff(self.segment_start).min() <= 0:
            raise ValueError("the segments of a plan must start one after the other")
        if int(np.abs(self.qp_offset.astype(int)).max()) > MAX_OFFSET:
            raise ValueError(f"a plan's offsets must lie in -{MAX_OFFSET}..{MAX_OFFSET}")

    def statistics(self) -> dict[str, Any]:
        """Numbers for people and for ``--json``; QP, with ``recentre`` included where it says effective."""
        effective = self.qp_offset + self.recentre[:, None, None]
        return {
            "segments": len(self.segment_start),
            "rows": self.qp_offset.shape[1],
            "cols": self.qp_offset.shape[2],
            "block_size": self.block_size,
            "qp_offset_min": int(self.qp_offset.min()),
            "qp_offset_max": int(self.qp_offset.max()),
            "recentre": [round(float(r), 4) for r in self.recentre[:16]],
            "effective_min": round(float(effective.min()), 3),
            "effective_mean": round(float(effective.mean()), 3),
            "effective_max": round(float(effective.max()), 3),
            "improved_blocks": round(float((effective < -0.5).mean()), 4),
        }


def build_roi_plan(sidecar: Sidecar, policy: RoiPolicy | None = None) -> RoiPlan:
    """Turn the saliency of ``sidecar`` into QP offsets, segment by segment; the same sidecar always gives the same plan."""
    policy = policy or RoiPolicy()
    maps, shares = sidecar.saliency_maps(), sidecar.rate_shares()
    offsets = np.empty(maps.shape, np.int8)
    recentre = np.zeros(len(maps), np.float32)
    for i, (saliency, share) in enumerate(zip(maps, shares, strict=True)):
        if policy.mapping == "symmetric":
            offsets[i] = symmetric_offsets(saliency, policy.offset)
        else:
            offsets[i], recentre[i] = balanced_offsets(saliency, share, policy.offset)
    return RoiPlan(
        qp_offset=offsets,
        recentre=recentre,
        segment_start=np.array(sidecar.segment_start, np.int64),
        frame_count=sidecar.frame_count,
        width=sidecar.source["width"],
        height=sidecar.source["height"],
        policy=policy,
    )


def symmetric_offsets(saliency: NDArray[np.floating], offset: int) -> NDArray[np.int8]:
    """``round((2 s - 1) * offset)`` for saliency ``[rows, cols]``."""
    return _to_int8((2 * saliency - 1) * offset)


def balanced_offsets(
    saliency: NDArray[np.floating], rate_share: NDArray[np.floating], offset: int
) -> tuple[NDArray[np.int8], float]:
    """Offsets ``[rows, cols]`` that keep the size, and what to add to all of them; see the module's text for the formula.

    ``rate_share`` ``[rows, cols]`` sums to 1.
    """
    peak = float(saliency.max())
    low, high = sorted((0.0, 2.0 * offset))

    def shift(k: float) -> float:
        return 6 * float(np.log2((rate_share * np.exp2(-k * saliency / 6)).sum()))

    # k * peak + shift(k) rises with k (its slope is peak minus a weighted mean of s), so bisection finds the asked offset.
    for _ in range(40):
        k = (low + high) / 2
        if k * peak + shift(k) < offset:
            low = k
        else:
            high = k
    k = (low + high) / 2
    rounded = _to_int8(k * saliency + shift(k))
    left = 6 * float(np.log2((rate_share * np.exp2(-rounded / 6)).sum()))
    return rounded, left


def _to_int8(offsets: NDArray[np.floating]) -> NDArray[np.int8]:
    rounded: NDArray[np.int8] = np.clip(np.rint(offsets), -MAX_OFFSET, MAX_OFFSET).astype(np.int8)
    return rounded
