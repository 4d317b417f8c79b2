"""Converts what users give as start, end and duration to one range of a clip: the only place where the three meet."""

from __future__ import annotations

import re
from fractions import Fraction

from gpu_saliency.errors import UsageError, setting

_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})", re.ASCII)
_CLOCK = re.compile(r"(?:(\d{1,5}):)?([0-5]?\d):([0-5]?\d(?:\.\d{0,9})?)", re.ASCII)
_MINUTES = re.compile(r"(\d{1,6}):([0-5]?\d(?:\.\d{0,9})?)", re.ASCII)
_CURE = "give seconds, MM:SS or HH:MM:SS, such as 90.5, 1:30 or 00:01:30.5"


def parse_time(text: str, name: str) -> Fraction:
    """Convert ``90``, ``90.5``, ``1:30`` or ``00:01:30.5``, the value of the setting ``name``, to seconds, exactly.

    Raises `UsageError`.
    """
    seconds = _SECONDS.fullmatch(text)
    if seconds is not None:
        return Fraction(seconds[1])
    minutes = _MINUTES.fullmatch(text)
    if minutes is not None:
        return 60 * int(minutes[1]) + Fraction(minutes[2])
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        return 3600 * int(clock[1] or 0) + 60 * int(clock[2]) + Fraction(clock[3])
    problem = "is negative" if re.fullmatch(r"-[\d:.]+", text, re.ASCII) else "is no time"
    raise UsageError(problem, setting=name, value=text, cure=_CURE)


def used_range(start: str | None, end: str | None, duration: str | None) -> tuple[float, float]:
    """The start and the duration in seconds of the range that the user gave; a duration of 0, or none, goes to the clip's end.

    Raises `UsageError` for a text that is no time, for ``end`` beside ``duration``, and for an end that is not after the start.
    """
    length = Fraction(0) if duration is None else parse_time(duration, "duration")
    if end is not None and length:
        raise UsageError(f"{setting('end')} and {setting('duration')} cannot be combined", cure="give one of them")
    begin = Fraction(0) if start is None else parse_time(start, "start")
    if end is None:
        return float(begin), float(length)
    last = parse_time(end, "end")
    if last <= begin:
        after = f" of {start}" if start is not None else ""
        raise UsageError(f"is not after the start{after}", setting="end", value=end, cure=f"give a later {setting('end')}")
    return float(begin), float(last - begin)


def exact_seconds(seconds: float) -> Fraction:
    """The decimal number of at most nine places that ``seconds`` stands for, so that 0.1 is a tenth."""
    return Fraction(seconds).limit_denominator(10**9)
