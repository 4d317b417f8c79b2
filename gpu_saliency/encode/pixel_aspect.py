"""Adds the sample aspect ratio to Matroska and WebM files of codecs whose bitstream does not carry it.

These containers take the ratio from a field of the stream that PyAV cannot set; so ffmpeg copies the file and adds the ratio.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from gpu_saliency.encode.ffmpeg import run_ffmpeg
from gpu_saliency.source.clip import METADATA_ERRORS, Clip

_TOLERANCE = 0.01
"""Relative difference of the ratio that is accepted; Matroska stores the displayed size in whole pixels."""


def keep_pixel_aspect(ffmpeg_path: str, path: Path, clip: Clip) -> None:
    """Give the file ``path`` the sample aspect ratio of ``clip``, if it lacks it. Raises `EncodeError`."""
    wanted = clip.sample_aspect_ratio
    with av.open(f"file:{path}", metadata_errors=METADATA_ERRORS) as container:
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
