"""Measures the realised change of every block between an ROI encode and a plain encode. Memory holds a few grids of the plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import SourceError
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.proof.block_error import SAME_CLIP, read_errors
from gpu_saliency.proof.qp import read_qp, sent_qp
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import probe_clip


@dataclass(frozen=True, slots=True)
class Comparison:
    """The measured change of each block of a plan, from the plain encode to the ROI encode."""

    change: NDArray[np.float64]
    """``[segments, rows, cols]``; negative is better quality; NaN where a block could not be measured."""
    weight: NDArray[np.int64]
    """``[segments, rows, cols]``, the number of frames in which each block was measured."""
    frames: int
    unit: str
    """``QP`` (realised QP minus plain QP) or ``dB`` (10 log10 of the ratio of squared errors)."""
    start: int = 0
    """Number of the first compared frame."""


def compare_qp(plan: RoiPlan, roi: Path, plain: Path, frames: int, start: int = 0) -> Comparison:
    """Measure the mean QP change of each block over the first ``frames`` frames of both files.

    ``start`` is the number in the clip of the files' first frame. A frame counts for a block if both encodes send a QP for that
    block (`sent_qp`). Raises `SourceError` when a file is not progressive H.264, has another size than the plan, or too few frames.
    """
    total = np.zeros(plan.qp_offset.shape, np.float64)
    count = np.zeros(plan.qp_offset.shape, np.int64)
    done = 0
    for done, (a, b) in enumerate(islice(zip(read_qp(roi), read_qp(plain), strict=False), frames), 1):
        for path, qp in ((roi, a), (plain, b)):
            if qp.shape != plan.qp_offset.shape[1:]:
                have, wanted = ("x".join(map(str, shape[::-1])) for shape in (qp.shape, plan.qp_offset.shape[1:]))
                raise SourceError(f"{path}: has {have} blocks, the plan has {wanted}", cure=SAME_CLIP)
        both = sent_qp(a) & sent_qp(b)
        segment = plan.segment_of(start + done - 1)
        total[segment] += np.where(both, a - b, 0)
        count[segment] += both
    _check_length(done, frames, roi, plain)
    return Comparison(_divide(total, count), count, done, "QP", start)


def compare_error(
    plan: RoiPlan, source: Clip, roi: Path, plain: Path, frames: int, pictures: Iterator[av.VideoFrame] | None = None
) -> Comparison:
    """Measure the change in squared luma error of each block over the first ``frames`` frames, in dB.

    A block without error in one of the encodes has no ratio and is not measured. ``pictures`` are the frames of ``source`` in the
    shape of the encodes; ``None`` decodes them. Raises `SourceError`.
    """
    sums = np.zeros((2, *plan.qp_offset.shape), np.float64)
    count = np.zeros(plan.qp_offset.shape, np.int64)
    done = 0
    encodes = (probe_clip(roi), probe_clip(plain))
    for done, (a, b) in enumerate(islice(read_errors(source, encodes, pictures), frames), 1):
        segment = plan.segment_of(done - 1)
        sums[0, segment] += a
        sums[1, segment] += b
        count[segment] += 1
    _check_length(done, frames, roi, plain)
    usable = (sums > 0).all(axis=0)
    ratio = _divide(sums[0], np.where(usable, sums[1], 0))
    return Comparison(10 * np.log10(ratio), np.where(usable, count, 0), done, "dB")


def _divide(a: NDArray[np.floating], b: NDArray[np.generic]) -> NDArray[np.float64]:
    """``a / b``, NaN where ``b`` is 0."""
    quotient = np.full(a.shape, np.nan)
    np.divide(a, b, out=quotient, where=b != 0)
    return quotient


def _check_length(done: int, frames: int, roi: Path, plain: Path) -> None:
    if done < frames:
        raise SourceError(f"{roi} and {plain}: only {done} frames can be compared, not {frames}", cure=SAME_CLIP)
