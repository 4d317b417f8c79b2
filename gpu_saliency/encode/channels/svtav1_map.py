"""The channel ``svtav1-map``: SVT-AV1 gets offsets for 64x64 blocks from a map file with a line for each segment.

The file is read by SvtAv1EncApp (``--roi-map-file``) or by `svtav1_child`, which passes it to the library of SVT-AV1.
With a negative offset SVT-AV1 spends more bits on a block and hardly improves it, because it does not derive the block's lambda
again. So the file has only offsets of 0 and more: the plan's best blocks get 0, and a lower CRF for the whole picture spends the
bits that the other blocks save. A line has at most 8 different values, the number of segments of an AV1 frame, and holds until the
next one. With a target bit rate the encoder ignores the map. Measured with SVT-AV1 2.3 and 4.1, and read from the sources of 4.1;
versions before 1.6 read no such file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.channels.base import FREE_SPACE, Channel, Delivery
from gpu_saliency.encode.channels.svtav1_library import library_command
from gpu_saliency.encode.channels.svtav1_program import find_program, is_program_chosen
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.peak import KILOBIT
from gpu_saliency.encode.target import EncodeTarget, Params
from gpu_saliency.errors import GpuSaliencyError, ToolMissingError, UsageError, setting
from gpu_saliency.files import writing
from gpu_saliency.grid import pool_blocks
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.source.clip import ColorTags
from gpu_saliency.source.static_hdr import StaticHdr, static_hdr

MAX_LEVELS = 8
MAX_DELTA = 255
_DELTAS_PER_CRF = 4
"""Steps of the quantiser index for a step of CRF."""
_LOW_CRF = 10
"""Below this CRF no block gets offset 0: SVT-AV1 drops the offsets of a frame in which some blocks reach index 0, not all."""
_SLOWEST_OF_64 = 6
"""The slowest preset with superblocks of 64x64 only; in those of 128x128 all four blocks take the worst offset of the four."""
_UNIT_BLOCKS = 4
"""Width of a 64x64 block in 16x16 blocks."""
DELTA_PER_QP = 7.0
"""Steps of AV1's quantiser index, 0..255, for one QP of the plan: they change the quantiser's step as one QP of H.264 does."""
LOWEST, HIGHEST = -1.0, 2 / 3
"""Limits of the effective offsets, as multiples of the policy's offset. All blocks share the lambda of the best block, so a few
extreme blocks cost all others more than they gain."""
SHIFT_PER_DELTA, SHIFT_POWER = 0.112, 1.05
"""The quality shift in steps of CRF is ``-SHIFT_PER_DELTA * d ** SHIFT_POWER`` for a mean offset of ``d`` (see `mean_delta`)."""


@dataclass(frozen=True, slots=True)
class SvtAv1Map(Channel):
    """The channel ``svtav1-map``: an ROI map file for SVT-AV1 outside of ffmpeg."""

    name: ClassVar[str] = "svtav1-map"
    per_map: ClassVar[bool] = True

    def obstacle(self, target: EncodeTarget) -> GpuSaliencyError | None:
        if target.bitrate is not None:
            return UsageError("SVT-AV1 ignores its ROI map with a bit rate", cure=f"use {setting('crf')}")
        if target.pix_fmt not in ("yuv420p", "yuv420p10le"):
            cure = f"convert the source to 4:2:0, or use {setting('roi_channel', 'prefilter')}"
            return UsageError(f"SVT-AV1 supports 4:2:0 only, not {target.pix_fmt}", cure=cure)
        try:
            _encoder()
        except ToolMissingError as error:
            return error
        return None

    def takes_quarters(self, target: EncodeTarget) -> bool | None:
        return True  # the map adds what a whole CRF lacks

    def quality_shift(self, target: EncodeTarget, plan: RoiPlan) -> float:
        return float(-SHIFT_PER_DELTA * mean_delta(plan) ** SHIFT_POWER)

    def deliver_plain(self, target: EncodeTarget, quality: float | None) -> Delivery:
        return Delivery(program=(*_command(target, quality), "-b"))

    def deliver(self, target: EncodeTarget, plan: RoiPlan | None, part: Part, folder: Path, quality: float | None) -> Delivery:
        if plan is None:
            return self.deliver_plain(target, quality)
        assert quality is not None
        whole = math.floor(quality)
        missing = round(_DELTAS_PER_CRF * (quality - whole))
        least = max(missing, 1) if whole < _LOW_CRF else missing
        path = folder / "roi.map"
        with writing(path, cure=FREE_SPACE):
            text = map_text(plan.between(part.start, part.end), best_offset(plan), least, unit_blocks(target.preset))
            path.write_text(text, encoding="ascii")
        return Delivery(program=(*_command(target, whole), "--roi-map-file", str(path), "-b"))

    def deliver_plan(self, target: EncodeTarget, plan: RoiPlan, part: Part, folder: Path, quality: float | None) -> Delivery:
        return self.deliver(target, plan, Part(0, plan.frame_count), folder, quality)


def _command(target: EncodeTarget, quality: float | None) -> list[str]:
    command = [*_encoder(), "--preset", str(target.preset), "--crf", f"{quality:g}"]
    if target.vbv is not None:
        command += ["--mbr", str(target.vbv.maxrate // KILOBIT)]
    command += [] if target.threads is None or "lp" in target.params else ["--lp", str(target.threads)]
    return [
        *command,
        *_color_arguments(target.color),
        *hdr_arguments(static_hdr(target.clip)),
        *_param_arguments(target.params),
    ]


def _encoder() -> list[str]:
    """The start of the encoder's command: the program that the user chose, else PyAV's library, else the program on PATH."""
    command = None if is_program_chosen() else library_command()
    return command or [find_program(), "-i", "stdin", "--progress", "0"]


def unit_blocks(preset: str | None) -> int:
    """Width in 16x16 blocks of the squares that share an offset: 128x128 pixels if ``preset`` may use such superblocks."""
    return _UNIT_BLOCKS if preset is None or int(preset) >= _SLOWEST_OF_64 else 2 * _UNIT_BLOCKS


def best_offset(plan: RoiPlan) -> float:
    """The lowest effective offset of ``plan`` in QP, but no lower than `LOWEST`; its blocks get the map's offset 0."""
    lowest = min(float(plan.effective(segment).min()) for segment in range(len(plan.segment_start)))
    return max(lowest, LOWEST * abs(plan.policy.offset))


def deltas(plan: RoiPlan, segment: int, best: float, unit: int = _UNIT_BLOCKS) -> NDArray[np.int64]:
    """Offsets ``[rows64, cols64]`` of a segment in steps of AV1's quantiser index, 0..255; ``best`` is that of `best_offset`.

    0 is the best quality; there are at most `MAX_LEVELS` different values. Each square of ``unit`` by ``unit`` blocks takes the
    best offset of its 16x16 blocks, so that a subject does not get worse together with its surroundings.
    """
    strength = abs(plan.policy.offset)
    wanted = np.clip(pool_blocks(plan.effective(segment), unit, "min"), LOWEST * strength, HIGHEST * strength)
    raised = np.clip(np.rint(DELTA_PER_QP * (wanted - best)), 0, MAX_DELTA).astype(np.int64)
    squares = pool_blocks(plan.effective(segment), _UNIT_BLOCKS, "min").shape
    repeat = unit // _UNIT_BLOCKS
    return few_levels(raised).repeat(repeat, axis=0)[: squares[0]].repeat(repeat, axis=1)[:, : squares[1]]


def few_levels(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Replace ``values`` by at most `MAX_LEVELS` of them, with the least squared error (dynamic programming).

    Each group of neighbouring values takes its rounded mean.
    """
    found, counts = np.unique(values, return_counts=True)
    if len(found) <= MAX_LEVELS:
        return values
    edges = _best_groups(found.astype(np.float64), counts.astype(np.float64))
    levels = np.concatenate(
        [np.full(end - start, round(np.average(found[start:end], weights=counts[start:end]))) for start, end in edges]
    )
    chosen: NDArray[np.int64] = levels[np.searchsorted(found, values)].astype(np.int64)
    return chosen


def _best_groups(found: NDArray[np.float64], counts: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Bounds ``[start, end)`` of the groups of the sorted values ``found``, that occur ``counts`` times."""
    n = len(found)
    sums = [np.concatenate([[0.0], np.cumsum(counts * found**power)]) for power in range(3)]

    def error(start: int, end: int) -> float:
        weight, total, square = (float(one[end] - one[start]) for one in sums)
        return square - total**2 / weight

    cost = [0.0 if end == 0 else math.inf for end in range(n + 1)]
    choices: list[list[int]] = []
    for _ in range(MAX_LEVELS):
        options = [[cost[start] + error(start, end) for start in range(end)] for end in range(1, n + 1)]
        choices.append([0, *(int(np.argmin(one)) for one in options)])
        cost = [math.inf, *(min(one) for one in options)]
    groups, end = [], n
    for choice in reversed(choices):
        groups.append((choice[end], end))
        end = choice[end]
    return groups[::-1]


def mean_delta(plan: RoiPlan, best: float | None = None) -> float:
    """Mean offset of the map over the clip, 0..255; each block is weighted by its rate share.

    ``best`` is the `best_offset` of the whole plan, if ``plan`` is an excerpt.
    """
    lowest = best_offset(plan) if best is None else best
    spans = plan.segment_end - plan.segment_start
    means = [float((_full_size(deltas(plan, i, lowest), plan) * plan.rate_share(i)).sum()) for i in range(len(spans))]
    return float(np.average(means, weights=spans))


def map_text(plan: RoiPlan, best: float, least: int = 0, unit: int = _UNIT_BLOCKS) -> str:
    """The text of the map file: a line for each segment of ``plan``, with its first frame and its offsets in raster order.

    ``least`` is added to all offsets. The last line ends the plan: a line holds until the next one.
    """
    lines, size = [], 0
    for segment, start in enumerate(plan.segment_start.tolist()):
        values = np.minimum(deltas(plan, segment, best, unit) + least, MAX_DELTA).ravel().tolist()
        size = len(values)
        lines.append(f"{start} " + " ".join(map(str, values)))
    lines.append(f"{plan.frame_count} " + " ".join(["0"] * size))
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


def hdr_arguments(hdr: StaticHdr) -> list[str]:
    """The options for static HDR metadata, which y4m does not carry either."""
    arguments = []
    if hdr.display:
        red, green, blue, white = (f"({hdr.display[at]:.6f},{hdr.display[at + 1]:.6f})" for at in range(0, 8, 2))
        low, high = hdr.display[8:]
        arguments += ["--mastering-display", f"G{green}B{blue}R{red}WP{white}L({high:.6f},{low:.6f})"]
    if hdr.light:
        arguments += ["--content-light", ",".join(map(str, hdr.light))]
    return arguments


def _param_arguments(params: Params) -> list[str]:
    return [word for key, value in params.items() for word in (f"--{key}", value)]
