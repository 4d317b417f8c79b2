"""Opening a live source: what libavformat is told, and files that it reads through us."""

from __future__ import annotations

import os
import re
import select
import sys
import threading
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import IO, Protocol, cast

import av
import av.container
import av.video.stream

from gpu_saliency.errors import SourceError, SourceMissingError
from gpu_saliency.preview.live.relay import OPEN_SECONDS, READ_SECONDS, RELAYED, Relay
from gpu_saliency.source.clip import MAX_SIDE, Clip, ColorTags

_POLL_SECONDS = 0.05
# A live stream is shown once it is known, not once five seconds of it have been looked at.
_OPTIONS = {"analyzeduration": "1000000", "probesize": "1000000"}
_SCHEME_OPTIONS = {
    "rtsp": {"rtsp_transport": "tcp"},
    # What does not fit is lost rather than the end of it.
    "udp": {"fifo_size": "100000", "overrun_nonfatal": "1"},
}
_RECONNECTS = frozenset({"rtsp", "rtsps", "rtmp", "srt", "udp", "rtp", "tcp", "http", "https"})
DEFAULT_FRAME_RATE = Fraction(25)
"""Where a stream states none; only the pace of a pipe depends on it, and its stamps go before."""


def is_live(source: str) -> bool:
    """Whether ``source`` is stdin or a URL: live without being called so."""
    return source == "-" or "://" in source


def scheme_of(source: str) -> str:
    """``rtsp`` of ``rtsp://host/path``; empty for a file and for stdin."""
    return source.partition("://")[0].lower() if "://" in source else ""


def name_of(source: str) -> str:
    """``source`` as it is shown: without a password, which a page or a log may not have."""
    return "stdin" if source == "-" else re.sub(r"(?<=://)[^/@]*@", "", source)


def check_source(source: str) -> None:
    """Raise `SourceError` or `SourceMissingError` for what cannot be opened at all."""
    scheme = scheme_of(source)
    if scheme and scheme not in _RECONNECTS:
        raise SourceError(f"{name_of(source)}: {scheme} is no live source", cure="one of " + ", ".join(sorted(_RECONNECTS)))
    if not scheme and source != "-":
        path = Path(source)
        if not path.exists():
            raise SourceMissingError(f"{source}: no such file")
        if not path.is_file():
            raise SourceError(f"{source}: is not a regular file", cure="give the path of a file that is being written")
    if source == "-" and sys.stdin.isatty():
        raise SourceError(
            "-: stdin is a terminal", cure="pipe a video into it, such as ffmpeg -i ... -f mpegts - | gpu-saliency ..."
        )


def reconnects(source: str) -> bool:
    """Whether it makes sense to open ``source`` again after it has ended."""
    return bool(scheme_of(source))


class Tail(Protocol):
    """A file that libavformat reads through us."""

    def read(self, size: int) -> bytes: ...

    def progress(self) -> tuple[int, int]:
        """Bytes that were read, and bytes that are there but were not."""
        ...

    def close(self) -> None: ...


class GrowingFile:
    """Waits for more where a file ends, until ``closing`` is set."""

    def __init__(self, path: Path, closing: threading.Event) -> None:
        self._file = path.open("rb", buffering=0)
        self._closing = closing

    def read(self, size: int) -> bytes:
        while not self._closing.is_set():
            data = self._file.read(size)
            if data:
                return data
            self._closing.wait(_POLL_SECONDS)
        return b""

    def progress(self) -> tuple[int, int]:
        read = self._file.tell()
        return read, os.fstat(self._file.fileno()).st_size - read

    def close(self) -> None:
        self._file.close()


class Pipe:
    """Stdin, or another descriptor, until its end or until ``closing`` is set."""

    def __init__(self, descriptor: int, closing: threading.Event) -> None:
        self._descriptor, self._closing = descriptor, closing

    def read(self, size: int) -> bytes:
        while not self._closing.is_set():
            if select.select([self._descriptor], [], [], _POLL_SECONDS)[0]:
                return os.read(self._descriptor, size)
        return b""

    def progress(self) -> tuple[int, int]:
        return 0, 0

    def close(self) -> None:
        pass


def open_tail(source: str, closing: threading.Event) -> Tail | None:
    """The file behind ``source``; ``None`` for a URL that libavformat opens itself. Raises `SourceError`."""
    if scheme_of(source) in RELAYED:
        return Relay(source, name_of(source), closing)
    if scheme_of(source):
        return None
    return Pipe(sys.stdin.fileno(), closing) if source == "-" else GrowingFile(Path(source), closing)


def open_container(source: str, tail: Tail | None) -> AbstractContextManager[av.container.InputContainer]:
    """Raises PyAV's errors, those of the operating system, and `SourceError` where a relay brought nothing."""
    if tail is not None:
        try:
            # PyAV's stubs want more of a file than PyAV does.
            return av.open(cast(IO[bytes], tail), "r", options=_OPTIONS)
        except (av.FFmpegError, OSError):
            reason = tail.failure() if isinstance(tail, Relay) else None
            if reason is None:
                raise
            raise SourceError(f"{name_of(source)}: {reason}") from None
    options = _OPTIONS | _SCHEME_OPTIONS.get(scheme_of(source), {})
    return av.open(source, "r", options=options, timeout=(OPEN_SECONDS, READ_SECONDS))


def video_of(source: str, container: av.container.InputContainer) -> av.video.stream.VideoStream:
    """Its video, decoded without the delay of a frame for each thread. Raises `SourceError`."""
    if not container.streams.video:
        raise SourceError(f"{name_of(source)}: has no video stream")
    video = container.streams.video[0]
    video.thread_type = "SLICE"
    return video


def clip_of(source: str, video: av.video.stream.VideoStream, frame: av.VideoFrame) -> Clip:
    """What is known of a live source, from its first frame. Raises `SourceError`."""
    if not (1 <= frame.width <= MAX_SIDE and 1 <= frame.height <= MAX_SIDE):
        raise SourceError(f"{name_of(source)}: states no usable size")
    return Clip(
        path=Path(name_of(source)),
        width=frame.width,
        height=frame.height,
        pix_fmt=frame.format.name,
        frame_rate=video.average_rate or video.guessed_rate or DEFAULT_FRAME_RATE,
        frame_count=None,
        codec=video.codec_context.codec.canonical_name,
        color=ColorTags.of(video.codec_context),
        sample_aspect_ratio=video.sample_aspect_ratio or Fraction(1),
        rotation=round(frame.rotation / 90) * 90 % 360,
    )
