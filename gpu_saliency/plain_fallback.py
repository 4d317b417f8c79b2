"""`encode_plainly`: encodes a clip without a plan, where no channel can bring one to the encoder and the user allows that."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from gpu_saliency.analysis.source_notes import refuse_shortfall, warn_of_changes, warn_of_shortfall
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.join.audio_check import audio_losses
from gpu_saliency.encode.prepare import prepare_encode
from gpu_saliency.encode.run import refuse_losses, run_saliency_encode
from gpu_saliency.encode.source_log import SourceLog
from gpu_saliency.encode.verify import check_destination
from gpu_saliency.errors import GpuSaliencyError, setting
from gpu_saliency.progress import Observer
from gpu_saliency.request import EncodeRequest
from gpu_saliency.results import EncodeResult, Seconds, WrittenFile
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.shortfall import Shortfall


def encode_plainly(
    request: EncodeRequest, reason: GpuSaliencyError, observer: Observer, started: float, earlier: int
) -> EncodeResult:
    """Encode ``request`` without a plan, for the ``reason`` that none can reach the encoder.

    ``started`` is the time at which the work began (`time.perf_counter`), ``earlier`` the number of the observer's warnings then.
    Without an analysis the source is decoded once more, to find damage. Raises any `GpuSaliencyError`.
    """
    job = prepare_encode(request.clip, request.encode, plain=True)
    check_destination(job, request.output_path, overwrite=request.overwrite)
    job = job.for_output(request.output_path)
    for line in job.warnings():
        observer.warn(f"{request.clip.path}: {line}")
    observer.report(reason, f"encoding plainly, as {setting('fallback_plain')} allows")
    tally, shortfall, losses = _check_unanalysed(request, job, observer)
    job, log = replace(job, is_damaged=shortfall is not None), SourceLog(request.clip)

    def judge_log(_: Path) -> None:
        """Heed what ffmpeg reported of the source, as `_with_log`."""
        found = log.shortfall(tally.frames) if shortfall is None else None
        if request.strict:
            refuse_shortfall(request.clip, found)
        warn_of_shortfall(request.clip, found, observer)

    with request.clip.watched(), observer.stage(f"encoding plainly with {job.encoder}") as advance:
        total = request.clip.frame_count
        exact = total if request.clip.is_raw else None
        encoded = run_saliency_encode(
            job,
            None,
            request.output,
            frame_count=exact if job.shape.rate is None else None,
            on_frame=lambda done: advance(done, total),
            before_publishing=judge_log,
            overwrite=request.overwrite,
            verify=request.verify,
            log=log,
        )
    encoded = replace(encoded, facts=replace(encoded.facts, lost=(*losses, *encoded.facts.lost)))
    if encoded.facts.frames < tally.frames and job.shape.rate is None:
        observer.warn(f"{request.output}: has {encoded.facts.frames} frames, of the source {tally.frames} were decoded")
    for change in encoded.facts.changed_color_tags:
        observer.warn(f"{request.output}: {job.encoder} wrote {change}")
    for warning in encoded.warnings():
        observer.warn(f"{request.output}: {warning}")
    return EncodeResult(
        **EncodeResult.common(job),
        analysis=None,
        roi=None,
        intent=None,
        proof=None,
        output=WrittenFile.of(request.output_path, encoded),
        warnings=tuple(observer.warnings[earlier:]),
        seconds=Seconds(encode=encoded.seconds, total=time.perf_counter() - started),
    )


def _check_unanalysed(
    request: EncodeRequest, job: EncodeJob, observer: Observer
) -> tuple[DecodeTally, Shortfall | None, list[str]]:
    """Decode the source of an encode without an analysis once: the same check for damage as an analysis makes.

    Returns what was decoded, what is missing and the losses of its audio. Raises `SourceError` if damage was to be refused.
    """
    clip, tally = request.clip, DecodeTally()
    with clip.watched(), observer.stage("checking the source") as advance:
        for _ in decode_frames(clip, tally):
            advance(tally.frames, clip.frame_count)
        losses = audio_losses(clip, () if job.streams is None else job.streams.indices)
    shortfall = tally.shortfall(clip)
    if request.strict:
        refuse_shortfall(clip, shortfall)
        refuse_losses(clip, losses)
    warn_of_shortfall(clip, shortfall, observer)
    warn_of_changes(clip, tally.formats(), observer)
    return tally, shortfall, losses
