"""Encodes with a plan: regions reach each encoder where its preset would drop them, and lie where the picture is coded."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from bad_input import save_model
from clips import ffmpeg, make_clip

from gpu_saliency import (
    AnalysisSettings,
    EncodeJob,
    EncodeSettings,
    RoiPlan,
    RoiPolicy,
    load_saliency_sidecar,
    prepare_encode,
    probe_clip,
    run_saliency_encode,
)
from gpu_saliency.encode.arguments import plain_command
from gpu_saliency.proof import prove_encode


def plan_of(grid: list[list[int]], recentre: float = 0.0, *, width: int, height: int, frames: int = 24) -> RoiPlan:
    offsets = np.array([grid], np.int8)
    return RoiPlan(offsets, np.array([recentre], np.float32), np.array([0]), frames, width, height, RoiPolicy())


def half_plan(width: int, height: int) -> RoiPlan:
    """Left half 6 QP better, right half as it is."""
    rows, cols = -(-height // 16), -(-width // 16)
    return plan_of([[-6] * (cols // 2) + [0] * (cols - cols // 2)] * rows, width=width, height=height)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a fractal with grain, 320x192: every block has residual, and no two blocks are equal."""
    path = tmp_path_factory.mktemp("busy") / "in.mp4"
    source = "mandelbrot=size=320x192:rate=24:start_scale=0.4,trim=end_frame=24,noise=alls=12:allf=t,format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", source, "-crf", 12, path)
    return path


@pytest.fixture(scope="module")
def job(busy: Path) -> EncodeJob:
    return prepare_encode(probe_clip(busy), EncodeSettings())


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_hevc_gets_the_tag_that_players_need(busy: Path, suffix: str, tmp_path: Path) -> None:
    hevc = prepare_encode(probe_clip(busy), EncodeSettings("libx265", "ultrafast"))
    assert "-tag:v:0 hvc1" in " ".join(plain_command(hevc, Path(f"out{suffix}")))
    assert "-tag:v" not in plain_command(hevc, Path("out.mkv"))
    run_saliency_encode(hevc, half_plan(320, 192), tmp_path / f"out{suffix}")
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize(
    ("encoder", "preset", "params"),
    [
        ("libx264", "ultrafast", ""),
        ("libx264", "ultrafast", "aq-mode=3"),
        ("libx264", "veryfast", "aq-strength=0.01:mbtree=0"),
        ("libx265", "ultrafast", ""),
        ("libx265", "superfast", ""),
        ("libx265", "superfast", "aq-mode=1"),
    ],
)
def test_regions_reach_the_encoder_where_its_preset_would_drop_them(
    busy: Path, tmp_path: Path, encoder: str, preset: str, params: str
) -> None:
    asked = prepare_encode(probe_clip(busy), EncodeSettings(encoder, preset, encoder_params=params))
    plan = half_plan(320, 192)
    run_saliency_encode(asked, plan, tmp_path / "out.mp4")
    proof = prove_encode(asked, plan, tmp_path / "out.mp4", max_frames=None)
    assert proof.moved is True, proof.summary()


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_the_plan_lies_where_the_picture_is_coded(tmp_path: Path, turn: int) -> None:
    """A bright box in the top left quarter of the coded picture, displayed turned; the model rates brightness."""
    box = "color=black:size=192x128:rate=24:duration=0.5,drawbox=x=0:y=0:w=96:h=64:color=white:t=fill"
    base = tmp_path / "base.mp4"
    ffmpeg("-f", "lavfi", "-i", box, "-pix_fmt", "yuv420p", base)
    source = tmp_path / "in.mp4"
    ffmpeg("-display_rotation", turn, "-i", base, "-c", "copy", source)
    model = save_model(tmp_path / "model.onnx", scale=1.0)
    sidecar, _ = load_saliency_sidecar(probe_clip(source), AnalysisSettings(model=model, every=2))
    saliency = sidecar.track.saliency_maps()[0]
    assert saliency.shape == (8, 12)
    assert saliency[:3, :5].min() > 0.9
    assert max(saliency[5:].max(), saliency[:, 7:].max()) < 0.1


def test_padding_of_the_model_input_does_not_shift_the_map(tmp_path: Path) -> None:
    """640x96 is padded to a multiple of 32; the map is cropped, so that the right end of the picture stays at the right end."""
    box = "color=black:size=640x96:rate=24:duration=0.5,drawbox=x=576:y=0:w=64:h=96:color=white:t=fill"
    source = tmp_path / "in.mp4"
    ffmpeg("-f", "lavfi", "-i", box, "-pix_fmt", "yuv420p", source)
    model = save_model(tmp_path / "model.onnx", scale=1.0)
    sidecar, _ = load_saliency_sidecar(probe_clip(source), AnalysisSettings(model=model))
    saliency = sidecar.track.saliency_maps()[0]
    assert saliency[:, 37:].min() > 0.9
    assert saliency[:, :35].max() < 0.1


def test_the_output_appears_only_after_approval(tmp_path: Path, job: EncodeJob) -> None:
    seen = []

    def refuse(temporary: Path) -> None:
        seen.append((temporary.stat().st_size > 0, (tmp_path / "out.mp4").exists()))
        raise RuntimeError("not good enough")

    with pytest.raises(RuntimeError, match="not good enough"):
        run_saliency_encode(job, half_plan(320, 192), tmp_path / "out.mp4", before_publishing=refuse)
    assert seen == [(True, False)]
    assert list(tmp_path.iterdir()) == []


def test_make_clip_makes_odd_sizes(tmp_path: Path) -> None:
    found = probe_clip(make_clip(tmp_path / "in.y4m", size="33x17", seconds=0.5))
    assert (found.width, found.height, int(found.frame_rate)) == (33, 17, 24)
