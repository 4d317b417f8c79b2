"""Which frames the model looks at: evenly spread over the whole clip, from the middle of each interval."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from gpu_saliency.errors import UsageError

DEFAULT_ANALYSIS_FPS = Fraction(4)
"""Maps per second of clip. A subject that crosses the frame in two seconds moves by an eighth of it between two maps, less than its
own size; and at 24 fps five frames in six need no inference, so that decoding stays the longest stage (`gpu-saliency bench`)."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """One frame is taken from each interval of ``step`` frames: the one in its middle.

    Taking the first of each would favour the clip's beginning, and would always hit a key frame when the key-frame distance is a
    multiple of the step.
    """

    step: Fraction
    """Source frames per sampled frame, at least 1."""

    @classmethod
    def choose(cls, frame_rate: Fraction, *, analysis_fps: Fraction | None = None, every: int | None = None) -> Sampling:
        """From ``--analysis-fps`` (maps per second) or ``--every`` (frames per map); both at once are a `UsageError`."""
        if every is not None:
            if analysis_fps is not None:
                raise UsageError("--every and --analysis-fps: both say how often to look", cure="give one of them")
            if every < 1:
                raise UsageError(f"--every {every}: out of range", cure="1 or more")
            return cls(Fraction(every))
        fps = DEFAULT_ANALYSIS_FPS if analysis_fps is None else analysis_fps
        if fps <= 0:
            raise UsageError(f"--analysis-fps {float(fps):g}: out of range", cure="more than 0")
        return cls(max(Fraction(1), frame_rate / fps))

    def indices(self) -> Iterator[int]:
        """The sampled frame numbers, without end: ``floor((i + 1/2) * step)`` for i = 0, 1, 2, ..."""
        i = 0
        while True:
            yield math.floor((i + Fraction(1, 2)) * self.step)
            i += 1
