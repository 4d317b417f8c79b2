"""Mirrored and turned sources: the model and previews see them upright, the output keeps their display matrix."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from clips import FFMPEG, ffmpeg
from program import run

from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.orientation import orientation_of
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.shrink import Shrinker

MATRICES = {
    "hflip": ("-display_hflip",),
    "vflip": ("-display_vflip",),
    "both": ("-display_hflip", "-display_vflip"),
    "90": ("-display_rotation", "90"),
    "90 hflip": ("-display_rotation", "90", "-display_hflip"),
    "270 vflip": ("-display_rotation", "270", "-display_vflip"),
}


def turned(folder: Path, name: str) -> Path:
    """A clip with a bright square in its upper left corner, and a display matrix."""
    base, path = folder / "base.mp4", folder / "turned.mp4"
    box = "color=black:s=160x96:r=24:d=1,drawbox=x=0:y=0:w=48:h=32:color=white:t=fill,noise=alls=12:allf=t"
    ffmpeg("-f", "lavfi", "-i", box, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", base)
    ffmpeg(*MATRICES[name], "-i", base, "-c", "copy", path)
    return path


def as_ffmpeg_shows(path: Path, folder: Path) -> np.ndarray:
    """The first frame, turned by ffmpeg itself."""
    ffmpeg("-i", path, "-frames:v", 1, folder / "shown.png")
    with av.open(str(folder / "shown.png")) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.parametrize("name", MATRICES)
def test_pictures_are_upright(name: str, tmp_path: Path) -> None:
    path = turned(tmp_path, name)
    wanted = as_ffmpeg_shows(path, tmp_path)
    clip = probe_clip(path)
    height, width = wanted.shape[:2]
    picture = Shrinker((width, height), clip.orientation)(next(decode_frames(clip, DecodeTally())))
    assert np.abs(picture.astype(float) - wanted).mean() < 3, "the noise of two conversions"
    assert FFMPEG


@pytest.mark.parametrize(
    ("name", "encoder", "suffix"),
    [(name, "libx264", ".mp4") for name in MATRICES]
    + [("vflip", encoder, suffix) for encoder in ("libx265", "libsvtav1", "libvpx-vp9") for suffix in (".mp4", ".mkv")]
    + [("90 hflip", "libx264", ".mkv"), ("hflip", "libx264", ".mov")],
)
def test_the_output_keeps_the_matrix(name: str, encoder: str, suffix: str, tmp_path: Path) -> None:
    path, output = turned(tmp_path, name), tmp_path / f"out{suffix}"
    done = run("encode", "--src", path, "--output", output, "--encoder", encoder, "--prove", "none", "--json")
    assert done.code == 0, done.err
    assert probe_clip(output).orientation == probe_clip(path).orientation
    with av.open(str(path)) as container:
        assert orientation_of(next(container.decode(video=0))) == probe_clip(path).orientation


def test_the_map_of_a_mirrored_clip_is_on_the_coded_picture(tmp_path: Path) -> None:
    """Given maps are upright: a map with the right half salient belongs to the left half of a mirrored clip's coded picture."""
    path = turned(tmp_path, "hflip")
    clip = probe_clip(path)
    upright = np.zeros((96, 160))
    upright[:, 80:] = 1
    assert (clip.orientation.coded(upright)[:, :80] == 1).all()
    assert run("plan", "--src", path, "--json").code == 0
