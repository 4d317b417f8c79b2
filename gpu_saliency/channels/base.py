"""What the table of encoders holds: facts and checks as data, so that a command can be tested without running ffmpeg."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gpu_saliency.errors import UsageError
from gpu_saliency.plan import RoiPlan

Params = dict[str, str]
"""An encoder's own parameters (``key=value:...``), parsed, in order."""


class Channel(Protocol):
    """A way for a plan to reach an encoder."""

    name: str

    def graph(self, plan: RoiPlan, bit_depth: int) -> str:
        """The text of the ffmpeg filter graph that carries ``plan``."""
        ...


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Everything known about one encoder."""

    name: str
    codec: str | None
    """As ffmpeg names what it decodes to: ``h264``, ``hevc``; ``None`` where nothing is known of the encoder."""
    channel: Channel | None
    """How a plan reaches it; ``None`` for plain encodes only."""
    params_option: str
    presets: tuple[str, ...]
    preset_default: str
    crf_range: tuple[float, float]
    crf_default: float
    owned_params: Mapping[str, str]
    """Parameter -> the flag that sets it, or the reason why it cannot be given."""
    protect_roi: Callable[[str, float, Params, int], Params]
    """(preset, crf, the user's parameters, bit depth) -> those to run with; raises `UsageError` where the ROI would be lost."""
    container_args: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Output suffix -> further arguments for it."""

    def check(self, preset: str, crf: float, params: Params, bit_depth: int) -> Params:
        """The parameters to run with, or a `UsageError` that names the flag and the cure."""
        if preset not in self.presets:
            raise UsageError(f"--preset {preset}: unknown to {self.name}", cure="one of " + ", ".join(self.presets))
        low, high = self.crf_range
        if not low <= crf <= high:
            raise UsageError(f"--crf {crf:g}: out of range for {self.name}", cure=f"{low:g} to {high:g}")
        for key in params:
            if key in self.owned_params:
                raise UsageError(f"--encoder-params {key}: cannot be given", cure=self.owned_params[key])
        return self.protect_roi(preset, crf, params, bit_depth)


def parse_params(text: str) -> Params:
    """``key=value:key:key=value`` to a dict; a bare key means ``1``, as x264 and x265 read it. Raises `UsageError`."""
    params: Params = {}
    for item in filter(None, text.split(":")):
        key, _, value = item.partition("=")
        key = key.strip().replace("_", "-")
        if not key or "\n" in item:
            raise UsageError(f"--encoder-params {item!r}: has no name", cure="key=value:key=value")
        params[key] = value.strip() or "1"
    return params


def format_params(params: Params) -> str:
    return ":".join(f"{key}={value}" for key, value in params.items())
