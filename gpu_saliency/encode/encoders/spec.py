"""`EncoderSpec`: the facts about one encoder as data, and the checks of its settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from gpu_saliency.encode.channels.base import Channel
from gpu_saliency.encode.encoders.file_params import check_file_params
from gpu_saliency.encode.target import Params
from gpu_saliency.errors import UsageError, near, setting

AV1_SUFFIXES = (".mp4", ".mkv", ".webm", ".ivf", ".obu")
"""libavformat refuses AV1 in .mov, and does not read back the .ts that it writes."""
SENDS_PLAN = "leave it out: the channel uses it to pass the plan"
PEAK_ENCODERS = "libx264, libx265, libsvtav1, libvvenc or an NVENC encoder"
SETS_QP = "leave it out: it overrides the QP of the plan"


@dataclass(frozen=True, slots=True)
class Quality:
    """The scale of an encoder's constant-quality mode, such as CRF."""

    option: str
    """ffmpeg's option for the quality; a name without a leading dash is one of the encoder's own parameters."""
    low: float
    high: float
    default: float
    """Default quality; a value below ``low`` means that no option is given, so the encoder uses its own default."""
    whole: bool = False
    """Whether the scale has whole numbers only."""
    fine_param: str = ""
    """The encoder's own parameter that also accepts quarters of a step, where the encoder is new enough; empty if none does.

    A user gives whole steps; a channel's shift is rounded to quarters, so that the size is kept more closely.
    """
    extra: tuple[str, ...] = ()
    """Further ffmpeg arguments for constant quality; they are not given with a bit rate."""
    per_octave: float | None = None
    """Steps of the scale that halve the size, about; ``None`` where it has whole steps, too few for a correction, or is unknown."""
    same_size: float = 0.0
    """The quality at which a plan of the default strength usually keeps the size."""
    octaves_per_step: float = 0.0
    """How much a step changes the usual size ratio, in octaves: at low qualities blocks that lose quality have few bits to save."""

    def usual_octaves(self, quality: float) -> float:
        """The usual binary logarithm of the ratio of an ROI encode's size to a plain one's, at the default strength."""
        return self.octaves_per_step * (quality - self.same_size)


@dataclass(frozen=True, slots=True)
class PeakLimit:
    """How an encoder limits its peak rate, by ffmpeg's options -maxrate and -bufsize."""

    has_buffer: bool = True
    """Whether it knows a buffer; others get no -bufsize."""
    is_exact: bool = False
    """Whether it simulates the buffer, so that the limit is kept; other encoders keep near the rate and know no buffer."""
    start_param: str = ""
    """Its own parameter for the share of the buffer that is full at the start, so that a part can continue the one before it."""
    with_quality: bool = True
    """Whether it also limits the rate of an encode at constant quality."""
    with_bitrate: bool = True
    """Whether it also limits the peak of an encode with a bit rate."""
    most: int | None = None
    """Highest limit that it accepts, bits per second; ``None``: none is known."""
    least_by_bitrate: float = 1.0
    """Least limit that it accepts with a bit rate, as a multiple of that."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """The facts about one encoder: its channels, scales, presets, parameters and containers."""

    name: str
    codec: str | None
    """ffmpeg's name of its codec, such as ``h264`` or ``hevc``; ``None`` for an encoder that is not in the table."""
    channels: tuple[Channel, ...]
    """The channels that pass a plan to it, the best first; empty if it makes plain encodes only."""
    quality: Quality | None
    """The scale of its base quality; ``None`` if the scale is not known."""
    params_option: str = ""
    params_separator: str = ":"
    presets: tuple[str, ...] = ()
    preset_option: str = "-preset"
    """ffmpeg's option for the preset; a name without a leading dash is one of the encoder's own parameters."""
    preset_default: str | None = None
    best_background_presets: tuple[str, ...] = ()
    """The presets that are slow enough for the prefilter's background ``best``."""
    fastest_preset: str | None = None
    """The preset with which ``doctor`` tests the encoder."""
    owned_params: Mapping[str, str] = field(default_factory=dict)
    """Parameters that the user cannot give, and the cure of each: a setting to use instead, or why to leave it out."""
    arguments: tuple[str, ...] = ()
    """Further ffmpeg arguments for the output, always given."""
    global_arguments: tuple[str, ...] = ()
    """Further ffmpeg arguments before the input."""
    last_filters: str = ""
    """Filters that must follow all others, such as an upload to the device."""
    pix_fmts: tuple[str, ...] = ()
    """The pixel formats that the encoder supports; empty takes ffmpeg's list."""
    passes: str = ""
    """How to request two passes: ``ffmpeg`` (-pass) or ``params`` (its own parameters pass= and stats=); empty: one pass only."""
    pass_params: Mapping[str, str] = field(default_factory=dict)
    """Its own parameters for both of two passes."""
    bitrate_param: str = ""
    """Its own parameter for a bit rate; empty uses ffmpeg's -b:v."""
    threads_param: str = ""
    """Its own parameter for the number of threads; empty uses ffmpeg's -threads."""
    codec_tags: Mapping[str, str] = field(default_factory=dict)
    """The tag of the video stream, by the output's suffix."""
    suffixes: tuple[str, ...] = ()
    """The suffixes of the containers that are supported for it; empty supports all that ffmpeg accepts."""
    part_suffix: str = ".mp4"
    retry_params: Mapping[str, str] = field(default_factory=dict)
    """Its own parameters for the second run, after a run that lost frames."""
    field_params: Mapping[str, Params] = field(default_factory=dict)
    """By field order (see `Fields`), its own parameters that code an interlaced clip as such; empty: it codes whole frames only."""
    grid_params: Mapping[str, str] = field(default_factory=dict)
    """Its own parameters for key frames at every Nth frame in closed groups; ``{n}`` stands for the number of frames."""
    grid_arguments: tuple[str, ...] = ()
    """ffmpeg's arguments for that, where it has no parameters of its own."""
    drops_regions_of_fields: bool = False
    """Whether ffmpeg's wrapper drops the regions of frames that are flagged as interlaced."""
    peak: PeakLimit | None = None
    """How it limits its peak rate; ``None`` if it cannot, or if that is not known."""
    side_multiple: int = 1
    """Width and height must be multiples of this, in pixels."""

    @property
    def has_grid(self) -> bool:
        """Whether it is known how to ask it for key frames at every Nth frame."""
        return bool(self.grid_params or self.grid_arguments)

    def key_frame_params(self, keyint: int) -> Params:
        """Its own parameters for a key frame at every ``keyint`` frames."""
        return {key: value.format(n=keyint) for key, value in self.grid_params.items()}

    def key_frame_arguments(self, keyint: int) -> list[str]:
        """ffmpeg's arguments for that."""
        return [word.format(n=keyint) for word in self.grid_arguments]

    def shifted_quality(self, base: float | None, shift: float, *, fine: bool = False) -> float | None:
        """Add ``shift`` to ``base``, limit the sum to the encoder's scale and round it to its steps; ``None`` stays ``None``.

        ``fine`` rounds to quarters of a step.
        """
        if base is None or self.quality is None:
            return base
        value = min(max(base + shift, self.quality.low), self.quality.high) if shift else base
        if fine:
            return round(value * 4) / 4
        return float(round(value)) if self.quality.whole else value

    def background(self, preset: str | None) -> str:
        """The prefilter's background for ``preset`` (``None``: the default one) if the user chooses none."""
        return "best" if (preset or self.preset_default) in self.best_background_presets else "fast"

    def check_peak(self, maxrate: int, bitrate: int | None) -> None:
        """Raise `UsageError` if this encoder cannot limit its peak to ``maxrate``, with a bit rate or (``None``) a quality."""
        if self.peak is None:
            cure = f"leave it out, or use {PEAK_ENCODERS}"
            raise UsageError(f"{self.name} has no limit of the peak rate", setting="maxrate", value=maxrate, cure=cure)
        if self.peak.most is not None and maxrate > self.peak.most:
            cure = f"at most {self.peak.most}, or leave it out"
            raise UsageError(f"out of range for {self.name}", setting="maxrate", value=maxrate, cure=cure)
        if bitrate is not None and not self.peak.with_bitrate:
            problem, cure = f"{self.name} limits the peak at constant quality only", f"use {setting('crf')}"
            raise UsageError(problem, setting="maxrate", value=maxrate, cure=cure)
        if bitrate is None and not self.peak.with_quality:
            problem, cure = f"{self.name} limits the peak with a bit rate only", f"give {setting('bitrate')}"
            raise UsageError(problem, setting="maxrate", value=maxrate, cure=cure)
        if bitrate is not None and maxrate < self.peak.least_by_bitrate * bitrate:
            least = math.ceil(self.peak.least_by_bitrate * bitrate)
            problem = f"is too near to {setting('bitrate', bitrate)} for {self.name}"
            raise UsageError(problem, setting="maxrate", value=maxrate, cure=f"give at least {least}")

    def check(self, preset: str | None, quality: float | None, params: Params) -> None:
        """Raise `UsageError` unless preset, quality and parameters are in range for this encoder."""
        if self.presets and preset not in self.presets:
            cure = "one of " + ", ".join(self.presets)
            problem = f"{self.name} has no such preset" + near(str(preset), self.presets)
            raise UsageError(problem, setting="preset", value=preset, cure=cure)
        if quality is not None and self.quality is not None:
            low, high = self.quality.low, self.quality.high
            if not low <= quality <= high:
                raise UsageError(f"out of range for {self.name}", setting="crf", value=quality, cure=f"{low:g} to {high:g}")
            if self.quality.whole and quality != int(quality):
                cure = f"use {setting('crf', round(quality))}"
                raise UsageError(f"{self.name} takes whole numbers only", setting="crf", value=quality, cure=cure)
        for key in params:
            if key in self.owned_params:
                raise refuse_param(key, "cannot be given", cure=self.owned_params[key])
        check_file_params(self.name, params, self.params_separator)


def refuse_param(param: str, problem: str, *, cure: str) -> UsageError:
    """Build the error for an encoder parameter, ``key`` or ``key=value``, that loses the plan or contradicts a setting."""
    return UsageError(problem, setting="encoder_params", value=param, cure=cure)
