"""``gpu-saliency plan``: the sidecar only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.analysis.aggregate import DEFAULT_AGGREGATOR, DEFAULT_EMA_ALPHA
from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.sidecar import SUFFIX
from gpu_saliency.cli import options as opt
from gpu_saliency.files import check_output
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.plan.policy import DEFAULT_MAPPING, DEFAULT_OFFSET, RoiPolicy
from gpu_saliency.plan.segments import DEFAULT_SEGMENTS
from gpu_saliency.progress import Reporter


def plan(
    src: opt.Src,
    sidecar: Annotated[
        Path | None, typer.Option("--sidecar", "--output", help="Where it goes.", show_default=f"SRC{SUFFIX}")
    ] = None,
    width: opt.Width = None,
    height: opt.Height = None,
    pix_fmt: opt.PixFmt = None,
    framerate: opt.FrameRate = None,
    duration: opt.Duration = 0.0,
    saliency_offset: opt.Offset = DEFAULT_OFFSET,
    roi_mapping: opt.Mapping = DEFAULT_MAPPING,
    segments: opt.Segments = DEFAULT_SEGMENTS,
    saliency_model: opt.Model = None,
    saliency_aggregator: opt.Aggregator = DEFAULT_AGGREGATOR,
    saliency_ema_alpha: opt.EmaAlpha = DEFAULT_EMA_ALPHA,
    analysis_fps: opt.AnalysisFps = None,
    every: opt.Every = None,
    device: opt.DeviceName = "auto",
    gpu: opt.Gpu = None,
    decoders: opt.Decoders = None,
    provider: opt.Provider = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing sidecar.")] = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Find what is salient in a clip and write the sidecar; nothing is encoded."""
    policy = RoiPolicy(saliency_offset, roi_mapping, saliency_aggregator, saliency_ema_alpha, segments)
    settings = opt.analysis_from(saliency_model, analysis_fps, every, device, gpu, decoders, provider)
    clip = opt.clip_from(src, width, height, pix_fmt, framerate, duration)
    path = sidecar or src.with_name(src.name + SUFFIX)
    check_output(path, src, overwrite=overwrite)
    reporter = Reporter(quiet=quiet)
    with reporter.stage("finding saliency") as advance:
        found, _ = load_saliency_sidecar(clip, settings, path, reuse=False, on_progress=advance, on_notice=reporter.say)
    stats = build_roi_plan(found, policy).statistics()
    result = {
        "sidecar": str(path),
        "size_bytes": path.stat().st_size,
        "frames": found.frame_count,
        "model": found.model,
        "analysis": found.analysis,
        "roi": policy.to_json() | stats.to_json(),
    }
    if as_json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"{path}: {result['size_bytes']:,} bytes, {found.frame_count} frames, {found.analysis['sampled_frames']} maps, "
        f"{stats.rows}x{stats.cols} blocks, {stats.effective_min:+.2f} to {stats.effective_max:+.2f} QP"
    )
