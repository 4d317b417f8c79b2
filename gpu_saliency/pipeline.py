"""The pipeline of an encode: clip -> sidecar -> plan -> encode -> proof."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from gpu_saliency.analysis.load import FoundSaliency, find_saliency
from gpu_saliency.analysis.sidecar import Sidecar, record_encode, sidecar_beside
from gpu_saliency.analysis.source_notes import check_complete, report_damage, report_source
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.opening import try_encoder
from gpu_saliency.encode.prepare import prepare_encode
from gpu_saliency.encode.run import part_folder, run_saliency_encode, seeks, try_container
from gpu_saliency.encode.sample import Sampler, proven_frames
from gpu_saliency.encode.source_log import LogCheck, SourceLog
from gpu_saliency.encode.workers import Workers
from gpu_saliency.errors import EncodeError, SourceError, UnsupportedEncoderError, setting
from gpu_saliency.plain_fallback import encode_plainly
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.process.signals import finishing
from gpu_saliency.progress import Observer
from gpu_saliency.proof import Proof, prove_encode, prove_places
from gpu_saliency.request import EncodeRequest, check_destinations, check_request
from gpu_saliency.results import AnalysisFacts, EncodeResult, RoiFacts, Seconds, WrittenFile
from gpu_saliency.trial import proven, resolve_intent

ANALYSIS, SAMPLE, PROOF = "finding saliency", "measuring the size on a sample", "proving it against a plain encode"
"""Stages of an encode."""
SAMPLE_THREADS = 3
"""Number of a sample's encodes that run at once: each is too short to keep all cores busy from its start to its end."""


def encode_clip(request: EncodeRequest, observer: Observer | None = None) -> EncodeResult:
    """Analyse, plan, encode and prove; ``observer`` receives the progress and can cancel. Raises any `GpuSaliencyError`."""
    check_request(request)
    observer = observer or Observer()
    started, earlier = time.perf_counter(), len(observer.warnings)
    try:
        job = prepare_encode(request.clip, request.encode)
    except UnsupportedEncoderError as error:
        if not request.fallback_plain:
            raise
        request.intent.refuse_plain(request.encode.encoder)
        return encode_plainly(request, error, observer, started, earlier)
    job = check_destinations(job, request)
    for line in job.warnings():
        observer.warn(f"{request.clip.path}: {line}")
    try_container(job, request.output_path)
    for note in job.notes():
        observer.say(f"{request.clip.path}: {note}")
    with request.clip.watched(), part_folder(request.output_path) as folder, Workers(SAMPLE_THREADS) as workers:
        corrects = request.corrects_size(job)
        # The plain sample needs no plan; but a target decides its quality first.
        sampler = Sampler(job, folder, workers) if request.takes_sample(job) and request.intent.target is None else None
        opening = workers.start(partial(try_encoder, job))
        proves = request.prove != "none"
        observer.expect(ANALYSIS, *[SAMPLE] * corrects, f"encoding with {job.encoder}", *[PROOF] * proves)
        found = analyse_request(request, observer, while_waiting=partial(workers.check, [opening]))
        workers.results([opening])
        sidecar = found.sidecar
        analysed = time.perf_counter()
        job = job.timed_like(sidecar)
        if sampler is not None:
            sampler.fit(job, job.view(sidecar).frame_count)
        suffix = request.output_path.suffix
        job, policy, intent = resolve_intent(request.intent, job, sidecar, request.policy, observer, suffix=suffix)
        plan, frames = job.plan(sidecar, policy), job.view(sidecar).frame_count
        resolved = time.perf_counter()
        if sampler is None and request.takes_sample(job):
            sampler = Sampler(job, folder, workers)
        sample = None
        if sampler is not None and corrects:
            with observer.stage(SAMPLE) as advance:
                sample = sampler.measure(job, plan, advance)
            job = job.corrected(sample.correction)
        sampled = time.perf_counter()
        proof: Proof | None = None
        proof_started = 0.0
        log = SourceLog(request.clip)

        def prove_and_record(encode: Path) -> None:
            nonlocal proof, proof_started, sidecar
            sidecar = _with_log(request, sidecar, log, check, observer)
            proof_started = time.perf_counter()
            proof = _prove(request, job, plan, encode, sampler, observer)
            record = job.record().to_json() | policy.to_json() | {"size_bytes": encode.stat().st_size}
            if intent is not None:
                record["intent"] = intent.to_record()
            request.clip.check_unchanged()
            finishing()
            shared = request.sidecar is not None
            path, name = request.sidecar_path, request.output_path.name
            replaces = request.may_replace_sidecar()
            undo.enter_context(record_encode(sidecar, path, name, record, shared=shared, overwrite=replaces))

        with ExitStack() as undo, observer.stage(f"encoding with {job.encoder}") as advance:
            # Other parts than the first one are decoded after a seek, which a log cannot be judged by.
            check = undo.enter_context(LogCheck(request.clip, job.ffmpeg.path, log)) if seeks(job, plan) else None
            undo.enter_context(_blaming_damage(request, sidecar, log))
            encoded = run_saliency_encode(
                job,
                plan,
                request.output,
                on_frame=lambda done: advance(done, frames),
                verify=request.verify,
                before_publishing=prove_and_record,
                overwrite=request.overwrite,
                strict=request.strict,
                log=log,
            )
    for warning in encoded.warnings():
        observer.warn(f"{request.output}: {warning}")
    finished = time.perf_counter()
    return EncodeResult(
        **EncodeResult.common(job),
        analysis=AnalysisFacts(sidecar, found.reused, request.sidecar_path, found.reused_from),
        roi=RoiFacts.of(job, plan, encoded.parts, sample),
        intent=proven(intent, job.view(sidecar), plan, proof),
        proof=proof,
        output=WrittenFile.of(request.output_path, encoded),
        warnings=tuple(observer.warnings[earlier:]),
        seconds=Seconds(
            analysis=analysed - started,
            sample=sampled - resolved,
            encode=encoded.seconds,
            proof=finished - proof_started,
            total=finished - started,
        ),
    )


def analyse_request(
    request: EncodeRequest,
    observer: Observer,
    *,
    write: bool = True,
    while_waiting: Callable[[], None] | None = None,
    check: LogCheck | None = None,
) -> FoundSaliency:
    """Load or compute the saliency of the clip.

    Without a sidecar of its own, the request takes the one that ``plan`` wrote beside the source, if it fits. ``write=False`` reads
    an existing sidecar and writes none. ``while_waiting`` is called during the analysis; what it raises ends it. ``check`` reads
    ffmpeg's log of the source meanwhile.
    """
    path = request.sidecar_path if request.sidecar is not None and (write or request.sidecar_path.exists()) else None
    beside = sidecar_beside(request.clip.path) if request.sidecar is None else None
    beside = beside if request.analysed is None else Path(request.analysed)
    with observer.stage(ANALYSIS) as advance:

        def on_progress(done: int, total: int | None) -> None:
            if while_waiting is not None:
                while_waiting()
            advance(done, total)

        found = find_saliency(
            request.clip,
            request.analysis,
            path,
            beside=beside,
            strict=request.strict,
            on_progress=on_progress,
            on_notice=observer.say,
        )
    if check is not None:
        found = replace(found, sidecar=check.added_to(found.sidecar, strict=request.strict))
    report_source(request.clip, found.sidecar, observer)
    return found


@contextmanager
def _blaming_damage(request: EncodeRequest, sidecar: Sidecar, log: SourceLog) -> Iterator[None]:
    """Turn an error of an encode into one about its source, where only key frames were analysed and others turn out damaged."""
    try:
        yield
    except EncodeError as error:
        if not sidecar.analysis.at_key_frames or not log.reasons():
            raise
        problem = f"{request.clip.path}: frames between its key frames are damaged: {'; '.join(log.reasons())}"
        raise SourceError(problem, cure=f"leave {setting('every')} out, which counts the frames that can be decoded") from error


def _with_log(request: EncodeRequest, sidecar: Sidecar, log: SourceLog, check: LogCheck | None, observer: Observer) -> Sidecar:
    """``sidecar`` with what ffmpeg's ``log`` of the encode shows of the source's damage, as a warning too.

    Raises `SourceError` if damage was to be refused.
    """
    found = log.added_to(sidecar) if check is None else check.added_to(sidecar)
    if found is not sidecar:
        if request.strict:
            check_complete(request.clip, found)
        report_damage(request.clip, found, observer)
    return found


def _prove(
    request: EncodeRequest, job: EncodeJob, plan: RoiPlan, encode: Path, sampler: Sampler | None, observer: Observer
) -> Proof | None:
    """Compare ``encode`` with a plain encode; ``None`` if no proof is wanted. Raises `EncodeError` on the verdict "not moved".

    The proof of an excerpt compares it with the plain encode of ``sampler``.
    """
    if request.prove == "none":
        return None
    with observer.stage(PROOF) as advance:
        plain = sampler.plain(lambda done: advance(done, None)) if sampler is not None and request.prove == "excerpt" else None
        frames = None if plain is None else proven_frames(plain, plan)
        proof = prove_encode(
            job, plan, encode, max_frames=frames, on_frame=lambda done: advance(done, frames or plan.frame_count), plain=plain
        )
        if sampler is not None and request.prove == "excerpt":
            proof = replace(proof, places=prove_places(job, plan, sampler.pairs))
    if proof.moved is False:
        raise EncodeError(
            f"{job.ffmpeg.path}: {job.encoder} did not follow the ROI plan: {proof.summary()}",
            cure=f"try another {setting('ffmpeg_bin')}, or skip this check with {setting('prove', 'none')}",
            evidence={"proof": proof.to_json()},
        )
    if proof.moved is None:
        observer.warn(f"the ROI could not be proven: {proof.summary()}")
    return proof
