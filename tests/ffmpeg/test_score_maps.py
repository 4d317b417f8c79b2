"""Masks and gaze maps that ``score`` reads from videos."""

from __future__ import annotations

from pathlib import Path

from clips import ffmpeg

from gpu_saliency import probe_clip
from gpu_saliency.score.maps import region_maps


def test_a_mask_video_of_limited_range_is_white_to_the_end(tmp_path: Path) -> None:
    """Its white is 235 and its black 16; a gaze map of it must be 1 and 0."""
    path = tmp_path / "mask.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=white:s=64x48:d=0.1,pad=128:48:0:0:black", "-c:v", "ffv1", "-pix_fmt", "yuv420p", path)
    clip = probe_clip(path)
    assert clip.pix_fmt == "yuv420p"
    one = next(region_maps("gaze", path).frames(clip))
    assert (one[:, :63].min(), one[:, 65:].max()) == (1, 0)
