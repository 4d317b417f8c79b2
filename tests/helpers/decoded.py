"""Decodes a file as the analysis does, and as ffmpeg does."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from clips import FFMPEG

from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.shortfall import Shortfall


@dataclass(frozen=True)
class Decoded:
    """What the analysis finds out about a file."""

    frames: int
    clock: str
    seconds: list[float] | None
    """Time of each frame; ``None`` where they are counted."""
    rate: float
    shortfall: Shortfall | None


def decode(path: Path, duration: float = 0.0) -> Decoded:
    """Probe and decode ``path``."""
    clip, tally = probe_clip(path, duration=duration), DecodeTally()
    frames = sum(1 for _ in decode_frames(clip, tally))
    pts, clock = tally.stamps()
    seconds = None if pts is None else [float(stamp * tally.time_base) for stamp in pts.tolist()]
    return Decoded(frames, clock, seconds, float(clip.frame_rate), tally.shortfall(clip))


def ffmpeg_frames(path: Path) -> int:
    """Number of frames that the bundled ffmpeg decodes of the first video stream of ``path``."""
    command = [FFMPEG, "-v", "quiet", "-nostdin", "-progress", "pipe:1", "-i", str(path)]
    command += ["-map", "0:V:0", "-fps_mode", "passthrough", "-f", "null", "-"]
    counts = re.findall(r"frame=\s*(\d+)", subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    return int(counts[-1]) if counts else 0
