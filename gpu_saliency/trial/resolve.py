"""`resolve_intent`: turns an `Intent` into the settings of an encode, by trial encodes where it takes them."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.errors import UsageError, setting
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.plan.share import find_share, looked_at, share_of
from gpu_saliency.progress import Observer
from gpu_saliency.proof import Proof
from gpu_saliency.trial.intent import Intent
from gpu_saliency.trial.quality import search_size, search_vmaf
from gpu_saliency.trial.report import IntentReport
from gpu_saliency.trial.reuse import recorded_strength
from gpu_saliency.trial.scoring import VmafTool, choose_vmaf
from gpu_saliency.trial.size import Budget, size_budget
from gpu_saliency.trial.strength import find_strength
from gpu_saliency.trial.trial import Trials
from gpu_saliency.trial.windows import sample_windows

Resolved = tuple[EncodeJob, RoiPolicy, IntentReport | None]


def resolve_intent(
    asked: Intent, job: EncodeJob, sidecar: Sidecar, policy: RoiPolicy, observer: Observer, *, suffix: str
) -> Resolved:
    """Find the settings that serve ``asked``: the job with its base quality or bit rate, and the policy with its strength.

    The strength is found first, at the base quality of ``job``; then the quality, with the plan of that strength. ``job`` has its
    time stamps; ``suffix`` is that of the output. Without anything to find, both are returned as they are, without a report.
    Raises `UsageError` for what cannot be reached, and whatever an encode or a score raises.
    """
    if not asked.is_given:
        return job, policy, None
    assert job.channel is not None
    started, view = time.perf_counter(), job.view(sidecar)
    report = IntentReport(asked=asked)
    if asked.salient_bits is not None:
        shares = find_share(partial(job.plan, sidecar), view.track, policy, asked.salient_bits)
        policy = replace(policy, offset=shares.offset)
        report = report.with_found(offset=shares.offset, plain_share=shares.plain, modelled_share=shares.modelled)
    split = job.parts(job.plan(sidecar, policy))
    trials = Trials(sample_windows(split, job.shaped.frame_rate), view.frame_count, observer)
    if asked.auto_offset:
        policy, report = _with_strength(asked, job, sidecar, policy, trials, report)
    if asked.target_vmaf is not None:
        tool = choose_vmaf(job, "target_vmaf", asked.target_vmaf)
        trial = search_vmaf(trials, job, sidecar, policy, tool, asked.target_vmaf, at_least=asked.at_least)
        job = replace(job, crf=trial.crf)
        report = _scored(report, tool).with_found(crf=trial.crf, vmaf=trial.vmaf, video_bytes=trial.video_bytes)
    if asked.target_size is not None:
        budget = size_budget(job, view.frame_count, asked.target_size, suffix)
        job, report = _with_size(asked.target_size, budget, job, sidecar, policy, trials, report)
    if trials.done:
        sampled = {"frames": trials.frames, "windows": len(trials.windows), "whole_clip": trials.whole_clip}
        report = report.with_found(trials=tuple(trials.done), **sampled)
    return job, policy, report.with_found(seconds=time.perf_counter() - started)


def _with_strength(
    asked: Intent, job: EncodeJob, sidecar: Sidecar, policy: RoiPolicy, trials: Trials, report: IntentReport
) -> tuple[RoiPolicy, IntentReport]:
    strength = recorded_strength(sidecar, job, policy, asked)
    report = report.with_found(offset_reused=strength is not None)
    if strength is None:
        tool = choose_vmaf(job, "offset", "auto")
        strength = find_strength(trials, job, sidecar, policy, tool, asked.max_vmaf_loss)
        report = _scored(report, tool)
    report = report.with_found(offset=strength.offset, vmaf_gain=strength.gain, offset_crf=job.crf)
    return replace(policy, offset=strength.offset), report


def _scored(report: IntentReport, tool: VmafTool) -> IntentReport:
    return report.with_found(vmaf_model=tool.model, scored_by=tool.ffmpeg.path)


def _with_size(
    asked: int, budget: Budget, job: EncodeJob, sidecar: Sidecar, policy: RoiPolicy, trials: Trials, report: IntentReport
) -> tuple[EncodeJob, IntentReport]:
    """A search of the base quality where trials cover the clip, which is exact; else two passes, if they are possible."""
    assert job.channel is not None
    needed = budget.bitrate(job.view(sidecar).frame_count, job.shaped.frame_rate)
    if job.vbv is not None and needed > job.vbv.maxrate:
        problem = f"needs {needed:,} bits per second of video, more than {setting('maxrate', job.vbv.maxrate)}"
        raise UsageError(problem, setting="target_size", value=asked, cure="give fewer bytes, or a higher rate")
    rated = replace(job, crf=None, bitrate=needed)
    if not trials.whole_clip and job.spec.passes and job.channel.obstacle(rated) is None:
        return rated, report.with_found(bitrate=rated.bitrate, video_bytes=budget.video, size_bytes=asked)
    trial = search_size(trials, job, sidecar, policy, budget.video, asked)
    size = budget.file_bytes(trial.video_bytes)
    return replace(job, crf=trial.crf), report.with_found(crf=trial.crf, video_bytes=trial.video_bytes, size_bytes=size)


def proven(report: IntentReport | None, sidecar: Sidecar, plan: RoiPlan, proof: Proof | None) -> IntentReport | None:
    """Return ``report`` with the share of the bits as realised, if a share was asked for and ``proof`` read QP from the encode."""
    if report is None or report.asked.salient_bits is None or proof is None or proof.unit != "QP":
        return report
    chosen = looked_at(sidecar.track, plan)
    realised = share_of(plan, chosen, proof.change, proof.frames)
    return report.with_found(realised_share=realised, realised_share_modelled=share_of(plan, chosen, None, proof.frames))
