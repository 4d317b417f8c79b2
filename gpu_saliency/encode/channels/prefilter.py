"""The channel ``prefilter``: removes fine detail from blocks that are not salient, and spends the saved bits on the whole picture.

It serves encoders without an interface for offsets. The mask is computed from the plan: a block with an effective offset of -0.5 QP
or less is protected, one at +1 or more is filtered fully, and blocks between these are blended. Protection extends a quarter of a
block further and decreases over the next quarter, so that protected blocks pass bit for bit.

The mask is a small video, with a picture for each change, that ffmpeg enlarges. Its value is 0 where blocks are
protected: 0 stays 0 in any scaling, depth and rounding. The graph reads it by the filter ``movie``, so ``-vf`` needs no second
input. background.py has the filters for the background.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av

from gpu_saliency.encode.channels.background import background
from gpu_saliency.encode.channels.base import OWN_FFMPEG, Channel, Delivery
from gpu_saliency.encode.channels.escape import escape_filter_value
from gpu_saliency.encode.channels.mask import filtered_share, write_mask
from gpu_saliency.encode.channels.strengths import strength_of
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.target import EncodeTarget
from gpu_saliency.errors import GpuSaliencyError, ToolMissingError, setting
from gpu_saliency.plan.policy import DEFAULT_OFFSET
from gpu_saliency.plan.roi import RoiPlan

_FILTERS = frozenset({"split", "movie", "scale", "crop", "format", "maskedmerge", "mergeplanes", "settb"})


@dataclass(frozen=True, slots=True)
class Prefilter(Channel):
    """The channel ``prefilter``: a filter outside the mask, before the encoder."""

    name: ClassVar[str] = "prefilter"
    per_map: ClassVar[bool] = True
    has_background: ClassVar[bool] = True

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        strength = strength_of(target.encoder)
        behind = background(target.background, strength, DEFAULT_OFFSET, target.crf, target.pix_fmt)
        used = _FILTERS | set(re.findall(r"(?:^|[],;])(\w+)", behind.filters))
        missing = sorted(used - target.ffmpeg.filters)
        if missing:
            return ToolMissingError(f"{target.ffmpeg.path}: has no filter {', '.join(missing)}", cure=OWN_FFMPEG)
        form = av.VideoFormat(target.pix_fmt)
        if form.is_rgb or form.has_palette or form.is_bit_stream:
            return ToolMissingError(
                f"{target.encoder}: would encode {target.pix_fmt}, but the prefilter supports Y'CbCr and grey only",
                cure=f"use another {setting('encoder')}",
            )
        return None

    def quality_shift(self, target: EncodeTarget, plan: RoiPlan) -> float:
        strength = strength_of(target.encoder)
        if target.crf is None or not strength.steps:
            return 0.0
        return strength.shift(target.crf, strength.amount(plan.policy.offset), filtered_share(plan), target.background)

    def deliver_plan(self, target: EncodeTarget, plan: RoiPlan, part: Part, folder: Path, quality: float | None) -> Delivery:
        if not plan.policy.offset:
            return Delivery()
        mask = folder / "mask.nut"
        behind = background(target.background, strength_of(target.encoder), plan.policy.offset, target.crf, target.pix_fmt)
        rate = target.shaped.frame_rate
        write_mask(mask, plan, rate, behind.level)
        return Delivery(prefilter_graph(mask, plan, behind.filters, target.pix_fmt, rate, target.color.filter()))


def prefilter_graph(mask: Path, plan: RoiPlan, filters: str, pix_fmt: str, frame_rate: Fraction, tags: str = "") -> str:
    """Build the graph that applies ``filters`` to ``pix_fmt`` pictures outside the mask.

    The frames of the clip are numbered from 0, as are the mask's. ``tags`` is a filter that gives the mask the picture's colour
    tags, because ffmpeg converts between inputs with different tags.
    """
    rows, cols = plan.qp_offset.shape[1:]
    size = plan.block_size
    # The mask is enlarged to whole blocks, so that it stays on the grid if the picture ends within a block.
    planes = "" if len(av.VideoFormat(pix_fmt).components) == 1 else "mergeplanes=0x000000:yuv444p"
    enlarge = f"scale={cols * size}:{rows * size}:flags=bilinear,crop={plan.width}:{plan.height}:0:0:exact=1,format={pix_fmt}"
    count = ",".join(filter(None, (f"settb=expr=1/({frame_rate})", planes, tags)))
    return ";\n".join(
        (
            "split=2[sharp][soft]",
            f"[soft]{filters}[background]",
            f"movie=filename={escape_filter_value(str(mask))}:format_name=nut,{count},{enlarge}[mask]",
            "[sharp][background][mask]maskedmerge",
        )
    )
