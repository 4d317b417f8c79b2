"""Clips made by the real ffmpeg, the program run in-process, and what is read back from files. Shared by the tests."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
from schemas import check_result

from gpu_saliency.cli import main

FFMPEG: str = imageio_ffmpeg.get_ffmpeg_exe()
# testsrc2 rounds its sides down to even numbers; what is cut from a larger one in 4:4:4 is as odd as asked.
SUBJECT = "testsrc2=size={w}x{h}:rate={rate}:duration={seconds},format=yuv444p,crop={width}:{height}:0:0:exact=1"


def ffmpeg(*arguments: object) -> None:
    """Run the bundled ffmpeg; its words are shown when it fails."""
    subprocess.run([FFMPEG, "-v", "error", "-y", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


def make_clip(
    path: Path, *, size: str = "160x96", rate: object = 24, seconds: float = 1, audio: bool = False, extra: tuple[object, ...] = ()
) -> Path:
    """A clip with the colourful moving figures of testsrc2, and a tone where ``audio``; ``extra`` are further arguments."""
    width, height = map(int, size.split("x"))
    subject = SUBJECT.format(w=width + 16, h=height + 16, width=width, height=height, rate=rate, seconds=seconds)
    inputs: list[object] = ["-f", "lavfi", "-i", subject]
    if audio:
        inputs += ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]
    codec: list[object] = ["-f", "rawvideo"] if path.suffix == ".yuv" else []
    if path.suffix in (".mp4", ".mkv"):
        codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    ffmpeg(*inputs, *codec, *extra, path)
    return path


@dataclass(frozen=True)
class Run:
    """One run of the program."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.out)
        return answer

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("ERROR")]


def run(*arguments: object) -> Run:
    """Run ``gpu-saliency ARGUMENTS`` in this process; with ``--json``, check what it prints against its schema."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["gpu-saliency", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.suppress(SystemExit):
            code: object = None
            try:
                main()
            except SystemExit as done:
                code = done.code
    finally:
        sys.argv = argv
    assert isinstance(code, int)
    check_result(arguments, out.getvalue())
    return Run(code, out.getvalue(), err.getvalue())


def video_times(path: Path) -> list[float]:
    """Presentation times of the video packets, seconds, sorted."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        packets = [packet for packet in container.demux(video) if packet.size]
        return sorted(float(p.pts * p.time_base) for p in packets if p.pts is not None and p.time_base is not None)


def audio_bytes(path: Path, index: int = 0) -> bytes:
    """The packets of one audio stream, joined."""
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(container.streams.audio[index]) if packet.size)


def video_bytes(path: Path) -> bytes:
    """The packets of the video stream in decode order, joined."""
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size)


def leftovers(folder: Path, before: set[str]) -> set[str]:
    """Names in ``folder`` that were not there ``before``."""
    return {path.name for path in folder.iterdir()} - before
