"""Short excerpts of clips as H.264 files that browsers play, for the blind pairs."""

from __future__ import annotations

from pathlib import Path

from gpu_saliency.compare.pictures import LONGEST_SIDE
from gpu_saliency.draw.panel import panel_size
from gpu_saliency.encode.arguments import range_arguments, range_filter
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG, Ffmpeg, find_ffmpeg, run_ffmpeg
from gpu_saliency.errors import ToolMissingError
from gpu_saliency.process.temporary import temporary_folder
from gpu_saliency.source.clip import Clip

SECONDS = 2.0
"""Length of an excerpt, from the middle of the clip."""
_ENCODER = "libx264"
_QUALITY = "12"
"""CRF at which the second encode adds nothing that eyes see at these lengths, next to the first one."""


def excerpt_ffmpeg() -> Ffmpeg | None:
    """An ffmpeg that can make excerpts; ``None`` without one."""
    try:
        return find_ffmpeg(DEFAULT_FFMPEG, _ENCODER)
    except ToolMissingError:
        return None


def excerpt_frames(clip: Clip, frame_count: int) -> tuple[int, int]:
    """First frame and end of the excerpt."""
    frames = min(frame_count, max(1, round(SECONDS * float(clip.frame_rate))))
    start = (frame_count - frames) // 2
    return start, start + frames


def make_excerpt(ffmpeg: Ffmpeg, clip: Clip, file: Path | None, frames: tuple[int, int]) -> bytes:
    """``frames`` of ``file``, an encode of ``clip``, or of the clip itself, as MP4: upright, square pixels, no audio.

    Raises `EncodeError` or `ToolMissingError`.
    """
    with temporary_folder() as folder:
        output = folder / "excerpt.mp4"
        run_ffmpeg(excerpt_command(ffmpeg, clip, file, frames, output))
        return output.read_bytes()


def excerpt_command(ffmpeg: Ffmpeg, clip: Clip, file: Path | None, frames: tuple[int, int], output: Path) -> list[str]:
    """The command line of `make_excerpt`."""
    command = [ffmpeg.path, "-hide_banner", "-nostdin", "-loglevel", "warning", "-nostats", "-y"]
    if file is None:
        command += [
            *(["-f", "rawvideo"] if clip.is_raw else []),
            *(word for key, value in clip.demuxer_options.items() for word in (f"-{key}", value)),
        ]
    width, height = (max(2, side // 2 * 2) for side in panel_size(clip, min(LONGEST_SIDE, max(clip.width, clip.height))))
    # ffmpeg turns the picture upright before the filters.
    cut = f"trim=start_frame={frames[0]}:end_frame={frames[1]},setpts=PTS-STARTPTS"
    if file is None and clip.span is not None:
        cut = f"{range_filter(clip)},{cut}"
        command += range_arguments(clip)
    filters = f"{cut},scale={width}:{height}:flags=bicubic,setsar=1"
    command += [
        "-i",
        clip.url if file is None else f"file:{file}",
        "-map",
        f"0:V:{clip.stream if file is None else 0}",
        "-an",
        "-vf",
        filters,
        "-c:v",
        _ENCODER,
    ]
    return [*command, "-preset", "fast", "-crf", _QUALITY, "-pix_fmt", "yuv420p", "-movflags", "+faststart", f"file:{output}"]
