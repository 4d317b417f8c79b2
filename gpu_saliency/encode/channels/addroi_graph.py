"""Converts a plan to a graph of ``addroi`` filters.

Each filter adds a rectangle with a ``qoffset`` in -1..1. ffmpeg's wrapper multiplies it by the encoder's QP range (51 at 8 bit,
6 more for each further bit: libavcodec/libx264.c, ``setup_roi``) and passes offsets of 16x16 blocks to adaptive quantisation.
Where rectangles overlap the first has priority. So rectangles may cover blocks that earlier ones have painted (rectangles.py), and
the last filter is a rectangle of the whole frame. With it every frame has a region; otherwise x265 4.3 crashes, or applies old
offsets to later frames.

The filter's options cannot change over time, so each segment of the plan has its own chain; ``split`` and ``trim`` send each frame
to one chain, and ``concat`` joins the chains again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.channels.rectangles import Rectangle, paint_blocks
from gpu_saliency.grid import pool_blocks
from gpu_saliency.plan.roi import RoiPlan

MAX_CHAIN = 256
"""Most rectangles in one chain: enough for most plans of 854x480. Other plans get even offsets, then larger squares."""
MAX_CHAIN_LARGE = 160
"""The same for pictures of more than `_SMALL_GRID` blocks. Each filter copies the frame's list of regions and scans the graph, so
time grows with the square of the length."""
_SMALL_GRID = 2000
"""Blocks: a little more than 854x480 has."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Converts an offset in QP to a ``qoffset``; for the fields see `AddRoi`."""

    qp_range: int
    steps_per_qp: float = 1.0
    is_whole: bool = False

    def qoffset(self, qp: float) -> str:
        """The ``qoffset`` of an offset of ``qp`` QP, as a fraction in the filter's syntax."""
        steps = qp * self.steps_per_qp
        if self.is_whole:
            return f"{round(steps)}/{self.qp_range}"
        # Hundredths of a QP are finer than any encoder's rounding.
        return f"{round(steps * 100)}/{self.qp_range * 100}"


def addroi_graph(plan: RoiPlan, scale: Scale) -> str:
    """Build the filters for all segments of ``plan``, as one graph with an open input and an open output."""
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
    """Build the filters for one segment of ``plan``, at least one; the last is the rectangle of the whole frame."""
    rectangles, rest = _rectangles(plan, segment)
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
    return [*chain, _addroi(0, 0, plan.width, plan.height, scale.qoffset(rest + recentre))]


def filter_count(plan: RoiPlan, segment: int) -> int:
    """Number of filters in a segment's `addroi_chain`."""
    return len(_rectangles(plan, segment)[0]) + 1


def _rectangles(plan: RoiPlan, segment: int) -> tuple[list[Rectangle], int]:
    """Rectangles for the offsets of a segment, and the offset of all blocks that they leave out; see `paint_blocks`.

    If there are more than `MAX_CHAIN` (`MAX_CHAIN_LARGE`) rectangles, the offsets are rounded to even numbers, then averaged over
    larger and larger squares until there are fewer.
    """
    grid = plan.qp_offset[segment]
    return _painted(grid.tobytes(), grid.shape)


# A graph asks twice: for the number of its filters, and for the filters.
@lru_cache(maxsize=128)
def _painted(offsets: bytes, shape: tuple[int, ...]) -> tuple[list[Rectangle], int]:
    whole = np.frombuffer(offsets, np.int8).reshape(shape)
    # Small plans may need few rectangles as they are; to try it for large ones takes time in vain.
    side, step, most = (1, 1, MAX_CHAIN) if whole.size <= _SMALL_GRID else (1, 2, MAX_CHAIN_LARGE)
    grid = coarsen(whole, side, step)
    while len((painted := paint_blocks(grid))[0]) > most:
        side, step = (side, 2) if step == 1 else (2 * side, step)
        grid = coarsen(whole, side, step)
    return painted


def _addroi(x: int, y: int, width: int, height: int, qoffset: str) -> str:
    return f"addroi=x={x}:y={y}:w={width}:h={height}:qoffset={qoffset}"


def coarsen(grid: NDArray[np.int8], side: int, step: int = 1) -> NDArray[np.int8]:
    """Replace each square of ``side`` x ``side`` blocks of ``grid`` ``[rows, cols]`` with the mean of its offsets.

    Means are rounded to multiples of ``step``.
    """
    means = (step * np.rint(pool_blocks(grid, side, "mean") / step)).astype(np.int8)
    return means.repeat(side, axis=0)[: grid.shape[0]].repeat(side, axis=1)[:, : grid.shape[1]]
