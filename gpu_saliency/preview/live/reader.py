"""Reads a live source in a thread and keeps only the latest frame; slow consumers skip frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import av

from gpu_saliency.errors import SourceError, setting
from gpu_saliency.preview.live.opening import open_byte_source, open_container
from gpu_saliency.preview.live.pace import Pacer
from gpu_saliency.preview.live.source import check_source, clip_of, name_of, reconnects, video_of
from gpu_saliency.source.clip import Clip, libav_reason

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 5.0
"""Seconds before the first attempt to reconnect, doubled after each attempt, and their maximum."""
_SILENT_SECONDS = 2.0
"""Time without a frame after which `LiveReader.status` reports it."""
_NO_PROTOCOL = "Protocol not found"


@dataclass(frozen=True, slots=True)
class LatestFrame:
    """The latest frame of a live source. Produced by `LiveReader`."""

    number: int
    """Number of the frame, counted from 0 over all frames of the source, skipped ones included."""
    frame: av.VideoFrame
    came: float
    """Time of arrival on the reader's clock."""


class LiveReader:
    """Reads a live source in a thread; reconnects to URLs that end or stop sending.

    A context manager: its start waits for the first frame, and raises `SourceError` or `SourceMissingError` if the source cannot be
    read.
    """

    def __init__(
        self,
        source: str,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
        *,
        allow_playlists: bool = False,
    ) -> None:
        """``allow_playlists`` accepts playlists, and reads what they name.

        ``now`` and ``wait`` replace the clock that paces the frames of files and pipes."""
        self.source, self.name = source, name_of(source)
        self.clip: Clip
        self._allow_playlists = allow_playlists
        self._closing = threading.Event()
        self._now, self._wait = now, wait or self._closing.wait
        self._arrival = threading.Condition()
        self._latest: LatestFrame | None = None
        self._count = 0
        self._status = "connecting"
        self._failure: SourceError | None = None
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def __enter__(self) -> LiveReader:
        check_source(self.source)
        self._thread.start()
        with self._arrival:
            self._arrival.wait_for(lambda: self._latest is not None or self._failure is not None)
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        # libavformat may block on a silent URL until its own timeout; the thread is a daemon, so it does not delay the exit.
        self._thread.join(timeout=1)

    def latest(self) -> LatestFrame:
        assert self._latest is not None, "the reader is open"
        return self._latest

    def wait_for(self, after: int, seconds: float) -> LatestFrame | None:
        """Wait up to ``seconds`` for a frame other than number ``after``; returns it, or ``None`` after a timeout."""
        with self._arrival:
            self._arrival.wait_for(lambda: self.latest().number != after, seconds)
            return self._latest if self.latest().number != after else None

    def status(self) -> str:
        """The state of the source as text for the user: ``live``, ``lost (...)``, ``ended: ...``."""
        silent = self._now() - self.latest().came
        if self._status == "live" and silent > _SILENT_SECONDS:
            return f"live, but no frame for {silent:.0f} s"
        return self._status

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while not self._closing.is_set():
            before = self._count
            cure = None
            try:
                self._read()
                reason = "end of stream"
            except SourceError as error:
                message, cure = error.worded(setting)
                reason = message.removeprefix(f"{self.name}: ")
            except (av.FFmpegError, OSError) as error:
                reason = "no data" if isinstance(error, av.error.ExitError) else libav_reason(error)
            except Exception as error:  # without a reason the preview would wait for a first frame without end
                reason = f"internal error: {type(error).__name__}: {error}"
            if self._latest is None:
                self._fail(reason, cure)
                return
            if not reconnects(self.source):
                self._status = f"ended: {reason}"
                return
            wait = _FIRST_WAIT if self._count > before else min(2 * wait, _LONGEST_WAIT)
            self._status = f"lost ({reason}); trying again every {wait:g} s"
            self._closing.wait(wait)

    def _fail(self, reason: str, cure: str | None) -> None:
        cure = cure or "check that the source is sending video"
        if reason == _NO_PROTOCOL:
            cure = f"use another ffmpeg: ffmpeg -i {self.name} -c copy -f mpegts - | gpu-saliency preview - ..."
        with self._arrival:
            self._failure = SourceError(f"{self.name}: cannot be opened: {reason}", cure=cure)
            self._arrival.notify_all()

    def _read(self) -> None:
        """Open the source and decode it until it ends or the reader is closed. Raises errors of PyAV and `SourceError`."""
        with ExitStack() as stack:
            bytes_in = open_byte_source(self.source, self._closing)
            if bytes_in is not None:
                stack.callback(bytes_in.close)
            container = stack.enter_context(open_container(self.source, bytes_in, allow_playlists=self._allow_playlists))
            video = video_of(self.source, container)
            pacer = Pacer(self._now)
            for packet in container.demux(video):
                try:
                    frames = packet.decode()
                except av.FFmpegError:  # skip a damaged packet, as players do
                    continue
                for frame in frames:
                    if self._latest is None:
                        self.clip = clip_of(self.source, video, frame)
                        if bytes_in is not None:
                            bytes_in.shown()
                    elif (frame.width, frame.height) != (self.clip.width, self.clip.height):
                        raise SourceError(f"{self.name}: the size has changed to {frame.width}x{frame.height}; restart the preview")
                    if bytes_in is not None and frame.time is not None:
                        self._wait(pacer.due_in(frame.time, *bytes_in.progress()))
                    self._put(frame)
                    if self._closing.is_set():
                        return
            reason = None if bytes_in is None or self._latest is not None else bytes_in.failure()
            if reason is not None:
                raise SourceError(f"{self.name}: {reason}", cure="check that the source is sending video")

    def _put(self, frame: av.VideoFrame) -> None:
        with self._arrival:
            self._latest = LatestFrame(self._count, frame, self._now())
            self._count += 1
            self._status = "live"
            self._arrival.notify_all()
