"""Blur what is not salient, keep what is, and spend the saved bits on all of it: for encoders that take no offsets.

The mask follows from the plan: a block whose effective offset is -0.5 QP or less is protected, one at +0.5 or more is blurred in
full, and what lies between is blended. Protection reaches one block further than the plan's (3x3 dilation) and falls off from the
centre of that block to the next one's (bilinear enlargement), so that what the plan protects passes bit for bit. Over time each
segment's protection reaches into its neighbours, but not across a cut: a subject between two maps is covered by both.

The mask is a small video, one value a block, that ffmpeg enlarges; it is read by the graph itself (``movie``), so that a plain
``-vf`` carries all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.channels.base import Delivery
from gpu_saliency.errors import GpuSaliencyError, OutputError, ToolMissingError
from gpu_saliency.parts import Part, whole
from gpu_saliency.plan import RoiPlan

if TYPE_CHECKING:
    from gpu_saliency.job import EncodeJob

PROTECTED_BELOW, BLURRED_ABOVE = -0.5, 0.5
"""Effective offset, QP, from which on a block is wholly protected, and wholly blurred."""
REACH_FRAMES = 6
"""Frames by which a segment's protection reaches into its neighbours at most, fading; at most half a segment too."""
_FILTERS = frozenset({"split", "gblur", "movie", "scale", "crop", "lut", "format", "maskedmerge", "settb", "setpts"})


@dataclass(frozen=True, slots=True)
class Prefilter:
    """The channel ``prefilter``."""

    name: str = "prefilter"
    per_map: bool = True

    def obstacle(self, job: EncodeJob) -> GpuSaliencyError | None:
        missing = sorted(_FILTERS - job.ffmpeg.filters)
        if missing:
            return ToolMissingError(f"{job.ffmpeg.path}: has no filter {', '.join(missing)}", cure="leave --ffmpeg-bin out")
        form = av.VideoFormat(job.pix_fmt)
        if form.is_rgb or form.has_palette or form.is_bit_stream:
            return ToolMissingError(f"{job.spec.name}: takes {job.pix_fmt} here, and the mask is made for Y'CbCr and grey")
        return None

    def split(self, plan: RoiPlan) -> list[Part]:
        return whole(plan)

    def quality_shift(self, job: EncodeJob, plan: RoiPlan) -> float:
        strength = STRENGTHS.get(job.spec.name)
        return 0.0 if strength is None else strength.shift(sigma_of(plan), blurred_share(plan))

    def deliver(self, job: EncodeJob, plan: RoiPlan | None, part: Part, folder: Path) -> Delivery:
        if plan is None or not plan.policy.offset:
            return Delivery()
        mask = folder / "mask.nut"
        write_mask(mask, plan.between(part.start, part.end), job.clip.frame_rate)
        return Delivery(prefilter_graph(mask, plan, job.pix_fmt, job.clip.frame_rate))


@dataclass(frozen=True, slots=True)
class Strength:
    """What the blur saves an encoder, measured by ``benchmarks/quality_shift.py``."""

    steps: float
    """Steps of the encoder's quality scale that a picture blurred in full, at sigma 1, is worth."""
    power: float

    def shift(self, sigma: float, share: float) -> float:
        """What to add to the base quality; negative, as the saved bits are to be spent: ``-steps * sigma**power * share``."""
        return float(-self.steps * sigma**self.power * share)


STRENGTHS: dict[str, Strength] = {
    "libsvtav1": Strength(6.05, 1.2),
    "libaom-av1": Strength(4.73, 1.2),
}


def sigma_of(plan: RoiPlan) -> float:
    """Standard deviation of the blur, pixels, for the offset that was asked."""
    return 0.2 * abs(plan.policy.offset)


def protection(plan: RoiPlan, segment: int) -> NDArray[np.float32]:
    """``[rows, cols]`` in 0..1: how much of each block of a segment passes unchanged, with one block around it."""
    inside = (BLURRED_ABOVE - plan.effective(segment)) / (BLURRED_ABOVE - PROTECTED_BELOW)
    padded = np.pad(np.clip(inside, 0, 1), 1, mode="edge")
    rows, cols = plan.qp_offset.shape[1:]
    shifted = [padded[i : i + rows, j : j + cols] for i in range(3) for j in range(3)]
    dilated: NDArray[np.float32] = np.max(shifted, axis=0)
    return dilated


def blurred_share(plan: RoiPlan) -> float:
    """Part of a plain encode's bits that lies where the mask blurs, 0..1: the mean over the clip."""
    spans = plan.segment_end - plan.segment_start
    shares = [float(((1 - protection(plan, i)) * plan.rate_share(i)).sum()) for i in range(len(spans))]
    return float(np.average(shares, weights=spans))


def write_mask(path: Path, plan: RoiPlan, frame_rate: Fraction) -> None:
    """Write the mask of ``plan``, a lossless video with one pixel a block and a picture a frame. Raises `OutputError`."""
    rows, cols = plan.qp_offset.shape[1:]
    try:
        with av.open(f"file:{path}", "w", format="nut") as container:
            stream = container.add_stream("ffv1", rate=frame_rate)
            # Wide pixels in all three planes: the mask of the chroma must say the same as that of the luma.
            stream.width, stream.height, stream.pix_fmt = cols, rows, "yuv444p"
            for number, mask in enumerate(mask_frames(plan)):
                frame = av.VideoFrame.from_ndarray(np.stack([mask] * 3), format="yuv444p")
                frame.pts, frame.time_base = number, 1 / frame_rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (av.FFmpegError, OSError) as error:
        why = error.strerror or str(error)
        raise OutputError(f"{path}: the mask cannot be written: {why}", cure="give --output another disk") from error


def mask_frames(plan: RoiPlan) -> Iterator[NDArray[np.uint8]]:
    """The mask of each frame, ``[rows, cols]`` uint8, 255 protected, from the first on."""
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


def prefilter_graph(mask: Path, plan: RoiPlan, pix_fmt: str, frame_rate: Fraction) -> str:
    """The graph that blurs ``pix_fmt`` pictures outside of the mask; frames of both are numbered from 0."""
    rows, cols = plan.qp_offset.shape[1:]
    size = plan.block_size
    top = 2 ** av.VideoFormat(pix_fmt).components[0].bits - 1
    # Enlarging to whole blocks first keeps the mask on the grid where the picture ends within a block. What swscale makes of 255
    # at another depth, and of rounding, is mended by the last step: all that is almost full is full.
    enlarge = f"scale={cols * size}:{rows * size}:flags=bilinear,crop={plan.width}:{plan.height}:0:0:exact=1,format={pix_fmt}"
    fill = "lut=" + ":".join(f"c{i}=if(gt(val\\,{top * 0.985:.0f})\\,{top}\\,val)" for i in range(3))
    count = f"settb=expr=1/({frame_rate}),setpts=N"
    return ";\n".join(
        (
            "split=2[sharp][soft]",
            f"[soft]gblur=sigma={sigma_of(plan):g}[blurred]",
            f"movie=filename={escape_filter_value(str(mask))}:format_name=nut,{count},{enlarge},{fill}[mask]",
            "[blurred][sharp][mask]maskedmerge",
        )
    )


def escape_filter_value(text: str) -> str:
    """``text`` as an option's value inside a filter graph: once for the option, once more for the graph (ffmpeg-filters, 4.1)."""
    for special in (r"\':", r"\'[],;"):
        text = "".join(f"\\{char}" if char in special else char for char in text)
    return text
