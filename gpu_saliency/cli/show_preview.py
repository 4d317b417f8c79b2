"""Runs the modes of ``preview``: shows a clip in the browser or the terminal, or writes a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from gpu_saliency.analysis.devices import choose_device
from gpu_saliency.analysis.load import find_saliency
from gpu_saliency.analysis.settings import NO_DRIVER, AnalysisSettings
from gpu_saliency.analysis.source_notes import report_source
from gpu_saliency.cli.encode_command import Pairs, encode_command, encode_config
from gpu_saliency.cli.show_encode import reused_text
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.encode.source_log import LogCheck
from gpu_saliency.errors import ToolMissingError, UsageError
from gpu_saliency.estimate import ClipEstimator
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.preview.dials import Dials
from gpu_saliency.preview.file import draw_preview
from gpu_saliency.preview.live.source import check_source, name_of
from gpu_saliency.preview.overlay.sheet import DEFAULT_FRAMES
from gpu_saliency.preview.session import PreviewSession
from gpu_saliency.progress import Reporter
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import DEFAULT_ANALYSIS_FPS, KEYFRAME
from gpu_saliency.trial import Intent, resolve_intent


@dataclass(frozen=True, slots=True)
class Page:
    """The settings of the browser's page: its address, and whether to open it in a browser."""

    host: str
    port: int
    open_page: bool
    reporter: Reporter


@dataclass(frozen=True, slots=True)
class PreviewDisplay:
    """Shows clips and live sources, in a browser if there is a ``page`` and in the terminal otherwise."""

    policy: RoiPolicy
    wanted: Intent
    """A strength to find: by trial encodes, or from a share of the bits."""
    analysis: AnalysisSettings
    sidecar: Path | None
    page: Page | None
    reporter: Reporter
    strict: bool = False
    """Whether a source that is damaged or incomplete is refused."""

    @property
    def start(self) -> Dials:
        """The dials at the start, without a base quality."""
        return Dials(self.policy, self.wanted.salient_bits)

    def show_clip(self, clip: Clip, estimator: ClipEstimator, arguments: Pairs) -> None:
        """Show ``clip`` until the user ends the preview; ``arguments`` are added to the page's command and config file."""
        start, auto, default_crf = replace(self.start, crf=estimator.quality.crf), self.wanted.auto_offset, estimator.default_crf

        def command(dials: Dials) -> tuple[str, str]:
            crf = None if dials.crf == default_crf else dials.crf
            texts = [
                make(clip, dials.policy, arguments, salient_bits=dials.salient_bits, crf=crf)
                for make in (encode_command, encode_config)
            ]
            return texts[0], texts[1]

        if self.page is not None:
            server, page = _web_server(), self.page
            with (
                server.open_site(page.host, page.port, page.open_page, page.reporter) as site,
                self._session(clip, estimator) as session,
            ):
                server.serve_clip(session, start, site, command, estimator, spell_flag, auto=auto)
            return
        from gpu_saliency.preview.terminal.show import check_terminal, show_clip

        console = check_terminal(Console())
        with self._session(clip, estimator) as session:
            show_clip(session, start, console, estimator, spell_flag, auto=auto)

    def _session(self, clip: Clip, estimator: ClipEstimator) -> PreviewSession:
        strict, per_map = self.strict, estimator.per_map
        return PreviewSession(clip, self.analysis, self.sidecar, self.reporter, strict=strict, per_map=per_map)

    def show_live(self, source: str, *, allow_playlists: bool = False) -> None:
        """Show a live ``source`` until the user ends the preview; ``allow_playlists`` accepts playlists.

        Raises `UsageError` for settings that live sources do not support.
        """
        from gpu_saliency.preview.live.reader import LiveReader
        from gpu_saliency.preview.live.session import LiveSession

        analysis = self.analysis
        rate = DEFAULT_ANALYSIS_FPS if analysis.analysis_fps is None else analysis.analysis_fps
        if rate <= 0:
            raise UsageError("out of range", setting="analysis_fps", value=float(rate), cure="more than 0")
        check_source(source)
        # One frame at a time: a later one would wait for a batch.
        device, model, reason = choose_device(analysis.device, analysis.model_path, replace(analysis.gpu, batch_size=1))
        if reason.startswith("auto: ") and NO_DRIVER not in reason:
            self.reporter.say(f"finding saliency on the CPU: {reason}")
        self.reporter.say(f"waiting for video from {name_of(source)}")
        if self.page is not None:
            server, page = _web_server(), self.page
            with (
                server.open_site(page.host, page.port, page.open_page, page.reporter) as site,
                LiveReader(source, allow_playlists=allow_playlists) as reader,
                LiveSession(reader, device, model, rate) as session,
            ):
                server.serve_live(session, self.start, site, spell_flag)
            return
        from gpu_saliency.preview.terminal.show import check_terminal, show_live

        console = check_terminal(Console())
        with (
            LiveReader(source, allow_playlists=allow_playlists) as reader,
            LiveSession(reader, device, model, rate) as session,
        ):
            show_live(session, self.start, console, spell_flag)


def write_preview(
    display: PreviewDisplay,
    clip: Clip,
    estimator: ClipEstimator,
    output: Path,
    style: str,
    *,
    audio: bool,
    overwrite: bool,
    count: int | str = DEFAULT_FRAMES,
) -> dict[str, Any]:
    """Analyse ``clip`` and write the overlay to ``output``; returns the object that ``preview --json`` prints."""
    reporter, policy, report = display.reporter, display.policy, None
    with reporter.stage("finding saliency") as advance, LogCheck(clip, at_key_frames=display.analysis.every == KEYFRAME) as check:
        saliency = find_saliency(
            clip, display.analysis, display.sidecar, strict=display.strict, on_progress=advance, on_notice=reporter.say
        )
        found = check.added_to(saliency.sidecar, strict=display.strict)
    if saliency.reused:
        reporter.say(f"saliency: {reused_text(saliency.reused_from, verbose=reporter.is_verbose)}")
    report_source(clip, found, reporter)
    if display.wanted.is_given:
        job = estimator.prepare().timed_like(found)
        _, policy, report = resolve_intent(display.wanted, job, found, policy, reporter, suffix=output.suffix)
    plan = build_roi_plan(found, policy, per_map=estimator.per_map)
    facts = draw_preview(clip, found, plan, output, style=style, frames=count, audio=audio, overwrite=overwrite, observer=reporter)
    return (
        {"output": str(output), "size_bytes": output.stat().st_size, "style": style}
        | facts
        | {"roi": policy.to_json() | plan.statistics().to_json(), "intent": report and report.to_json()}
        | {"warnings": reporter.warnings}
    )


def _web_server() -> ModuleType:
    """Import the web server; only ``--web`` needs the packages of the extra ``preview``. Raises `ToolMissingError`."""
    try:
        from gpu_saliency.preview.web import server
    except ImportError as error:
        raise ToolMissingError(
            f"--web: {error.name or error} is not installed", cure="run pip install 'gpu-saliency[preview]'"
        ) from error
    return server
