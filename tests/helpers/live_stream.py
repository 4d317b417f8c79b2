"""Senders of live video, and waiting for the status of a live source. Shared by the tests."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from clips import FFMPEG, ffmpeg, make_clip
from preview_server import Viewer

RATE = 24


def make_stream(folder: Path, seconds: float) -> Path:
    """A 320x180 clip as MPEG-TS, with a key frame every half second."""
    clip = make_clip(folder / "clip.mkv", size="320x180", rate=RATE, seconds=seconds)
    ffmpeg("-i", clip, "-c:v", "libx264", "-preset", "ultrafast", "-g", RATE // 2, "-bf", 0, folder / "stream.ts")
    return folder / "stream.ts"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextlib.contextmanager
def sending(stream: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run an ffmpeg that sends the stream in a loop, in real time."""
    command = [FFMPEG, "-v", "error", "-re", "-stream_loop", "-1", "-i", str(stream), "-c", "copy", "-f", "mpegts", url]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def udp_url() -> tuple[str, str]:
    """The URL of a free UDP port for the receiver, and for the sender."""
    url = f"udp://127.0.0.1:{free_port()}"
    return url, url + "?pkt_size=1316"


def until_status(viewer: Viewer, words: str) -> str:
    """Read messages until the status of the source contains ``words``; returns the status."""
    while words not in (status := str(viewer.last.get("timeline", {}).get("live"))):
        viewer.receive()
    return status
