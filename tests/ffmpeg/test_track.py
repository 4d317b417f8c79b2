"""Scene cuts and time stamps that the analysis of a real clip finds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from clips import ffmpeg

from gpu_saliency import AnalysisSettings, load_saliency_sidecar, probe_clip
from gpu_saliency.plan.build import build_roi_plan


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
