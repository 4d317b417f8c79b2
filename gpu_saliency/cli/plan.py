"""``gpu-saliency plan``: analyses a clip and writes its sidecar."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.sidecar import SUFFIX
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import RunOptions, SourceOptions, Src, overwrite_option
from gpu_saliency.cli.saliency_options import AnalysisOptions, GpuOptions, PlanOptions
from gpu_saliency.files import check_output
from gpu_saliency.plan.build import build_roi_plan


@with_groups
def plan(
    *,
    src: Src,
    sidecar: Annotated[
        Path | None, typer.Option("--sidecar", "--output", help="Sidecar to write.", show_default=f"SRC{SUFFIX}")
    ] = None,
    source: SourceOptions,
    plan: PlanOptions,
    analysis: AnalysisOptions,
    gpu: GpuOptions,
    overwrite: Annotated[bool, overwrite_option("sidecar")] = False,
    report: RunOptions,
) -> None:
    """Detect salient regions and write the sidecar; no encode is made."""
    policy = plan.policy()
    settings = analysis.settings(gpu)
    clip = source.probe(src)
    path = sidecar or src.with_name(src.name + SUFFIX)
    check_output(path, src, overwrite=overwrite)
    reporter = report.reporter()
    with reporter.stage("finding saliency") as advance:
        found, _ = load_saliency_sidecar(clip, settings, path, reuse=False, on_progress=advance, on_notice=reporter.say)
    stats = build_roi_plan(found, policy).statistics()
    size = path.stat().st_size
    result = {
        "sidecar": str(path),
        "size_bytes": size,
        "frames": found.frame_count,
        "model": found.model.to_json(),
        "analysis": found.analysis.to_json(),
        "roi": policy.to_json() | stats.to_json(),
    }
    text = (
        f"{path}: {size:,} bytes, {found.frame_count} frames, {found.analysis.sampled_frames} maps, "
        f"{stats.rows}x{stats.cols} blocks, {stats.effective_min:+.2f} to {stats.effective_max:+.2f} QP"
    )
    report.show(result, text)
