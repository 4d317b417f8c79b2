"""Generates clips for the benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container

from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG, find_ffmpeg, run_ffmpeg

CODECS = {
    "h264": ("libx264", "yuv420p"),
    "hevc": ("libx265", "yuv420p"),
    "hevc10": ("libx265", "yuv420p10le"),
    "av1": ("libsvtav1", "yuv420p"),
}
"""Encoder and pixel format, by the codec's name."""
FRAME_RATE = 24
_BASE_FRAMES = 240
_KEY_FRAMES = 48
"""Most frames from one key frame to the next. Ranges begin at key frames, so that many decoders need many."""
_QUIETLY = ("-hide_banner", "-v", "error", "-nostdin", "-y")


def generate_clip(path: Path, width: int, height: int, frames: int, codec: str = "h264") -> None:
    """Write a clip of ``frames`` frames at 24 fps: a zooming fractal with grain, which compresses and decodes like camera footage.

    The content repeats after 240 frames; a key frame comes every 48 frames. Raises `EncodeError` or `ToolMissingError`.
    """
    encoder, pix_fmt = CODECS[codec]
    ffmpeg = [find_ffmpeg(DEFAULT_FFMPEG, encoder).path, *_QUIETLY]
    base_frames = min(frames, _BASE_FRAMES)
    source = f"mandelbrot=size={width}x{height}:rate={FRAME_RATE}:maxiter=200:end_scale=0.05,noise=alls=6:allf=t"
    preset = ["-preset", "10", "-crf", "30"] if encoder == "libsvtav1" else ["-preset", "medium", "-crf", "20"]
    base = path.with_name(f"{path.stem}.base{path.suffix}")
    try:
        encode = ["-frames:v", str(base_frames), "-c:v", encoder, *preset, "-g", str(_KEY_FRAMES), "-pix_fmt", pix_fmt, str(base)]
        run_ffmpeg([*ffmpeg, "-f", "lavfi", "-i", source, *encode])
        repeat_clip(base, path, -(-frames // base_frames), frames)
    finally:
        base.unlink(missing_ok=True)


def repeat_clip(source: Path, path: Path, times: int, frames: int | None = None) -> None:
    """Write the video of ``source``, ``times`` times after one another, to ``path``, up to ``frames`` frames, by copying packets.

    It needs no ffmpeg. Raises `av.FFmpegError`.
    """
    left = frames
    offset = period = 0
    with av.open(str(path), "w") as writer:
        target = None
        for _ in range(times):
            first = last = None
            # Opened again for each turn: a seek to the beginning does not reach it in every container.
            with av.open(str(source)) as reader:
                video = reader.streams.video[0]
                target = target or writer.add_stream_from_template(video, opaque=True)
                for packet in _with_dts(reader, video):
                    if packet.pts is None or packet.dts is None or left == 0:
                        continue
                    first = packet.pts if first is None else min(first, packet.pts)
                    end = packet.pts + (packet.duration or _frame_ticks(video))
                    last = end if last is None else max(last, end)
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    packet.stream = target
                    writer.mux(packet)
                    left = None if left is None else left - 1
            period = period or (last or 0) - (first or 0)
            offset += period


def _with_dts(reader: av.container.InputContainer, video: av.VideoStream) -> Iterator[av.Packet[Any]]:
    """The packets that hold data. Matroska stores no decoding time, and libavformat knows none for its first packets."""
    waiting: list[av.Packet[Any]] = []
    for packet in reader.demux(video):
        if not packet.size:
            continue
        waiting.append(packet)
        if packet.dts is not None:
            for i, one in enumerate(reversed(waiting)):
                one.dts = packet.dts - i * _frame_ticks(video)
            yield from waiting
            waiting = []


def _frame_ticks(video: av.VideoStream) -> int:
    rate, base = video.average_rate or Fraction(FRAME_RATE), video.time_base or Fraction(1, 1000)
    return round(1 / rate / base)
