"""`run_saliency_encode`: encodes the parts of a clip, joins them and verifies the file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.arguments import PartRun, part_run, plain_command
from gpu_saliency.encode.channels.base import Delivery
from gpu_saliency.encode.ffmpeg import run_ffmpeg
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.join.part_files import coded_alike
from gpu_saliency.encode.join.run import join_parts
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.peak import packet_bits
from gpu_saliency.encode.piped import run_piped
from gpu_saliency.encode.pixel_aspect import keep_pixel_aspect
from gpu_saliency.encode.source_log import SourceLog
from gpu_saliency.encode.streams import Streams
from gpu_saliency.encode.verify import Expected, OutputFacts, verify_output
from gpu_saliency.encode.workers import OnFrame, Processes, Task, Workers
from gpu_saliency.errors import EncodeError, OutputError, SourceError, UsageError, setting
from gpu_saliency.files import publish, writing
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.process.temporary import temporary_folder
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.formats import open_file
from gpu_saliency.source.seek import key_frame_before

SEEK_AHEAD = 1.0
"""Seconds by which a seek aims before a part's first frame. Demuxers may land late by a rounded frame time, which is far less."""
OVERLAP_FRAMES = 48
"""A part starts when the part before it has this many frames left: the start of an encoder and the filling of its lookahead leave
cores idle, and so do its last frames."""


_PROVEN_CONTAINERS = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
"""Containers of which it is known what they hold; an encode to another one is tried with a few frames first."""
_TRIAL_FRAMES = 8
_PEAK_TRIES = 2
"""Most further encodes of a part that exceeded the buffer of a limit of the peak rate."""
_RESERVE = 1.5
"""Bits kept back in such an encode for each bit that was lacking."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A finished and verified encode. Produced by `run_saliency_encode`."""

    facts: OutputFacts
    size_bytes: int
    seconds: float
    parts: int = 1
    """Number of parts, one run of the encoder each."""
    is_limited: bool = False
    """Whether the peak rate has a limit."""
    peak_is_exact: bool = False
    """Whether the encoder simulates the buffer of a limit of the peak rate."""

    def warnings(self) -> Iterator[str]:
        """What the file lacks or exceeds, a text for each."""
        yield from self.facts.lost
        peak = "" if self.facts.peak is None else self.facts.peak.exceeded()
        if self.is_limited and self.facts.peak is None and self.facts.verified != "none":
            yield "the peak rate could not be checked: its packets have no times"
        if peak:
            yield peak if self.peak_is_exact else f"{peak}; this encoder keeps near the rate only"


def run_saliency_encode(
    job: EncodeJob,
    plan: RoiPlan | None,
    output: str | os.PathLike[str],
    *,
    frame_count: int | None = None,
    on_frame: OnFrame | None = None,
    verify: str = "quick",
    before_publishing: Callable[[Path], None] | None = None,
    overwrite: bool = True,
    strict: bool = False,
    log: SourceLog | None = None,
) -> Encoded:
    """Encode ``job`` with ``plan`` (``None``: a plain encode) to ``output``.

    The file is written under a temporary name and verified (`verify_output`). Then ``before_publishing`` is called with the
    temporary name; if it raises nothing, the file gets its name, without ``overwrite`` only if no other file has it by then.
    ``frame_count`` is the number of frames that a plain encode must have (``None``: any). ``on_frame`` is called with the number of
    frames encoded so far; an exception from it ends the encoder. ``log`` collects what ffmpeg reports about the source, before
    ``before_publishing`` is called. ``strict`` refuses a source of which copied streams are damaged. Raises `EncodeError`,
    `OutputError`, `SourceError` also if the source has changed since it was probed, `ToolMissingError`, `UsageError` for a plan of
    another clip, or `ValueError` for a job without a channel; temporary files are removed, and an older ``output`` is unchanged.
    """
    output = Path(output)
    if plan is not None:
        _check_plan(job, plan)
    job = job.for_output(output)
    assert job.streams is not None
    if plan is not None and job.shape.rate is not None and job.retimed is None:
        raise ValueError("an output of another frame rate needs the findings of the analysis: EncodeJob.timed_like")
    started = time.perf_counter()
    expected = plan.frame_count if plan is not None else frame_count
    parts, losses = 1, list[str]()
    with publish(output, overwrite=overwrite) as temporary:
        if plan is None:
            run_ffmpeg(plain_command(job, temporary), on_frame, on_error=None if log is None else log.add)
        else:
            parts, losses = _encode_parts(job, plan, temporary, output, on_frame, log)
        if strict:
            refuse_losses(job.clip, losses)
        wanted = replace(_expected(job, expected), seconds=None if plan is None else _seconds(job, plan.frame_count))
        facts = verify_output(temporary, wanted, verify)
        facts = replace(facts, lost=(*losses, *facts.lost), dropped_hdr=job.dropped_hdr)
        is_exact = job.spec.peak is not None and job.spec.peak.is_exact
        elapsed = time.perf_counter() - started
        encoded = Encoded(facts, temporary.stat().st_size, elapsed, parts, job.vbv is not None, is_exact)
        job.clip.check_unchanged()
        if before_publishing is not None:
            before_publishing(temporary)
    return encoded


def refuse_losses(clip: Clip, losses: Sequence[str]) -> None:
    """Raise `SourceError` if streams of ``clip`` that are copied are damaged; ``losses`` says how."""
    if losses:
        cure = f"give an intact file, or leave {setting('strict')} out to use what can be copied"
        raise SourceError(f"{clip.path}: {'; '.join(losses)}", cure=cure)


def try_container(job: EncodeJob, output: Path) -> None:
    """Encode a few frames to the container of ``output`` with the streams of ``job``, if it is not one of `_PROVEN_CONTAINERS`.

    Raises `OutputError` with the reason if the container cannot hold them, and the errors of a failing encode.
    """
    if output.suffix.lower() in (*_PROVEN_CONTAINERS, *job.spec.suffixes):
        return
    with part_folder(output) as folder:
        (folder / "part").mkdir()
        part = Part(0, min(_TRIAL_FRAMES, job.clip.frame_count or _TRIAL_FRAMES))
        short = replace(job.clip, start=0.0, span=None, duration=float(part.frames / job.clip.frame_rate))
        job = replace(job, shape=replace(job.shape, rate=None), keyint=None)
        file = encode_part(replace(job, clip=short, frame_pts=None), None, part, folder / "part")
        joined = folder / f"trial{output.suffix}"
        try:
            frames = packet_count(file)
            _join(replace(job, clip=short, frame_pts=None), [file], [frames], joined)
            verify_output(joined, _expected(replace(job, clip=short), frames))
        except (EncodeError, OutputError) as error:
            problem = error.problem.removeprefix(f"{joined}: ").removeprefix("cannot be written: ")
            cure = "use .mp4 or .mkv"
            raise OutputError(f"{output}: cannot hold these streams: {problem}", cure=cure, evidence=error.evidence) from error


def _expected(job: EncodeJob, frames: int | None) -> Expected:
    return Expected(
        clip=replace(job.shaped, color=job.color),
        codec=job.spec.codec,
        frames=frames,
        streams=job.streams or Streams(),
        fields=job.fields,
        vbv=job.vbv,
        pix_fmt=job.pix_fmt,
        is_damaged=job.is_damaged,
        keyint=job.keyint,
    )


def _seconds(job: EncodeJob, frames: int) -> NDArray[np.float64] | None:
    """Times of the frames as the source has them, or at the rate that was asked for."""
    if job.shape.rate is not None:
        return np.arange(frames) / float(job.shape.rate)
    return None if job.frame_pts is None else job.frame_pts[:frames].astype(np.float64) * float(job.time_base)


def _check_plan(job: EncodeJob, plan: RoiPlan) -> None:
    clip = job.shaped
    if job.channel is None:
        raise ValueError(f"{job.encoder} has no ROI channel")
    if (plan.width, plan.height) != (clip.width, clip.height):
        raise UsageError(
            f"{clip.path}: is {clip.width}x{clip.height}, the plan is for {plan.width}x{plan.height}",
            cure="make the plan from the sidecar of this clip",
        )
    stamped = None if job.frame_pts is None else len(job.frame_pts)
    frames = stamped if job.retimed is None else job.retimed.frame_count
    if frames is not None and frames != plan.frame_count:
        raise UsageError(
            f"{clip.path}: has {frames} frames, the plan has {plan.frame_count}",
            cure="make the plan from the sidecar of this clip",
        )


def _encode_parts(
    job: EncodeJob, plan: RoiPlan, temporary: Path, output: Path, on_frame: OnFrame | None, log: SourceLog | None
) -> tuple[int, list[str]]:
    parts = job.parts(plan)
    with part_folder(output) as folder:
        files = _run_parts(job, plan, parts, folder, on_frame, log)
        losses = _join(job, files, [part.frames for part in parts], temporary)
    return len(parts), losses


def _join(job: EncodeJob, files: list[Path], frames: list[int], output: Path) -> list[str]:
    losses = join_parts(
        files,
        frames,
        job.clip,
        output,
        frame_pts=job.frame_pts,
        time_base=job.time_base,
        picture=job.shaped,
        rate=job.shape.rate,
        coding=job.coding,
        streams=() if job.streams is None else job.streams.indices,
        codec_tag=job.spec.codec_tags.get(output.suffix.lower()),
        field_order=None if job.fields is None else job.fields.number,
    )
    keep_pixel_aspect(job.ffmpeg.path, output, job.shaped)
    return losses


def _run_parts(
    job: EncodeJob, plan: RoiPlan, parts: list[Part], folder: Path, on_frame: OnFrame | None, log: SourceLog | None
) -> list[Path]:
    """Encode ``parts`` in order, at most two at a time; returns their files.

    With a limit of the peak rate each begins when the one before it has ended, with the VBV buffer as that one leaves it: so the
    buffer is continuous over all parts.
    """
    tasks: list[Task[Path]] = []
    with Workers(2) as workers:
        for number, part in enumerate(parts):
            own = folder / f"{number:05d}"
            own.mkdir()
            if tasks:
                workers.wait(tasks, on_frame, partial(_nears_end, tasks[-1], parts[number - 1]) if job.vbv is None else None)
                job = job if job.vbv is None else job.continued(tasks[-1].future.result())
            encode = encode_part if job.vbv is None else encode_within_peak
            tasks.append(workers.start(partial(encode, job, plan, part, own, log=log)))
        return workers.results(tasks, on_frame)


def encode_within_peak(
    job: EncodeJob,
    plan: RoiPlan | None,
    part: Part,
    folder: Path,
    on_frame: OnFrame | None = None,
    processes: Processes | None = None,
    *,
    log: SourceLog | None = None,
) -> Path:
    """`encode_part` with a limit of the peak rate; again where the encoder exceeded it, with a reserve or a lower rate.

    x265 does so by some per cent of a small buffer where a key frame meets a nearly empty one; SVT-AV1 knows no buffer.
    """
    path = encode_part(job, plan, part, folder, on_frame, processes, log=log)
    if job.vbv is None or job.spec.peak is None:
        return path
    stricter = job.vbv.with_reserve if job.spec.peak.is_exact else job.vbv.slower
    best = lack = _lack(job, path)
    reserve = 0
    for number in range(_PEAK_TRIES):
        if not best:
            break
        reserve += round(_RESERVE * lack)
        own = folder / f"again{number}"
        own.mkdir()
        tried = encode_part(replace(job, vbv=stricter(reserve)), plan, part, own, on_frame, processes)
        lack = _lack(job, tried)
        # Another buffer may lead to another level in the parameter sets, which all parts share.
        if lack < best and coded_alike(path, tried):
            path, best = tried, lack
        lack = max(lack, best)
    return path


def _lack(job: EncodeJob, path: Path) -> int:
    """Most bits that a frame of a part lacked at its decode time."""
    assert job.vbv is not None
    bits = packet_bits(path)
    return job.vbv.check(bits, [float(i / job.shaped.frame_rate) for i in range(len(bits))]).underflow


def _nears_end(task: Task[Path], part: Part) -> bool:
    return task.frames >= part.frames - OVERLAP_FRAMES


@contextmanager
def part_folder(output: Path) -> Iterator[Path]:
    """Create a hidden folder beside ``output``, on the disk that must have space for it anyway; removed after the block."""
    with writing(output), temporary_folder(output.parent) as folder:
        yield folder


def encode_part(
    job: EncodeJob,
    plan: RoiPlan | None,
    part: Part,
    folder: Path,
    on_frame: OnFrame | None = None,
    processes: Processes | None = None,
    *,
    log: SourceLog | None = None,
) -> Path:
    """Encode ``part`` with its section of ``plan`` (``None``: a plain encode) to a file with numbered frames and no audio.

    ffmpeg seeks to a part that does not begin with the file. If that run fails, or its file has a wrong number of frames, a second
    run decodes the clip from its start. An encoder that is known to lose frames is run again with parameters that prevent it.
    ``log`` collects what ffmpeg reports about the source, if it decodes from the start. Raises `EncodeError`, `OutputError` or
    `ToolMissingError`.
    """
    delivery, quality = deliver_part(job, plan, part, folder)
    seek = seek_time(job, part)
    if seek is not None:
        log = None  # after a seek, decoders report errors of intact clips
    try:
        path = run_part(part_run(job, part, delivery, folder, quality, seek=seek), on_frame, processes, log)
    except EncodeError:
        # After a seek into MPEG-TS the decoder may lack the parameter sets of a later key frame.
        if seek is None:
            raise
        return run_part(part_run(job, part, delivery, folder, quality, seek=None), on_frame, processes)
    if job.spec.retry_params and packet_count(path) < part.frames:
        delivery = replace(delivery, params=delivery.params | dict(job.spec.retry_params))
        path = run_part(part_run(job, part, delivery, folder, quality, seek=seek), on_frame, processes, log)
    if seek is not None and packet_count(path) != part.frames:
        path = run_part(part_run(job, part, delivery, folder, quality, seek=None), on_frame, processes)
    return path


def plan_part(job: EncodeJob, plan: RoiPlan | None, part: Part, folder: Path) -> PartRun:
    """Build the run that `encode_part` executes first for ``part``; writes the channel's files to ``folder``."""
    delivery, quality = deliver_part(job, plan, part, folder)
    return part_run(job, part, delivery, folder, quality, seek=seek_time(job, part))


def deliver_part(job: EncodeJob, plan: RoiPlan | None, part: Part, folder: Path) -> tuple[Delivery, float | None]:
    """Prepare the channel's addition to the run of ``part``; returns it and the base quality of that run."""
    quality = job.quality(plan)
    return (Delivery() if job.channel is None else job.channel.deliver(job, plan, part, folder, quality)), quality


def seek_time(job: EncodeJob, part: Part) -> float | None:
    """The time in seconds to which ffmpeg seeks for ``part``; ``None``: it decodes the clip from its start.

    It is the time of the part's first frame if that is a key frame of the source, else `SEEK_AHEAD` before it. A clip without time
    stamps has no times to seek to.
    """
    part = job.source_part(part)
    if job.retimed is not None and not job.retimed.tells_frames:
        return None
    if (part.start == 0 and job.clip.span is None) or job.frame_pts is None or not job.can_seek:
        return None
    pts = int(job.frame_pts[part.start])
    ahead = 0.0 if key_frame_before(job.clip, pts) == pts else SEEK_AHEAD
    return max(0.0, float(pts * job.time_base) - ahead)


def seeks(job: EncodeJob, plan: RoiPlan) -> bool:
    """Whether a part of an encode of ``job`` with ``plan`` begins with a seek."""
    return any(seek_time(job, part) is not None for part in job.parts(plan))


def run_part(
    run: PartRun, on_frame: OnFrame | None = None, processes: Processes | None = None, log: SourceLog | None = None
) -> Path:
    """Execute ``run``; returns the path of its output. Raises `EncodeError`, `OutputError` or `ToolMissingError`."""
    run.graph_path.write_text(run.graph, encoding="utf-8")
    on_error = None if log is None else log.add
    if run.program:
        run_piped(run.commands[0][:-1], run.program, on_frame, processes, on_error)
    else:
        for command in run.commands:
            run_ffmpeg(command, on_frame, processes=processes, on_error=on_error)
    return run.output


def packet_count(path: Path) -> int:
    """Number of video packets in a part's file; 0 where the file cannot be read."""
    try:
        with open_file(path) as container:
            return sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)
    except (av.FFmpegError, OSError, IndexError):
        return 0
