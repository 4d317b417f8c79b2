"""Made-up ROI plans, and jobs with time stamps, for tests that encode without an analysis."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency import RoiPlan, RoiPolicy
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.grid import grid_shape
from gpu_saliency.proof import Proof


def make_plan(grids: list[NDArray[np.int_]], starts: list[int], frames: int, width: int, height: int, **more: object) -> RoiPlan:
    """A plan with one grid of offsets, ``[rows, cols]``, for each segment; ``starts`` are the segments' first frames."""
    return RoiPlan(
        np.stack(grids).astype(np.int8),
        np.zeros(len(grids), np.float32),
        np.array(starts),
        frames,
        width,
        height,
        RoiPolicy(),
        **more,  # type: ignore[arg-type]
    )


def half_grid(width: int, height: int, side: str, inside: int = -3, outside: int = 1) -> NDArray[np.int_]:
    """Offsets ``[rows, cols]``: ``inside`` in the half ``side`` (``left`` or ``right``), ``outside`` in the other."""
    grid = np.full(grid_shape(width, height), outside)
    middle = grid.shape[1] // 2
    grid[:, slice(0, middle) if side == "left" else slice(middle, None)] = inside
    return grid


def swapping_plan(frames: int, width: int, height: int, every: int) -> RoiPlan:
    """The better half is the left one, then the right one, and so on, each for ``every`` frames."""
    starts = list(range(0, frames, every))
    sides = [half_grid(width, height, ("left", "right")[i % 2], -4, 2) for i in range(len(starts))]
    return make_plan(sides, starts, frames, width, height)


def with_time_stamps(job: EncodeJob) -> EncodeJob:
    """``job`` with the time stamps of its source, as the analysis would find them."""
    with av.open(str(job.clip.path)) as container:
        video = container.streams.video[0]
        stamps = sorted(packet.pts for packet in container.demux(video) if packet.pts is not None)
        assert video.time_base is not None
        return replace(job, frame_pts=np.array(stamps), time_base=video.time_base)


def assert_swapped(proof: Proof) -> None:
    """The left half is better in the first segment, the right half in the second."""
    assert proof.moved is True, proof.summary()
    left, right = (np.nanmean(proof.change[:, :, half], axis=(1, 2)) for half in (slice(0, 10), slice(10, None)))
    assert left[0] < right[0]
    assert right[1] < left[1]
