"""Blur what is not salient, keep what is, and spend the saved bits on all of it: for encoders that take no offsets.

The mask follows from the plan: a block whose effective offset is -0.5 QP or less is protected, one at +0.5 or more is blurred in
full, and what lies between is blended. Protection reaches one block further than the plan's (3x3 dilation) and falls off from the
centre of that block to the next one's (bilinear enlargement), so that what the plan protects passes bit for bit. Over time each
segment's protection reaches into its neighbours, but not across a cut: a subject between two maps is covered by both.

The mask is a small video, one value a block, that ffmpeg enlarges; it is read by the graph itself (``movie``), so that a plain
``-vf`` carries all of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.channels.base import Channel, Delivery
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.target import EncodeTarget
from gpu_saliency.errors import GpuSaliencyError, OutputError, ToolMissingError
from gpu_saliency.plan.roi import RoiPlan

PROTECTED_BELOW, BLURRED_ABOVE = -0.5, 0.5
"""Effective offset, QP, from which on a block is wholly protected, and wholly blurred."""
REACH_FRAMES = 6
"""Frames by which a segment's protection reaches into its neighbours at most, fading; at most half a segment too."""
_FILTERS = frozenset({"split", "gblur", "movie", "scale", "crop", "lut", "format", "maskedmerge", "settb", "setpts"})


@dataclass(frozen=True, slots=True)
class Prefilter(Channel):
    """The channel ``prefilter``."""

    name: ClassVar[str] = "prefilter"
    per_map: ClassVar[bool] = True

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        missing = sorted(_FILTERS - target.ffmpeg.filters)
        if missing:
            return ToolMissingError(f"{target.ffmpeg.path}: has no filter {', '.join(missing)}", cure="leave --ffmpeg-bin out")
        form = av.VideoFormat(target.pix_fmt)
        if form.is_rgb or form.has_palette or form.is_bit_stream:
            return ToolMissingError(f"{target.encoder}: takes {target.pix_fmt} here, and the mask is made for Y'CbCr and grey")
        return None

    def quality_shift(self, target: EncodeTarget, plan: RoiPlan) -> float:
        strength = strength_of(target)
        if target.crf is None or not strength.steps:
            return 0.0
        return strength.shift(target.crf, strength.sigma(plan.policy.offset, target.crf), blurred_share(plan))

    def deliver(self, target: EncodeTarget, plan: RoiPlan | None, part: Part, folder: Path, quality: float | None) -> Delivery:
        if plan is None or not plan.policy.offset:
            return Delivery()
        mask = folder / "mask.nut"
        write_mask(mask, plan.between(part.start, part.end), target.clip.frame_rate, mask_format(target.pix_fmt))
        sigma = strength_of(target).sigma(plan.policy.offset, target.crf)
        return Delivery(prefilter_graph(mask, plan, sigma, target.pix_fmt, target.clip.frame_rate, target.color.filter()))


@dataclass(frozen=True, slots=True)
class Strength:
    """How strongly an encoder's clips are blurred, and what that saves; measured by ``benchmarks/quality_shift.py``."""

    sigma_per_qp: float = 0.2
    """Pixels of sigma for each QP of the asked offset."""
    steps: float = 0.0
    """Steps of the encoder's quality scale that a picture blurred in full, at sigma 1, is worth; 0 where nobody measured it."""
    power: float = 1.0
    full_at: float = 0.0
    """Base quality up to which it is worth all of that."""
    fade: float = 0.0
    """Part of it that is lost with each step beyond: where the quantiser blurs by itself, the prefilter saves less."""
    doubles_in: float = math.inf
    """Steps beyond ``full_at`` in which sigma doubles: to have an effect it must take more than the quantiser does by itself."""
    barrier: float = -math.inf
    """Base quality that no shift may cross from above, as the encoder's rate jumps there."""

    def sigma(self, offset: float, quality: float | None) -> float:
        """Pixels of sigma for an asked offset, QP, at a base quality (``None``: unknown, with a bit rate)."""
        beyond = max(0.0, (quality or 0.0) - self.full_at)
        return float(self.sigma_per_qp * abs(offset) * 2 ** (beyond / self.doubles_in))

    def shift(self, quality: float, sigma: float, share: float) -> float:
        """What to add to the base quality; negative, as the saved bits are to be spent.

        ``-steps * sigma**power * share * max(0, 1 - fade * (quality - full_at))``, at most all of it, and never across ``barrier``.
        """
        left = min(1.0, max(0.0, 1 - self.fade * (quality - self.full_at)))
        shift = float(-self.steps * sigma**self.power * share * left)
        return max(shift, self.barrier - quality) if quality >= self.barrier else shift


STRENGTHS: dict[str, Strength] = {
    "libsvtav1": Strength(0.23, 6.05, 1.2),
    "libaom-av1": Strength(0.2, 4.73, 1.2),
    # From QP 31 to 32 VVenC's perceptual adaptation (qpa, on by default) drops an eighth of the bits more than a step of QP does.
    "libvvenc": Strength(0.24, 1.55, 1.4, full_at=27, fade=0.11, doubles_in=6, barrier=32),
}


def strength_of(target: EncodeTarget) -> Strength:
    """That of the job's encoder, or the mild one for encoders that nobody measured."""
    return STRENGTHS.get(target.encoder, Strength())


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


def mask_format(pix_fmt: str) -> str:
    """How the mask of a ``pix_fmt`` picture is kept: the mask of the chroma must say the same as that of the luma."""
    return "gray" if len(av.VideoFormat(pix_fmt).components) == 1 else "yuv444p"


def write_mask(path: Path, plan: RoiPlan, frame_rate: Fraction, pix_fmt: str = "yuv444p") -> None:
    """Write the mask of ``plan``, a lossless video with one pixel a block and a picture a frame. Raises `OutputError`."""
    rows, cols = plan.qp_offset.shape[1:]
    try:
        with av.open(f"file:{path}", "w", format="nut") as container:
            stream = container.add_stream("ffv1", rate=frame_rate)
            stream.width, stream.height, stream.pix_fmt = cols, rows, pix_fmt
            for number, mask in enumerate(mask_frames(plan)):
                planes = mask if pix_fmt == "gray" else np.stack([mask] * 3)
                frame = av.VideoFrame.from_ndarray(planes, format=pix_fmt)
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


def prefilter_graph(mask: Path, plan: RoiPlan, sigma: float, pix_fmt: str, frame_rate: Fraction, tags: str = "") -> str:
    """The graph that blurs ``pix_fmt`` pictures by ``sigma`` pixels outside of the mask; frames of both are numbered from 0.

    ``tags`` is a filter that gives the mask the picture's colour tags: ffmpeg converts between inputs whose tags differ.
    """
    rows, cols = plan.qp_offset.shape[1:]
    size = plan.block_size
    top = 2 ** av.VideoFormat(pix_fmt).components[0].bits - 1
    # Enlarging to whole blocks first keeps the mask on the grid where the picture ends within a block. What swscale makes of 255
    # at another depth, and of rounding, is mended by the last step: all that is almost full is full.
    enlarge = f"scale={cols * size}:{rows * size}:flags=bilinear,crop={plan.width}:{plan.height}:0:0:exact=1,format={pix_fmt}"
    fill = "lut=" + ":".join(f"c{i}=if(gt(val\\,{top * 0.985:.0f})\\,{top}\\,val)" for i in range(3))
    count = ",".join(filter(None, (f"settb=expr=1/({frame_rate}),setpts=N", tags)))
    return ";\n".join(
        (
            "split=2[sharp][soft]",
            f"[soft]gblur=sigma={sigma:g}[blurred]",
            f"movie=filename={escape_filter_value(str(mask))}:format_name=nut,{count},{enlarge},{fill}[mask]",
            "[blurred][sharp][mask]maskedmerge",
        )
    )


def escape_filter_value(text: str) -> str:
    """``text`` as an option's value inside a filter graph: once for the option, once more for the graph (ffmpeg-filters, 4.1)."""
    for special in (r"\':", r"\'[],;"):
        text = "".join(f"\\{char}" if char in special else char for char in text)
    return text
