"""`prepare_encode`: what the user asked of an encode, checked before the model runs, with the channel that its ROI will take."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.codec.codec import find_best_pix_fmt_of_list
from numpy.typing import NDArray

from gpu_saliency.channels.base import Channel, Params
from gpu_saliency.clip import Clip, ColorTags
from gpu_saliency.encoders import CHANNELS, ENCODERS, EncoderSpec, encoder_spec, generic_spec
from gpu_saliency.encoders.spec import format_params, parse_params
from gpu_saliency.errors import SourceError, ToolMissingError, UsageError
from gpu_saliency.ffmpeg import DEFAULT_FFMPEG, Ffmpeg, encoder_options, encoder_pix_fmts, find_ffmpeg
from gpu_saliency.sidecar import Sidecar


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """What the user asked of the encode. Checked by `prepare_encode`, since the ranges are each encoder's own."""

    encoder: str = "libx264"
    preset: str | None = None
    """``None`` takes the encoder's documented default, ``medium`` for x264 and x265."""
    crf: float | None = None
    """Base quality on the encoder's own scale; ``None`` takes its documented default, 23 for x264 and 28 for x265."""
    encoder_params: str = ""
    """Further ``key=value:...`` in the encoder's own words; what would lose the ROI is refused."""
    audio: bool = True
    ffmpeg_bin: str = DEFAULT_FFMPEG
    roi_channel: str | None = None
    """Forces one of `CHANNELS`; ``None`` takes the encoder's best one that works here."""
    bitrate: int | None = None
    """Bits per second of video, instead of ``crf``; in two passes where the encoder has them."""


@dataclass(frozen=True, slots=True, eq=False)
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
    channel: Channel | None = None
    """How the plan reaches the encoder; ``None`` for plain encodes only."""
    passed_over: tuple[tuple[str, str], ...] = ()
    """Better channels, and why each could not be used."""
    bitrate: int | None = None
    frame_pts: NDArray[np.int64] | None = field(default=None, repr=False)
    """``[frames]``, time stamps of the source in ``time_base``, as the analysis found them; ``None`` without."""
    time_base: Fraction = Fraction(1)

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

    @property
    def color(self) -> ColorTags:
        """The tags that the encode must have: the source's, with the matrix and range of a conversion from R'G'B'."""
        return replace(self.clip.color, color_range=1, colorspace=1) if self.converts_rgb else self.clip.color

    def timed_like(self, sidecar: Sidecar) -> EncodeJob:
        """This job with the time stamps that the analysis found."""
        return replace(self, frame_pts=sidecar.track.frame_pts, time_base=sidecar.track.time_base)

    def record(self) -> dict[str, Any]:
        """The settings that make this encode again; kept in the sidecar."""
        return {
            "encoder": self.spec.name,
            "preset": self.preset,
            "crf": self.crf,
            "bitrate": self.bitrate,
            "encoder_params": format_params(self.params),
            "pix_fmt": self.pix_fmt,
            "roi_channel": self.channel and self.channel.name,
        }


def prepare_encode(clip: Clip, settings: EncodeSettings, *, plain: bool = False) -> EncodeJob:
    """Check everything about an encode that can be checked before the model runs, and choose its channel.

    An encoder of which nothing is known is taken where ``settings`` forces the prefilter, and with ``plain``; then only what was
    asked is passed on, and must be an option of its own. Raises `UnsupportedEncoderError`, `UsageError` or `ToolMissingError`.
    """
    if settings.roi_channel is not None and settings.roi_channel not in CHANNELS:
        raise UsageError(f"--roi-channel {settings.roi_channel}: unknown", cure="one of " + ", ".join(CHANNELS))
    if settings.bitrate is not None and settings.crf is not None:
        raise UsageError("--bitrate and --crf: both say how large the file gets", cure="give one of them")
    if settings.bitrate is not None and settings.bitrate < 1000:
        raise UsageError(f"--bitrate {settings.bitrate}: out of range", cure="1000 bits per second or more, for example 2M")
    known = settings.encoder in ENCODERS
    if not known and not plain and settings.roi_channel != "prefilter":
        encoder_spec(settings.encoder)
    ffmpeg = find_ffmpeg(settings.ffmpeg_bin, settings.encoder)
    spec = ENCODERS[settings.encoder] if known else _unknown_spec(ffmpeg, settings, plain=plain)
    supported = spec.pix_fmts or encoder_pix_fmts(ffmpeg.path, spec.name)
    pix_fmt = _nearest_pix_fmt(clip.pix_fmt, tuple(name for name in supported if _divides(name, clip.width, clip.height)))
    crf = settings.crf
    if crf is None and settings.bitrate is None and spec.quality is not None and spec.quality.default >= spec.quality.low:
        crf = spec.quality.default
    preset = settings.preset or spec.preset_default
    params = parse_params(settings.encoder_params)
    spec.check(preset, crf, params)
    if clip.width % spec.side_multiple or clip.height % spec.side_multiple:
        raise SourceError(
            f"{clip.path}: is {clip.width}x{clip.height}, and {spec.name} takes multiples of {spec.side_multiple} alone",
            cure="use another --encoder",
        )
    audio = settings.audio and bool(clip.audio_codecs)
    job = EncodeJob(clip, spec, ffmpeg, preset, crf, params, pix_fmt, audio, bitrate=settings.bitrate)
    if plain:
        return job
    job = _choose_channel(job, settings.roi_channel)
    if spec.protect_regions is not None and job.channel is not None and job.channel.name == "addroi":
        return replace(job, params=spec.protect_regions(preset, 1 if crf is None else crf, params, job.bit_depth))
    return job


def _choose_channel(job: EncodeJob, forced: str | None) -> EncodeJob:
    """The first channel of the encoder that works here, or the one that was asked for and no other."""
    spec = job.spec
    names = [channel.name for channel in spec.channels]
    if forced is not None:
        if forced not in names:
            raise UsageError(f"--roi-channel {forced}: does not reach {spec.name}", cure="one of " + ", ".join(names))
        channel = spec.channels[names.index(forced)]
        obstacle = channel.obstacle(job)
        if obstacle is not None:
            raise type(obstacle)(f"--roi-channel {forced}: {obstacle.message}", cure=obstacle.cure)
        return replace(job, channel=channel)
    passed_over: list[tuple[str, str]] = []
    for channel in spec.channels:
        obstacle = channel.obstacle(job)
        if obstacle is None:
            return replace(job, channel=channel, passed_over=tuple(passed_over))
        passed_over.append((channel.name, obstacle.message))
    reasons = "; ".join(f"{name}: {why}" for name, why in passed_over)
    raise ToolMissingError(f"--encoder {spec.name}: no ROI channel works here: {reasons}", cure="see gpu-saliency doctor")


def _unknown_spec(ffmpeg: Ffmpeg, settings: EncodeSettings, *, plain: bool) -> EncoderSpec:
    options = encoder_options(ffmpeg.path, settings.encoder)
    if settings.preset is not None and "preset" not in options:
        raise UsageError(f"--preset {settings.preset}: {settings.encoder} has no such option", cure="leave --preset out")
    if settings.encoder_params:
        raise UsageError(f"--encoder-params: not known how {settings.encoder} takes them", cure="leave it out")
    spec = generic_spec(settings.encoder, options)
    if settings.crf is not None and spec.quality is None:
        raise UsageError(f"--crf {settings.crf:g}: {settings.encoder} has no such option", cure="leave --crf out")
    return replace(spec, channels=()) if plain else spec


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
