"""Reads what the container of a clip declares about its length: a number of frames, the end of the video, or that of the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

import av
import av.container
import av.video.stream

_COUNTED_BY_TIME = frozenset({"avi"})
"""Containers that count ticks instead of frames: a frame may take several."""
_COUNTED = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "ivf"})
_TIMED = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "mxf"})
_FILE_TIMED = frozenset({"matroska,webm", "flv"})
_MAX_FRAMES = 1 << 30
"""A larger number is the placeholder of a muxer that could not go back to its header."""
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Declared:
    """The declared length of a clip; ``None`` where the container declares nothing. Durations that libavformat estimates are not
    declared."""

    packets: int | None = None
    """Number of the video's packets."""
    end: float | None = None
    """Time stamp in seconds at which the video ends."""
    file_end: float | None = None
    """Time stamp in seconds at which the longest stream ends, where the container declares no end of the video itself."""
    start: float = 0.0
    """Time stamp in seconds at which the video begins."""

    @classmethod
    def of(cls, container: av.container.InputContainer, video: av.video.stream.VideoStream) -> Declared:
        """Read the declarations of an open ``container`` about its stream ``video``."""
        name, start = container.format.name, _start(video)
        frames = video.frames if 0 < video.frames < _MAX_FRAMES else None
        if name in _COUNTED_BY_TIME:
            rate = video.average_rate
            return cls(end=start + float(frames / rate) if frames and rate else None, start=start)
        if frames and name in _COUNTED:
            return cls(packets=frames, start=start)
        if name in _TIMED and video.duration and video.time_base:
            return cls(end=start + float(video.duration * video.time_base), start=start)
        if name in _FILE_TIMED and container.duration:
            whole = container.duration / av.time_base
            own = _CLOCK.fullmatch(video.metadata.get("DURATION", ""))
            if own is None:
                return cls(file_end=whole, start=start)
            # A remuxer may have copied the tag of a longer file.
            hours, minutes, seconds = map(float, own.groups())
            return cls(end=min(whole, 3600 * hours + 60 * minutes + seconds), start=start)
        return cls()

    def frames(self, rate: Fraction) -> int | None:
        """The declared number of frames: the count, or the end times ``rate``, frames per second."""
        end = self.end if self.end is not None else self.file_end
        return self.packets if self.packets is not None else None if end is None else max(1, round((end - self.start) * rate))


def _start(video: av.video.stream.VideoStream) -> float:
    return float((video.start_time or 0) * video.time_base) if video.time_base else 0.0
