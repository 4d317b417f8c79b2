"""The clips of the packs, made by PyAV: a zooming fractal with grain, negative from frame 31 on, which is a cut."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from gpu_saliency.bench.lavfi import encode_lavfi

RATE = 24
CUT = 31
KEY_DISTANCE = 15
_SCENE = "mandelbrot=size={size}:rate={rate}:maxiter=200:end_scale=0.05,noise=alls=4:allf=t,negate=enable='gte(n,{cut})'"


@dataclass(frozen=True, slots=True)
class PackedClip:
    """What one clip contains."""

    name: str
    size: str
    encoder: str
    pix_fmt: str
    options: dict[str, str]
    frames: int = 60


def _x264(*parameters: str, crf: int = 35) -> dict[str, str]:
    keys = f"keyint={KEY_DISTANCE}", f"min-keyint={KEY_DISTANCE}", "scenecut=0", "bframes=3"
    return {"preset": "medium", "crf": str(crf), "x264-params": ":".join((*keys, *parameters))}


def _x265(*parameters: str, crf: int = 36) -> dict[str, str]:
    keys = f"keyint={KEY_DISTANCE}", f"min-keyint={KEY_DISTANCE}", "scenecut=0", "bframes=3", "log-level=none"
    return {"preset": "fast", "crf": str(crf), "x265-params": ":".join((*keys, *parameters))}


_KEYS = {"g": str(KEY_DISTANCE)}
CLIPS = (
    PackedClip("h264-1080p.mp4", "1920x1080", "libx264", "yuv420p", _x264("open-gop=0")),
    PackedClip("hevc-1080p.mp4", "1920x1080", "libx265", "yuv420p", _x265("open-gop=0")),
    PackedClip("hevc10-1080p.mp4", "1920x1080", "libx265", "yuv420p10le", _x265("open-gop=0")),
    PackedClip("hevc-open-1080p.mp4", "1920x1080", "libx265", "yuv420p", _x265("open-gop=1")),
    PackedClip("h264-open-1080p.mp4", "1920x1080", "libx264", "yuv420p", _x264("open-gop=1", "b-pyramid=normal")),
    PackedClip("hevc10-open-1080p.mp4", "1920x1080", "libx265", "yuv420p10le", _x265("open-gop=1")),
    PackedClip("vp9-360p.webm", "640x360", "libvpx-vp9", "yuv420p", {"crf": "44", "b": "0", "cpu-used": "4", **_KEYS}),
    PackedClip("av1-360p.mp4", "640x360", "libsvtav1", "yuv420p", {"crf": "44", "preset": "9", "svtav1-params": "lp=1", **_KEYS}),
    PackedClip("h264-10bit-360p.mp4", "640x360", "libx264", "yuv420p10le", _x264("open-gop=0")),
)
"""The most important first: those of 1080p are what NVDEC decodes; of the last three it decodes VP9 on some GPUs."""


def make_clip(folder: Path, clip: PackedClip) -> Path:
    """Encode ``clip`` into ``folder``. Raises `av.error.FFmpegError`."""
    scene = f"{_SCENE.format(size=clip.size, rate=RATE, cut=CUT)},trim=end_frame={clip.frames}"
    path = encode_lavfi(folder / clip.name, scene, clip.pix_fmt, clip.encoder, clip.options)
    print(f"made {path.name}", file=sys.stderr)
    return path
