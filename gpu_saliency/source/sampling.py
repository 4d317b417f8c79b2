"""Chooses the frames that the model analyses: the clip is divided into equal intervals, and each gives its middle frame."""

from __future__ import annotations

import bisect
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from gpu_saliency.errors import UsageError, setting

KEYFRAME = "keyframe"
"""The value of ``every`` that takes key frames as samples."""
MOST_EVERY = 10**9
"""Most frames for a map; a longer clip has one map anyway."""
DEFAULT_ANALYSIS_FPS = Fraction(4)
"""Maps per second of clip. A subject that crosses the picture in two seconds moves by an eighth of the width between two maps, less
than its own size. At 24 fps five of six frames need no inference, so decoding remains the longest stage (`gpu-saliency bench`)."""


class FrameChoice(Protocol):
    """Chooses the samples of a clip."""

    def indices(self) -> Iterator[int]:
        """Yield the samples' frame numbers, rising, without end."""
        ...


@dataclass(frozen=True, slots=True)
class Sampling:
    """The rule that chooses the samples: one for each interval of ``step`` frames, the frame in its middle.

    The first frame of each interval instead would favour the clip's start, and every sample would be a key frame where the step is
    a multiple of the key-frame distance.
    """

    step: Fraction
    """Source frames per sample, at least 1; between key frames the least distance."""
    at_key_frames: bool = False
    """Whether the samples are key frames (`key_frame_batches`); those nearer than ``step`` to the one before are left out."""

    @classmethod
    def choose(cls, frame_rate: Fraction, *, analysis_fps: Fraction | None = None, every: int | str | None = None) -> Sampling:
        """Create the sampling from ``analysis_fps`` (maps per second) or ``every`` (frames per map, or `KEYFRAME`).

        Without both the rate is `DEFAULT_ANALYSIS_FPS`, which is also the highest for key frames. At most every frame is a sample.

        Raises `UsageError` if a value is out of range or both are given.
        """
        if every is not None:
            if analysis_fps is not None:
                other = setting("analysis_fps", float(analysis_fps))
                raise UsageError(f"contradicts {other}", setting="every", value=every, cure="give one of them")
            if every == KEYFRAME:
                return cls(max(Fraction(1), frame_rate / DEFAULT_ANALYSIS_FPS), at_key_frames=True)
            if isinstance(every, str) or not 1 <= every <= MOST_EVERY:
                problem = "is not a whole number" if isinstance(every, str) else "out of range"
                raise UsageError(problem, setting="every", value=every, cure=f"1 to {MOST_EVERY}, or {KEYFRAME}")
            return cls(Fraction(every))
        fps = DEFAULT_ANALYSIS_FPS if analysis_fps is None else analysis_fps
        if fps <= 0:
            raise UsageError("out of range", setting="analysis_fps", value=float(fps), cure="more than 0")
        return cls(max(Fraction(1), frame_rate / fps))

    @property
    def key(self) -> str:
        """A text that tells this sampling from others, for keys of stored maps."""
        return f"{KEYFRAME} {self.step}" if self.at_key_frames else str(self.step)

    def text(self) -> str:
        """What the maps are of, in words: ``every 6 frames``."""
        return "each key frame" if self.at_key_frames else f"every {float(self.step):g} frames"

    def indices(self) -> Iterator[int]:
        """Yield the samples' frame numbers without end: ``floor((i + 1/2) * step)`` for i = 0, 1, 2, ..."""
        if self.at_key_frames:
            raise ValueError("the decoder chooses the key frames")
        i = 0
        while True:
            yield math.floor((i + Fraction(1, 2)) * self.step)
            i += 1


@dataclass(frozen=True, slots=True)
class NearestFrames:
    """Chooses among ``frames`` those nearest to the samples of ``sampling``: at most as many, and none twice."""

    sampling: Sampling
    frames: tuple[int, ...]
    """Rising; at least one."""

    def indices(self) -> Iterator[int]:
        """Yield the chosen frame numbers, rising; after the last one a number that no clip has, without end."""
        before = -1
        for wanted in self.sampling.indices():
            # A sample stands for step / 2 frames on each side; from where it does not reach back to the last map, all are chosen.
            if before == self.frames[-1] or wanted - self.frames[-1] > self.sampling.step / 2:
                break
            nearest = self.frames[_nearest(self.frames, wanted)]
            if nearest > before:
                before = nearest
                yield nearest
        while True:
            yield sys.maxsize


def _nearest(frames: tuple[int, ...], frame: int) -> int:
    """Which of ``frames``, rising, is nearest to ``frame``: its position, the earlier one of two."""
    after = bisect.bisect_left(frames, frame)
    if after == len(frames) or (after > 0 and frame - frames[after - 1] <= frames[after] - frame):
        return after - 1
    return after
