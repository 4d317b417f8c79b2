"""Builds the ffmpeg command lines and filter graphs of an encode, as data.

Every channel encodes a part in the same way: its frames are numbered at the clip's average rate and written to a file without
audio; join/ then restores the source's time stamps and adds its audio. The exception is a plain encode of a clip without an
analysis: one ffmpeg command makes the whole file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from gpu_saliency.encode.channels.base import Delivery
from gpu_saliency.encode.channels.escape import escape_param
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.target import Params, format_params
from gpu_saliency.errors import SourceError
from gpu_saliency.source.clip import Clip, open_clip
from gpu_saliency.texts import shell_join

PIPE = "pipe:1"
"""Output name of an ffmpeg that feeds an encoder outside ffmpeg; the run replaces it with the number of its own pipe."""


def part_graph(job: EncodeJob, part: Part, delivery: Delivery, *, seek: float | None) -> str:
    """Build the text of the filter graph that trims the clip to ``part``, numbers its frames and attaches the ROI."""
    count = f"settb=expr=1/({job.shaped.frame_rate}),setpts=N"
    first = [size_filter(job), frames_filter(job, part, seek=seek), count, job.conversion, job.field_filters]
    graph = ",\n".join(filter(None, first))
    if delivery.filters:
        # Filters that merge streams may drop the colour tags.
        graph += ",\n" + ",\n".join(filter(None, (delivery.filters, count, job.color.filter())))
    if job.spec.last_filters and not delivery.program:
        graph += ",\n" + job.spec.last_filters
    return graph + "\n"


def size_filter(job: EncodeJob) -> str:
    """Build the filter that converts every frame to the size and pixel format of the first one; empty where all are alike."""
    clip = job.clip
    return f"scale={clip.width}:{clip.height}:flags=bicubic,format={clip.pix_fmt}" if job.scaled else ""


def frames_filter(job: EncodeJob, part: Part, *, seek: float | None) -> str:
    """Build the filters that pass only the frames of ``part``, at the rate of the output."""
    retimed = "" if job.retimed is None else job.retimed.filters(part.start, part.end)
    return ",".join(filter(None, (cut_filter(job, job.source_part(part), seek=seek), retimed)))


def cut_filter(job: EncodeJob, part: Part, *, seek: float | None) -> str:
    """Build the filter ``trim`` that passes only the source's frames of ``part``: by time stamp after a seek, else by number.

    In a clip with a start that has time stamps, its frames are always told by these.
    """
    pts, span = job.frame_pts, job.clip.span
    # The last part has no end unless the user set a duration: surplus frames that the analysis missed then show in the frame count.
    is_last = pts is not None and part.end >= len(pts) and not job.clip.duration and not job.is_damaged
    is_last = is_last and job.retimed is None
    by_stamps = span is not None and span.low is not None
    if seek is None and not (by_stamps and pts is not None and job.can_seek):
        before = 0 if span is None else span.frames_before
        limits = [f"start_frame={part.start + before}"] if part.start + before else []
        limits += [] if is_last else [f"end_frame={part.end + before}"]
        of_clip = range_filter(job.clip) if by_stamps else ""
        return ",".join(filter(None, (of_clip, "trim=" + ":".join(limits) if limits else "")))
    assert pts is not None
    end = "" if is_last else f":end_pts={pts[part.end - 1] + 1}"
    return f"settb=expr={job.time_base},trim=start_pts={pts[part.start]}{end}"


def keeps_stamps(job: EncodeJob) -> bool:
    """Whether the filters need the file's time stamps even where ffmpeg decodes from the start (``-copyts``)."""
    span = job.clip.span
    return (span is not None and span.low is not None) or (job.retimed is not None and job.retimed.pts is not None)


def range_filter(clip: Clip) -> str:
    """Build the filter that passes only the frames of ``clip``, which has a start; `range_arguments` go with it."""
    span = clip.span
    if span is None:
        return ""
    if span.low is None:
        end = "" if span.frames is None else f":end_frame={span.frames_before + span.frames}"
        return f"trim=start_frame={span.frames_before}{end}"
    end = "" if span.end is None else f":end_pts={span.end}"
    return f"settb=expr={span.time_base},trim=start_pts={span.low}{end}"


def range_arguments(clip: Clip) -> list[str]:
    """Build the arguments before the input that keep the file's time stamps, where they tell the frames of ``clip``."""
    return ["-copyts"] if clip.span is not None and clip.span.low is not None else []


def start_arguments(job: EncodeJob, seek: float | None) -> list[str]:
    """Build the arguments before the input for a decode from the start (``None``), or after a seek to ``seek`` seconds."""
    if seek is not None:
        return seek_arguments(seek)
    return ["-copyts"] if keeps_stamps(job) else []


def seek_arguments(seconds: float) -> list[str]:
    """Build the arguments before the input that let ffmpeg decode from the time ``seconds`` on; `cut_filter` goes with them."""
    # Rounded up: a seek to a key frame must not miss it by a part of a microsecond, or ffmpeg decodes from the one before.
    return ["-copyts", "-seek_timestamp", "1", "-ss", f"{math.ceil(seconds * 1e6) / 1e6:.6f}"]


def part_command(
    job: EncodeJob,
    delivery: Delivery,
    graph: Path,
    output: str,
    *,
    seek: float | None,
    crf: float | None,
    further: tuple[str, ...] = (),
) -> list[str]:
    """Build the command that encodes to ``output`` what the filters in the file ``graph`` pass on.

    ``further`` arguments go before the output. ``seek`` is the time in seconds to which ffmpeg seeks; ``None`` decodes from the
    start.
    """
    command = _start(job)
    command += start_arguments(job, seek)
    command += [*_input(job), "-map", f"0:V:{job.clip.stream}", "-an", *job.ffmpeg.graph_file(graph), "-fps_mode", "passthrough"]
    if delivery.program:
        return [*command, *y4m_arguments(job), output]
    rate = job.shaped.frame_rate
    command += ["-enc_time_base", f"{rate.denominator}/{rate.numerator}"]
    command += [*encoder_arguments(job, crf, job.params | delivery.params), *delivery.arguments]
    return [*command, *further, output]


def y4m_arguments(job: EncodeJob) -> list[str]:
    """Build ffmpeg's arguments for an output that feeds an encoder outside ffmpeg."""
    return ["-pix_fmt", job.pix_fmt, "-strict", "-1", "-f", "yuv4mpegpipe"]


@dataclass(frozen=True, slots=True)
class PartRun:
    """One part's run of the encoder, as data: `run_part` executes it and the dry run prints it."""

    graph: str
    """Text of the filter graph; the run writes it to ``graph_path`` first."""
    graph_path: Path
    commands: tuple[tuple[str, ...], ...]
    """ffmpeg's command lines, in order: two for two-pass encoding, else one."""
    program: tuple[str, ...]
    """Command of an encoder outside ffmpeg, which reads ffmpeg's output through a pipe; empty for encoders of ffmpeg."""
    output: Path
    """The file that the last command, or ``program``, writes: the part's video without audio."""

    def shell_lines(self) -> list[str]:
        """The commands as lines for a shell, without the report of progress, which would go where the video goes to a pipe."""
        commands = [shell_join(_without_progress(command)) for command in self.commands]
        return [f"{commands[0]} | {shell_join(self.program)}"] if self.program else commands


def _without_progress(command: tuple[str, ...]) -> list[str]:
    at = command.index("-progress")
    return [*command[:at], *command[at + 2 :]]


def part_run(job: EncodeJob, part: Part, delivery: Delivery, folder: Path, quality: float | None, *, seek: float | None) -> PartRun:
    """Build the run that encodes ``part`` with ``delivery`` at base quality ``quality``; it writes all its files to ``folder``."""
    graph_path = folder / "roi.graph"
    graph = part_graph(job, part, delivery, seek=seek)
    if delivery.program:
        output = folder / "part.ivf"
        command = part_command(job, delivery, graph_path, PIPE, seek=seek, crf=quality)
        return PartRun(graph, graph_path, (tuple(command),), (*delivery.program, str(output)), output)
    output = folder / f"part{job.spec.part_suffix}"
    commands = pass_commands(job, delivery, graph_path, f"file:{output}", folder, seek=seek, crf=quality)
    return PartRun(graph, graph_path, tuple(map(tuple, commands)), (), output)


def pass_commands(
    job: EncodeJob, delivery: Delivery, graph: Path, output: str, folder: Path, *, seek: float | None, crf: float | None
) -> list[list[str]]:
    """Build the commands that encode to ``output`` (see `part_command`), to be run in order.

    There are two for two-pass encoding with a bit rate, else one. The first pass writes its statistics to ``folder``.
    """
    if job.bitrate is None or not job.spec.passes:
        return [part_command(job, delivery, graph, output, seek=seek, crf=crf)]
    log = str(folder / "pass.log")
    commands = []
    for number in ("1", "2"):
        params: Params = {"pass": number, "stats": escape_param(log)} if job.spec.passes == "params" else {}
        further = () if params else ("-pass", number, "-passlogfile", log)
        target, own = (output, further) if number == "2" else ("-", (*further, "-f", "null"))
        passed = replace(delivery, params=delivery.params | dict(job.spec.pass_params) | params)
        commands.append(part_command(job, passed, graph, target, seek=seek, crf=crf, further=own))
    return commands


def plain_command(job: EncodeJob, output: Path) -> list[str]:
    """Build the command that encodes the whole clip with its audio and its time stamps, without an ROI.

    Raises `SourceError` for a clip with a start in an AVI file without times of presentation.
    """
    clip = job.clip
    command = _start(job) + (["-copyts"] if clip.span is not None else []) + _input(job)
    if clip.span is not None:
        if clip.span.low is None and clip.container == "avi":
            cure = "remux it with ffmpeg -i FILE -c copy OTHER.mkv first"
            raise SourceError(f"{clip.path}: stores no times by which a plain encode could be cut", cure=cure)
        command += ["-ss", f"{math.floor(clip.span.seconds * 1e6) / 1e6:.6f}"]
    if clip.duration:
        command += ["-t", f"{clip.length:.6f}"]
    command += ["-map", f"0:V:{clip.stream}"]
    command += [word for index in (job.streams.indices if job.streams is not None else ()) for word in ("-map", f"0:{index}")]
    command += ["-c", "copy"]
    if job.coding is not None and job.streams is not None and job.streams.count("audio"):
        command += ["-c:a", job.coding.encoder]
        for number, channels in enumerate(_channels(job)):
            rate = job.coding.bits_per_second(channels)
            command += [] if rate is None else [f"-b:a:{number}", str(rate)]
    retimed = "" if job.shape.rate is None else f"fps=fps={job.shape.rate}"
    filters = ",".join(filter(None, (retimed, job.conversion, job.spec.last_filters)))
    command += ["-filter:v:0", filters] if filters else []
    # Every decoded frame is encoded once, with its own time stamp.
    command += ["-fps_mode", "passthrough"]
    command += ["-c:v:0" if word == "-c:v" else word for word in encoder_arguments(job, job.crf, job.params)]
    tag = job.spec.codec_tags.get(output.suffix.lower())
    command += ["-tag:v:0", tag] if tag else []
    return [*command, f"file:{output}"]


def _channels(job: EncodeJob) -> list[int]:
    """The number of channels of each audio stream that is kept."""
    kept = () if job.streams is None else job.streams.indices
    with open_clip(job.clip) as source:
        return [s.codec_context.layout.nb_channels or 2 for s in source.streams.audio if s.index in kept]


def encoder_arguments(job: EncodeJob, crf: float | None, params: Params) -> list[str]:
    """Build ffmpeg's arguments that select and set the encoder, from ``-c:v`` on."""
    spec = job.spec
    arguments = ["-c:v", spec.name]
    arguments += [] if spec.last_filters else ["-pix_fmt", job.pix_fmt]
    params = dict(params)
    if job.preset is not None and spec.preset_option.startswith("-"):
        arguments += [spec.preset_option, job.preset]
    elif job.preset is not None:
        params = {spec.preset_option: job.preset, **params}
    if job.bitrate is not None and spec.bitrate_param:
        params[spec.bitrate_param] = str(job.bitrate)
    elif job.bitrate is not None:
        arguments += ["-b:v", str(job.bitrate)]
    elif crf is not None and spec.quality is not None:
        if spec.quality.fine_param and crf != int(crf):
            # ffmpeg's own option takes whole numbers only, and the encoder reads its own parameters last.
            params[spec.quality.fine_param] = f"{crf:g}"
            crf = float(int(crf))
        if spec.quality.option.startswith("-"):
            arguments += [spec.quality.option, f"{crf:g}", *spec.quality.extra]
        else:
            params[spec.quality.option] = f"{crf:g}"
    arguments += spec.arguments + (() if job.keyint is None else tuple(spec.key_frame_arguments(job.keyint)))
    if job.vbv is not None and spec.peak is not None:
        arguments += ["-maxrate", str(job.vbv.maxrate)]
        arguments += ["-bufsize", str(job.vbv.bufsize)] if spec.peak.has_buffer else []
        params |= {spec.peak.start_param: f"{job.vbv.fullness:g}"} if spec.peak.start_param else {}
    if job.threads is not None and spec.threads_param:
        params.setdefault(spec.threads_param, str(job.threads))
    elif job.threads is not None:
        arguments += ["-threads", str(job.threads)]
    return [*arguments, spec.params_option, format_params(params, spec.params_separator)] if params else arguments


def _start(job: EncodeJob) -> list[str]:
    command = [job.ffmpeg.path, "-hide_banner", "-nostdin", "-loglevel", "level+warning", "-nostats", "-progress", "pipe:1", "-y"]
    # The plan is in coded coordinates, so ffmpeg must not rotate the picture; the file keeps its display matrix instead.
    # Damaged packets are skipped; without the rate of 1 ffmpeg fails where they are more than two thirds.
    return [*command, *job.spec.global_arguments, "-max_error_rate", "1", "-noautorotate"]


def _input(job: EncodeJob) -> list[str]:
    raw = ["-f", "rawvideo"] if job.clip.is_raw else []
    # Otherwise ffmpeg restarts the graph, and with it the numbers of the frames, where the size changes.
    raw += ["-reinit_filter", "0"] if job.scaled else []
    return [*raw, *(word for key, value in job.clip.demuxer_options.items() for word in (f"-{key}", value)), "-i", job.clip.url]
