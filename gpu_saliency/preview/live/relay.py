"""A URL whose protocol PyAV's own FFmpeg lacks, read by another ffmpeg and handed on through a pipe, nothing encoded again."""

from __future__ import annotations

import re
import select
import subprocess
import tempfile
import threading
import time

from gpu_saliency.encode.ffmpeg import candidates
from gpu_saliency.errors import SourceError

RELAYED = frozenset({"srt"})
OPEN_SECONDS, READ_SECONDS = 10.0, 3.0
"""Patience with a URL: until it says what it is, and until it says more."""
_POLL_SECONDS = 0.05


class Relay:
    """Reads ``source`` until it ends, says nothing for too long, or ``closing`` is set. Raises `SourceError` at birth."""

    def __init__(self, source: str, name: str, closing: threading.Event) -> None:
        scheme = source.partition("://")[0].lower()
        command = [ffmpeg_with(scheme), "-hide_banner", "-nostdin", "-loglevel", "error", "-fflags", "nobuffer", "-i", source]
        command += ["-map", "0:V:0", "-c", "copy", "-flush_packets", "1", "-f", "mpegts", "pipe:1"]
        self._name, self._closing = name, closing
        self._words = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed with the rest
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._words, start_new_session=True, bufsize=0
        )
        self._read = 0

    def read(self, size: int) -> bytes:
        """Nothing at the end, and where nothing came for too long; `failure` says why nothing ever came."""
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
        """Why nothing came, in ffmpeg's last words; ``None`` where something did."""
        if self._read:
            return None
        self._words.seek(0)
        said = [line.strip() for line in self._words if line.strip()]
        # They may name what it was given, password and all.
        reasons = [re.sub(r"(?<=://)[^/@\s]*@", "", line) for line in said]
        return reasons[-1] if reasons else f"nothing came within {OPEN_SECONDS:g} s"

    def progress(self) -> tuple[int, int]:
        return 0, 0

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._words.close()


def ffmpeg_with(protocol: str) -> str:
    """The path of an ffmpeg that reads ``protocol``. Raises `SourceError`."""
    for _, path in candidates():
        try:
            answer = subprocess.run([path, "-hide_banner", "-protocols"], capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        inputs = answer.stdout.partition("Output:")[0].split()
        if protocol in inputs:
            return path
    raise SourceError(f"{protocol}: no ffmpeg here reads that", cure="install an ffmpeg that has it, or give another URL")
