"""`Playhead`: a playback clock, which selects the frame to show by the clip's time stamps."""

from __future__ import annotations

import numpy as np

from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.source.clip import Clip


class Playhead:
    """One viewer's position in a clip, which can be paused, stepped and moved. It starts playing at the first frame.

    ``now`` is the time in seconds of a monotonic clock that the caller reads.
    """

    def __init__(self, clip: Clip) -> None:
        self._rate = float(clip.frame_rate)
        self._place: float | int = 0
        """Seconds from the first frame if a float, a frame number if an int."""
        self._since = 0.0
        self._started = False
        self._last_frame = 0
        self.playing = True
        self.loops = True
        """Whether playback restarts after the last frame; otherwise it pauses there."""
        self._speed = 1.0
        self._at_end = False
        """Whether playback has paused after the last frame."""

    def frame(self, now: float, track: SaliencyTrack, *, finished: bool) -> int:
        """The number of the frame to show at ``now``.

        After the last frame of a ``finished`` track playback restarts, or pauses without `loops`; otherwise the last frame stays.
        """
        last = track.frame_count - 1
        if not self._started:
            self._started, self._since = True, now
        if isinstance(self._place, int):
            # The position is a frame number until here, because its time is known only from the track.
            self._last_frame = min(max(0, self._place), last)
            self._place, self._since = self._seconds(self._last_frame, track), now
            return self._last_frame
        place = self._place + ((now - self._since) * self._speed if self.playing else 0.0)
        # An epsilon, so that a frame's own time stamp selects that frame.
        number = self._number(place + 1e-6, track)
        if place >= self._seconds(last, track) + 1 / self._rate:
            number = 0 if finished and self.playing and self.loops else last
            if finished and self.playing and not self.loops:
                self.playing, self._at_end = False, True
            self._place, self._since = self._seconds(number, track), now
        self._last_frame = min(number, last)
        return self._last_frame

    def next_due(self, track: SaliencyTrack) -> float:
        """The time, on the clock of ``now``, at which the frame after the last result of `frame` is due."""
        if isinstance(self._place, int):
            return self._since
        following = self._last_frame + 1
        last = track.frame_count - 1
        due = self._seconds(following, track) if following <= last else self._seconds(last, track) + 1 / self._rate
        return self._since + (due - self._place) / self._speed

    def toggle(self, now: float) -> None:
        """Pause, or resume playback."""
        self._hold(now)
        if self._at_end:
            self.seek(now, 0)
        self.playing = not self.playing

    def step(self, now: float, frames: int) -> None:
        """Move by ``frames`` frames and pause."""
        start = self._place if isinstance(self._place, int) else self._last_frame
        self.seek(now, max(0, start) + frames)
        self.playing = False

    def seek(self, now: float, number: int) -> None:
        """Move to frame ``number``."""
        self._place, self._since, self._at_end = number, now, False

    def set_speed(self, now: float, speed: float) -> None:
        """Play at ``speed`` times the clip's own."""
        self._hold(now)
        self._speed = speed

    def skip(self, now: float, seconds: float) -> None:
        """Move by ``seconds``, backwards if negative."""
        self._hold(now)
        if isinstance(self._place, float):
            self._place = max(0.0, self._place + seconds)

    def _hold(self, now: float) -> None:
        if isinstance(self._place, float) and self.playing:
            self._place += (now - self._since) * self._speed
        self._since = now

    def _seconds(self, number: int, track: SaliencyTrack) -> float:
        pts = track.frame_pts
        return number / self._rate if pts is None else float((int(pts[number]) - int(pts[0])) * track.time_base)

    def _number(self, seconds: float, track: SaliencyTrack) -> int:
        pts = track.frame_pts
        if pts is None:
            return int(seconds * self._rate)
        return int(np.searchsorted(pts, int(pts[0]) + seconds / float(track.time_base), side="right")) - 1
