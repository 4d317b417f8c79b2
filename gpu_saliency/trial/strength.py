"""Searches the strongest plan that costs the whole frame no VMAF, compared with a plain encode of equal size."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.plan.attention import DEFAULT_CURVE
from gpu_saliency.plan.policy import DEFAULT_OFFSET, MAX_OFFSET, RoiPolicy
from gpu_saliency.trial.quality import quality_grid
from gpu_saliency.trial.scoring import VmafTool
from gpu_saliency.trial.search import Grid, strongest
from gpu_saliency.trial.trial import Trial, Trials

OFFSET_STEP = 0.5
_APART = 2.0
"""Steps of a scale of 51 between the two plain trials."""
_SCALE = 51
_MOST_TRIALS = 6


@dataclass(frozen=True, slots=True)
class Baseline:
    """VMAF of plain encodes by size, near the sizes of two trials: linear in the logarithm of the size."""

    near: Trial
    slope: float
    """VMAF for each unit of the natural logarithm of the size, 0 or more."""

    @classmethod
    def of(cls, near: Trial, other: Trial) -> Baseline:
        """From two plain trials of different base quality."""
        ratio = math.log(other.video_bytes / near.video_bytes)
        assert near.vmaf is not None
        assert other.vmaf is not None
        return cls(near, max(0.0, (other.vmaf - near.vmaf) / ratio) if ratio else 0.0)

    def gain(self, trial: Trial) -> float:
        """VMAF of ``trial`` minus that of a plain encode of its size."""
        assert trial.vmaf is not None
        assert self.near.vmaf is not None
        return trial.vmaf - self.near.vmaf - self.slope * math.log(trial.video_bytes / self.near.video_bytes)


def most_useful(sidecar: Sidecar) -> float:
    """The strength of ``beta = 1`` (plan/attention.py): beyond it even the error where viewers look rises at equal size."""
    beta = (sidecar.track.attention or DEFAULT_CURVE).beta
    strength = -DEFAULT_OFFSET / beta if beta else MAX_OFFSET
    return min(float(MAX_OFFSET), max(OFFSET_STEP, round(strength / OFFSET_STEP) * OFFSET_STEP))


@dataclass(frozen=True, slots=True)
class Strength:
    """The strength that `find_strength` found."""

    offset: float
    gain: float
    """VMAF of the whole frame minus that of a plain encode of equal size."""


def find_strength(
    trials: Trials, job: EncodeJob, sidecar: Sidecar, policy: RoiPolicy, vmaf: VmafTool, most_loss: float
) -> Strength:
    """Find the most negative offset, in steps of `OFFSET_STEP`, with which the whole frame loses at most ``most_loss`` VMAF.

    It is found at the base quality of ``job``, down to `most_useful`. 0 means that already the weakest plan loses more.
    """

    def run(offset: float) -> Trial:
        return trials.run(job, job.plan(sidecar, replace(policy, offset=offset)), vmaf)

    grid = quality_grid(job, "offset", "auto")
    if job.crf is None:
        job = replace(job, crf=grid.nearest((grid.low + grid.high) / 2))
    assert job.crf is not None
    near = trials.run(job, None, vmaf)
    first = run(DEFAULT_OFFSET)
    # The second plain trial is on the side of the planned one's size.
    apart = max(grid.step, _APART * grid.high / _SCALE) * (-1 if first.video_bytes > near.video_bytes else 1)
    aside = grid.nearest(job.crf + apart)
    if aside == job.crf:
        aside = grid.nearest(job.crf - apart)
    baseline = Baseline.of(near, trials.run(replace(job, crf=aside), None, vmaf))
    gains = {0.0: 0.0}

    def gain(strength: float) -> float:
        trial = first if strength == -DEFAULT_OFFSET else run(-strength)
        gains[strength] = baseline.gain(trial)
        return gains[strength]

    offsets = Grid(0.0, most_useful(sidecar), OFFSET_STEP)
    best = strongest(gain, offsets, start=-DEFAULT_OFFSET, least=-most_loss, most_calls=_MOST_TRIALS)
    return Strength(-best if best else 0.0, gains[best])
