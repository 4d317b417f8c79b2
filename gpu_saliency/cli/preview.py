"""``gpu-saliency preview``: look at the saliency of a clip and at the plan that follows."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console

from gpu_saliency.analysis.aggregate import DEFAULT_AGGREGATOR, DEFAULT_EMA_ALPHA
from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.cli import options as opt
from gpu_saliency.errors import OutputError, SidecarError, ToolMissingError, UsageError
from gpu_saliency.model.onnx import SaliencyModel
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.plan.policy import DEFAULT_MAPPING, DEFAULT_OFFSET, RoiPolicy
from gpu_saliency.plan.segments import DEFAULT_SEGMENTS
from gpu_saliency.preview.live.sources import check_source, is_live, name_of
from gpu_saliency.preview.overlay_file import PreviewJob, check_preview_output, is_sheet, write_overlay, write_sheet
from gpu_saliency.preview.paint import DEFAULT_STYLE, STYLES
from gpu_saliency.preview.session import PreviewSession
from gpu_saliency.progress import Reporter
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import DEFAULT_ANALYSIS_FPS

_PREVIEW = "Preview"
DEFAULT_HOST = "127.0.0.1"


def preview(
    file: Annotated[
        str,
        typer.Argument(
            help="Source clip: any container, .y4m, or raw .yuv. Live: - for stdin, or a URL that ffmpeg reads.", show_default=False
        ),
    ],
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
    web: Annotated[bool, typer.Option("--web", help="Serve it to a browser on this machine.", rich_help_panel=_PREVIEW)] = False,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address for --web; beyond loopback the page's address holds a token.",
            show_default="127.0.0.1",
            rich_help_panel=_PREVIEW,
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port for --web; 0 takes one that is free.", show_default="0", rich_help_panel=_PREVIEW)
    ] = None,
    follow: Annotated[
        bool, typer.Option("--live", help="The file is still being written: show what comes last.", rich_help_panel=_PREVIEW)
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page of --web.", rich_help_panel=_PREVIEW)] = False,
    style: Annotated[
        str | None,
        typer.Option(help="Panels of --output: " + ", ".join(STYLES) + ".", show_default=DEFAULT_STYLE, rich_help_panel=_PREVIEW),
    ] = None,
    no_audio: Annotated[
        bool, typer.Option("--no-audio", help="Leave the audio out of --output.", rich_help_panel=_PREVIEW)
    ] = False,
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
    if (output is not None) + terminal + web != 1:
        cure = "give --web, --terminal, --output FILE.mp4 or --output FILE.png"
        raise UsageError("preview: one way to show it is needed", cure=cure)
    _refuse_flags_of("--web", {"--host": host is not None, "--port": port is not None, "--open": open_page}, unless=web)
    for_files = {"--style": style is not None, "--no-audio": no_audio, "--overwrite": overwrite, "--json": as_json}
    _refuse_flags_of("--output", for_files, unless=output is not None)
    policy = RoiPolicy(saliency_offset, roi_mapping, saliency_aggregator, saliency_ema_alpha, segments)
    analysis = opt.analysis_from(saliency_model, analysis_fps, every, device)
    _check_sidecar(sidecar)
    where = (host or DEFAULT_HOST, port or 0, open_page, Reporter(quiet=quiet)) if web else None
    if follow or is_live(file):
        given: dict[str, object] = {"--output": output, "--sidecar": sidecar, "--every": every, "--duration": duration or None}
        given |= {"--width": width, "--height": height, "--pix-fmt": pix_fmt, "--framerate": framerate}
        for flag in (flag for flag, value in given.items() if value is not None):
            raise UsageError(f"{flag}: is not for a live source", cure="leave it out")
        _show_live(file, analysis, policy, where, Reporter(quiet=quiet))
        return
    clip = opt.clip_from(Path(file), width, height, pix_fmt, framerate, duration)
    if output is None:
        again = _flags(
            ("--width", width, None),
            ("--height", height, None),
            ("--pix-fmt", pix_fmt, None),
            ("--framerate", framerate, None),
            ("--duration", duration, 0.0),
            ("--saliency-model", saliency_model, None),
            ("--analysis-fps", analysis_fps, None),
            ("--every", every, None),
            ("--device", device, "auto"),
            ("--sidecar", sidecar, None),
        )
        _show_clip(clip, analysis, policy, sidecar, where, again)
        return
    style = style or DEFAULT_STYLE
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
        | {"roi": policy.to_json() | plan.statistics().to_json()}
    )


_Where = tuple[str, int, bool, Reporter]
"""For a browser: host, port, whether to open the page, and who is told."""


def _show_clip(
    clip: Clip, analysis: AnalysisSettings, policy: RoiPolicy, sidecar: Path | None, where: _Where | None, again: list[str]
) -> None:
    """In the browser if ``where`` is given, in the terminal otherwise; ``again`` are the flags that ``encode`` needs too."""
    if where is not None:
        server = _web_server()
        with server.open_site(*where) as site, PreviewSession(clip, analysis, sidecar) as session:
            server.serve_clip(session, policy, site, again)
        return
    from gpu_saliency.preview.terminal.player import ClipPlayer
    from gpu_saliency.preview.terminal.screen import check_terminal, show_in_terminal

    console = check_terminal(Console())
    with PreviewSession(clip, analysis, sidecar) as session:
        show_in_terminal(session, ClipPlayer(clip), policy, console)


def _show_live(source: str, analysis: AnalysisSettings, policy: RoiPolicy, where: _Where | None, reporter: Reporter) -> None:
    """As `_show_clip`, of a source that has no end yet."""
    from gpu_saliency.preview.live.feed import LiveFeed
    from gpu_saliency.preview.live.session import LiveSession

    if analysis.device not in ("auto", "cpu"):
        raise UsageError(f"--device {analysis.device}: a live source is looked at on the CPU", cure="leave it out")
    rate = DEFAULT_ANALYSIS_FPS if analysis.analysis_fps is None else analysis.analysis_fps
    if rate <= 0:
        raise UsageError(f"--analysis-fps {float(rate):g}: out of range", cure="more than 0")
    model = SaliencyModel(analysis.model)
    check_source(source)
    reporter.say(f"waiting for video from {name_of(source)}")
    if where is not None:
        server = _web_server()
        with server.open_site(*where) as site, LiveFeed(source) as feed, LiveSession(feed, model, rate) as session:
            server.serve_live(session, policy, site)
        return
    from gpu_saliency.preview.terminal.player import LivePlayer
    from gpu_saliency.preview.terminal.screen import check_terminal, show_in_terminal

    console = check_terminal(Console())
    with LiveFeed(source) as feed, LiveSession(feed, model, rate) as session:
        show_in_terminal(session, LivePlayer(feed), policy, console)


def _web_server() -> ModuleType:
    """Imported late: the rest of the program does without. Raises `ToolMissingError`."""
    try:
        from gpu_saliency.preview.web import server
    except ImportError as error:
        raise ToolMissingError(
            f"--web: {error.name or error} is not installed", cure="pip install 'gpu-saliency[preview]'"
        ) from error
    return server


def _refuse_flags_of(way: str, given: dict[str, bool], *, unless: bool) -> None:
    """Raise `UsageError` for a flag that would do nothing."""
    for flag, is_given in given.items():
        if is_given and not unless:
            raise UsageError(f"{flag}: is for {way}", cure="leave it out")


def _check_sidecar(sidecar: Path | None) -> None:
    """It is written when the work is done; that it can be is known now. Raises `SidecarError` or `OutputError`."""
    if sidecar is not None and sidecar.is_dir():
        raise SidecarError(f"{sidecar}: is a folder", cure="give --sidecar the path of a file")
    if sidecar is not None and not sidecar.parent.is_dir():
        raise OutputError(f"{sidecar}: its folder does not exist", cure=f"mkdir -p {sidecar.parent}")


def _flags(*given: tuple[str, object, object]) -> list[str]:
    """The arguments with which ``encode`` reads the same clip and finds the same saliency: (flag, value, default) each."""
    words: list[str] = []
    for flag, value, usual in given:
        words += [flag, f"{value:g}" if isinstance(value, float) else str(value)] if value != usual else []
    return words
