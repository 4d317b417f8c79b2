"""Finds in an encoder's output that it drops a parameter or the regions of the plan; most encoders only warn and go on."""

from __future__ import annotations

import re

from gpu_saliency.errors import EncodeError, GpuSaliencyError, UsageError, setting

# Measured with the bundled ffmpeg and SvtAv1EncApp 2.3; the texts are those of libavcodec's wrappers and of the encoders.
_PARAMETER = tuple(
    re.compile(pattern)
    for pattern in (
        r"^\[(?P<encoder>\w+(?:-\w+)*) @ \w+\] Error parsing option '(?P<param>.+?)'",  # libx264
        r"^\[(?P<encoder>\w+(?:-\w+)*) @ \w+\] Error parsing option (?P<param>.+?)\.?$",  # libsvtav1
        r"^\[(?P<encoder>\w+(?:-\w+)*) @ \w+\] Error setting option [\w-]+-params to value (?P<param>.+?)\.?$",
        r"^\[(?P<encoder>libx265) @ \w+\] Unknown option: (?P<param>.+?)\.?$",
        r"^\[(?P<encoder>libx265) @ \w+\] Invalid value for (?P<param>.+?)\.?$",
        r"^\[(?P<encoder>libvvenc) @ \w+\] Unknown vvenc option: (?P<param>.+?)\.?$",
        r"^\[(?P<encoder>libkvazaar) @ \w+\] Invalid option: (?P<param>.+?)\.?$",
        r"^\[(?P<encoder>libaom-av1) @ \w+\]\s+Additional information: Cannot find aom option (?P<param>.+?)$",
        r"^\[(?P<encoder>libaom-av1) @ \w+\]\s+Additional information: Option (?P<param>[\w-]+=\S*?):",
        r"^Unprocessed tokens: --(?P<param>\S+)",  # SvtAv1EncApp
        r"^Error: Invalid parameter '(?P<param>.+?)' with value",
    )
)
_REGIONS = re.compile(r"^\[(?P<encoder>[\w-]+) @ \w+\] (?P<reason>.*skipping ROI)")


def complaint_of(line: str) -> GpuSaliencyError | None:
    """The error that a line of an encoder's output means: `UsageError` with the parameter, `EncodeError` for dropped regions."""
    regions = _REGIONS.match(line)
    if regions:
        return EncodeError(
            f"{regions['encoder']} dropped the regions of the plan: {regions['reason']}",
            cure=f"leave {setting('encoder_params')} out, or try another {setting('encoder')}",
        )
    found = next(filter(None, (pattern.match(line) for pattern in _PARAMETER)), None)
    if found is None:
        return None
    encoder = found.groupdict().get("encoder") or "the encoder"
    param = re.sub(r"\s*[=:]\s*", "=", found["param"], count=1)
    return UsageError(
        f"{encoder} does not know this parameter, or not this value",
        setting="encoder_params",
        value=param,
        cure="correct it, or leave it out",
    )
