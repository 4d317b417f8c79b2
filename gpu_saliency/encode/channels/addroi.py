"""Region side data by ffmpeg's ``addroi`` filter; read by libx264, libx265, libvpx, QSV and VAAPI.

Neither libaom, SVT-AV1, VVenC nor NVENC reads it. Each frame carries a list of rectangles with a ``qoffset`` in -1..1, which the
wrapper multiplies by the encoder's QP range (51 at 8 bit, 6 more for each further bit: libavcodec/libx264.c, ``setup_roi``) and
hands to adaptive quantisation as offsets of 16x16 blocks. Where rectangles overlap the first one wins, so the last filter is a
rectangle of the whole frame that holds the commonest offset; it also keeps a region on every frame, without which x265 4.3 crashes
or lets old offsets stick.

The filter's options cannot change over time, so each segment of the plan has a chain of its own, and the frames are dealt out to
the chains and put together again: ``split``, ``trim``, ``concat``. A frame passes through one chain only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.channels.base import Channel, Delivery
from gpu_saliency.encode.channels.rectangles import Rectangle, merge_blocks
from gpu_saliency.encode.parts import Part, split_by_cost
from gpu_saliency.encode.target import EncodeTarget, Params
from gpu_saliency.errors import GpuSaliencyError, ToolMissingError
from gpu_saliency.grid import pool_blocks
from gpu_saliency.plan.roi import RoiPlan

MAX_FILTERS = 1500
"""Filters in one graph. Setting one up takes ffmpeg longer than linearly, and parts of a clip cost a key frame each."""
MAX_CHAIN = 600
"""Filters that one frame passes through: each copies the list of regions, so that a chain costs its length squared."""


def avc_range(bit_depth: int) -> int:
    """QP that a ``qoffset`` of 1 stands for in H.264 and HEVC."""
    return 51 + 6 * (bit_depth - 8)


@dataclass(frozen=True, slots=True)
class AddRoi(Channel):
    """The channel ``addroi``."""

    qp_range: Callable[[int], int] = avc_range
    """Bit depth -> the encoder's quantiser steps for a ``qoffset`` of 1."""
    steps_per_qp: float = 1.0
    """Steps of that scale that change the quantiser as much as one QP of H.264 does."""
    is_whole: bool = False
    """Whether the wrapper cuts what it is given down to whole steps: then they are rounded here."""
    keep_regions: Callable[[EncodeTarget], Params] | None = None
    """Returns the parameters with which the encoder keeps regions; raises `UsageError` for settings that drop them."""
    name: ClassVar[str] = "addroi"

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        if "addroi" not in target.ffmpeg.filters:
            return ToolMissingError(f"{target.ffmpeg.path}: has no filter addroi", cure="leave --ffmpeg-bin out")
        return None

    def parameters(self, target: EncodeTarget) -> Params:
        return target.params if self.keep_regions is None else self.keep_regions(target)

    def split(self, plan: RoiPlan) -> list[Part]:
        # A segment also takes a trim, a setpts and its place in split and concat.
        costs = [len(_rectangles(plan, segment)[1]) + 4 for segment in range(len(plan.segment_start))]
        return split_by_cost(plan, costs, MAX_FILTERS)

    def deliver(self, target: EncodeTarget, plan: RoiPlan | None, part: Part, folder: Path, quality: float | None) -> Delivery:
        if plan is None:
            return Delivery()
        return Delivery(addroi_graph(plan.between(part.start, part.end), self.scale(target.bit_depth)))

    def scale(self, bit_depth: int) -> Scale:
        return Scale(self.qp_range(bit_depth), self.steps_per_qp, self.is_whole)


@dataclass(frozen=True, slots=True)
class Scale:
    """How an offset in QP becomes a ``qoffset``; fields as in `AddRoi`."""

    qp_range: int
    steps_per_qp: float = 1.0
    is_whole: bool = False

    def qoffset(self, qp: float) -> str:
        """A fraction, as the option takes it."""
        steps = qp * self.steps_per_qp
        if self.is_whole:
            return f"{round(steps)}/{self.qp_range}"
        # Hundredths of a QP are finer than any encoder's rounding.
        return f"{round(steps * 100)}/{self.qp_range * 100}"


def addroi_graph(plan: RoiPlan, scale: Scale) -> str:
    """The filters for all segments of ``plan``, as one graph with an open input and an open output."""
    chains = [",\n".join(addroi_chain(plan, segment, scale)) for segment in range(len(plan.segment_start))]
    if len(chains) == 1:
        return chains[0]
    spans = list(zip(plan.segment_start.tolist(), plan.segment_end.tolist(), strict=True))
    lines = [f"split={len(chains)}" + "".join(f"[in{i}]" for i in range(len(chains)))]
    for i, ((start, end), chain) in enumerate(zip(spans, chains, strict=True)):
        lines.append(f"[in{i}]trim=start_frame={start}:end_frame={end},setpts=PTS-STARTPTS,\n{chain}[out{i}]")
    lines.append("".join(f"[out{i}]" for i in range(len(chains))) + f"concat=n={len(chains)}")
    return ";\n".join(lines)


def addroi_chain(plan: RoiPlan, segment: int, scale: Scale) -> list[str]:
    """The filters for one segment of ``plan``, at least one, the whole-frame rectangle last."""
    commonest, rectangles = _rectangles(plan, segment)
    recentre = float(plan.recentre[segment])
    size = plan.block_size
    chain = [
        _addroi(
            r.left * size,
            r.top * size,
            min(r.right * size, plan.width) - r.left * size,
            min(r.bottom * size, plan.height) - r.top * size,
            scale.qoffset(r.value + recentre),
        )
        for r in rectangles
    ]
    return [*chain, _addroi(0, 0, plan.width, plan.height, scale.qoffset(commonest + recentre))]


def _rectangles(plan: RoiPlan, segment: int) -> tuple[int, list[Rectangle]]:
    """The commonest offset of a segment, and rectangles for all others, at most `MAX_CHAIN`: else the plan is made coarser."""
    grid = plan.qp_offset[segment]
    side = 1
    while True:
        values, counts = np.unique(grid, return_counts=True)
        commonest = int(values[counts.argmax()])
        rectangles = merge_blocks(grid, commonest)
        if len(rectangles) <= MAX_CHAIN:
            return commonest, rectangles
        side *= 2
        grid = _pooled(plan.qp_offset[segment], side)


def _addroi(x: int, y: int, width: int, height: int, qoffset: str) -> str:
    return f"addroi=x={x}:y={y}:w={width}:h={height}:qoffset={qoffset}"


def _pooled(grid: NDArray[np.int8], side: int) -> NDArray[np.int8]:
    """``grid`` ``[rows, cols]`` with each square of ``side`` x ``side`` blocks at the rounded mean of its offsets."""
    means = np.rint(pool_blocks(grid, side, "mean")).astype(np.int8)
    return means.repeat(side, axis=0)[: grid.shape[0]].repeat(side, axis=1)[:, : grid.shape[1]]
