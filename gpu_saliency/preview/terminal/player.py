"""What is played in a terminal: a clip, or a live source."""

from __future__ import annotations

import time
from typing import Protocol

import av

from gpu_saliency.preview.live.feed import LiveFeed, Newest
from gpu_saliency.preview.playhead import Playhead
from gpu_saliency.preview.session import View
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.seek import FrameReader


class Player(Protocol):
    """Gives the frame that is due, and does what keys say."""

    @property
    def playing(self) -> bool: ...

    @property
    def keys(self) -> str:
        """What they do, for people."""
        ...

    def frame(self, view: View) -> tuple[int, av.VideoFrame]:
        """The number of the frame that is due, and the frame; ``view`` has a track."""
        ...

    def obey(self, key: str) -> None: ...

    def close(self) -> None: ...


class ClipPlayer:
    """A clip, over and over, as far as it is analysed."""

    keys = "space pause   left, right one frame   up, down one second   q end"

    def __init__(self, clip: Clip) -> None:
        self._reader, self._head = FrameReader(clip), Playhead(clip)

    @property
    def playing(self) -> bool:
        return self._head.playing

    def frame(self, view: View) -> tuple[int, av.VideoFrame]:
        assert view.track is not None
        number = self._head.frame(time.monotonic(), view.track, finished=view.finished or view.error is not None)
        return number, self._reader.read(number, view.track.frame_pts)

    def obey(self, key: str) -> None:
        now = time.monotonic()
        if key == " ":
            self._head.toggle(now)
        elif key in ("left", "right"):
            self._head.step(now, -1 if key == "left" else 1)
        elif key in ("up", "down"):
            self._head.skip(now, -1.0 if key == "down" else 1.0)

    def close(self) -> None:
        self._reader.close()


class LivePlayer:
    """A live source: what came last."""

    keys = "space pause   q end"

    def __init__(self, feed: LiveFeed) -> None:
        self._feed = feed
        self._held: Newest | None = None

    @property
    def playing(self) -> bool:
        return self._held is None

    def frame(self, _: View) -> tuple[int, av.VideoFrame]:
        newest = self._held or self._feed.newest()
        return newest.number, newest.frame

    def obey(self, key: str) -> None:
        if key == " ":
            self._held = self._feed.newest() if self._held is None else None

    def close(self) -> None:
        pass
