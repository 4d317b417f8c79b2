"""Opens live sources for libavformat, directly or through a `ByteSource`."""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, cast

import av
import av.container

from gpu_saliency.errors import SourceError, setting
from gpu_saliency.preview.live.byte_source import ByteSource, GrowingFile, Pipe
from gpu_saliency.preview.live.relay import OPEN_SECONDS, READ_SECONDS, RELAYED, Relay
from gpu_saliency.preview.live.source import name_of, scheme_of
from gpu_saliency.source.clip import libav_reason
from gpu_saliency.source.formats import HEAD_BYTES, refused_file, refused_head, stream_options, url_options

# libavformat probes one second of a stream instead of its default of five, so that the first frame is shown sooner.
_OPTIONS = {"analyzeduration": "1000000", "probesize": "1000000"}
_SCHEME_OPTIONS = {
    "rtsp": {"rtsp_transport": "tcp"},
    # On overrun libavformat drops packets instead of ending the stream with an error.
    "udp": {"fifo_size": "100000", "overrun_nonfatal": "1"},
}


class _Recorded:
    """Passes on the reads of a `ByteSource` and keeps its first bytes, to name a format that is refused."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.head = b""

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        return data


def open_byte_source(source: str, closing: threading.Event) -> ByteSource | None:
    """Open ``source`` for reading in Python; ``None`` for a URL that libavformat opens itself. Raises `SourceError`."""
    if scheme_of(source) in RELAYED:
        return Relay(source, closing)
    if scheme_of(source):
        return None
    return Pipe(sys.stdin.fileno(), closing) if source == "-" else GrowingFile(Path(source), closing)


def open_container(
    source: str, bytes_in: ByteSource | None, *, allow_playlists: bool = False
) -> AbstractContextManager[av.container.InputContainer]:
    """Open ``bytes_in``, or the URL ``source`` if that is ``None``.

    Playlists are refused unless ``allow_playlists``. Raises the errors of PyAV and of the operating system, or `SourceError` with
    the reason of ``ByteSource.failure``.
    """
    if bytes_in is None:
        scheme = scheme_of(source)
        options = _OPTIONS | url_options(scheme, allow_playlists=allow_playlists) | _SCHEME_OPTIONS.get(scheme, {})
        try:
            return av.open(source, "r", options=options, timeout=(OPEN_SECONDS, READ_SECONDS))
        except av.ArgumentError as error:
            if allow_playlists:
                raise
            cure = f"if it is a playlist that you trust, give {setting('allow_playlists', True)}"
            raise SourceError(f"{name_of(source)}: is not a video stream: {libav_reason(error)}", cure=cure) from error
    if not allow_playlists and not scheme_of(source) and source != "-":
        refused = refused_file(Path(source))
        if refused is not None:  # libavformat would wait for more of a small file before it decides
            raise refused
    recorded = _Recorded(bytes_in)
    try:
        # PyAV's stubs require more methods than PyAV uses.
        options = _OPTIONS | stream_options(allow_playlists=allow_playlists)
        return av.open(cast(IO[bytes], recorded), "r", options=options)
    except (av.FFmpegError, OSError) as error:
        reason = bytes_in.failure()
        if reason is None:
            refused = None if allow_playlists else refused_head(name_of(source), recorded.head)
            if refused is not None:
                raise refused from error
            raise
        raise SourceError(f"{name_of(source)}: {reason}", cure="check that the source is sending video") from None
