"""Searches the base quality at which an encode with its plan has the asked VMAF, or the asked size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.errors import UsageError
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.trial.scoring import VmafTool
from gpu_saliency.trial.search import Found, Grid, search_falling
from gpu_saliency.trial.trial import Trial, Trials

VMAF_STEP, SIZE_STEP = 0.25, 0.1
"""Of the base quality, where the encoder accepts fractions. They change VMAF by about 0.3, and the size by about 1 %."""
_FINEST_STEP = 0.05
"""The smallest step of the same, for pictures such as grain, where `VMAF_STEP` changes VMAF by up to 2."""
VMAF_TOLERANCE = 0.15
"""VMAF; a trial this close to the target ends the search."""
SIZE_TOLERANCE = 0.01
"""Of the video's bytes; a trial this close to the target ends the search."""
_VMAF_SLOPE, _SIZE_SLOPE = -1.3, -math.log(2) / 6
"""Expected change for one step of a scale of 51 steps: of VMAF near 90, and of the natural logarithm of the size."""
_VMAF_AT_DEFAULT = 98
"""About the VMAF at an encoder's default quality, where the first trial's distance is counted from."""
_SCALE = 51


def quality_grid(job: EncodeJob, asked_by: str, value: object, step: float = VMAF_STEP) -> Grid:
    """The base qualities that a search may try. Raises `UsageError` for an encoder of which the scale is not known."""
    quality = job.spec.quality
    if quality is None or job.spec.codec is None:
        problem = f"the quality scale of {job.encoder} is not known"
        raise UsageError(problem, setting=asked_by, value=value, cure="use an encoder that doctor lists")
    # 0 is lossless in some encoders, where offsets have no effect.
    low = max(quality.low, 1.0)
    return Grid(low, quality.high, 1.0) if quality.whole else Grid(low, quality.high, step, _FINEST_STEP)


def search_vmaf(
    trials: Trials, job: EncodeJob, sidecar: Sidecar, policy: RoiPolicy, vmaf: VmafTool, target: float, *, at_least: bool
) -> Trial:
    """The trial of ``job`` with the VMAF nearest to ``target``, or with ``at_least`` the smallest one that reaches it.

    Raises `UsageError` where even the best quality stays below ``target``, or the worst stays above it.
    """
    grid = quality_grid(job, "target_vmaf", target)
    run = _runner(trials, job, sidecar, policy, vmaf)
    slope = _VMAF_SLOPE * _SCALE / grid.high
    found = search_falling(
        lambda crf: _vmaf_of(run(crf)),
        target,
        grid,
        guess=_guess(job, grid) + (target - _VMAF_AT_DEFAULT) / slope,
        slope=slope,
        tolerance=VMAF_TOLERANCE,
        at_least=at_least,
    )
    if not found.reached and found.value < target:
        problem = f"cannot be reached with {job.encoder}: the best quality tried, CRF {found.x:g}, gives {found.value:.2f}"
        raise UsageError(problem, setting="target_vmaf", value=target, cure=f"give {math.floor(found.value)} or less")
    return run(found.x)


def search_size(trials: Trials, job: EncodeJob, sidecar: Sidecar, policy: RoiPolicy, video_bytes: int, asked: int) -> Trial:
    """The trial of ``job`` of which the predicted video is nearest to ``video_bytes``; the user asked for ``asked`` bytes in all.

    Raises `UsageError` where even the worst quality is larger. Where even the best is smaller, its trial is returned.
    """
    grid = quality_grid(job, "target_size", asked, SIZE_STEP)
    run = _runner(trials, job, sidecar, policy, None)
    found: Found = search_falling(
        lambda crf: math.log(run(crf).video_bytes),
        math.log(video_bytes),
        grid,
        guess=_guess(job, grid),
        slope=_SIZE_SLOPE * _SCALE / grid.high,
        tolerance=SIZE_TOLERANCE,
    )
    if not found.reached and found.value > math.log(video_bytes):
        least = run(found.x).video_bytes + asked - video_bytes
        problem = f"cannot be reached with {job.encoder}: the worst quality tried, CRF {found.x:g}, takes {least:,} bytes"
        raise UsageError(problem, setting="target_size", value=asked, cure="give more, or scale the clip down first")
    return run(found.x)


def _runner(trials: Trials, job: EncodeJob, sidecar: Sidecar, policy: RoiPolicy, vmaf: VmafTool | None) -> Callable[[float], Trial]:
    """A function from the base quality to its trial, each made once."""
    made: dict[float, Trial] = {}

    def run(crf: float) -> Trial:
        if crf not in made:
            tried = replace(job, crf=crf)
            made[crf] = trials.run(tried, tried.plan(sidecar, policy), vmaf)
        return made[crf]

    return run


def _vmaf_of(trial: Trial) -> float:
    assert trial.vmaf is not None
    return trial.vmaf


def _guess(job: EncodeJob, grid: Grid) -> float:
    return (grid.low + grid.high) / 2 if job.crf is None else job.crf
