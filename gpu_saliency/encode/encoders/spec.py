"""The facts about one encoder and their checks, as data, so that a command can be tested without running ffmpeg."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpu_saliency.encode.channels.base import Channel
from gpu_saliency.encode.target import Params
from gpu_saliency.errors import UsageError, setting

AV1_SUFFIXES = (".mp4", ".mkv", ".webm", ".ivf", ".obu")
"""libavformat refuses AV1 in .mov, and does not read back the .ts that it writes."""
SENDS_PLAN = "leave it out: the channel passes the plan by it"
SETS_QP = "leave it out: it sets QP itself, against the plan"


@dataclass(frozen=True, slots=True)
class Quality:
    """The scale of an encoder's constant-quality mode."""

    option: str
    """ffmpeg's option for it; without a leading dash, the name among the encoder's own parameters."""
    low: float
    high: float
    default: float
    """Below ``low``: the encoder's own default, as no option is given."""
    whole: bool = False
    """Whether it takes whole numbers only."""
    extra: tuple[str, ...] = ()
    """Arguments that go with it and would contradict a bit rate."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Everything known about one encoder."""

    name: str
    codec: str | None
    """ffmpeg's name of its codec: ``h264``, ``hevc``; ``None`` for an encoder outside the table."""
    channels: tuple[Channel, ...]
    """The ways to pass it a plan, the best first; empty for plain encodes only."""
    quality: Quality | None
    """``None`` where the encoder has no known scale."""
    params_option: str = ""
    params_separator: str = ":"
    presets: tuple[str, ...] = ()
    preset_option: str = "-preset"
    """Without a leading dash, the name among the encoder's own parameters."""
    preset_default: str | None = None
    fastest_preset: str | None = None
    """The preset that ``doctor`` tests an encoder with."""
    owned_params: Mapping[str, str] = field(default_factory=dict)
    """Parameter that the user cannot give -> the cure: the setting to use instead, or to leave it out and why."""
    arguments: tuple[str, ...] = ()
    """Further ffmpeg arguments, always given."""
    global_arguments: tuple[str, ...] = ()
    """Further ffmpeg arguments before the input."""
    last_filters: str = ""
    """Filters that must follow all others, such as an upload to the device."""
    pix_fmts: tuple[str, ...] = ()
    """The pixel formats that it takes, where ffmpeg does not list them."""
    passes: str = ""
    """How to request two passes: ``ffmpeg`` (-pass), ``params`` (pass= and stats= among its own parameters), empty: one pass."""
    bitrate_param: str = ""
    """The name among its own parameters that takes a bit rate; empty: ffmpeg's -b:v."""
    codec_tags: Mapping[str, str] = field(default_factory=dict)
    """Output suffix -> the tag of the video stream."""
    suffixes: tuple[str, ...] = ()
    """The only containers that hold it well; empty: all that ffmpeg accepts."""
    part_suffix: str = ".mp4"
    retry_params: Mapping[str, str] = field(default_factory=dict)
    """Own parameters with which a run that lost frames is repeated."""
    side_multiple: int = 1
    """Width and height must be multiples of this, in pixels."""

    def shifted_quality(self, base: float | None, shift: float) -> float | None:
        """``base`` and ``shift`` added, kept within the encoder's scale and rounded to its steps; ``None`` stays ``None``."""
        if base is None or self.quality is None:
            return base
        value = min(max(base + shift, self.quality.low), self.quality.high) if shift else base
        return float(round(value)) if self.quality.whole else value

    def check(self, preset: str | None, quality: float | None, params: Params) -> None:
        """Raise `UsageError` unless preset, quality and parameters are in range for this encoder."""
        if self.presets and preset not in self.presets:
            raise UsageError(f"unknown to {self.name}", setting="preset", value=preset, cure="one of " + ", ".join(self.presets))
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


def refuse_param(param: str, problem: str, *, cure: str) -> UsageError:
    """The error for an encoder parameter, ``key`` or ``key=value``, that would lose the plan or contradict a setting."""
    return UsageError(problem, setting="encoder_params", value=param, cure=cure)
