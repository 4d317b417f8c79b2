"""Generates clips for the benchmark."""

from __future__ import annotations

from pathlib import Path

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
_QUIETLY = ("-hide_banner", "-v", "error", "-nostdin", "-y")


def generate_clip(path: Path, width: int, height: int, frames: int, codec: str = "h264") -> None:
    """Write a clip of ``frames`` frames at 24 fps: a zooming fractal with grain, which compresses and decodes like camera footage.

    The content repeats after 240 frames. Raises `EncodeError` or `ToolMissingError`.
    """
    encoder, pix_fmt = CODECS[codec]
    ffmpeg = [find_ffmpeg(DEFAULT_FFMPEG, encoder).path, *_QUIETLY]
    base_frames = min(frames, _BASE_FRAMES)
    source = f"mandelbrot=size={width}x{height}:rate={FRAME_RATE}:maxiter=200:end_scale=0.05,noise=alls=6:allf=t"
    preset = ["-preset", "10", "-crf", "30"] if encoder == "libsvtav1" else ["-preset", "medium", "-crf", "20"]
    base = path.with_name(f"{path.stem}.base{path.suffix}")
    try:
        encode = ["-frames:v", str(base_frames), "-c:v", encoder, *preset, "-pix_fmt", pix_fmt, str(base)]
        run_ffmpeg([*ffmpeg, "-f", "lavfi", "-i", source, *encode])
        repeat_clip(base, path, -(-frames // base_frames), frames)
    finally:
        base.unlink(missing_ok=True)


def repeat_clip(source: Path, path: Path, times: int, frames: int) -> None:
    """Write ``source``, repeated ``times`` times, to ``path``, up to ``frames`` frames, without encoding it again.

    Raises `EncodeError` or `ToolMissingError`.
    """
    ffmpeg = [find_ffmpeg(DEFAULT_FFMPEG, "libx264").path, *_QUIETLY]
    run_ffmpeg([*ffmpeg, "-stream_loop", str(times - 1), "-i", str(source), "-c", "copy", "-frames:v", str(frames), str(path)])
