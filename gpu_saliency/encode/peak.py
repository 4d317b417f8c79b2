"""The limit of an encode's peak rate, a VBV buffer: the limit itself, its simulation, and what it finds in a file.

The buffer of a decoder fills at ``maxrate`` until it holds ``bufsize`` bits; at its decode time a frame takes its bits out of it
(the leaky bucket of H.264, Annex C, with a variable rate). The limit is kept where every frame is complete by then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.encode.packet_sizes import packet_sizes

USUAL_FULLNESS = 0.9
"""Share of the buffer that is full when the first frame is decoded, in x264 and x265 by default (``vbv-init``)."""
USUAL_SECONDS = 2
"""Seconds of the highest rate that the buffer holds if none is given."""
KILOBIT = 1000
"""Encoders count rate and buffer in whole kilobits."""
_HEADER_BITS = 8 * 1024
"""Most bits of the text with its settings that an encoder writes into its first frame without counting them."""


@dataclass(frozen=True, slots=True)
class Vbv:
    """A buffer that limits the peak rate."""

    maxrate: int
    """Bits per second, whole kilobits."""
    bufsize: int
    """Bits, whole kilobits."""
    fullness: float = USUAL_FULLNESS
    """Share of the buffer, 0..1, that is full when the first frame is decoded."""

    @classmethod
    def of(cls, maxrate: int, bufsize: int | None) -> Vbv:
        """The buffer for these settings, rounded down to whole kilobits; ``None`` takes `USUAL_SECONDS` of the rate."""
        size = USUAL_SECONDS * maxrate if bufsize is None else bufsize
        return cls(maxrate // KILOBIT * KILOBIT, size // KILOBIT * KILOBIT)

    def levels(self, bits: Sequence[int], seconds: Sequence[float]) -> NDArray[np.float64]:
        """Bits in the buffer after each frame has taken its ``bits`` at its decode time in ``seconds``, both in decode order.

        A frame that is late makes them negative, and those after it wait.
        """
        levels = np.empty(len(bits))
        level = self.fullness * self.bufsize
        for i, size in enumerate(bits):
            if i:
                level = min(self.bufsize, level + self.maxrate * (seconds[i] - seconds[i - 1]))
            level -= size
            levels[i] = level
        return levels

    def after(self, bits: Sequence[int], frame_seconds: float) -> Vbv:
        """The buffer as it is for the frame that follows frames of so many ``bits``, ``frame_seconds`` apart.

        A little less, for what an encoder writes into its first frame without counting it; it never starts with less than a
        frame time fills.
        """
        last = float(self.levels(bits, [i * frame_seconds for i in range(len(bits))])[-1])
        gain = self.maxrate * frame_seconds
        level = max(min(self.bufsize, last + gain) - _HEADER_BITS, min(gain, self.bufsize), 0.0)
        return replace(self, fullness=math.floor(level / self.bufsize * 10**4) / 10**4)

    def with_reserve(self, bits: int) -> Vbv:
        """The buffer to tell an encoder that exceeds it by up to so many ``bits``: they are kept back over the whole encode."""
        size = max((self.bufsize - bits) // KILOBIT * KILOBIT, KILOBIT)
        level = max(self.fullness * self.bufsize - (self.bufsize - size), 0.0)
        return Vbv(self.maxrate, size, math.floor(level / size * 10**4) / 10**4)

    def slower(self, bits: int) -> Vbv:
        """The limit to tell an encoder that knows no buffer and exceeds this one by up to so many ``bits``: a lower rate."""
        rate = round(self.maxrate * self.bufsize / (self.bufsize + bits))
        return replace(self, maxrate=max(rate // KILOBIT * KILOBIT, KILOBIT))

    def check(self, bits: Sequence[int], seconds: Sequence[float]) -> PeakRate:
        """Simulate the buffer for a whole video, see `levels`."""
        levels = self.levels(bits, seconds)
        return PeakRate(
            maxrate=self.maxrate,
            bufsize=self.bufsize,
            peak=round(peak_rate(bits, seconds)),
            least_fullness=round(float(levels.min()) / self.bufsize, 4),
            underflow=max(0, math.ceil(-float(levels.min()))),
            late_frames=int((levels < 0).sum()),
        )


@dataclass(frozen=True, slots=True)
class PeakRate:
    """What the simulation of a buffer found in an encode."""

    maxrate: int
    """Bits per second."""
    bufsize: int
    """Bits."""
    peak: int
    """Highest mean bits per second over any second."""
    least_fullness: float
    """Least share of the buffer that was full after a frame; negative where a frame was late."""
    underflow: int
    """Most bits that a frame lacked at its decode time; 0 where the limit is kept."""
    late_frames: int
    """Number of frames that were not complete at their decode time."""

    @property
    def is_kept(self) -> bool:
        return not self.underflow

    def exceeded(self) -> str:
        """How the limit was exceeded, for the user; empty where it is kept."""
        if self.is_kept:
            return ""
        return (
            f"exceeds the peak of {self.maxrate / KILOBIT:g} kbit/s with a buffer of {self.bufsize / KILOBIT:g} kbit: "
            f"{self.late_frames} frames are late, one by {self.underflow / self.maxrate:.2f} s"
        )


def peak_rate(bits: Sequence[int], seconds: Sequence[float]) -> float:
    """Highest mean bits per second over any second, or over the whole of a shorter video of which frames have equal durations."""
    times = np.asarray(seconds, np.float64)
    if not len(times):
        return 0.0
    total = np.concatenate([[0.0], np.cumsum(np.asarray(bits, np.float64))])
    gap = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
    length = float(times[-1] - times[0] + gap)
    if length <= 1:
        return float(total[-1] / length) if length else float(total[-1])
    # Time stamps are rounded to the ticks of the file: a frame that is a second later may not count.
    ends = np.searchsorted(times, times + 1 - gap / 4, side="left")
    return float((total[ends] - total[:-1]).max())


def packet_bits(path: Path) -> list[int]:
    """The bits of each video packet of a part's file, in decode order. Raises `EncodeError` for a file without one."""
    return [8 * size for size in packet_sizes(path)]
