"""Which frame is due: a clock that runs with the clip's own times, and can be stopped, moved and stepped."""

from __future__ import annotations

import numpy as np

from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.source.clip import Clip


class Playhead:
    """One viewer's place in a clip. Begins at its first frame, playing. Times are in seconds of a clock that never steps back."""

    def __init__(self, clip: Clip) -> None:
        self._rate = float(clip.frame_rate)
        self._place: float | int = 0
        """Seconds from the first frame where a float, a frame's number where an int."""
        self._since = 0.0
        self._started = False
        self._last_frame = 0
        self.playing = True

    def frame(self, now: float, track: SaliencyTrack, *, finished: bool) -> int:
        """The frame that is due. After the last one it is the first again, or the last for as long as there may be more."""
        last = track.frame_count - 1
        if not self._started:
            self._started, self._since = True, now
        if isinstance(self._place, int):
            # Only here are the times of frames known.
            self._last_frame = min(max(0, self._place), last)
            self._place, self._since = self._seconds(self._last_frame, track), now
            return self._last_frame
        place = self._place + (now - self._since if self.playing else 0.0)
        # A hair more, so that the time of a frame finds that frame.
        number = self._number(place + 1e-6, track)
        if place >= self._seconds(last, track) + 1 / self._rate:
            number = 0 if finished and self.playing else last
            self._place, self._since = self._seconds(number, track), now
        self._last_frame = min(number, last)
        return self._last_frame

    def next_due(self, track: SaliencyTrack) -> float:
        """When the frame after the one that `frame` gave last is due."""
        if isinstance(self._place, int):
            return self._since
        following = self._last_frame + 1
        last = track.frame_count - 1
        due = self._seconds(following, track) if following <= last else self._seconds(last, track) + 1 / self._rate
        return self._since + due - self._place

    def toggle(self, now: float) -> None:
        """Play, or pause."""
        self._hold(now)
        self.playing = not self.playing

    def step(self, now: float, frames: int) -> None:
        """Move by so many frames, and pause."""
        asked = self._place if isinstance(self._place, int) else self._last_frame
        self.seek(now, max(0, asked) + frames)
        self.playing = False

    def seek(self, now: float, number: int) -> None:
        self._place, self._since = number, now

    def skip(self, now: float, seconds: float) -> None:
        """Move by so many seconds."""
        self._hold(now)
        if isinstance(self._place, float):
            self._place = max(0.0, self._place + seconds)

    def _hold(self, now: float) -> None:
        if isinstance(self._place, float) and self.playing:
            self._place += now - self._since
        self._since = now

    def _seconds(self, number: int, track: SaliencyTrack) -> float:
        pts = track.frame_pts
        return number / self._rate if pts is None else float((int(pts[number]) - int(pts[0])) * track.time_base)

    def _number(self, seconds: float, track: SaliencyTrack) -> int:
        pts = track.frame_pts
        if pts is None:
            return int(seconds * self._rate)
        return int(np.searchsorted(pts, int(pts[0]) + seconds / float(track.time_base), side="right")) - 1
