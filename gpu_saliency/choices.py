"""Names and defaults of settings that the command line shows in its help and completes, without importing what they stand for.

Numpy, PyAV and the encoders take most of the time of a start. A test compares each name here with the module that owns it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

AggregatorName = Literal["mean", "ema", "max", "motion-weighted"]
AGGREGATORS: tuple[AggregatorName, ...] = get_args(AggregatorName)
DEFAULT_AGGREGATOR: AggregatorName = "mean"
DEFAULT_EMA_ALPHA = 0.6
DEFAULT_OFFSET = -3
MAX_OFFSET = 12
"""QP."""
MappingName = Literal["attention", "balanced", "symmetric"]
MAPPINGS: tuple[MappingName, ...] = get_args(MappingName)
DEFAULT_MAPPING: MappingName = "attention"
DEFAULT_MAX_BACKGROUND_OFFSET = 4.0
"""QP."""
DEFAULT_SEGMENTS = "auto"
EXPORTS = ("png", "npz", "csv")
"""Forms of an exported plan."""
SIDECAR_SUFFIX = ".saliency.npz"

PROVIDERS = ("cuda", "tensorrt")
DeviceName = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[DeviceName, ...] = get_args(DeviceName)
MAP_KINDS = ("saliency", "gaze")
"""What given maps can hold."""

Prove = Literal["excerpt", "full", "none"]
PROVE: tuple[Prove, ...] = get_args(Prove)
Verify = Literal["quick", "full", "none"]
"""How an output is verified: all packets and its first frame; every frame decoded; its headers alone."""
VERIFY: tuple[Verify, ...] = get_args(Verify)
DEFAULT_FFMPEG = "ffmpeg"
CHANNELS = ("addroi", "kvazaar-roi", "prefilter", "rate-guide", "svtav1-map")
BACKGROUNDS = ("fast", "best")
STYLES = ("heat", "plan", "side-by-side")
"""Panels of a preview in a file."""
DEFAULT_STYLE = "side-by-side"
CLIP_CODECS = ("h264", "hevc", "hevc10", "av1")
"""Codecs of generated clips."""


class EncoderDefaults(NamedTuple):
    """What an encoder uses where the user gives no value."""

    crf: float
    preset: str | None
    """``None`` for an encoder without presets."""


DEFAULT_ENCODER = "libx264"
SOFTWARE_DEFAULTS = {
    "libx264": EncoderDefaults(23, "medium"),
    "libx265": EncoderDefaults(28, "medium"),
    "libaom-av1": EncoderDefaults(32, "6"),
    "libsvtav1": EncoderDefaults(35, "8"),
    "libvvenc": EncoderDefaults(32, "medium"),
    "libvpx-vp9": EncoderDefaults(32, "5"),
    "libkvazaar": EncoderDefaults(27, "medium"),
}
"""The encoders that need no device."""
HARDWARE_ENCODERS = ("h264_qsv", "hevc_qsv", "h264_vaapi", "hevc_vaapi", "h264_nvenc", "hevc_nvenc", "av1_nvenc")
ENCODERS = (*SOFTWARE_DEFAULTS, *HARDWARE_ENCODERS)
ANALYSIS_FPS = 4
"""Maps per second of clip."""
PROGRESS = ("auto", "plain", "json", "none")
"""How progress is shown on stderr: bars on a terminal and lines elsewhere, lines, JSON objects, nothing."""
MAX_SIDE = 16384
"""Largest width and height of a clip in pixels."""


def one_of(names: Sequence[str]) -> str:
    """``a, b or c``."""
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
