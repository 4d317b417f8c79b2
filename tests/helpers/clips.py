"""Clips made by the bundled ffmpeg."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
from lavfi import SUBJECT

try:
    FFMPEG: str = imageio_ffmpeg.get_ffmpeg_exe()
except RuntimeError:
    # A machine without an ffmpeg program, like one with a GPU that scripts/gpu-check runs on: only the tests that call it fail.
    FFMPEG = "ffmpeg"


def ffmpeg(*arguments: object, stdout: Path | None = None) -> None:
    """Run the bundled ffmpeg; it writes its errors to stderr. ``stdout`` is the file that gets its standard output."""
    command = [FFMPEG, "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=None if stdout is None else subprocess.PIPE)
    if stdout is not None:
        stdout.write_bytes(done.stdout)


def make_clip(
    path: Path, *, size: str = "160x96", rate: object = 24, seconds: float = 1, audio: bool = False, extra: tuple[object, ...] = ()
) -> Path:
    """Make a clip of testsrc2's moving coloured figures, with a tone where ``audio``; ``extra`` are further arguments of ffmpeg."""
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
