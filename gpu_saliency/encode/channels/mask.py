"""The prefilter's mask: a small lossless grey video that gives each place its share of the background."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.channels.base import FREE_SPACE
from gpu_saliency.files import writing
from gpu_saliency.plan.roi import RoiPlan

PROTECTED_BELOW, FILTERED_ABOVE = -0.5, 1.0
"""Effective offsets in QP: a block at the first or below is fully protected, at the second or above fully filtered."""
REACH_FRAMES = 6
"""Most frames by which a segment's protection extends into its neighbours while it fades; also limited to half a segment."""
CELLS = 4
"""Pixels of the mask along a block's side; protection extends by one of them beyond a block."""
_FADE_FRAMES = 3
"""Frames of each step of a fade; every change of the mask costs the graph a scaling of it."""


def protection(plan: RoiPlan, segment: int) -> NDArray[np.float32]:
    """Protection ``[rows, cols]`` of a segment's blocks in 0..1: 1 passes unchanged, 0 is filtered."""
    inside: NDArray[np.float32] = (FILTERED_ABOVE - plan.effective(segment)) / (FILTERED_ABOVE - PROTECTED_BELOW)
    return np.clip(inside, 0, 1)


def filtered_share(plan: RoiPlan) -> float:
    """Share, 0..1, of a plain encode's bits in the area that the mask lets through the filter: the mean over the clip."""
    spans = plan.segment_end - plan.segment_start
    shares = [float(((1 - protection(plan, i)) * plan.rate_share(i)).sum()) for i in range(len(spans))]
    return float(np.average(shares, weights=spans))


def write_mask(path: Path, plan: RoiPlan, frame_rate: Fraction, level: float = 1.0) -> None:
    """Write the mask of ``plan`` to ``path``, a picture for each frame of the clip at which it changes. Raises `OutputError`.

    A picture has `CELLS` times `CELLS` pixels per block. ``level``, 0..1, is the value of a block that is fully filtered.
    """
    rows, cols = plan.qp_offset.shape[1:]
    with writing(path, cure=FREE_SPACE), av.open(f"file:{path}", "w", format="nut") as container:
        stream = container.add_stream("ffv1", rate=frame_rate)
        stream.width, stream.height, stream.pix_fmt = cols * CELLS, rows * CELLS, "gray"
        written: NDArray[np.uint8] | None = None
        for number, mask in enumerate(mask_frames(plan, level)):
            if written is not None and np.array_equal(mask, written):
                continue
            written = mask
            frame = av.VideoFrame.from_ndarray(_with_margin(mask), format="gray")
            frame.pts, frame.time_base = number, 1 / frame_rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _with_margin(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge ``mask`` to cells and extend protection by one cell (3x3 erosion)."""
    padded = np.pad(mask.repeat(CELLS, axis=0).repeat(CELLS, axis=1), 1, mode="edge")
    columns = np.minimum(np.minimum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    eroded: NDArray[np.uint8] = np.minimum(np.minimum(columns[:-2], columns[1:-1]), columns[2:])
    return np.ascontiguousarray(eroded)


def mask_frames(plan: RoiPlan, level: float = 1.0) -> Iterator[NDArray[np.uint8]]:
    """Yield the mask of each frame in order, ``[rows, cols]`` uint8; 0 is protected, ``255 * level`` fully filtered.

    Each segment's protection extends into its neighbours, but not across a cut, so that a subject that moves between two maps is
    covered by both.
    """
    cuts = set(plan.cuts)
    starts, ends = plan.segment_start.tolist(), plan.segment_end.tolist()
    before: NDArray[np.float32] | None = None
    current = protection(plan, 0)
    for segment, (start, end) in enumerate(zip(starts, ends, strict=True)):
        last = segment + 1 == len(starts)
        following = None if last else protection(plan, segment + 1)
        reach_back = 0 if segment == 0 or start in cuts else _reach(start - starts[segment - 1], end - start)
        reach_on = 0 if last or end in cuts else _reach(end - start, ends[segment + 1] - end)
        for frame in range(start, end):
            mask = current
            if before is not None and frame - start < reach_back:
                mask = np.maximum(mask, before * (1 - _stepped(frame - start) / reach_back))
            if following is not None and end - 1 - frame < reach_on:
                mask = np.maximum(mask, following * (1 - _stepped(end - 1 - frame) / reach_on))
            yield np.rint((1 - mask) * (255 * level)).astype(np.uint8)
        before, current = current, following if following is not None else current


def _stepped(frames: int) -> int:
    return frames - frames % _FADE_FRAMES


def _reach(one: int, other: int) -> int:
    return min(REACH_FRAMES, (min(one, other) + 1) // 2)
