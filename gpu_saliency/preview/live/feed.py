"""Reads a live source in a thread. There is only ever one frame: the newest. Whoever comes too late for one never sees it."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass

import av

from gpu_saliency.errors import SourceError
from gpu_saliency.preview.live.sources import check_source, clip_of, name_of, open_container, open_tail, reconnects, video_of
from gpu_saliency.source.clip import Clip

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 5.0
"""Seconds until a lost source is tried again, doubled each time."""
_LATE_SECONDS = 0.5
"""A file or a pipe that is so late is not waited for: its clock starts again."""
_BEHIND_SECONDS = 4.0
"""Of a growing file as much may lie unread; beyond that it is read as fast as it can be."""
_SILENT_SECONDS = 2.0
_NO_PROTOCOL = "Protocol not found"


@dataclass(frozen=True, slots=True)
class Newest:
    """The frame that came last."""

    number: int
    """Counts all frames that came, those that nobody saw included."""
    frame: av.VideoFrame
    came: float
    """``time.monotonic()``."""


class LiveFeed:
    """Use it as a context manager: it is open when the block begins. Raises `SourceError` or `SourceMissingError` then."""

    def __init__(self, source: str) -> None:
        self.source, self.name = source, name_of(source)
        self.clip: Clip
        self._closing = threading.Event()
        self._came = threading.Condition()
        self._newest: Newest | None = None
        self._count = 0
        self._words = "connecting"
        self._failure: SourceError | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def __enter__(self) -> LiveFeed:
        check_source(self.source)
        self._thread.start()
        with self._came:
            self._came.wait_for(lambda: self._newest is not None or self._failure is not None)
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        # A URL that says nothing is let go after its own patience; the thread is a daemon and holds nobody up.
        self._thread.join(timeout=1)

    def newest(self) -> Newest:
        assert self._newest is not None, "it is open"
        return self._newest

    def wait_for(self, after: int, seconds: float) -> Newest | None:
        """The newest frame once it is another than number ``after``; ``None`` when none came for so long."""
        with self._came:
            self._came.wait_for(lambda: self.newest().number != after, seconds)
            return self._newest if self.newest().number != after else None

    def words(self) -> str:
        """How the source does, for people."""
        silent = time.monotonic() - self.newest().came
        if self._words == "live" and silent > _SILENT_SECONDS:
            return f"live, but no frame has come for {silent:.0f} s"
        return self._words

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while not self._closing.is_set():
            before = self._count
            try:
                self._read()
                reason = "it has ended"
            except SourceError as error:
                reason = error.message.removeprefix(f"{self.name}: ")
            except (av.FFmpegError, OSError) as error:
                text = str(getattr(error, "strerror", None) or error)
                reason = "it says nothing" if isinstance(error, av.error.ExitError) else text
            if self._newest is None:
                self._fail(reason)
                return
            if not reconnects(self.source):
                self._words = f"ended: {reason}"
                return
            wait = _FIRST_WAIT if self._count > before else min(2 * wait, _LONGEST_WAIT)
            self._words = f"lost ({reason}); trying again every {wait:g} s"
            self._closing.wait(wait)

    def _fail(self, reason: str) -> None:
        cure = "is it being sent, and as video?"
        if reason == _NO_PROTOCOL:
            cure = (
                f"PyAV lacks it; let another ffmpeg read it: ffmpeg -i {self.name} -c copy -f mpegts - | gpu-saliency preview - ..."
            )
        with self._came:
            self._failure = SourceError(f"{self.name}: cannot be opened: {reason}", cure=cure)
            self._came.notify_all()

    def _read(self) -> None:
        with ExitStack() as opened:
            tail = open_tail(self.source, self._closing)
            if tail is not None:
                opened.callback(tail.close)
            container = opened.enter_context(open_container(self.source, tail))
            video = video_of(self.source, container)
            pace = _Pace()
            for packet in container.demux(video):
                try:
                    frames = packet.decode()
                except av.FFmpegError:  # as players do
                    continue
                for frame in frames:
                    if self._newest is None:
                        self.clip = clip_of(self.source, video, frame)
                    elif (frame.width, frame.height) != (self.clip.width, self.clip.height):
                        raise SourceError(f"{self.name}: its size has changed to {frame.width}x{frame.height}; start anew")
                    if tail is not None and frame.time is not None:
                        self._closing.wait(pace.due_in(frame.time, *tail.progress()))
                    self._put(frame)
                    if self._closing.is_set():
                        return

    def _put(self, frame: av.VideoFrame) -> None:
        with self._came:
            self._newest = Newest(self._count, frame, time.monotonic())
            self._count += 1
            self._words = "live"
            self._came.notify_all()


class _Pace:
    """The clock of a file or a pipe, which would give its frames faster than they are to be seen."""

    def __init__(self) -> None:
        self._started: tuple[float, float] | None = None
        self._first_time = 0.0

    def due_in(self, seconds: float, read: int, unread: int) -> float:
        """How long to wait before the frame of time ``seconds`` is shown; ``read`` bytes were, ``unread`` more are there."""
        now = time.monotonic()
        if self._started is None:
            self._started, self._first_time = (now, seconds), seconds
        due = self._started[0] + seconds - self._started[1] - now
        passed = seconds - self._first_time
        is_behind = passed > 0 and unread * passed > _BEHIND_SECONDS * read
        if is_behind or due < -_LATE_SECONDS or due > _BEHIND_SECONDS:
            self._started = (now, seconds)
            return 0.0
        return max(0.0, due)
