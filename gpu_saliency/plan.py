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

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.aggregate import DEFAULT_AGGREGATOR, DEFAULT_EMA_ALPHA, check_aggregator
from gpu_saliency.blocks import BLOCK_SIZE, grid_shape
from gpu_saliency.errors import UsageError
from gpu_saliency.segments import DEFAULT_SEGMENTS, HostReducer, check_segments, split_track
from gpu_saliency.sidecar import Sidecar
from gpu_saliency.track import decode_detail, encode_detail

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
    aggregator: str = DEFAULT_AGGREGATOR
    """How the maps of a segment become one."""
    ema_alpha: float = DEFAULT_EMA_ALPHA
    """Weight of the current map in ``ema``, (0, 1]."""
    segments: str = DEFAULT_SEGMENTS
    """``auto``, ``clip``, or how many."""

    def __post_init__(self) -> None:
        if not -MAX_OFFSET <= self.offset <= MAX_OFFSET:
            raise UsageError(f"--saliency-offset {self.offset}: out of range", cure=f"-{MAX_OFFSET} to {MAX_OFFSET}")
        if self.mapping not in MAPPINGS:
            raise UsageError(f"--roi-mapping {self.mapping}: unknown", cure="one of " + ", ".join(MAPPINGS))
        check_aggregator(self.aggregator, self.ema_alpha)
        check_segments(self.segments)

    def to_json(self) -> dict[str, Any]:
        """What was asked, for results and for the sidecar's memory."""
        return {
            "offset": self.offset,
            "mapping": self.mapping,
            "aggregator": self.aggregator,
            "ema_alpha": self.ema_alpha,
            "asked_segments": self.segments,
        }


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
    cuts: tuple[int, ...] = ()
    """Frames with which a new scene begins, rising."""
    detail: NDArray[np.uint8] | None = None
    """``[segments, rows, cols]`` as `encode_detail` writes it: how a plain encode's bits spread; ``None``: evenly."""

    def __post_init__(self) -> None:
        segments = len(self.segment_start)
        if self.qp_offset.shape != (segments, *grid_shape(self.width, self.height, self.block_size)):
            raise ValueError(f"a plan of shape {self.qp_offset.shape} for {segments} segments of {self.width}x{self.height}")
        if self.recentre.shape != (segments,) or segments == 0 or self.segment_start[0] != 0:
            raise ValueError("a plan needs a segment that starts at frame 0, and one recentre for each")
        if segments > 1 and np.diff(self.segment_start).min() <= 0:
            raise ValueError("the segments of a plan must start one after the other")
        if self.segment_start[-1] >= self.frame_count:
            raise ValueError(f"a segment at frame {self.segment_start[-1]} of {self.frame_count}")
        if self.detail is not None and self.detail.shape != self.qp_offset.shape:
            raise ValueError(f"detail of shape {self.detail.shape} for a plan of {self.qp_offset.shape}")
        if int(np.abs(self.qp_offset.astype(int)).max()) > MAX_OFFSET:
            raise ValueError(f"a plan's offsets must lie in -{MAX_OFFSET}..{MAX_OFFSET}")

    @property
    def segment_end(self) -> NDArray[np.int64]:
        """``[segments]``, the frame before which each ends."""
        return np.append(self.segment_start[1:], self.frame_count)

    def effective(self, segment: int) -> NDArray[np.float32]:
        """``[rows, cols]``, QP: the offsets of one segment with its ``recentre``."""
        total: NDArray[np.float32] = self.qp_offset[segment] + self.recentre[segment]
        return total

    def rate_share(self, segment: int) -> NDArray[np.float32]:
        """``[rows, cols]``, sum 1: which part of a plain encode's bits each block is guessed to take."""
        detail = np.ones(self.qp_offset.shape[1:], np.float32) if self.detail is None else decode_detail(self.detail[segment])
        share: NDArray[np.float32] = detail / detail.sum()
        return share

    def segment_of(self, frame: int) -> int:
        """The number of the segment that holds ``frame``."""
        return int(np.searchsorted(self.segment_start, frame, side="right")) - 1

    def between(self, start: int, end: int) -> RoiPlan:
        """The plan of frames ``[start, end)``, counted from 0 again. Raises `ValueError` for frames that it does not have."""
        if not 0 <= start < end <= self.frame_count:
            raise ValueError(f"frames {start} to {end} of a plan of {self.frame_count}")
        chosen = slice(self.segment_of(start), self.segment_of(end - 1) + 1)
        return replace(
            self,
            qp_offset=self.qp_offset[chosen],
            recentre=self.recentre[chosen],
            segment_start=np.maximum(self.segment_start[chosen] - start, 0),
            frame_count=end - start,
            cuts=tuple(cut - start for cut in self.cuts if start < cut < end),
            detail=None if self.detail is None else self.detail[chosen],
        )

    def statistics(self) -> dict[str, Any]:
        """Numbers for people and for ``--json``; QP, with ``recentre`` included where it says effective."""
        # Segment by segment: a plan of an hour has thousands of them, and floats take four times the room.
        effective = [self.effective(segment) for segment in range(len(self.segment_start))]
        return {
            "segments": len(self.segment_start),
            "scenes": len(self.cuts) + 1,
            "rows": self.qp_offset.shape[1],
            "cols": self.qp_offset.shape[2],
            "block_size": self.block_size,
            "qp_offset_min": int(self.qp_offset.min()),
            "qp_offset_max": int(self.qp_offset.max()),
            "recentre": [round(float(r), 4) for r in self.recentre[:16]],
            "effective_min": round(min(float(e.min()) for e in effective), 3),
            "effective_mean": round(float(np.mean([e.mean() for e in effective])), 3),
            "effective_max": round(max(float(e.max()) for e in effective), 3),
            "improved_blocks": round(float(np.mean([(e < -0.5).mean() for e in effective])), 4),
        }


def build_roi_plan(sidecar: Sidecar, policy: RoiPolicy | None = None, *, per_map: bool = False) -> RoiPlan:
    """Turn the saliency of ``sidecar`` into QP offsets, segment by segment; the same sidecar always gives the same plan.

    ``per_map`` gives each map a segment of its own where ``policy`` says ``auto``: for channels to which a change costs nothing.
    Raises `UsageError` when the sidecar cannot be cut as asked.
    """
    policy = policy or RoiPolicy()
    track = sidecar.track
    every_map = per_map and policy.segments == "auto"
    starts = np.arange(len(track.sample_frame)) if every_map else split_track(track, policy.segments)
    reducer = track.reducer or HostReducer()
    maps = reducer.reduce_saliency(track, starts, policy.aggregator, policy.ema_alpha)
    detail = encode_detail(reducer.reduce_detail(track, starts))
    offsets = np.empty(maps.shape, np.int8)
    recentre = np.zeros(len(maps), np.float32)
    for i, saliency in enumerate(maps):
        if policy.mapping == "symmetric":
            offsets[i] = symmetric_offsets(saliency, policy.offset)
        else:
            weight = decode_detail(detail[i]).astype(np.float64)
            offsets[i], recentre[i] = balanced_offsets(saliency, weight / weight.sum(), policy.offset)
    return RoiPlan(
        qp_offset=offsets,
        recentre=recentre,
        segment_start=track.sample_starts()[starts],
        frame_count=track.frame_count,
        width=sidecar.source["width"],
        height=sidecar.source["height"],
        policy=policy,
        cuts=track.cuts,
        detail=detail,
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
