"""Frame rates as exact fractions: parses a rate, and counts the frames in a duration."""

from __future__ import annotations

import math
from fractions import Fraction

from gpu_saliency.errors import UsageError
from gpu_saliency.source.time_codes import exact_seconds

_NTSC_RATES = {
    name: Fraction(thousands * 1000, 1001)
    for thousands, names in {
        24: ("23.976", "23.98"),
        30: ("29.97",),
        48: ("47.952", "47.95"),
        60: ("59.94",),
        120: ("119.88",),
    }.items()
    for name in names
}


def parse_frame_rate(text: str, setting: str = "frame_rate") -> Fraction:
    """Parse ``24``, ``24.0`` or ``30000/1001`` as frames per second; 23.976, 29.97 and 59.94 become the NTSC fractions.

    Raises `UsageError`, which names ``setting``, if ``text`` is not a number, or lies outside 0.01 to 1000.
    """
    try:
        rate = _NTSC_RATES.get(text) or Fraction(text)
    except (ValueError, ZeroDivisionError):
        cure = "give a number or a fraction, such as 24, 23.976 or 30000/1001"
        raise UsageError("is not a number", setting=setting, value=text, cure=cure) from None
    if not Fraction(1, 100) <= rate <= 1000:
        raise UsageError("out of range", setting=setting, value=text, cure="0.01 to 1000 frames per second")
    return rate


def frames_in(start: float, duration: float, frames: int, frame_rate: Fraction) -> int:
    """Number of frames, of ``frames``, that begin from ``start`` on and before ``start + duration`` seconds, at least 1."""
    if not start:
        return frames_before(duration, frames, frame_rate)
    first = math.ceil(exact_seconds(start) * frame_rate)
    last = math.ceil((exact_seconds(start) + exact_seconds(duration)) * frame_rate) if duration else frames
    return max(1, min(frames, last) - first)


def frames_before(duration: float, frames: int, frame_rate: Fraction) -> int:
    """Number of frames, of ``frames``, that begin before ``duration`` seconds, at least 1; all if ``duration`` is 0."""
    return min(frames, max(1, math.ceil(Fraction(duration).limit_denominator(10**6) * frame_rate))) if duration else frames
