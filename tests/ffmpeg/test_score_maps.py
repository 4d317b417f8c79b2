"""Masks and maps that ``score`` reads from videos and sidecars."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import ffmpeg, make_clip

from gpu_saliency import load_saliency_sidecar, probe_clip, score_encode
from gpu_saliency.analysis.sidecar import save_sidecar
from gpu_saliency.analysis.track import decode_gaze, decode_saliency
from gpu_saliency.score import tools
from gpu_saliency.score.maps import region_maps

WIDTH, HEIGHT = 320, 192


def test_a_mask_video_of_limited_range_is_white_to_the_end(tmp_path: Path) -> None:
    """Its white is 235 and its black 16; a gaze map of it must be 1 and 0."""
    path = tmp_path / "mask.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=white:s=64x48:d=0.1,pad=128:48:0:0:black", "-c:v", "ffv1", "-pix_fmt", "yuv420p", path)
    clip = probe_clip(path)
    assert clip.pix_fmt == "yuv420p"
    one = next(region_maps("gaze", path).frames(clip))
    assert (one[:, :63].min(), one[:, 65:].max()) == (1, 0)


@pytest.mark.parametrize("kind", ["gaze", "saliency"])
def test_a_sidecar_weighs_by_its_gaze_or_by_its_saliency_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The score equals that by the decoded map of the only sample, given as a map of gaze. VMAF is left out."""
    monkeypatch.setattr(tools, "_accepts", lambda _path, _option: False)
    reference, encode = tmp_path / "ref.mkv", tmp_path / "dist.mp4"
    make_clip(reference, size=f"{WIDTH}x{HEIGHT}", seconds=2 / 24, extra=("-crf", 12))
    ffmpeg("-i", reference, "-crf", 36, encode)
    sidecar, _ = load_saliency_sidecar(probe_clip(reference))
    track = sidecar.track if kind == "gaze" else replace(sidecar.track, gaze=None)
    save_sidecar(replace(sidecar, track=track), tmp_path / "ref.npz")
    one = decode_saliency(track.saliency[0]) if track.gaze is None else decode_gaze(track.gaze[0])
    np.save(tmp_path / "map.npy", one.repeat(16, axis=0).repeat(16, axis=1)[:HEIGHT, :WIDTH])
    found = score_encode(reference, encode, sidecar=tmp_path / "ref.npz", gaze=tmp_path / "map.npy", frames=1)
    plan, given, whole = (found.region(name) for name in ("plan", "gaze", "whole"))
    assert plan is not None
    assert given is not None
    assert whole is not None
    assert (plan.map, given.map, plan.circular, given.circular) == (kind, None, True, False)
    assert plan.metrics["psnr_y"].pooled == pytest.approx(given.metrics["psnr_y"].pooled, abs=1e-9)
    assert plan.metrics["psnr_y"].pooled != pytest.approx(whole.metrics["psnr_y"].pooled, abs=1e-3)
