"""What viewers look at: a clip, in which each has a place, or a live source, of which there is only now."""

from __future__ import annotations

import threading
import time
from functools import partial

from gpu_saliency.preview.live.feed import LiveFeed, Newest
from gpu_saliency.preview.playhead import Playhead
from gpu_saliency.preview.session import View
from gpu_saliency.preview.web.pictures import FrameStore, JpegEncoder
from gpu_saliency.preview.web.viewer import Due
from gpu_saliency.preview.web.wire import Command
from gpu_saliency.source.clip import Clip

_LOOK_SECONDS = 0.01
"""How often a viewer of a live source looks whether there is a new frame."""


class ClipScreen:
    """A clip, played at its own pace over and over, as far as it is analysed."""

    def __init__(self, clip: Clip, store: FrameStore) -> None:
        self._head, self._store = Playhead(clip), store

    @property
    def playing(self) -> bool:
        return self._head.playing

    def obey(self, command: Command) -> None:
        now = time.monotonic()
        if command.kind == "toggle":
            self._head.toggle(now)
        elif command.kind == "step":
            self._head.step(now, command.number)
        else:
            self._head.seek(now, command.number)

    def due(self, view: View) -> Due:
        if view.track is None:
            return Due(0, partial(self._store.jpeg, 0, None))
        number = self._head.frame(time.monotonic(), view.track, finished=view.finished or view.error is not None)
        return Due(number, partial(self._store.jpeg, number, view.track.frame_pts))

    def due_in(self, view: View) -> float:
        return float("inf") if view.track is None else self._head.next_due(view.track) - time.monotonic()


class NewestPictures:
    """The newest frame as JPEG, made once for all who look."""

    def __init__(self, clip: Clip) -> None:
        self._encode = JpegEncoder(clip)
        self.size = self._encode.size
        """Width and height in pixels."""
        self._lock = threading.Lock()
        self._last: tuple[int, bytes] | None = None

    def jpeg(self, newest: Newest) -> bytes:
        with self._lock:
            if self._last is None or self._last[0] != newest.number:
                self._last = (newest.number, self._encode(newest.frame))
            return self._last[1]


class LiveScreen:
    """A live source; paused, the frame that was there then. It has no other places."""

    def __init__(self, feed: LiveFeed, pictures: NewestPictures) -> None:
        self._feed, self._pictures = feed, pictures
        self._held: Newest | None = None

    @property
    def playing(self) -> bool:
        return self._held is None

    def obey(self, command: Command) -> None:
        if command.kind == "toggle":
            self._held = self._feed.newest() if self._held is None else None

    def due(self, _: View) -> Due:
        newest = self._held or self._feed.newest()
        age = time.monotonic() - newest.came
        return Due(newest.number, partial(self._pictures.jpeg, newest), {"age_ms": round(age * 1000)})

    def due_in(self, _: View) -> float:
        return _LOOK_SECONDS
