"""`compare_encodes`: encodes plainly and with the plan at each rate, scores both, and writes the results and pages."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from gpu_saliency.analysis.load import find_saliency
from gpu_saliency.analysis.sidecar import SUFFIX, Sidecar, SourceRecord
from gpu_saliency.analysis.source_notes import report_source
from gpu_saliency.compare.bd import LEAST_POINTS
from gpu_saliency.compare.match import Match, match_size
from gpu_saliency.compare.point import Point
from gpu_saliency.compare.request import CompareRequest
from gpu_saliency.compare.result import CompareResult, EncoderResult
from gpu_saliency.compare.store import claim_output, claim_work, file_identity, key_of, write_text
from gpu_saliency.compare.workbench import Workbench
from gpu_saliency.compare.write import write_pages
from gpu_saliency.encode.opening import try_encoder
from gpu_saliency.encode.prepare import prepare_encode
from gpu_saliency.encode.source_log import LogCheck
from gpu_saliency.errors import OutputError, SourceMissingError, setting
from gpu_saliency.progress import Observer

AnyPoint = TypeVar("AnyPoint")


def compare_encodes(request: CompareRequest, observer: Observer | None = None) -> CompareResult:
    """Compare plain encodes with encodes by the plan, and write ``results.json``, ``report.html`` and ``blind.html``.

    Finished encodes and scores in the work folder are reused. ``observer`` receives the progress and can cancel. Raises any
    `GpuSaliencyError`.
    """
    observer = observer or Observer()
    started = time.perf_counter()
    _check(request)
    sidecar, path = _analyse(request, observer)
    encoders = tuple(_compare(request, encoder, sidecar, path, observer) for encoder in request.encoders)
    result = CompareResult(
        clip=request.clip,
        frame_count=sidecar.frame_count,
        output=request.output_path,
        work=request.work_path,
        sidecar=path,
        masks=None if request.masks is None else Path(request.masks),
        gaze=None if request.gaze is None else Path(request.gaze),
        encoders=encoders,
        seconds=time.perf_counter() - started,
        command=request.command,
    )
    write_pages(result, request.pictures, observer)
    write_text(result.results, json.dumps(result.to_json(), indent=2))
    return result


def _check(request: CompareRequest) -> None:
    """Check all that can fail before the first encode, and claim the folders."""
    for encoder in request.encoders:
        ladder = request.ladder(encoder)
        jobs = [prepare_encode(request.clip, request.settings(encoder, ladder, value)) for value in ladder.values]
        try_encoder(jobs[0])
    for name, given in (("masks", request.masks), ("gaze", request.gaze)):
        if given is not None and not Path(given).exists():
            raise SourceMissingError("no such file or folder", setting=name, value=given, cure="check the path")
    if request.work is not None and request.work_path.absolute() == request.output_path.absolute():
        raise OutputError(f"{request.work_path}: is the folder of the results too", cure=f"give {setting('work')} another folder")
    claim_output(request.output_path, SourceRecord.of(request.clip), overwrite=request.overwrite)
    claim_work(request.work_path, overwrite=request.overwrite)


def _analyse(request: CompareRequest, observer: Observer) -> tuple[Sidecar, Path]:
    """The saliency of the clip, from its sidecar in the work folder where it has been analysed before."""
    if request.sidecar is not None:
        path = Path(request.sidecar)
    else:
        source = SourceRecord.of(request.clip)
        facts = {
            "source": [source.fingerprint, source.start, source.duration, str(source.frame_rate)],
            "model": file_identity(request.analysis.model_path),
            "step": request.analysis.sampling(request.clip).key,
        }
        path = request.work_path / f"{request.clip.path.stem}-{key_of(facts)}{SUFFIX}"
    with observer.stage("finding saliency") as advance, LogCheck(request.clip) as check:
        found = find_saliency(request.clip, request.analysis, path, on_progress=advance, on_notice=observer.say)
        sidecar = check.added_to(found.sidecar)
    if found.reused:
        observer.say(f"saliency: reused {found.reused_from}")
    report_source(request.clip, sidecar, observer)
    return sidecar, path


def _compare(request: CompareRequest, encoder: str, sidecar: Sidecar, path: Path, observer: Observer) -> EncoderResult:
    """All encodes and scores of one encoder."""
    ladder = request.ladder(encoder)
    if len(ladder.values) < LEAST_POINTS:
        observer.warn(f"{encoder}: no BD-rate: it needs {LEAST_POINTS} rates, {len(ladder.values)} are given")
    bench = Workbench(request, encoder, ladder, sidecar, path, observer)
    steps, done = 2 * len(ladder.values), 0
    curves: dict[str, list[Point]] = {"plain": [], "roi": []}
    for value in ladder.values:
        for kind, curve in curves.items():
            point = bench.score(bench.encode(kind, value))
            curve.append(point)
            done += 1
            observer.say(f"{encoder} [{done}/{steps}] {_line(point)}")
    matches = []
    for plain in chosen_pairs(curves["plain"], request.pairs):
        match = match_size(plain, curves["roi"], ladder, bench.job(plain.value).spec.quality, lambda v: bench.encode("roi", v))
        if match.roi.metrics is None:
            match = Match(plain, bench.score(match.roi), match.tries)
        matches.append(match)
        observer.say(f"{encoder} equal size to plain {plain.label}: {_line(match.roi)}, {match.size_percent:+.2f} %")
    first = ladder.values[0]
    return EncoderResult(bench.job(first), bench.plan(first), ladder, tuple(curves["plain"]), tuple(curves["roi"]), tuple(matches))


def chosen_pairs(plain: Sequence[AnyPoint], count: int) -> list[AnyPoint]:
    """The ``count`` plain encodes to match in size: from the middle of the ladder to lower quality first, where eyes see more."""
    middle = len(plain) // 2
    order = [*range(middle, len(plain)), *reversed(range(middle))]
    return [plain[i] for i in sorted(order[:count])]


def _line(point: Point) -> str:
    how = "reused" if point.reused else f"encoded in {point.seconds:.1f} s"
    vmaf = "" if point.metric("vmaf") is None else f", VMAF {point.metric('vmaf'):.2f}"
    return f"{point.kind} {point.label}: {point.bits_per_second / 1000:.0f} kbit/s{vmaf}, {how}"
