"""Chooses the frames that trial encodes encode: the whole of a short clip, else windows spread evenly over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from gpu_saliency.encode.parts import Part

WINDOW_SECONDS = 2
LEAST_WINDOWS, MOST_WINDOWS = 6, 16
SECONDS_PER_WINDOW = 30
"""Seconds of clip for each window, between the least and the most number of windows."""
WHOLE_UP_TO = 1.25
"""A clip of up to this many times the frames of the windows is encoded whole: a trial then predicts the encode exactly."""
LEAD_FRAMES = 24
"""Frames that are encoded before those of a window: the key frame and those near it differ from what the clip has there."""
LOOKAHEAD_FRAMES = 40
"""Frames that are encoded after those of a window, as many as x264 looks ahead by default; without them its end gets fewer bits."""
_LEAST_FRAMES = 24


@dataclass(frozen=True, slots=True)
class Window:
    """Frames that a trial measures, and encodes with those around them."""

    encoded_start: int
    """The first encoded frame: after the key frame there, quality takes some frames to become usual."""
    start: int
    end: int
    """The frame after the last measured one."""
    encoded_end: int
    """The frame after the last encoded one: encoders choose a frame's quality by the frames after it."""

    @property
    def frames(self) -> int:
        """Number of measured frames."""
        return self.end - self.start

    @property
    def lead(self) -> int:
        """Number of encoded frames before the first measured one."""
        return self.start - self.encoded_start

    @property
    def measured(self) -> Part:
        return Part(self.start, self.end)

    @property
    def encoded(self) -> Part:
        return Part(self.encoded_start, self.encoded_end)


def sample_windows(split: Sequence[Part], frame_rate: Fraction) -> tuple[Window, ...]:
    """The windows of a clip that a trial encodes, in order; ``split`` are the parts of the whole encode.

    A short clip is encoded in its own parts. A longer one is divided into equal stretches, and a window lies in the middle of each.
    """
    total = split[-1].end
    length = _window_frames(frame_rate)
    count = min(max(math.ceil(total / frame_rate / SECONDS_PER_WINDOW), LEAST_WINDOWS), MOST_WINDOWS)
    if total <= WHOLE_UP_TO * count * length:
        return tuple(Window(part.start, part.start, part.end, part.end) for part in split)
    starts = [round((2 * i + 1) * total / (2 * count) - length / 2) for i in range(count)]
    return tuple(_window(start, start + length, total) for start in starts)


def window_around(frame: int, frame_count: int, frame_rate: Fraction, length: int | None = None) -> Window:
    """The window of ``length`` frames, by default the usual, with ``frame`` in its middle or as near to it as the ends allow."""
    length = min(length or _window_frames(frame_rate), frame_count)
    start = min(max(0, frame - length // 2), frame_count - length)
    return _window(start, start + length, frame_count)


def _window_frames(frame_rate: Fraction) -> int:
    return max(_LEAST_FRAMES, round(WINDOW_SECONDS * frame_rate))


def _window(start: int, end: int, frame_count: int) -> Window:
    return Window(max(0, start - LEAD_FRAMES), start, end, min(end + LOOKAHEAD_FRAMES, frame_count))


def covers(windows: Sequence[Window], frame_count: int) -> bool:
    """Whether the windows hold every frame of the clip."""
    return sum(window.frames for window in windows) == frame_count
