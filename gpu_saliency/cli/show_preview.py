"""The ways in which ``preview`` shows a clip: browser, terminal, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.errors import ToolMissingError, UsageError
from gpu_saliency.model.onnx import SaliencyModel
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.preview.live.sources import check_source, name_of
from gpu_saliency.preview.overlay_file import PreviewJob, is_sheet, write_overlay, write_sheet
from gpu_saliency.preview.session import PreviewSession
from gpu_saliency.progress import Reporter
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import DEFAULT_ANALYSIS_FPS


@dataclass(frozen=True, slots=True)
class Page:
    """Where the browser's page is served, and whether to open it."""

    host: str
    port: int
    open_page: bool
    reporter: Reporter


@dataclass(frozen=True, slots=True)
class Shower:
    """Shows clips with one set of settings, in a browser if there is a ``page`` and in the terminal otherwise."""

    policy: RoiPolicy
    analysis: AnalysisSettings
    sidecar: Path | None
    page: Page | None
    reporter: Reporter

    def show_clip(self, clip: Clip, arguments: list[str]) -> None:
        """Show ``clip`` until the user ends it; the page's ``encode`` command repeats ``arguments``."""
        if self.page is not None:
            server, page = _web_server(), self.page
            with (
                server.open_site(page.host, page.port, page.open_page, page.reporter) as site,
                PreviewSession(clip, self.analysis, self.sidecar) as session,
            ):
                server.serve_clip(session, self.policy, site, arguments)
            return
        from gpu_saliency.preview.terminal.player import ClipPlayer
        from gpu_saliency.preview.terminal.screen import check_terminal, show_in_terminal

        console = check_terminal(Console())
        with PreviewSession(clip, self.analysis, self.sidecar) as session:
            show_in_terminal(session, ClipPlayer(clip), self.policy, console)

    def show_live(self, source: str) -> None:
        """Show a live ``source`` until the user ends it. Raises `UsageError` for settings that live sources do not support."""
        from gpu_saliency.preview.live.feed import LiveFeed
        from gpu_saliency.preview.live.session import LiveSession

        analysis = self.analysis
        if analysis.device not in ("auto", "cpu"):
            cure = "leave out --device"
            raise UsageError("live sources are analysed on the CPU only", setting="device", value=analysis.device, cure=cure)
        rate = DEFAULT_ANALYSIS_FPS if analysis.analysis_fps is None else analysis.analysis_fps
        if rate <= 0:
            raise UsageError("out of range", setting="analysis_fps", value=float(rate), cure="more than 0")
        model = SaliencyModel(analysis.model)
        check_source(source)
        self.reporter.say(f"waiting for video from {name_of(source)}")
        if self.page is not None:
            server, page = _web_server(), self.page
            with (
                server.open_site(page.host, page.port, page.open_page, page.reporter) as site,
                LiveFeed(source) as feed,
                LiveSession(feed, model, rate) as session,
            ):
                server.serve_live(session, self.policy, site)
            return
        from gpu_saliency.preview.terminal.player import LivePlayer
        from gpu_saliency.preview.terminal.screen import check_terminal, show_in_terminal

        console = check_terminal(Console())
        with LiveFeed(source) as feed, LiveSession(feed, model, rate) as session:
            show_in_terminal(session, LivePlayer(feed), self.policy, console)


def write_preview(shower: Shower, clip: Clip, output: Path, style: str, *, audio: bool) -> dict[str, Any]:
    """Analyse ``clip``, draw the overlay to ``output``, and return the result object."""
    reporter, policy = shower.reporter, shower.policy
    with reporter.stage("finding saliency") as advance:
        found, _ = load_saliency_sidecar(clip, shower.analysis, shower.sidecar, on_progress=advance)
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


def _web_server() -> ModuleType:
    """Import the web server late: the other modes work without the extra ``preview``. Raises `ToolMissingError`."""
    try:
        from gpu_saliency.preview.web import server
    except ImportError as error:
        raise ToolMissingError(
            f"--web: {error.name or error} is not installed", cure="pip install 'gpu-saliency[preview]'"
        ) from error
    return server
