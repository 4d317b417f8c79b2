"""Containers, raw streams and pictures that hold a video themselves are read by PyAV and by ffmpeg, with their lists of formats."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from clips import FFMPEG, ffmpeg

from gpu_saliency import probe_clip
from gpu_saliency.source.decode import DecodeTally, decode_frames

FRAMES = 6
SIZE = "176x144"
CODECS: dict[str, list[str]] = {
    "clip.mp4": ["-c:v", "libx264"],
    "clip.mov": ["-c:v", "prores_ks"],
    "clip.m4v": ["-c:v", "mpeg4"],
    "clip.3gp": ["-c:v", "h263"],
    "clip.mkv": ["-c:v", "libx265"],
    "clip.webm": ["-c:v", "libvpx-vp9"],
    "clip.flv": ["-c:v", "flv1"],
    "clip.avi": ["-c:v", "mpeg4"],
    "clip.ts": ["-c:v", "libx264"],
    "clip.m2ts": ["-c:v", "libx264"],
    "clip.mpg": ["-c:v", "mpeg2video", "-r", "25"],
    "clip.vob": ["-c:v", "mpeg2video", "-r", "25"],
    "clip.wmv": ["-c:v", "wmv2"],
    "clip.ogv": ["-c:v", "libtheora"],
    "clip.nut": ["-c:v", "ffv1"],
    "clip.mxf": ["-c:v", "mpeg2video", "-r", "25"],
    "clip.gxf": ["-c:v", "mpeg2video", "-r", "25", "-s", "720x576", "-pix_fmt", "yuv420p"],
    "clip.dv": ["-c:v", "dvvideo", "-r", "25", "-s", "720x576", "-pix_fmt", "yuv420p"],
    "clip.ivf": ["-c:v", "libvpx"],
    "clip.obu": ["-c:v", "libsvtav1"],
    "clip.h264": ["-c:v", "libx264"],
    "clip.hevc": ["-c:v", "libx265"],
    "clip.vvc": ["-c:v", "libvvenc", "-pix_fmt", "yuv420p10le"],
    "clip.m1v": ["-c:v", "mpeg1video", "-r", "25"],
    "clip.m2v": ["-c:v", "mpeg2video", "-r", "25"],
    "clip.mjpeg": ["-c:v", "mjpeg"],
    "clip.y4m": [],
    "clip.gif": [],
    "clip.apng": ["-c:v", "apng"],
    "clip.rm": ["-c:v", "rv20"],
    "clip.swf": ["-c:v", "flv1"],
    "clip.wtv": ["-c:v", "mpeg2video", "-r", "25"],
    "clip.f4v": ["-c:v", "libx264"],
}
PICTURES = ["png", "jpg", "bmp", "tiff", "webp", "ppm", "tga", "jp2", "qoi", "exr", "dpx", "sgi", "pcx", "pgm"]
DISGUISED = {"in.mp4": "clip.mkv", "in": "clip.ts", "in.m3u8": "clip.mp4", "in.txt": "clip.webm", "in.png": "clip.mp4"}


def _check(path: Path, frames: int) -> None:
    clip = probe_clip(path)
    assert sum(1 for _ in decode_frames(clip, DecodeTally())) == frames
    options = [word for name, value in clip.demuxer_options.items() for word in (f"-{name}", value)]
    command = [FFMPEG, "-v", "error", *options, "-i", clip.url, "-map", "0:V:0", "-fps_mode", "passthrough", "-f", "framecrc", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sum(1 for line in done.stdout.splitlines() if not line.startswith("#")) == frames


def _make(path: Path) -> Path:
    made = path.with_name(path.name.replace("apng", "png")) if path.suffix == ".apng" else path
    form = ["-f", "apng"] if path.suffix == ".apng" else []
    rate = "25" if "25" in CODECS[path.name] else "24"
    source = f"testsrc2=size={SIZE}:rate={rate}"
    ffmpeg("-f", "lavfi", "-i", source, "-frames:v", FRAMES, *CODECS[path.name], *form, made)
    return made.rename(path)


@pytest.mark.parametrize("name", CODECS)
def test_a_container_is_read(tmp_path: Path, name: str) -> None:
    _check(_make(tmp_path / name), FRAMES)


@pytest.mark.parametrize("suffix", PICTURES)
def test_a_picture_is_a_clip_of_one_frame(tmp_path: Path, suffix: str) -> None:
    """Some formats (.tga, .jp2) have no reader but that of picture sequences, which then must read the one file only."""
    pix_fmt = ["-pix_fmt", "rgb24"] if suffix in ("tga", "pcx") else []
    path = tmp_path / f"one.{suffix}"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={SIZE}", *pix_fmt, "-frames:v", 1, "-update", 1, path)
    _check(path, 1)


@pytest.mark.parametrize("name", DISGUISED)
def test_the_content_decides_the_format(tmp_path: Path, name: str) -> None:
    made = _make(tmp_path / DISGUISED[name])
    shutil.move(made, tmp_path / name)
    _check(tmp_path / name, FRAMES)
