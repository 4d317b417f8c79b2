"""`Screen`: playback for one viewer, which selects the frame of a clip or a live source to show.

The terminal and the browser share this module; they differ in the type of image (a decoded frame or a JPEG).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.preview.live.reader import LatestFrame, LiveReader
from gpu_saliency.preview.planner import View
from gpu_saliency.preview.playhead import Playhead
from gpu_saliency.source.clip import Clip

Image = TypeVar("Image")
_LIVE_POLL_SECONDS = 0.01
"""Time between two checks for a new frame of a live source."""


@dataclass(frozen=True, slots=True)
class DueFrame(Generic[Image]):
    """A frame to show now. Produced by `Screen.due`."""

    number: int
    draw: Callable[[], Image]
    """Makes the image of the frame; may wait for a decoder. Raises `SourceError`."""
    age_seconds: float | None = None
    """Time since a live source delivered the frame; ``None`` for a clip."""


class Screen(ABC, Generic[Image]):
    """One viewer's playback of a clip or a live source. It starts playing."""

    seekable: ClassVar[bool]
    """Whether `step`, `seek`, `skip`, `set_speed` and `set_loop` have an effect."""

    @property
    @abstractmethod
    def playing(self) -> bool: ...

    @abstractmethod
    def toggle(self) -> None:
        """Pause, or resume playback."""

    def step(self, frames: int) -> None:
        """Move by ``frames`` frames and pause."""

    def seek(self, number: int) -> None:
        """Move to frame ``number``."""

    def skip(self, seconds: float) -> None:
        """Move by ``seconds``, backwards if negative."""

    def set_speed(self, speed: float) -> None:
        """Play at ``speed`` times the clip's own."""

    def set_loop(self, loops: bool) -> None:
        """Whether playback restarts after the last frame."""

    @abstractmethod
    def due(self, view: View) -> DueFrame[Image]:
        """The frame to show now."""

    @abstractmethod
    def due_in(self, view: View) -> float:
        """Seconds until another frame may be due."""


class ClipScreen(Screen[Image]):
    """Plays the analysed part of a clip in real time; when the analysis is complete, in a loop."""

    seekable = True

    def __init__(self, clip: Clip, read: Callable[[int, NDArray[np.int64] | None], Image]) -> None:
        """``read`` makes the image of a frame from its number and from the time stamps known so far (`FrameReader.read`)."""
        self._head, self._read = Playhead(clip), read

    @property
    def playing(self) -> bool:
        return self._head.playing

    def toggle(self) -> None:
        self._head.toggle(time.monotonic())

    def step(self, frames: int) -> None:
        self._head.step(time.monotonic(), frames)

    def seek(self, number: int) -> None:
        self._head.seek(time.monotonic(), number)

    def skip(self, seconds: float) -> None:
        self._head.skip(time.monotonic(), seconds)

    def set_speed(self, speed: float) -> None:
        self._head.set_speed(time.monotonic(), speed)

    def set_loop(self, loops: bool) -> None:
        self._head.loops = loops

    def due(self, view: View) -> DueFrame[Image]:
        if view.track is None:
            return DueFrame(0, lambda: self._read(0, None))
        frame_pts = view.track.seek_pts
        number = self._head.frame(time.monotonic(), view.track, finished=view.finished or view.error is not None)
        return DueFrame(number, lambda: self._read(number, frame_pts))

    def due_in(self, view: View) -> float:
        return float("inf") if view.track is None else self._head.next_due(view.track) - time.monotonic()


class LiveScreen(Screen[Image]):
    """Shows the latest frame of a live source; while paused, the frame at which it was paused."""

    seekable = False

    def __init__(self, reader: LiveReader, draw: Callable[[LatestFrame], Image]) -> None:
        self._reader, self._draw = reader, draw
        self._held: LatestFrame | None = None

    @property
    def playing(self) -> bool:
        return self._held is None

    def toggle(self) -> None:
        self._held = self._reader.latest() if self._held is None else None

    def due(self, _: View) -> DueFrame[Image]:
        latest = self._held or self._reader.latest()
        return DueFrame(latest.number, lambda: self._draw(latest), time.monotonic() - latest.came)

    def due_in(self, _: View) -> float:
        return _LIVE_POLL_SECONDS
