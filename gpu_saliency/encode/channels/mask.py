"""The prefilter's mask: a small lossless video, one pixel per block, that gives each block's protection from the blur."""

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

PROTECTED_BELOW, BLURRED_ABOVE = -0.5, 0.5
"""Effective offsets in QP: a block at the first or below is fully protected, at the second or above fully blurred."""
REACH_FRAMES = 6
"""Most frames by which a segment's protection extends into its neighbours while it fades; also limited to half a segment."""


def protection(plan: RoiPlan, segment: int) -> NDArray[np.float32]:
    """Protection ``[rows, cols]`` of a segment's blocks in 0..1: 1 passes unchanged, 0 is blurred.

    It extends by one block beyond the plan's (3x3 dilation).
    """
    inside = (BLURRED_ABOVE - plan.effective(segment)) / (BLURRED_ABOVE - PROTECTED_BELOW)
    padded = np.pad(np.clip(inside, 0, 1), 1, mode="edge")
    rows, cols = plan.qp_offset.shape[1:]
    shifted = [padded[i : i + rows, j : j + cols] for i in range(3) for j in range(3)]
    dilated: NDArray[np.float32] = np.max(shifted, axis=0)
    return dilated


def blurred_share(plan: RoiPlan) -> float:
    """Share, 0..1, of a plain encode's bits in the area that the mask blurs: the mean over the clip."""
    spans = plan.segment_end - plan.segment_start
    shares = [float(((1 - protection(plan, i)) * plan.rate_share(i)).sum()) for i in range(len(spans))]
    return float(np.average(shares, weights=spans))


def mask_format(pix_fmt: str) -> str:
    """Pixel format of the mask for a ``pix_fmt`` picture: grey, or with chroma planes (equal to luma) if the picture has any."""
    return "gray" if len(av.VideoFormat(pix_fmt).components) == 1 else "yuv444p"


def write_mask(path: Path, plan: RoiPlan, frame_rate: Fraction, pix_fmt: str = "yuv444p") -> None:
    """Write the mask of ``plan`` to ``path``, a picture for each frame of the clip. Raises `OutputError`."""
    rows, cols = plan.qp_offset.shape[1:]
    with writing(path, cure=FREE_SPACE), av.open(f"file:{path}", "w", format="nut") as container:
        stream = container.add_stream("ffv1", rate=frame_rate)
        stream.width, stream.height, stream.pix_fmt = cols, rows, pix_fmt
        for number, mask in enumerate(mask_frames(plan)):
            planes = mask if pix_fmt == "gray" else np.stack([mask] * 3)
            frame = av.VideoFrame.from_ndarray(planes, format=pix_fmt)
            frame.pts, frame.time_base = number, 1 / frame_rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def mask_frames(plan: RoiPlan) -> Iterator[NDArray[np.uint8]]:
    """Yield the mask of each frame in order, ``[rows, cols]`` uint8; 255 is protected.

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
                mask = np.maximum(mask, before * (1 - (frame - start) / reach_back))
            if following is not None and end - 1 - frame < reach_on:
                mask = np.maximum(mask, following * (1 - (end - 1 - frame) / reach_on))
            yield np.rint(mask * 255).astype(np.uint8)
        before, current = current, following if following is not None else current


def _reach(one: int, other: int) -> int:
    return min(REACH_FRAMES, (min(one, other) + 1) // 2)
