"""Reads a URL through an ffmpeg process, for protocols that PyAV's FFmpeg lacks; the video is remuxed, not transcoded."""

from __future__ import annotations

import select
import subprocess
import tempfile
import threading
import time

from gpu_saliency.encode.ffmpeg import ask_program, candidates
from gpu_saliency.errors import SourceError, ToolMissingError
from gpu_saliency.process import children
from gpu_saliency.source.formats import url_options
from gpu_saliency.texts import hide_secrets, hide_url

RELAYED = frozenset({"srt"})
OPEN_SECONDS, READ_SECONDS = 10.0, 3.0
"""Timeouts of a URL: for its first data, and between data."""
_POLL_SECONDS = 0.05


class Relay:
    """A `ByteSource` that runs an ffmpeg to read ``source``, and delivers it as MPEG-TS.

    It ends with the source, after a timeout, or when ``closing`` is set. Raises `SourceError` if no ffmpeg has the protocol.
    """

    def __init__(self, source: str, closing: threading.Event) -> None:
        scheme = source.partition("://")[0].lower()
        command = [ffmpeg_with(scheme), "-hide_banner", "-nostdin", "-loglevel", "error", "-fflags", "nobuffer"]
        command += ["-analyzeduration", "1000000", "-probesize", "1000000", *_guards(scheme), "-i", source]
        command += ["-map", "0:V:0", "-c", "copy", "-flush_packets", "1", "-f", "mpegts", "pipe:1"]
        self._closing, self._source = closing, source
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed in `close`
        self._process = children.start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, bufsize=0)
        self._read = 0

    def read(self, size: int) -> bytes:
        """Read at most ``size`` bytes; empty at the end or after a timeout."""
        pipe = self._process.stdout
        assert pipe is not None
        deadline = time.monotonic() + (READ_SECONDS if self._read else OPEN_SECONDS)
        while not self._closing.is_set() and time.monotonic() < deadline:
            if select.select([pipe], [], [], _POLL_SECONDS)[0]:
                data: bytes = pipe.read(size) or b""
                self._read += len(data)
                if data or self._read:
                    return data
                break
        return b""

    def failure(self) -> str | None:
        """ffmpeg's last line of output, or the timeout, if no bytes were read; ``None`` if some were."""
        if self._read:
            return None
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        # ffmpeg's output may contain the URL with user name, password and keys, which are removed here.
        reasons = [hide_secrets(line.replace(self._source, hide_url(self._source))) for line in lines]
        return reasons[-1] if reasons else f"no data within {OPEN_SECONDS:g} s"

    def progress(self) -> tuple[int, int]:
        return 0, 0

    def shown(self) -> None:
        pass  # it has its own time-outs

    def close(self) -> None:
        children.end(self._process, patience=0)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


def _guards(scheme: str) -> list[str]:
    return [word for name, value in url_options(scheme).items() for word in (f"-{name}", value)]


def ffmpeg_with(protocol: str) -> str:
    """Find an ffmpeg that can read ``protocol``; returns its path. Raises `SourceError`."""
    for _, path in candidates():
        try:
            answer = ask_program(path, "-hide_banner", "-protocols")
        except ToolMissingError:
            continue
        if protocol in answer.partition("Output:")[0].split():
            return path
    raise SourceError(
        f"{protocol}: no installed ffmpeg supports this protocol", cure="install an ffmpeg that supports it, or give another URL"
    )
