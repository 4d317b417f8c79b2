"""What the table of encoders holds: facts and checks as data, so that a command can be tested without running ffmpeg."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpu_saliency.encode.channels.base import Channel
from gpu_saliency.encode.target import Params
from gpu_saliency.errors import UsageError, setting

AV1_SUFFIXES = (".mp4", ".mkv", ".webm", ".ivf", ".obu")
"""libavformat refuses AV1 in .mov, and what it writes to .ts it does not read back."""


@dataclass(frozen=True, slots=True)
class Quality:
    """The scale of an encoder's constant-quality mode."""

    option: str
    """ffmpeg's option for it; where it starts with no dash, the name among the encoder's own parameters."""
    low: float
    high: float
    default: float
    """Below ``low``: whatever the encoder itself takes."""
    whole: bool = False
    """Whether it takes whole numbers only."""
    extra: tuple[str, ...] = ()
    """Arguments that go with it and would contradict a bit rate."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Everything known about one encoder."""

    name: str
    codec: str | None
    """As ffmpeg names what it decodes to: ``h264``, ``hevc``; ``None`` where nothing is known of the encoder."""
    channels: tuple[Channel, ...]
    """How a plan reaches it, the best first; empty for plain encodes only."""
    quality: Quality | None
    """``None`` where nothing is known of it."""
    params_option: str = ""
    params_separator: str = ":"
    presets: tuple[str, ...] = ()
    preset_option: str = "-preset"
    """Where it starts with no dash, the name among the encoder's own parameters."""
    preset_default: str | None = None
    fastest_preset: str | None = None
    """For tests of what a machine can do."""
    owned_params: Mapping[str, str] = field(default_factory=dict)
    """Parameter -> the flag that sets it, or the reason why it cannot be given."""
    arguments: tuple[str, ...] = ()
    """Further ffmpeg arguments, always given."""
    global_arguments: tuple[str, ...] = ()
    """Further ffmpeg arguments before the input."""
    last_filters: str = ""
    """Filters that must follow all others, such as an upload to the device."""
    pix_fmts: tuple[str, ...] = ()
    """What it takes, where ffmpeg does not list that."""
    passes: str = ""
    """How two-pass encoding is asked for: ``ffmpeg`` (-pass), ``params`` (pass= and stats= among its own), empty: one pass."""
    bitrate_param: str = ""
    """The name among its own parameters that takes a bit rate; empty: ffmpeg's -b:v."""
    codec_tags: Mapping[str, str] = field(default_factory=dict)
    """Output suffix -> the tag of the video stream."""
    suffixes: tuple[str, ...] = ()
    """The only containers that hold it well; empty: any that can."""
    part_suffix: str = ".mp4"
    retry_params: Mapping[str, str] = field(default_factory=dict)
    """Parameters of its own with which a run is repeated that lost frames."""
    side_multiple: int = 1
    """Pixels by which width and height must divide."""

    def shifted_quality(self, base: float | None, shift: float) -> float | None:
        """``base`` and ``shift`` added, kept within the encoder's scale and rounded to its steps; ``None`` stays ``None``."""
        if base is None or self.quality is None:
            return base
        value = min(max(base + shift, self.quality.low), self.quality.high) if shift else base
        return float(round(value)) if self.quality.whole else value

    def check(self, preset: str | None, quality: float | None, params: Params) -> None:
        """Raise a `UsageError` that names the flag and the cure unless everything is in range."""
        if self.presets and preset not in self.presets:
            raise UsageError(f"unknown to {self.name}", setting="preset", value=preset, cure="one of " + ", ".join(self.presets))
        if quality is not None and self.quality is not None:
            low, high = self.quality.low, self.quality.high
            if not low <= quality <= high:
                raise UsageError(f"out of range for {self.name}", setting="crf", value=quality, cure=f"{low:g} to {high:g}")
            if self.quality.whole and quality != int(quality):
                cure = f"give {setting('crf', round(quality))}"
                raise UsageError(f"{self.name} takes whole numbers only", setting="crf", value=quality, cure=cure)
        for key in params:
            if key in self.owned_params:
                raise UsageError("cannot be given", setting="encoder_params", value=key, cure=self.owned_params[key])
