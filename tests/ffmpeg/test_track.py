"""Scene cuts, time stamps and gaze that the analysis of a real clip finds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from bad_input import save_model
from clips import ffmpeg, make_clip

from gpu_saliency import AnalysisSettings, load_saliency_sidecar, probe_clip
from gpu_saliency.analysis.reduce import HostReducer
from gpu_saliency.analysis.sidecar import read_sidecar
from gpu_saliency.analysis.track import decode_gaze
from gpu_saliency.grid import block_mean
from gpu_saliency.model.onnx import SaliencyModel, normalise
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.shrink import Shrinker


def test_cuts_are_found_to_the_frame(tmp_path: Path) -> None:
    """A second of moving figures, then 0.5 s of grey, then a fractal: cuts at frames 24 and 36; the figures' own motion is none."""
    parts = (
        "testsrc2=size=160x96:rate=24:duration=1",
        "color=gray:size=160x96:rate=24:duration=0.5",
        "mandelbrot=size=160x96:rate=24",
    )
    inputs = [word for part in parts for word in ("-f", "lavfi", "-i", part)]
    graph = "[2:v]trim=end_frame=24[c];[0:v][1:v][c]concat=n=3,format=yuv420p"
    ffmpeg(*inputs, "-filter_complex", graph, "-crf", 10, tmp_path / "in.mp4")
    sidecar, _ = load_saliency_sidecar(probe_clip(tmp_path / "in.mp4"), AnalysisSettings(every=6))
    assert sidecar.track.cuts == (24, 36)
    assert sidecar.track.after_cut().tolist() == [True, False, False, False, True, False, True, False, False, False]
    plan = build_roi_plan(sidecar)
    assert {24, 36} <= set(plan.segment_start.tolist())
    assert plan.statistics().scenes == 3


def test_times_are_kept_to_the_tick(tmp_path: Path) -> None:
    """30000/1001 in a time base of 1/30000: the sidecar knows the very stamp of each frame."""
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=30000/1001:duration=1", "-pix_fmt", "yuv420p", tmp_path / "in.mp4")
    sidecar, _ = load_saliency_sidecar(probe_clip(tmp_path / "in.mp4"), None, tmp_path / "s.npz")
    track = sidecar.track
    assert track.frame_pts is not None
    times = [Fraction(int(pts)) * track.time_base for pts in track.frame_pts]
    assert times == [Fraction(1001, 30000) * i for i in range(30)]


def test_the_gaze_map_of_the_model_is_kept(tmp_path: Path) -> None:
    """The track holds the model's second map of each sample on the block grid; the file keeps it, with the model's curve."""
    clip, path = probe_clip(make_clip(tmp_path / "in.mkv")), tmp_path / "s.npz"
    sidecar, _ = load_saliency_sidecar(clip, AnalysisSettings(every=6, device="cpu"), path)
    model = SaliencyModel(DEFAULT_MODEL)
    size = model.input_size(clip.upright_aspect)
    frames = [frame for i, frame in enumerate(decode_frames(clip, DecodeTally())) if i in sidecar.track.sample_frame]
    maps = model(normalise(np.stack([Shrinker(size.content)(frame) for frame in frames]), size.padded))
    assert maps.gaze is not None
    expected = block_mean(maps.gaze[:, : size.content[1], : size.content[0]], clip.width, clip.height)
    for track in (sidecar.track, read_sidecar(path).track):
        assert track.gaze is not None
        # Half a code: gaze is the square of a code, whose step is 1/255.
        np.testing.assert_allclose(np.sqrt(decode_gaze(track.gaze)), np.sqrt(expected), atol=0.51 / 255)
        assert track.attention == model.attention is not None
        mean = HostReducer().reduce_gaze(track, np.array([0]), "mean", 0.6)[0]
        np.testing.assert_allclose(mean, decode_gaze(track.gaze).mean(axis=0), rtol=1e-5)
    assert read_sidecar(path).origin.attention == model.attention


def test_a_model_with_one_output_gives_a_track_without_gaze(tmp_path: Path) -> None:
    settings = AnalysisSettings(model=save_model(tmp_path / "model.onnx"), every=6, device="cpu")
    sidecar, _ = load_saliency_sidecar(probe_clip(make_clip(tmp_path / "in.mkv")), settings, tmp_path / "s.npz")
    for found in (sidecar, read_sidecar(tmp_path / "s.npz")):
        assert (found.track.gaze, found.track.attention, found.origin.attention) == (None, None, None)
    with pytest.raises(ValueError, match="no gaze maps"):
        HostReducer().reduce_gaze(sidecar.track, np.array([0]), "mean", 0.6)
