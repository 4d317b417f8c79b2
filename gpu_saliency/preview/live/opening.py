"""Opens live sources for libavformat, directly or through a `ByteSource`."""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, cast

import av
import av.container

from gpu_saliency.errors import SourceError
from gpu_saliency.preview.live.byte_source import ByteSource, GrowingFile, Pipe
from gpu_saliency.preview.live.relay import OPEN_SECONDS, READ_SECONDS, RELAYED, Relay
from gpu_saliency.preview.live.source import name_of, scheme_of
from gpu_saliency.source.clip import METADATA_ERRORS

# libavformat probes one second of a stream instead of its default of five, so that the first frame is shown sooner.
_OPTIONS = {"analyzeduration": "1000000", "probesize": "1000000"}
_SCHEME_OPTIONS = {
    "rtsp": {"rtsp_transport": "tcp"},
    # On overrun libavformat drops packets instead of ending the stream with an error.
    "udp": {"fifo_size": "100000", "overrun_nonfatal": "1"},
}


def open_byte_source(source: str, closing: threading.Event) -> ByteSource | None:
    """Open ``source`` for reading in Python; ``None`` for a URL that libavformat opens itself. Raises `SourceError`."""
    if scheme_of(source) in RELAYED:
        return Relay(source, closing)
    if scheme_of(source):
        return None
    return Pipe(sys.stdin.fileno(), closing) if source == "-" else GrowingFile(Path(source), closing)


def open_container(source: str, bytes_in: ByteSource | None) -> AbstractContextManager[av.container.InputContainer]:
    """Open ``bytes_in``, or the URL ``source`` if that is ``None``.

    Raises the errors of PyAV and of the operating system, or `SourceError` with the reason of ``ByteSource.failure``.
    """
    if bytes_in is None:
        options = _OPTIONS | _SCHEME_OPTIONS.get(scheme_of(source), {})
        return av.open(source, "r", options=options, timeout=(OPEN_SECONDS, READ_SECONDS), metadata_errors=METADATA_ERRORS)
    try:
        # PyAV's stubs require more methods than PyAV uses.
        return av.open(cast(IO[bytes], bytes_in), "r", options=_OPTIONS, metadata_errors=METADATA_ERRORS)
    except (av.FFmpegError, OSError):
        reason = bytes_in.failure()
        if reason is None:
            raise
        raise SourceError(f"{name_of(source)}: {reason}", cure="check that the source is sending video") from None
