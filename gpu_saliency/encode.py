"""`run_saliency_encode`: the ffmpeg command as data, and the run that ends in a verified file or in nothing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
from av.codec.codec import find_best_pix_fmt_of_list

from gpu_saliency.channels import ENCODERS, EncoderSpec, encoder_spec
from gpu_saliency.channels.base import Params, format_params, parse_params
from gpu_saliency.channels.plain import plain_spec
from gpu_saliency.clip import Clip
from gpu_saliency.errors import OutputError, UsageError
from gpu_saliency.ffmpeg import DEFAULT_FFMPEG, Ffmpeg, encoder_options, encoder_pix_fmts, find_ffmpeg, run_ffmpeg
from gpu_saliency.output import check_container, check_output, temporary_output, verify_output
from gpu_saliency.plan import RoiPlan


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """What the user asked of the encode. Checked by `prepare_encode`, since the ranges are each encoder's own."""

    encoder: str = "libx264"
    preset: str | None = None
    """``None`` takes the encoder's documented default, ``medium`` for x264 and x265."""
    crf: float | None = None
    """Base quality; ``None`` takes the encoder's documented default, 23 for x264 and 28 for x265."""
    encoder_params: str = ""
    """Further ``key=value:...`` in the encoder's own words; what would lose the ROI is refused."""
    audio: bool = True
    ffmpeg_bin: str = DEFAULT_FFMPEG


@dataclass(frozen=True, slots=True)
class EncodeJob:
    """A checked encode, ready to run with a plan or without. Produced by `prepare_encode`."""

    clip: Clip
    spec: EncoderSpec
    ffmpeg: Ffmpeg
    preset: str | None
    crf: float | None
    params: Params
    pix_fmt: str
    """What the encoder gets: the source's own, or the nearest that it takes."""
    audio: bool
    variable_frame_rate: bool = False
    """As the analysis found it: then the encoder counts time as the source does."""

    @property
    def bit_depth(self) -> int:
        return av.VideoFormat(self.pix_fmt).components[0].bits

    @property
    def conversion(self) -> str:
        """The filters that make `pix_fmt` of the source's, before any region is set; empty where it is the source's own."""
        if self.pix_fmt == self.clip.pix_fmt:
            return ""
        if self.converts_rgb:
            # Left alone, ffmpeg converts by BT.601 and tags nothing.
            tags = "setparams=colorspace=bt709:range=tv"
            return f"scale=out_color_matrix=bt709:out_range=tv,format={self.pix_fmt},{tags}"
        return f"format={self.pix_fmt}"

    @property
    def converts_rgb(self) -> bool:
        """Whether an R'G'B' source becomes Y'CbCr, and so must change its matrix and range."""
        return av.VideoFormat(self.clip.pix_fmt).is_rgb and not av.VideoFormat(self.pix_fmt).is_rgb

    def graph(self, plan: RoiPlan) -> str:
        """The text of the filter graph that carries ``plan``. Raises `ValueError` for an encoder without an ROI channel."""
        if self.spec.channel is None:
            raise ValueError(f"{self.spec.name} has no ROI channel")
        return ",\n".join(filter(None, (self.conversion, self.spec.channel.graph(plan, self.bit_depth))))

    def command(self, output: Path, graph: Path | None, *, frames: int | None = None) -> list[str]:
        """The whole ffmpeg command.

        ``graph`` is the file with the ROI's filters, ``None`` makes a plain encode; ``frames`` stops after so many.
        """
        clip, spec = self.clip, self.spec
        command = [self.ffmpeg.path, "-hide_banner", "-nostdin", "-loglevel", "warning", "-nostats", "-progress", "pipe:1", "-y"]
        # Turning the picture would turn it away from under the plan; the file keeps its own display matrix instead.
        command += ["-noautorotate"]
        if clip.is_raw:
            command += ["-f", "rawvideo"]
            command += [word for key, value in clip.demuxer_options.items() for word in (f"-{key}", value)]
        command += ["-i", clip.url]
        if clip.duration:
            command += ["-t", f"{clip.duration:.6f}"]
        command += ["-map", "0:V:0"]
        command += ["-map", "0:a?", "-c:a", "copy"] if self.audio else ["-an"]
        if graph is not None:
            command += self.ffmpeg.graph_file(graph)
        elif self.conversion:
            command += ["-vf", self.conversion]
        # Every decoded frame is encoded once, with its own time stamp.
        command += ["-fps_mode", "passthrough"]
        if self.variable_frame_rate:
            command += self.ffmpeg.source_time_base()
        command += ["-c:v", spec.name, "-pix_fmt", self.pix_fmt]
        command += ["-preset", self.preset] if self.preset is not None else []
        command += ["-crf", f"{self.crf:g}"] if self.crf is not None else []
        if self.params:
            command += [spec.params_option, format_params(self.params)]
        if frames is not None:
            command += ["-frames:v", str(frames)]
        command += spec.container_args.get(output.suffix.lower(), ())
        return [*command, f"file:{output}"]

    def record(self) -> dict[str, Any]:
        """The settings that make this encode again; kept in the sidecar."""
        return {
            "encoder": self.spec.name,
            "preset": self.preset,
            "crf": self.crf,
            "encoder_params": format_params(self.params),
            "pix_fmt": self.pix_fmt,
        }


@dataclass(frozen=True, slots=True)
class Encoded:
    """A finished, verified encode."""

    facts: dict[str, Any]
    """What was read back from the file: codec, geometry, frames, audio streams."""
    size_bytes: int
    seconds: float


def prepare_encode(clip: Clip, settings: EncodeSettings, *, plain: bool = False) -> EncodeJob:
    """Check everything about an encode that can be checked before the model runs.

    ``plain`` also takes encoders without an ROI channel; then only what was asked is passed on, and must be an option of theirs.
    Raises `UnsupportedEncoderError`, `UsageError` or `ToolMissingError`.
    """
    known = settings.encoder in ENCODERS or not plain
    spec = encoder_spec(settings.encoder) if known else plain_spec(settings.encoder)
    ffmpeg = find_ffmpeg(settings.ffmpeg_bin, spec.name)
    if not known:
        return _prepare_unknown(clip, settings, spec, ffmpeg)
    supported = encoder_pix_fmts(ffmpeg.path, spec.name)
    pix_fmt = _nearest_pix_fmt(clip.pix_fmt, tuple(name for name in supported if _divides(name, clip.width, clip.height)))
    crf = spec.crf_default if settings.crf is None else settings.crf
    preset = settings.preset or spec.preset_default
    bit_depth = av.VideoFormat(pix_fmt).components[0].bits
    params = spec.check(preset, crf, parse_params(settings.encoder_params), bit_depth)
    audio = settings.audio and bool(clip.audio_codecs)
    return EncodeJob(clip, spec, ffmpeg, preset, crf, params, pix_fmt, audio)


def _prepare_unknown(clip: Clip, settings: EncodeSettings, spec: EncoderSpec, ffmpeg: Ffmpeg) -> EncodeJob:
    options = encoder_options(ffmpeg.path, spec.name)
    for flag, value in (("preset", settings.preset), ("crf", settings.crf)):
        if value is not None and flag not in options:
            raise UsageError(f"--{flag} {value}: {spec.name} has no such option", cure=f"leave --{flag} out")
    if settings.encoder_params:
        raise UsageError(f"--encoder-params: not known how {spec.name} takes them", cure="leave it out")
    supported = encoder_pix_fmts(ffmpeg.path, spec.name)
    return EncodeJob(
        clip,
        spec,
        ffmpeg,
        settings.preset,
        settings.crf,
        {},
        _nearest_pix_fmt(clip.pix_fmt, supported),
        settings.audio and bool(clip.audio_codecs),
    )


def _nearest_pix_fmt(pix_fmt: str, supported: tuple[str, ...]) -> str:
    """The source's own format if it is among ``supported`` (or nothing is known of those), else the one that loses least."""
    if not supported or pix_fmt in supported:
        return pix_fmt
    best, _ = find_best_pix_fmt_of_list(list(supported), pix_fmt)
    return best.name if best is not None else pix_fmt


def _divides(pix_fmt: str, width: int, height: int) -> bool:
    """Whether the chroma planes of ``pix_fmt`` divide the picture evenly.

    H.264 and HEVC crop in whole chroma samples (H.264, 7.4.2.1.1; HEVC, 7.4.3.2.1), so that an odd side needs chroma at full
    resolution in that direction.
    """
    form = av.VideoFormat(pix_fmt)
    return form.chroma_width(width) * (16 // form.chroma_width(16)) == width and (
        form.chroma_height(height) * (16 // form.chroma_height(16)) == height
    )


def check_destination(job: EncodeJob, output: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` unless ``output`` can take the encode."""
    check_output(output, job.clip.path, overwrite=overwrite)
    check_container(output, job.spec.codec, job.clip.audio_codecs if job.audio else ())


def run_saliency_encode(
    job: EncodeJob,
    plan: RoiPlan | None,
    output: Path,
    *,
    frame_count: int | None = None,
    on_frame: Callable[[int], None] | None = None,
    before_publishing: Callable[[Path], None] | None = None,
) -> Encoded:
    """Encode ``job`` with ``plan`` (``None``: plainly) to ``output``.

    The file appears under its name only after it was read back and found to have the source's geometry, colour tags, audio and
    number of frames, and after ``before_publishing`` was given its temporary name and raised nothing. Raises `EncodeError`,
    `OutputError` or `ToolMissingError`; then nothing is left behind.
    """
    started = time.perf_counter()
    expected = plan.frame_count if plan is not None else frame_count
    with temporary_output(output) as temporary, tempfile.TemporaryDirectory(prefix="gpu_saliency-") as folder:
        graph = None
        if plan is not None:
            graph = Path(folder, "roi.graph")
            graph.write_text(job.graph(plan), encoding="ascii")
        run_ffmpeg(job.command(temporary, graph), on_frame)
        audio_streams = len(job.clip.audio_codecs) if job.audio else 0
        facts = verify_output(temporary, _expected(job), job.spec.codec, expected, audio_streams)
        encoded = Encoded(facts, temporary.stat().st_size, time.perf_counter() - started)
        if before_publishing is not None:
            before_publishing(temporary)
        try:
            temporary.replace(output)
        except OSError as error:
            raise OutputError(f"{output}: cannot be written: {error.strerror}") from error
    return encoded


def _expected(job: EncodeJob) -> Clip:
    """The source as the encode must come out: with the matrix and range of its conversion, if there is one from R'G'B'."""
    if not job.converts_rgb:
        return job.clip
    return replace(job.clip, color=replace(job.clip.color, color_range=1, colorspace=1))
