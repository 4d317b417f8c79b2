"""Region side data by ffmpeg's ``addroi`` filter; read by libx264 and libx265 (and not by libaom, SVT-AV1, VVenC or NVENC).

Each frame carries a list of rectangles with a ``qoffset`` in -1..1, which the wrapper multiplies by the encoder's QP range (51 at
8 bit, 6 more for each further bit: libavcodec/libx264.c, ``setup_roi``) and hands to adaptive quantisation as offsets of 16x16
blocks. Where rectangles overlap the first one wins, so the last filter is a rectangle of the whole frame that holds the commonest
offset; it also keeps a region on every frame, without which x265 4.3 crashes or lets old offsets stick.
"""

from __future__ import annotations

import numpy as np

from gpu_saliency.plan import RoiPlan
from gpu_saliency.rectangles import merge_blocks


class AddRoi:
    """The channel ``addroi``."""

    name = "addroi"

    def graph(self, plan: RoiPlan, bit_depth: int) -> str:
        """One chain of addroi filters for a plan of one segment."""
        if len(plan.segment_start) != 1:
            raise NotImplementedError("a plan of several segments")
        return ",\n".join(addroi_chain(plan, 0, bit_depth)) + "\n"


def addroi_chain(plan: RoiPlan, segment: int, bit_depth: int) -> list[str]:
    """The filters for one segment of ``plan``, at least one, the whole-frame rectangle last."""
    grid = plan.qp_offset[segment]
    values, counts = np.unique(grid, return_counts=True)
    commonest = int(values[counts.argmax()])
    recentre = float(plan.recentre[segment])
    size = plan.block_size
    chain = [
        _addroi(
            r.left * size,
            r.top * size,
            min(r.right * size, plan.width) - r.left * size,
            min(r.bottom * size, plan.height) - r.top * size,
            r.value + recentre,
            bit_depth,
        )
        for r in merge_blocks(grid, commonest)
    ]
    return [*chain, _addroi(0, 0, plan.width, plan.height, commonest + recentre, bit_depth)]


def _addroi(x: int, y: int, width: int, height: int, qp: float, bit_depth: int) -> str:
    # The option is a rational; hundredths of a QP are finer than any encoder's rounding.
    qp_range = 51 + 6 * (bit_depth - 8)
    return f"addroi=x={x}:y={y}:w={width}:h={height}:qoffset={round(qp * 100)}/{qp_range * 100}"
