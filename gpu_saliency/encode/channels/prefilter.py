"""The channel ``prefilter``: blurs blocks that are not salient, and spends the saved bits on the whole picture.

It serves encoders without an interface for offsets. The mask is computed from the plan: a block with an effective offset of -0.5 QP
or less is protected, one at +0.5 or more is blurred fully, and blocks between these are blended. Protection extends one block
further than the plan's (3x3 dilation) and decreases from the centre of that block to the next one's (bilinear enlargement), so that
protected blocks pass bit for bit.

The mask is a small video, one value per block, that ffmpeg enlarges. The graph reads it by the filter ``movie``, so ``-vf`` needs
no second input.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av

from gpu_saliency.encode.channels.base import OWN_FFMPEG, Channel, Delivery
from gpu_saliency.encode.channels.escape import escape_filter_value
from gpu_saliency.encode.channels.mask import blurred_share, mask_format, write_mask
from gpu_saliency.encode.channels.strengths import strength_of
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.target import EncodeTarget
from gpu_saliency.errors import GpuSaliencyError, ToolMissingError, setting
from gpu_saliency.plan.roi import RoiPlan

_FILTERS = frozenset({"split", "gblur", "movie", "scale", "crop", "lut", "format", "maskedmerge", "settb", "setpts"})


@dataclass(frozen=True, slots=True)
class Prefilter(Channel):
    """The channel ``prefilter``: a blur outside the mask, before the encoder."""

    name: ClassVar[str] = "prefilter"
    per_map: ClassVar[bool] = True

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        missing = sorted(_FILTERS - target.ffmpeg.filters)
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
        return strength.shift(target.crf, strength.sigma(plan.policy.offset, target.crf), blurred_share(plan))

    def deliver_plan(self, target: EncodeTarget, plan: RoiPlan, part: Part, folder: Path, quality: float | None) -> Delivery:
        if not plan.policy.offset:
            return Delivery()
        mask = folder / "mask.nut"
        write_mask(mask, plan, target.clip.frame_rate, mask_format(target.pix_fmt))
        sigma = strength_of(target.encoder).sigma(plan.policy.offset, target.crf)
        return Delivery(prefilter_graph(mask, plan, sigma, target.pix_fmt, target.clip.frame_rate, target.color.filter()))


def prefilter_graph(mask: Path, plan: RoiPlan, sigma: float, pix_fmt: str, frame_rate: Fraction, tags: str = "") -> str:
    """Build the graph that blurs ``pix_fmt`` pictures by ``sigma`` pixels outside the mask.

    The frames of clip and mask are numbered from 0. ``tags`` is a filter that gives the mask the picture's colour tags, because
    ffmpeg converts between inputs with different tags.
    """
    rows, cols = plan.qp_offset.shape[1:]
    size = plan.block_size
    top = 2 ** av.VideoFormat(pix_fmt).components[0].bits - 1
    # The mask is first enlarged to whole blocks, so that it stays on the grid if the picture ends within a block. swscale may map
    # 255 to slightly less than the maximum at another bit depth, or by rounding; the last step raises such values to the maximum.
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
