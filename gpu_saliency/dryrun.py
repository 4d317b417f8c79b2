"""Dry run of an encode: analyses and plans, then returns the commands that the encode would run."""

from __future__ import annotations

import os
import time

from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.opening import try_encoder
from gpu_saliency.encode.prepare import prepare_encode
from gpu_saliency.encode.run import plan_part
from gpu_saliency.encode.source_log import LogCheck
from gpu_saliency.pipeline import analyse_request
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.process.temporary import temporary_folder
from gpu_saliency.progress import Observer
from gpu_saliency.request import EncodeRequest, check_destinations
from gpu_saliency.results import AnalysisFacts, DryRunResult, RoiFacts, Seconds
from gpu_saliency.trial import resolve_intent


def dry_run(request: EncodeRequest, observer: Observer | None = None) -> DryRunResult:
    """Analyse and plan, and return the commands that `encode_clip` would run.

    Trial encodes for an intent are made in a temporary folder; no file is kept. Raises any `GpuSaliencyError`."""
    started = time.perf_counter()
    job = prepare_encode(request.clip, request.encode)
    job = check_destinations(job, request)
    observer = observer or Observer()
    earlier = len(observer.warnings)
    for line in job.warnings():
        observer.warn(f"{request.clip.path}: {line}")
    try_encoder(job)
    with LogCheck(request.clip, job.ffmpeg.path) as check:
        found = analyse_request(request, observer, write=False, check=check)
    sidecar = found.sidecar
    analysed = time.perf_counter()
    job = job.timed_like(sidecar)
    suffix = request.output_path.suffix
    job, policy, intent = resolve_intent(request.intent, job, sidecar, request.policy, observer, suffix=suffix)
    plan = job.plan(sidecar, policy)
    commands, graphs = encode_commands(job, plan)
    return DryRunResult(
        **DryRunResult.common(job),
        analysis=AnalysisFacts(sidecar, found.reused, None, found.reused_from),
        roi=RoiFacts.of(job, plan, len(graphs)),
        intent=intent,
        corrects_size=request.corrects_size(job),
        commands=commands,
        graphs=graphs,
        warnings=tuple(observer.warnings[earlier:]),
        seconds=Seconds(analysis=analysed - started),
    )


def encode_commands(job: EncodeJob, plan: RoiPlan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The shell lines of all parts, and the filter graph of each; ``partN/`` stands for the temporary folder of the encode."""
    assert job.channel is not None
    commands, graphs = [], []
    with temporary_folder() as folder:
        for number, part in enumerate(job.parts(plan)):
            run = plan_part(job, plan, part, folder)
            commands += [line.replace(str(folder) + os.sep, f"part{number}/") for line in run.shell_lines()]
            graphs.append(run.graph.replace(str(folder) + os.sep, f"part{number}/"))
    return tuple(commands), tuple(graphs)
