"""``gpu-saliency preview``: shows the saliency of a clip and its plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_saliency.choices import DEFAULT_OFFSET, DEFAULT_STYLE, STYLES
from gpu_saliency.cli.complete import of
from gpu_saliency.cli.encode_options import EncoderOptions
from gpu_saliency.cli.intent_options import StrengthOptions
from gpu_saliency.cli.option_groups import changed_arguments, with_groups
from gpu_saliency.cli.options import PREVIEW, RUN, RunOptions, SidecarPath, SourceOptions, StrictSource, overwrite_option
from gpu_saliency.cli.saliency_options import AUTO, MapsOptions, PlanOptions
from gpu_saliency.errors import OutputError, SidecarError, UsageError, setting
from gpu_saliency.texts import printable

if TYPE_CHECKING:
    from gpu_saliency.cli.show_preview import Page

DEFAULT_HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class ShowOptions:
    """Options for the mode of the preview: a file, the terminal or the browser."""

    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the overlay as a video (.mp4, .mkv) or a contact sheet (.png).",
            show_default=False,
            rich_help_panel=PREVIEW,
        ),
    ] = None
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Play the overlay in this terminal, as coloured blocks.", rich_help_panel=PREVIEW)
    ] = False
    web: Annotated[bool, typer.Option("--web", help="Serve a page for a browser on this machine.", rich_help_panel=PREVIEW)] = False
    host: Annotated[
        str | None,
        typer.Option(
            help="Listen for --web on this address; beyond loopback the page's URL contains a secret token.",
            show_default=DEFAULT_HOST,
            rich_help_panel=PREVIEW,
        ),
    ] = None
    port: Annotated[
        int | None,
        typer.Option(help="Listen for --web on this port; 0 chooses a free one.", show_default="0", rich_help_panel=PREVIEW),
    ] = None
    follow: Annotated[
        bool,
        typer.Option("--live", help="Follow a file that is still being written: show its newest frames.", rich_help_panel=PREVIEW),
    ] = False
    open_page: Annotated[bool, typer.Option("--open", help="Open the page of --web in a browser.", rich_help_panel=PREVIEW)] = False
    style: Annotated[
        str | None,
        typer.Option(
            help="Panels of --output: " + ", ".join(STYLES) + ".",
            autocompletion=of(STYLES),
            show_default=DEFAULT_STYLE,
            rich_help_panel=PREVIEW,
        ),
    ] = None
    frames: Annotated[
        str | None,
        typer.Option(
            help="Frames of a contact sheet: a number, or cuts for the first frame of each scene.",
            metavar="N|cuts",
            show_default="12",
            rich_help_panel=PREVIEW,
        ),
    ] = None
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Leave the audio out of --output.", rich_help_panel=PREVIEW)] = False

    def check(self, *, overwrite: bool, as_json: bool) -> None:
        """Raise `UsageError` unless exactly one mode is chosen and all given options apply to it."""
        if (self.output is not None) + self.terminal + self.web != 1:
            raise UsageError(
                "choose exactly one of --web, --terminal or --output", cure="for --output give a .mp4, .mkv or .png file"
            )
        for_page = {"--host": self.host is not None, "--port": self.port is not None, "--open": self.open_page}
        for_file = {"--style": self.style is not None, "--frames": self.frames is not None, "--no-audio": self.no_audio}
        for_file |= {"--overwrite": overwrite, "--json": as_json}
        for mode, flags, chosen in (("--web", for_page, self.web), ("--output", for_file, self.output is not None)):
            for flag in (flag for flag, given in flags.items() if given and not chosen):
                raise UsageError(f"{flag}: applies to {mode} only", cure=f"leave {flag} out")
        if self.frames is not None and self.output is not None and self.output.suffix.lower() != ".png":
            raise UsageError("applies to a contact sheet (.png) only", setting="frames", value=self.frames, cure="leave it out")

    def page(self, report: RunOptions) -> Page | None:
        """Return the settings of the page of ``--web``; ``None`` for the other modes."""
        from gpu_saliency.cli.show_preview import Page

        return Page(self.host or DEFAULT_HOST, self.port or 0, self.open_page, report.reporter()) if self.web else None


@with_groups
def preview(
    *,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Source clip: any container, .y4m, or raw .yuv. Live: - for stdin, or a URL that ffmpeg reads.",
            show_default=False,
        ),
    ],
    show: ShowOptions,
    source: SourceOptions,
    plan: PlanOptions,
    strength: StrengthOptions,
    encoder: EncoderOptions,
    analysis: MapsOptions,
    strict: StrictSource = False,
    sidecar: SidecarPath = None,
    overwrite: Annotated[bool, overwrite_option("output", RUN)] = False,
    report: RunOptions,
) -> None:
    """Show the salient regions of a clip and its plan in a browser, a terminal or a file; only trial encodes are made."""
    from gpu_saliency.cli.show_preview import PreviewDisplay, write_preview
    from gpu_saliency.estimate import ClipEstimator
    from gpu_saliency.preview.live.source import is_live
    from gpu_saliency.preview.overlay.output import check_preview_output
    from gpu_saliency.preview.overlay.sheet import parse_frames
    from gpu_saliency.trial import Intent

    show.check(overwrite=overwrite, as_json=report.as_json)
    count = parse_frames(show.frames)
    policy, encode = plan.policy(allows_auto=True), encoder.settings()
    # Without auto, the loss is for the search that the page or a key starts.
    loss = strength.max_vmaf_loss if plan.is_auto or show.output is not None else 0.0
    wanted = Intent(auto_offset=plan.is_auto, salient_bits=strength.share(), max_vmaf_loss=loss)
    wanted.check_with(crf=encode.crf, bitrate=None, offset_is_given=policy.offset != DEFAULT_OFFSET)
    display = PreviewDisplay(policy, wanted, analysis.settings(), sidecar, show.page(report), report.reporter(), strict)
    _check_sidecar(sidecar)
    if show.follow or is_live(file):
        _refuse_for_live(show.output, sidecar, source, analysis, encoder, strength, is_auto=plan.is_auto, strict=strict)
        display.show_live(file, allow_playlists=source.allow_playlists)
        return
    clip = source.probe(Path(file))
    estimator = ClipEstimator(clip, encode, max_vmaf_loss=strength.max_vmaf_loss)
    chosen = changed_arguments(encoder)
    if chosen or plan.is_auto:
        estimator.prepare()  # so that its errors come before the analysis
    if show.output is None:
        arguments = changed_arguments(source) + changed_arguments(analysis) + [pair for pair in chosen if pair[0] != "--crf"]
        arguments += [("--sidecar", str(sidecar))] if sidecar is not None else []
        display.show_clip(clip, estimator, arguments)
        return
    if not plan.is_auto:
        _refuse_for_file(encoder)
    style, audio = show.style or DEFAULT_STYLE, not show.no_audio
    check_preview_output(show.output, clip, style, audio=audio, overwrite=overwrite)
    display.analysis.check_output(show.output, "output")
    facts = write_preview(display, clip, estimator, show.output, style, audio=audio, overwrite=overwrite, count=count)
    segments = facts["roi"]["segments"]
    text = (
        f"{printable(str(show.output))}: {facts['width']}x{facts['height']}, {facts['frames']} frames, {segments} segments, {style}"
    )
    report.show(facts, text, has_output=True)


def _refuse_for_live(
    output: Path | None,
    sidecar: Path | None,
    source: SourceOptions,
    analysis: MapsOptions,
    encoder: EncoderOptions,
    strength: StrengthOptions,
    *,
    is_auto: bool,
    strict: bool,
) -> None:
    """Raise `UsageError` for an option that has no effect on a live source."""
    if is_auto:
        cure = "give a number"
        raise UsageError("needs trial encodes of a file, not of a live source", setting="offset", value=AUTO, cure=cure)
    given = {"--output": output, "--sidecar": sidecar, "--every": analysis.every, "--maps": analysis.maps}
    flags = [flag for flag, value in given.items() if value is not None]
    flags += [flag for group in (source, encoder) for flag, _ in changed_arguments(group) if flag != "--allow-playlists"]
    flags += ["--strict"] if strict else []
    flags += ["--max-vmaf-loss"] if strength.max_vmaf_loss else []
    if flags:
        raise UsageError(f"{flags[0]}: does not apply to a live source", cure=f"leave {flags[0]} out")


def _refuse_for_file(encoder: EncoderOptions) -> None:
    """Raise `UsageError` for an option that has an effect on trial encodes only; the encoder decides the plan too."""
    given = {"crf": encoder.crf, "preset": encoder.preset, "encoder_params": encoder.encoder_params or None}
    for name, value in given.items():
        if value is not None:
            problem = f"has no effect without {setting('offset', AUTO)}: no trial encodes are made"
            raise UsageError(problem, setting=name, value=value, cure=f"leave {setting(name)} out")


def _check_sidecar(sidecar: Path | None) -> None:
    """Raise `SidecarError` or `OutputError` before the analysis if the sidecar cannot be written after it."""
    from gpu_saliency.files import check_name
    from gpu_saliency.publishing import check_replaceable

    if sidecar is not None:
        check_name(sidecar, cure=f"give {setting('sidecar')} another path")
    if sidecar is not None and not sidecar.is_dir():
        check_replaceable(sidecar, cure=f"give {setting('sidecar')} the path of a file")
    if sidecar is not None and sidecar.is_dir():
        raise SidecarError(f"{sidecar}: is a folder", cure="give --sidecar the path of a file")
    if sidecar is not None and not sidecar.parent.is_dir():
        raise OutputError(f"{sidecar}: its folder does not exist", cure=f"run mkdir -p {sidecar.parent}")
