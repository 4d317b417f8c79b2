"""`prepare_encode`: checks the settings of an encode before the model runs, and makes an `EncodeJob` from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import av

from gpu_saliency.encode.audio import audio_coding
from gpu_saliency.encode.channels.background import BACKGROUNDS
from gpu_saliency.encode.channels.base import OWN_FFMPEG
from gpu_saliency.encode.encoders import CHANNELS, ENCODERS, EncoderSpec, encoder_spec, generic_spec
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG, Ffmpeg, accepts_param, encoder_options, encoder_pix_fmts, find_ffmpeg
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.output_format import check_pix_fmt, chosen_pix_fmt
from gpu_saliency.encode.peak import KILOBIT, Vbv
from gpu_saliency.encode.shape import Shape, make_shape, parse_crop, parse_scale
from gpu_saliency.encode.target import Params, parse_params
from gpu_saliency.errors import SourceError, ToolMissingError, UsageError, setting, unknown_choice
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.dynamic_hdr import dynamic_hdr
from gpu_saliency.source.fields import Fields, fields_of
from gpu_saliency.source.frame_rate import parse_frame_rate

_FIELD_LINES = 4
"""Lines of which an interlaced picture in 4:2:0 is cut in multiples: chroma lines of both fields."""
_FIELD_KEYS = frozenset({"tff", "bff", "interlaced", "fake-interlaced"})

_SHAPING = ("crop", "scale", "setsar", "fps", "tpad")
"""ffmpeg's filters for a shape of the output that is not the source's."""

MAX_KEYINT = 1200
"""Frames. Parts of a long clip begin on the grid of key frames, and a longer part would need too many filters."""

MAX_BITRATE = 10**10
"""Bits per second; more than any encoder accepts."""
MAX_THREADS = 128
"""The most that x264 accepts."""


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """The settings of an encode. Raises `UsageError` when a setting is out of its encoder's range."""

    encoder: str = "libx264"
    preset: str | None = None
    """``None`` takes the encoder's documented default, ``medium`` for x264 and x265."""
    crf: float | None = None
    """Base quality on the encoder's own scale; ``None`` takes its documented default, 23 for x264 and 28 for x265."""
    encoder_params: str = ""
    """The encoder's own parameters as ``key=value:...``; those with which the encoder would drop the ROI are refused."""
    audio: bool = True
    ffmpeg_bin: str = DEFAULT_FFMPEG
    roi_channel: str | None = None
    """Forces one of `CHANNELS`; ``None`` takes the encoder's best channel that works on this machine."""
    background: str | None = None
    """The prefilter's background, one of `BACKGROUNDS`; ``None`` takes ``best`` for the encoder's slow presets, else ``fast``."""
    bitrate: int | None = None
    """Bits per second of video, instead of ``crf``; encoded in two passes where the encoder supports it."""
    maxrate: int | None = None
    """Highest bits per second of video, kept by a buffer of ``bufsize``; rounded down to whole kilobits."""
    bufsize: int | None = None
    """Bits of the buffer over which ``maxrate`` is kept; ``None`` takes two seconds of it."""
    drop_dynamic_hdr: bool = False
    """Whether to encode a source with dynamic HDR metadata, which the output then lacks; without it such a source is refused."""
    output_pix_fmt: str | None = None
    """Pixel format of the output, such as ``yuv420p10le``; ``None`` takes the source's, or the closest that the encoder takes."""
    crop: str | None = None
    """The part of the picture that the output shows, ``W:H:X:Y`` in pixels of the source as players show it."""
    scale: str | None = None
    """Size of the output as players show it, after the crop: ``WxH``, or ``W:-2`` for the height that keeps the shape."""
    fps: str | None = None
    """Frames per second of the output, such as ``30`` or ``30000/1001``; ``None`` keeps every frame with its time."""
    audio_codec: str | None = None
    """Encoder of the audio, such as ``aac`` or ``libopus``; ``None`` and ``copy`` copy it."""
    audio_bitrate: int | None = None
    """Bits per second of each audio stream; ``None`` takes 64 kbit/s for each channel."""
    keyint: int | None = None
    """Frames from one key frame to the next, in closed groups, with no others between; ``None`` lets the encoder choose."""
    threads: int | None = None
    """Threads of the encoder; ``None`` lets it choose by the cores of the machine. Most encoders' output depends on the number."""

    def __post_init__(self) -> None:
        if self.roi_channel is not None and self.roi_channel not in CHANNELS:
            raise unknown_choice("roi_channel", self.roi_channel, CHANNELS)
        if self.background is not None and self.background not in BACKGROUNDS:
            raise unknown_choice("background", self.background, BACKGROUNDS)
        if self.bitrate is not None and self.crf is not None:
            raise UsageError(f"{setting('bitrate')} and {setting('crf')} cannot be combined", cure="give one of them")
        if self.bitrate is not None and not 1000 <= self.bitrate <= MAX_BITRATE:
            cure = "give 1000 bits per second or more, for example 2M"
            raise UsageError("out of range", setting="bitrate", value=self.bitrate, cure=cure)
        self._check_peak()
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise UsageError("out of range", setting="threads", value=self.threads, cure=f"1 to {MAX_THREADS}")
        params = parse_params(self.encoder_params)
        if self.crop is not None:
            parse_crop(self.crop)
        if self.scale is not None:
            parse_scale(self.scale)
        if self.fps is not None:
            parse_frame_rate(self.fps, "fps")
        coding = audio_coding(self.audio_codec, self.audio_bitrate)
        if coding is not None and not self.audio:
            problem = f"{setting('audio_codec')} and {setting('audio', False)} cannot be combined"
            raise UsageError(problem, cure="give one of them")
        if self.output_pix_fmt is not None:
            check_pix_fmt(self.output_pix_fmt)
        if self.keyint is not None and not 1 <= self.keyint <= MAX_KEYINT:
            raise UsageError("out of range", setting="keyint", value=self.keyint, cure=f"1 to {MAX_KEYINT} frames")
        if self.encoder in ENCODERS:
            spec = ENCODERS[self.encoder]
            spec.check(self.preset or spec.preset_default, self.crf, params)
            _check_keyint(spec, self.keyint, params)
            if self.maxrate is not None:
                spec.check_peak(self.maxrate, self.bitrate)

    def shape_of(self, clip: Clip) -> Shape:
        """The shape of an output of ``clip``. Raises `UsageError` for one that the clip does not allow."""
        crop = None if self.crop is None else parse_crop(self.crop)
        scale = None if self.scale is None else parse_scale(self.scale)
        return make_shape(clip, crop, scale, None if self.fps is None else parse_frame_rate(self.fps, "fps"))

    def _check_peak(self) -> None:
        if self.maxrate is None and self.bufsize is not None:
            cure = f"give {setting('maxrate')} too"
            raise UsageError("has no effect without a highest rate", setting="bufsize", value=self.bufsize, cure=cure)
        for name, value in (("maxrate", self.maxrate), ("bufsize", self.bufsize)):
            if value is not None and not KILOBIT <= value <= MAX_BITRATE:
                raise UsageError("out of range", setting=name, value=value, cure="give 1000 bits or more, for example 4M")
        if self.maxrate is not None and self.bitrate is not None and self.maxrate < self.bitrate:
            problem = f"is below {setting('bitrate', self.bitrate)}"
            raise UsageError(problem, setting="maxrate", value=self.maxrate, cure="give at least the bit rate")

    @property
    def vbv(self) -> Vbv | None:
        """The buffer that limits the peak rate."""
        return None if self.maxrate is None else Vbv.of(self.maxrate, self.bufsize)


def prepare_encode(clip: Clip, settings: EncodeSettings, *, plain: bool = False) -> EncodeJob:
    """Check the settings of an encode before the model runs, find an ffmpeg, and choose the channel.

    ``plain`` prepares a plain encode, without a channel. An encoder that is not in the table of encoders is accepted if
    ``settings`` forces the prefilter or with ``plain``; settings for which ffmpeg lists no option of that encoder are then
    refused. Raises `UnsupportedEncoderError`, `UsageError`, `SourceError` or `ToolMissingError`.
    """
    dropped = dynamic_hdr(clip)
    if dropped and not settings.drop_dynamic_hdr:
        names = " and ".join(dropped)
        cure = f"give {setting('drop_dynamic_hdr', True)} to encode without them"
        raise SourceError(f"{clip.path}: has dynamic HDR metadata ({names}), which the encode would lose", cure=cure)
    known = settings.encoder in ENCODERS
    if not known and not plain and settings.roi_channel != "prefilter":
        encoder_spec(settings.encoder)
    ffmpeg = find_ffmpeg(settings.ffmpeg_bin, settings.encoder)
    spec = ENCODERS[settings.encoder] if known else _unknown_spec(ffmpeg, settings, plain=plain)
    shape, fields = settings.shape_of(clip), fields_of(clip)
    shaped, vbv = shape.applied(clip), settings.vbv
    if vbv is not None and vbv.bufsize * shaped.frame_rate < vbv.maxrate:
        least = int(vbv.maxrate / shaped.frame_rate / KILOBIT + 1)
        problem = f"holds less than a frame's share of {setting('maxrate', vbv.maxrate)}"
        raise UsageError(problem, setting="bufsize", value=vbv.bufsize, cure=f"give {least}k or more")
    supported = spec.pix_fmts or encoder_pix_fmts(ffmpeg.path, spec.name)
    _check_shape(shape, clip, ffmpeg, fields)
    _check_keyint(spec, settings.keyint, parse_params(settings.encoder_params))
    pix_fmt = chosen_pix_fmt(spec, clip, shaped, settings.output_pix_fmt, supported)
    crf = settings.crf
    if crf is None and settings.bitrate is None and spec.quality is not None and spec.quality.default >= spec.quality.low:
        crf = spec.quality.default
    if shaped.width % spec.side_multiple or shaped.height % spec.side_multiple:
        raise SourceError(
            f"{clip.path}: is {shaped.width}x{shaped.height}, but {spec.name} needs multiples of {spec.side_multiple}",
            cure=f"use another {setting('encoder')}, or {setting('scale')}",
        )
    job = EncodeJob(
        clip=clip,
        encoder=spec.name,
        spec=spec,
        ffmpeg=ffmpeg,
        preset=settings.preset or spec.preset_default,
        crf=crf,
        bitrate=settings.bitrate,
        vbv=vbv,
        params=parse_params(settings.encoder_params),
        pix_fmt=pix_fmt,
        background=settings.background or spec.background(settings.preset),
        audio=settings.audio and bool(clip.audio_codecs),
        fields=fields,
        dropped_hdr=dropped,
        shape=shape,
        asks_pix_fmt=settings.output_pix_fmt is not None,
        keyint=settings.keyint,
        coding=audio_coding(settings.audio_codec, settings.audio_bitrate) if clip.audio_codecs else None,
        threads=settings.threads,
    )
    grid = {} if job.keyint is None else spec.key_frame_params(job.keyint)
    job = replace(job, params=_field_params(job) | job.params | grid)
    if plain:
        return job
    job = _choose_channel(job, settings.roi_channel)
    if settings.background is not None and job.channel is not None and not job.channel.has_background:
        cure = f"leave it out, or give {setting('roi_channel', 'prefilter')}"
        problem = f"has no effect with {job.channel.name}, the channel for {spec.name}"
        raise UsageError(problem, setting="background", value=settings.background, cure=cure)
    if job.channel is None:
        return job
    return replace(job, params=job.channel.parameters(job), fine_quality=_takes_quarters(job))


def _takes_quarters(job: EncodeJob) -> bool:
    """Whether the encoder accepts quarters of a step of quality; older versions replace them by a default, with a warning."""
    quality = job.spec.quality
    if quality is None or not quality.fine_param or job.crf is None or job.channel is None:
        return False
    takes = job.channel.takes_quarters(job)
    if takes is not None:
        return takes
    return accepts_param(job.ffmpeg.path, job.spec.name, job.spec.params_option, f"{quality.fine_param}=30.25")


def _field_params(job: EncodeJob) -> Params:
    """The parameters that code an interlaced source as such, unless the user chose that, or the height does not allow it."""
    given = job.spec.field_params
    if job.fields is None or not given or _FIELD_KEYS & job.params.keys():
        return {}
    # Each field must have whole chroma samples (x264, encoder/encoder.c, validate_parameters).
    lines = 2 * (16 // av.VideoFormat(job.pix_fmt).chroma_height(16))
    return dict(given[job.fields.order]) if job.shaped.height % lines == 0 else {}


def _choose_channel(job: EncodeJob, forced: str | None) -> EncodeJob:
    """Add the channel to ``job``: ``forced`` if given, else the encoder's first channel that works on this machine.

    Raises the obstacle of a forced channel, `UsageError` if the encoder lacks it, `ToolMissingError` if no channel works.
    """
    spec = job.spec
    names = [channel.name for channel in spec.channels]
    if forced is not None:
        if forced not in names:
            cure = "one of " + ", ".join(names)
            raise UsageError(f"does not work with {spec.name}", setting="roi_channel", value=forced, cure=cure)
        channel = spec.channels[names.index(forced)]
        obstacle = channel.obstacle(job)
        if obstacle is not None:
            problem, cured = obstacle.worded(setting)
            raise type(obstacle)(problem, setting="roi_channel", value=forced, cure=cured)
        return replace(job, channel=channel)
    passed_over: list[tuple[str, str]] = []
    for channel in spec.channels:
        obstacle = channel.obstacle(job)
        if obstacle is None:
            return replace(job, channel=channel, passed_over=tuple(passed_over))
        passed_over.append((channel.name, obstacle.message))
    reasons = "; ".join(f"{name}: {why}" for name, why in passed_over)
    cure = "run gpu-saliency doctor to test all encoders"
    raise ToolMissingError(f"no ROI channel works here: {reasons}", setting="encoder", value=spec.name, cure=cure)


def _unknown_spec(ffmpeg: Ffmpeg, settings: EncodeSettings, *, plain: bool) -> EncoderSpec:
    """Make a spec for an encoder outside the table, from the names of its options; refuse settings without an option."""
    options = encoder_options(ffmpeg.path, settings.encoder)
    if settings.preset is not None and "preset" not in options:
        problem, cure = f"{settings.encoder} has no such option", f"leave {setting('preset')} out"
        raise UsageError(problem, setting="preset", value=settings.preset, cure=cure)
    if settings.encoder_params:
        problem, cure = f"the option of {settings.encoder} for them is not known", f"leave {setting('encoder_params')} out"
        raise UsageError(problem, setting="encoder_params", value=settings.encoder_params, cure=cure)
    spec = generic_spec(settings.encoder, options)
    if settings.crf is not None and spec.quality is None:
        problem, cure = f"{settings.encoder} has no such option", f"leave {setting('crf')} out"
        raise UsageError(problem, setting="crf", value=settings.crf, cure=cure)
    spec.check(settings.preset, settings.crf, {})
    if settings.maxrate is not None:
        spec.check_peak(settings.maxrate, settings.bitrate)
    return replace(spec, channels=()) if plain else spec


def _check_shape(shape: Shape, clip: Clip, ffmpeg: Ffmpeg, fields: Fields | None) -> None:
    """Raise the error for a shape that this ffmpeg cannot make, or that would mix the fields of an interlaced source."""
    if not shape.is_given:
        return
    missing = [name for name in _SHAPING if name not in ffmpeg.filters]
    if missing:
        raise ToolMissingError(f"{ffmpeg.path}: has no filter {', '.join(missing)}", cure=OWN_FFMPEG)
    if fields is None:
        return
    box, shaped = shape.box(clip), shape.applied(clip)
    cure = "deinterlace it first, for example with ffmpeg's filter bwdif"
    if shape.rate is not None:
        raise UsageError("would break up the fields of an interlaced source", setting="fps", value=shape.rate, cure=cure)
    if box.y % _FIELD_LINES or box.height % _FIELD_LINES:
        text = f"is no multiple of {_FIELD_LINES} lines: the source is interlaced"
        raise UsageError(text, setting="crop", value=box.text, cure=f"give multiples of {_FIELD_LINES} for top and height")
    if shaped.height != box.height:
        text = "would mix the fields of an interlaced source"
        raise UsageError(text, setting="scale", value=f"{shaped.width}x{shaped.height}", cure=cure)


def _check_keyint(spec: EncoderSpec, keyint: int | None, params: Params) -> None:
    """Raise `UsageError` for key frames that are asked for twice, or of an encoder of which it is not known how."""
    if keyint is None:
        return
    if not spec.has_grid:
        names = ", ".join(name for name, one in ENCODERS.items() if one.has_grid)
        problem = f"it is not known how {spec.name} makes key frames at equal distances"
        raise UsageError(problem, setting="keyint", value=keyint, cure=f"leave it out, or use one of {names}")
    given = next((key for key in params if key in spec.grid_params), None)
    if given is not None:
        raise UsageError(f"contradicts {setting('keyint')}", setting="encoder_params", value=given, cure="give one of them")
