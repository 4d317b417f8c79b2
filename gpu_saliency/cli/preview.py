"""``gpu-saliency preview``: look at the saliency of a clip and at the plan that follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from gpu_saliency.aggregate import DEFAULT_AGGREGATOR, DEFAULT_EMA_ALPHA
from gpu_saliency.cli import options as opt
from gpu_saliency.clip import Clip
from gpu_saliency.errors import UsageError
from gpu_saliency.plan import DEFAULT_MAPPING, DEFAULT_OFFSET, RoiPolicy, build_roi_plan
from gpu_saliency.preview.file import PreviewJob, check_preview_output, is_sheet, write_overlay, write_sheet
from gpu_saliency.preview.paint import DEFAULT_STYLE, STYLES
from gpu_saliency.preview.session import PreviewSession
from gpu_saliency.progress import Reporter
from gpu_saliency.saliency import AnalysisSettings, load_saliency_sidecar
from gpu_saliency.segments import DEFAULT_SEGMENTS

_PREVIEW = "Preview"


def preview(
    file: Annotated[Path, typer.Argument(help="Source clip: any container, .y4m, or raw .yuv.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write the overlay as a video (.mp4, .mkv), or as a contact sheet (.png).",
            show_default=False,
            rich_help_panel=_PREVIEW,
        ),
    ] = None,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Play it in this terminal, in blocks of colour.", rich_help_panel=_PREVIEW)
    ] = False,
    style: Annotated[str, typer.Option(help="One of " + ", ".join(STYLES) + ".", rich_help_panel=_PREVIEW)] = DEFAULT_STYLE,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Drop the audio.", rich_help_panel=_PREVIEW)] = False,
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
    sidecar: opt.SidecarPath = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.", rich_help_panel="Run")] = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Show what is salient in a clip, and the plan that follows; nothing is encoded for use."""
    if (output is not None) + terminal != 1:
        raise UsageError("preview: one way to show it is needed", cure="give --output FILE.mp4, --output FILE.png or --terminal")
    policy = RoiPolicy(saliency_offset, roi_mapping, saliency_aggregator, saliency_ema_alpha, segments)
    analysis = opt.analysis_from(saliency_model, analysis_fps, every, device)
    clip = opt.clip_from(file, width, height, pix_fmt, framerate, duration)
    if output is None:
        from gpu_saliency.preview.terminal import show_in_terminal  # late: it needs a terminal's own modules

        with PreviewSession(clip, analysis, sidecar) as session:
            show_in_terminal(session, policy, Console())
        return
    check_preview_output(output, clip, style, audio=not no_audio, overwrite=overwrite)
    facts = _write(clip, analysis, policy, output, style, sidecar, audio=not no_audio, reporter=Reporter(quiet=quiet))
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    print(f"{output}: {facts['width']}x{facts['height']}, {facts['frames']} frames, {facts['roi']['segments']} segments, {style}")


def _write(
    clip: Clip,
    analysis: AnalysisSettings,
    policy: RoiPolicy,
    output: Path,
    style: str,
    sidecar: Path | None,
    *,
    audio: bool,
    reporter: Reporter,
) -> dict[str, Any]:
    """Analyse and draw; what was written."""
    with reporter.stage("finding saliency") as advance:
        found, _ = load_saliency_sidecar(clip, analysis, sidecar, on_progress=advance)
    plan = build_roi_plan(found, policy)
    job = PreviewJob(clip, found.track, plan, style)
    with reporter.stage("drawing") as advance:
        if is_sheet(output):
            facts = write_sheet(job, output, on_frame=lambda done: advance(done, found.frame_count))
        else:
            facts = write_overlay(job, output, audio=audio, on_frame=lambda done: advance(done, found.frame_count))
    return (
        {"output": str(output), "size_bytes": output.stat().st_size, "style": style}
        | facts
        | {"roi": policy.to_json() | plan.statistics()}
    )
