"""The channel ``svtav1-map``: SvtAv1EncApp reads offsets for 64x64 blocks from ``--roi-map-file``, a line for each segment.

With a negative offset SVT-AV1 spends more bits on a block and hardly improves it. So the file has only offsets of 0 and more: the
plan's best blocks get 0, and a lower CRF (better quality) for the whole picture spends the bits that the other blocks save. A line
has at most 8 different values, the number of segments of an AV1 frame. With a target bit rate the encoder ignores the map. Measured
with SVT-AV1 2.3; versions before 1.6 read no such file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.channels.base import FREE_SPACE, Channel, Delivery
from gpu_saliency.encode.channels.svtav1_program import PROGRAM, find_program, program_version
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.target import EncodeTarget, Params
from gpu_saliency.errors import GpuSaliencyError, ToolMissingError, UsageError, setting
from gpu_saliency.files import writing
from gpu_saliency.grid import pool_blocks
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.source.clip import ColorTags

MAX_LEVELS = 8
MAX_DELTA = 255
QUARTERS_FROM = (4, 0)
"""The first version of the program that accepts quarters of a step of CRF."""
_UNIT_BLOCKS = 4
"""Width of a 64x64 block in 16x16 blocks."""
DELTA_PER_QP = 8.0
"""Steps of AV1's quantiser index, 0..255, for one QP of the plan."""
SHIFT_PER_DELTA, SHIFT_POWER = 0.08, 1.15
"""The quality shift in steps of CRF is ``-SHIFT_PER_DELTA * d ** SHIFT_POWER`` for a mean offset of ``d`` (see `mean_delta`)."""


@dataclass(frozen=True, slots=True)
class SvtAv1Map(Channel):
    """The channel ``svtav1-map``: an ROI map file for the program of SVT-AV1."""

    name: ClassVar[str] = "svtav1-map"
    per_map: ClassVar[bool] = True

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        if target.bitrate is not None:
            return UsageError(f"{PROGRAM}: ignores its ROI map with a bit rate", cure=f"use {setting('crf')}")
        if target.pix_fmt not in ("yuv420p", "yuv420p10le"):
            cure = f"convert the source to 4:2:0, or use {setting('roi_channel', 'prefilter')}"
            return UsageError(f"{PROGRAM}: supports 4:2:0 only, not {target.pix_fmt}", cure=cure)
        try:
            find_program()
        except ToolMissingError as error:
            return error
        return None

    def takes_quarters(self, target: EncodeTarget) -> bool | None:
        return program_version(find_program()) >= QUARTERS_FROM

    def quality_shift(self, target: EncodeTarget, plan: RoiPlan) -> float:
        return float(-SHIFT_PER_DELTA * mean_delta(plan) ** SHIFT_POWER)

    def deliver_plain(self, target: EncodeTarget, quality: float | None) -> Delivery:
        return Delivery(program=(*_command(target, quality), "-b"))

    def deliver_plan(self, target: EncodeTarget, plan: RoiPlan, part: Part, folder: Path, quality: float | None) -> Delivery:
        path = folder / "roi.map"
        with writing(path, cure=FREE_SPACE):
            path.write_text(map_text(plan), encoding="ascii")
        return Delivery(program=(*_command(target, quality), "--roi-map-file", str(path), "-b"))


def _command(target: EncodeTarget, quality: float | None) -> list[str]:
    command = [find_program(), "-i", "stdin", "--progress", "0", "--preset", str(target.preset), "--crf", f"{quality:g}"]
    return [*command, *_color_arguments(target.clip.color), *_param_arguments(target.params)]


def deltas(plan: RoiPlan, segment: int) -> NDArray[np.int64]:
    """Offsets ``[rows64, cols64]`` of a segment in steps of AV1's quantiser index, 0..255.

    0 is the best quality; there are at most `MAX_LEVELS` different values. A 64x64 block takes the best offset of its 16x16 blocks,
    so that a subject does not get worse together with its surroundings.
    """
    wanted = pool_blocks(plan.effective(segment), _UNIT_BLOCKS, "min")
    raised = np.clip(DELTA_PER_QP * (wanted - wanted.min()), 0, MAX_DELTA)
    steps = max(1.0, float(np.ceil(raised.max())))
    levels = np.rint(raised / steps * (MAX_LEVELS - 1))
    stepped: NDArray[np.int64] = np.rint(levels * steps / (MAX_LEVELS - 1)).astype(np.int64)
    return stepped


def mean_delta(plan: RoiPlan) -> float:
    """Mean offset of the map over the clip, 0..255; each block is weighted by its rate share."""
    spans = plan.segment_end - plan.segment_start
    means = [float((_full_size(deltas(plan, i), plan) * plan.rate_share(i)).sum()) for i in range(len(spans))]
    return float(np.average(means, weights=spans))


def map_text(plan: RoiPlan) -> str:
    """The text of the map file: a line for each segment of ``plan``, with its first frame and its offsets in raster order."""
    lines = [
        f"{start} " + " ".join(map(str, deltas(plan, segment).ravel().tolist()))
        for segment, start in enumerate(plan.segment_start.tolist())
    ]
    return "\n".join(lines) + "\n"


def _full_size(units: NDArray[np.int64], plan: RoiPlan) -> NDArray[np.int64]:
    rows, cols = plan.qp_offset.shape[1:]
    return units.repeat(_UNIT_BLOCKS, axis=0)[:rows].repeat(_UNIT_BLOCKS, axis=1)[:, :cols]


def _color_arguments(color: ColorTags) -> list[str]:
    """The colour options of SvtAv1EncApp, as ffmpeg's wrapper would set them; needed because y4m carries no colour tags."""
    arguments = []
    for option, value in (
        ("--color-primaries", color.color_primaries),
        ("--transfer-characteristics", color.color_trc),
        ("--matrix-coefficients", color.colorspace),
    ):
        arguments += [option, str(value)] if value != 2 else []
    return [*arguments, "--color-range", "1"] if color.color_range == 2 else arguments


def _param_arguments(params: Params) -> list[str]:
    return [word for key, value in params.items() for word in (f"--{key}", value)]
