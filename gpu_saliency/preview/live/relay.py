"""Reads a URL through another ffmpeg where PyAV's own FFmpeg lacks the protocol; the video is remuxed, not transcoded."""

from __future__ import annotations

import re
import select
import subprocess
import tempfile
import threading
import time

from gpu_saliency.encode.ffmpeg import ask_program, candidates
from gpu_saliency.errors import SourceError, ToolMissingError

RELAYED = frozenset({"srt"})
OPEN_SECONDS, READ_SECONDS = 10.0, 3.0
"""Time-outs of a URL: until its first data, and between data."""
_POLL_SECONDS = 0.05


class Relay:
    """A `ByteSource` of MPEG-TS from an ffmpeg that reads ``source``, until its end, a time-out, or until ``closing`` is set.

    Raises `SourceError` where no ffmpeg has the protocol.
    """

    def __init__(self, source: str, closing: threading.Event) -> None:
        scheme = source.partition("://")[0].lower()
        command = [ffmpeg_with(scheme), "-hide_banner", "-nostdin", "-loglevel", "error", "-fflags", "nobuffer"]
        command += ["-analyzeduration", "1000000", "-probesize", "1000000", "-i", source]
        command += ["-map", "0:V:0", "-c", "copy", "-flush_packets", "1", "-f", "mpegts", "pipe:1"]
        self._closing = closing
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed in `close`
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, start_new_session=True, bufsize=0
        )
        self._read = 0

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end and after a time-out, of which `failure` gives the reason."""
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
        """The last line that ffmpeg logged, if nothing was read; ``None`` if something was."""
        if self._read:
            return None
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        # ffmpeg may quote the URL with its user name and password.
        reasons = [re.sub(r"(?<=://)[^/@\s]*@", "", line) for line in lines]
        return reasons[-1] if reasons else f"no data within {OPEN_SECONDS:g} s"

    def progress(self) -> tuple[int, int]:
        return 0, 0

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


def ffmpeg_with(protocol: str) -> str:
    """The path of an ffmpeg that reads ``protocol``. Raises `SourceError`."""
    for _, path in candidates():
        try:
            answer = ask_program(path, "-hide_banner", "-protocols")
        except ToolMissingError:
            continue
        if protocol in answer.partition("Output:")[0].split():
            return path
    raise SourceError(f"{protocol}: no ffmpeg here reads this protocol", cure="install an ffmpeg with it, or give another URL")
