"""`Span`: which frames of a file a clip uses that does not begin with the file's first frame. Found by `find_span`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Span:
    """The frames of a clip with a start: those with the time stamps ``[low, end)``, or of numbers from ``frames_before`` on.

    Frames are told by their numbers in raw video, bare bitstreams and H.264 in AVI, which store no times of presentation.
    """

    time_base: Fraction
    """Unit of ``low``, ``first`` and ``end``, in seconds."""
    low: int | None = None
    """Least time stamp of the clip, as in the file; ``None``: frames are told by their numbers."""
    first: int = 0
    """Time stamp of the clip's first frame, which is ``low`` or later."""
    end: int | None = None
    """Time stamp at which the clip ends; ``None`` goes to the end of the file."""
    packets_before: int = 0
    """Packets of the video before the key frame at which decoding begins."""
    key: int = 0
    """Time stamp of that key frame."""
    frames_before: int = 0
    """Frames of the file before the clip, where they are told by number."""
    frames: int | None = None
    """Frames of the clip, where they are told by number; ``None`` goes to the end of the file."""
    seconds: float = 0.0
    """The time of the clip's first frame on the clock of the file, which may not begin at 0."""

    length: float = 0.0
    """Seconds from that time to the end of the clip; 0 goes to the end of the file."""

    def is_before(self, pts: int | None, number: int) -> bool:
        """Whether the frame ``number``, counted from 0 in the file, with the time stamp ``pts`` is shown before the clip."""
        if self.low is None:
            return number < self.frames_before
        return pts is None or pts < self.low

    def is_after(self, pts: int | None, number: int) -> bool:
        """Whether that frame is shown after the clip."""
        if self.low is None:
            return self.frames is not None and number >= self.frames_before + self.frames
        return self.end is not None and pts is not None and pts >= self.end

    def is_leading(self, pts: int | None) -> bool:
        """Whether the packet of a frame with the time stamp ``pts``, read after the key frame, needs what came before that."""
        return self.packets_before > 0 and pts is not None and pts < self.key
