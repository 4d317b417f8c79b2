"""Adds the sample aspect ratio to Matroska and WebM for codecs whose bitstream does not carry it.

These containers take the ratio from the stream, where PyAV cannot set it; ffmpeg copies the file with the ratio added.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from gpu_saliency.encode.ffmpeg import run_ffmpeg
from gpu_saliency.source.clip import Clip

_TOLERANCE = 0.01
"""Relative; Matroska keeps the displayed size in whole pixels."""


def keep_pixel_aspect(ffmpeg_path: str, path: Path, clip: Clip) -> None:
    """Give ``path`` the sample aspect ratio of ``clip``, unless it has that. Raises `EncodeError`."""
    wanted = clip.sample_aspect_ratio
    with av.open(f"file:{path}") as container:
        found = container.streams.video[0].sample_aspect_ratio or Fraction(1)
    if abs(found / wanted - 1) <= _TOLERANCE or path.suffix.lower() not in (".mkv", ".webm"):
        return
    shown = wanted * clip.width / clip.height
    copy = path.with_stem(path.stem + ".aspect")
    command = [ffmpeg_path, "-hide_banner", "-nostdin", "-loglevel", "warning", "-nostats", "-progress", "pipe:1", "-y"]
    command += ["-copyts", "-i", f"file:{path}", "-map", "0", "-c", "copy", "-avoid_negative_ts", "disabled"]
    try:
        run_ffmpeg([*command, "-aspect", f"{shown.numerator}:{shown.denominator}", f"file:{copy}"])
        copy.replace(path)
    finally:
        copy.unlink(missing_ok=True)
