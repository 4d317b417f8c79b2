"""The main job, whole: clip, sidecar, plan, encode, proof. The command line and Python callers share it."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_saliency._version import __version__
from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.sidecar import SUFFIX, Sidecar, save_sidecar
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import check_destination, plan_part, run_saliency_encode
from gpu_saliency.errors import EncodeError, OutputError, SidecarError, UnsupportedEncoderError
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.progress import Reporter
from gpu_saliency.proof import Proof, prove_encode
from gpu_saliency.source.clip import Clip

EXCERPT_FRAMES = 48
"""Frames that ``--prove excerpt`` compares, whatever the length of the clip; the plain encode runs on for a lookahead more."""
PROVE = ("excerpt", "full", "none")
_FALLBACK_VARIABLES = ("GPU_SALIENCY_FALLBACK_OK", "VMAFTUNE_SALIENCY_FALLBACK_OK")


@dataclass(frozen=True, slots=True)
class EncodeRequest:
    """Everything that ``gpu-saliency encode`` can be asked."""

    clip: Clip
    output: Path
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    policy: RoiPolicy = field(default_factory=RoiPolicy)
    encode: EncodeSettings = field(default_factory=EncodeSettings)
    sidecar: Path | None = None
    """Reused if it exists, written otherwise. ``None``: written beside the output."""
    fallback_plain: bool = False
    overwrite: bool = False
    prove: str = "excerpt"


def fallback_allowed() -> bool:
    """Whether the environment allows a plain encode where no ROI reaches the encoder."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in _FALLBACK_VARIABLES)


def encode_clip(request: EncodeRequest, reporter: Reporter | None = None) -> dict[str, Any]:
    """Run ``request`` and return the result that ``--json`` prints (docs/result.md). Raises any `GpuSaliencyError`."""
    reporter = reporter or Reporter(quiet=True)
    started = time.perf_counter()
    try:
        job = prepare_encode(request.clip, request.encode)
    except UnsupportedEncoderError as error:
        if not request.fallback_plain:
            raise
        return _encode_plainly(request, error, reporter, started)
    _check_destinations(job, request)
    sidecar, reused, analysis_seconds = _analyse(request, reporter)
    job = job.timed_like(sidecar)
    plan = plan_for(job, sidecar, request.policy)
    sidecar_path = request.sidecar or sidecar_beside(request.output)
    proof: Proof | None = None
    proof_started = 0.0

    def prove_and_record(encode: Path) -> None:
        nonlocal proof, proof_started
        proof_started = time.perf_counter()
        proof = _prove(request, job, plan, encode, reporter)
        record = job.record() | request.policy.to_json() | {"size_bytes": encode.stat().st_size}
        save_sidecar(sidecar.with_encode(request.output.name, record), sidecar_path)

    with reporter.stage(f"encoding with {job.spec.name}") as advance:
        encoded = run_saliency_encode(
            job,
            plan,
            request.output,
            on_frame=lambda done: advance(done, sidecar.frame_count),
            before_publishing=prove_and_record,
        )
    finished = time.perf_counter()
    return _common(request, job) | {
        "analysis": _analysis_facts(sidecar, reused) | {"sidecar": str(sidecar_path)},
        "roi": _roi_facts(job, plan) | {"parts": encoded.parts},
        "proof": proof and proof.to_json() | {"summary": proof.summary()},
        "output": {"path": str(request.output), "size_bytes": encoded.size_bytes} | encoded.facts,
        "seconds": {
            "analysis": round(analysis_seconds, 3),
            "encode": round(encoded.seconds, 3),
            "proof": round(finished - proof_started, 3),
            "total": round(finished - started, 3),
        },
    }


def dry_run(request: EncodeRequest, reporter: Reporter | None = None) -> dict[str, Any]:
    """The plan and the exact ffmpeg command; nothing is written."""
    job = prepare_encode(request.clip, request.encode)
    _check_destinations(job, request)
    sidecar, reused, seconds = _analyse(request, reporter or Reporter(quiet=True), write=False)
    job = job.timed_like(sidecar)
    plan = plan_for(job, sidecar, request.policy)
    commands, graphs = _commands(job, plan)
    return _common(request, job) | {
        "dry_run": True,
        "analysis": _analysis_facts(sidecar, reused),
        "roi": _roi_facts(job, plan) | {"parts": len(graphs)},
        "commands": commands,
        "graphs": graphs,
        "seconds": {"analysis": round(seconds, 3)},
    }


def _commands(job: EncodeJob, plan: RoiPlan) -> tuple[list[str], list[str]]:
    """The command lines and the filter graph of each part, with ``partN/`` for the folder that only the encode makes."""
    assert job.channel is not None
    commands, graphs = [], []
    with tempfile.TemporaryDirectory(prefix="gpu_saliency-") as folder:
        for number, part in enumerate(job.channel.split(plan)):
            run = plan_part(job, plan, part, Path(folder))
            commands += [line.replace(folder, f"part{number}") for line in run.shell_lines()]
            graphs.append(run.graph.replace(folder, f"part{number}"))
    return commands, graphs


def plan_for(job: EncodeJob, sidecar: Sidecar, policy: RoiPolicy) -> RoiPlan:
    """The plan of ``sidecar`` as finely cut as the job's channel takes it."""
    return build_roi_plan(sidecar, policy, per_map=job.channel is not None and job.channel.per_map)


def sidecar_beside(output: Path) -> Path:
    """Where the sidecar of ``output`` goes when the user names no other place."""
    return output.with_name(output.name + SUFFIX)


def _check_destinations(job: EncodeJob, request: EncodeRequest) -> None:
    check_destination(job, request.output, overwrite=request.overwrite)
    beside = sidecar_beside(request.output)
    if request.sidecar is None:
        if beside.exists() and not request.overwrite:
            raise OutputError(f"{beside}: exists", cure="give --overwrite, or --sidecar to reuse it")
    elif request.sidecar.absolute() == request.output.absolute():
        raise OutputError(f"{request.output}: is the sidecar too", cure="give --sidecar another path")
    elif request.sidecar.is_dir():
        raise SidecarError(f"{request.sidecar}: is a folder", cure="give --sidecar the path of a file")
    elif not request.sidecar.parent.is_dir():
        raise OutputError(f"{request.sidecar}: its folder does not exist", cure=f"mkdir -p {request.sidecar.parent}")


def _analyse(request: EncodeRequest, reporter: Reporter, *, write: bool = True) -> tuple[Sidecar, bool, float]:
    started = time.perf_counter()
    path = request.sidecar if request.sidecar is not None and (write or request.sidecar.exists()) else None
    with reporter.stage("finding saliency") as advance:
        sidecar, reused = load_saliency_sidecar(request.clip, request.analysis, path, on_progress=advance, on_notice=reporter.say)
    corrupt = sidecar.analysis.corrupt_packets
    if corrupt and not reused:
        reporter.warn(f"{request.clip.path}: {corrupt} packets could not be decoded and were passed over")
    return sidecar, reused, time.perf_counter() - started


def _prove(request: EncodeRequest, job: EncodeJob, plan: RoiPlan, encode: Path, reporter: Reporter) -> Proof | None:
    """Compare ``encode`` with a plain one. Raises `EncodeError` when the ROI did not reach it: a success would be a lie."""
    if request.prove == "none":
        return None
    frames = EXCERPT_FRAMES if request.prove == "excerpt" else None
    with reporter.stage("proving it against a plain encode") as advance:
        proof = prove_encode(job, plan, encode, max_frames=frames, on_frame=lambda done: advance(done, None))
    if proof.moved is False:
        raise EncodeError(
            f"{job.ffmpeg.path}: {job.spec.name} did not follow the ROI plan: {proof.summary()}",
            cure="try another --ffmpeg-bin; --prove none skips this check",
            evidence={"proof": proof.to_json()},
        )
    if proof.moved is None:
        reporter.warn(f"the ROI could not be proven: {proof.summary()}")
    return proof


def _encode_plainly(request: EncodeRequest, reason: UnsupportedEncoderError, reporter: Reporter, started: float) -> dict[str, Any]:
    job = prepare_encode(request.clip, request.encode, plain=True)
    check_destination(job, request.output, overwrite=request.overwrite)
    reporter.error(f"{reason.message}; encoding plainly, as --saliency-fallback-plain allows")
    with reporter.stage(f"encoding plainly with {job.spec.name}") as advance:
        total = request.clip.frame_count
        exact = total if request.clip.is_raw else None
        encoded = run_saliency_encode(job, None, request.output, frame_count=exact, on_frame=lambda done: advance(done, total))
    for change in encoded.facts["changed_color_tags"]:
        reporter.warn(f"{request.output}: {job.spec.name} wrote {change}")
    return _common(request, job) | {
        "analysis": None,
        "roi": None,
        "proof": None,
        "output": {"path": str(request.output), "size_bytes": encoded.size_bytes} | encoded.facts,
        "seconds": {"encode": round(encoded.seconds, 3), "total": round(time.perf_counter() - started, 3)},
    }


def _common(request: EncodeRequest, job: EncodeJob) -> dict[str, Any]:
    clip = request.clip
    facts = job.record()
    facts.pop("roi_channel")
    return {
        "version": __version__,
        "source": {
            "path": str(clip.path),
            "width": clip.width,
            "height": clip.height,
            "pix_fmt": clip.pix_fmt,
            "frame_rate": str(clip.frame_rate),
            "codec": clip.codec,
            "audio": list(clip.audio_codecs),
            "left_out": list(clip.other_streams) + ([] if job.audio else ["audio"] * len(clip.audio_codecs)),
        },
        "ffmpeg": {"path": job.ffmpeg.path, "version": job.ffmpeg.version, "origin": job.ffmpeg.origin},
        **facts,
    }


def _analysis_facts(sidecar: Sidecar, reused: bool) -> dict[str, Any]:
    return {"reused": reused, "frames": sidecar.frame_count, "model": sidecar.model.to_json()} | sidecar.analysis.to_json()


def _roi_facts(job: EncodeJob, plan: RoiPlan) -> dict[str, Any]:
    assert job.channel is not None
    facts = {
        "channel": job.channel.name,
        "passed_over": [{"channel": name, "reason": reason} for name, reason in job.passed_over],
        "crf_used": job.quality(plan),
    }
    return facts | plan.policy.to_json() | plan.statistics()
