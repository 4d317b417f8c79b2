"""Options that several commands share, each declared once; `with_groups` adds a group to a command."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpu_saliency.choices import PROGRESS, one_of
from gpu_saliency.cli.complete import of
from gpu_saliency.cli.config_options import config_json, take_config, take_profile
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import unknown_choice
from gpu_saliency.process.stalls import DEFAULT_SECONDS, set_stall_timeout
from gpu_saliency.process.streams import StdoutClosed, StdoutError
from gpu_saliency.texts import printable

if TYPE_CHECKING:
    from rich.text import Text

    from gpu_saliency.cli.reporter import CliReporter
    from gpu_saliency.source.clip import Clip

SOURCE, SALIENCY, ENCODE, PREVIEW, RUN = "Source", "Saliency", "Encode", "Preview", "Run"
"""Panels of the help page."""

SidecarPath = Annotated[
    Path | None,
    typer.Option("--sidecar", help="Reuse this saliency sidecar if it exists; write it otherwise.", rich_help_panel=SALIENCY),
]
FfmpegBin = Annotated[
    str,
    typer.Option(
        help="Path or name of ffmpeg; the one on PATH is used if it has the encoder, else the bundled one.", rich_help_panel=ENCODE
    ),
]

AllowPlaylists = Annotated[
    bool,
    typer.Option(
        "--allow-playlists",
        help="Accept playlists (HLS, DASH, ffconcat) and picture patterns, and read the files that they name. Trust the source!",
        rich_help_panel=SOURCE,
    ),
]


StrictSource = Annotated[
    bool,
    typer.Option("--strict", help="Refuse a source that is damaged, or shorter than it declares.", rich_help_panel=SOURCE),
]


def overwrite_option(file: str, panel: str | None = None) -> Any:
    """Declare ``--overwrite`` for a command; ``file`` names its output in the help text."""
    return typer.Option("--overwrite", "-y", help=f"Replace an existing {file}.", rich_help_panel=panel)


@dataclass(frozen=True, kw_only=True)
class RawOptions:
    """Options for the format of raw video, which has no header."""

    width: Annotated[int | None, typer.Option(help="Width in pixels; required for raw video.", rich_help_panel=SOURCE)] = None
    height: Annotated[int | None, typer.Option(help="Height in pixels; required for raw video.", rich_help_panel=SOURCE)] = None
    pix_fmt: Annotated[
        str | None, typer.Option(help="Pixel format of raw video.", show_default="yuv420p", rich_help_panel=SOURCE)
    ] = None
    framerate: Annotated[
        str | None,
        typer.Option(
            help="Frame rate of raw video, or of a bare bitstream such as .h264.", show_default="24.0", rich_help_panel=SOURCE
        ),
    ] = None
    allow_playlists: AllowPlaylists = False

    def probe(self, path: Path) -> Clip:
        """Read the header of the clip at ``path``. Raises `SourceError` or `UsageError`."""
        return self._probe(path, (0.0, 0.0), None)

    def _probe(self, path: Path, used: tuple[float, float], video_stream: int | None) -> Clip:
        from gpu_saliency.source.frame_rate import parse_frame_rate
        from gpu_saliency.source.probe import probe_clip

        rate = parse_frame_rate(self.framerate) if self.framerate is not None else None
        return probe_clip(
            path,
            width=self.width,
            height=self.height,
            pix_fmt=self.pix_fmt,
            frame_rate=rate,
            start=used[0],
            duration=used[1],
            video_stream=video_stream,
            allow_playlists=self.allow_playlists,
        )


@dataclass(frozen=True, kw_only=True)
class RangeOptions:
    """The part of the source that is used."""

    start: Annotated[
        str | None,
        typer.Option(
            help="Begin at this time of the clip: seconds, MM:SS or HH:MM:SS.", show_default=False, rich_help_panel=SOURCE
        ),
    ] = None
    end: Annotated[
        str | None,
        typer.Option(help="End before this time of the clip, in the same forms.", show_default=False, rich_help_panel=SOURCE),
    ] = None
    duration: Annotated[
        str, typer.Option(help="Use only this much from the start, in the same forms; 0 uses all.", rich_help_panel=SOURCE)
    ] = "0.0"

    def used(self) -> tuple[float, float]:
        """Start and duration in seconds; a duration of 0 goes to the end. Raises `UsageError`."""
        from gpu_saliency.source.time_codes import used_range

        return used_range(self.start, self.end, self.duration)


@dataclass(frozen=True, kw_only=True)
class RangedRawOptions(RangeOptions, RawOptions):
    """The format of a raw source, and how much of it is used."""

    def probe_part(self, path: Path) -> Clip:
        """Read the header of the clip at ``path``, and use the part of it. Raises `SourceError` or `UsageError`."""
        return self._probe(path, self.used(), None)


@dataclass(frozen=True, kw_only=True)
class SourceOptions(RangeOptions, RawOptions):
    """How to read the source: its format where it is raw, how much of it, and which video."""

    video_stream: Annotated[
        int | None,
        typer.Option(
            help="Use this video stream, counted from 0 without cover pictures.",
            show_default="the default one, else the largest",
            rich_help_panel=SOURCE,
        ),
    ] = None

    def probe(self, path: Path) -> Clip:
        """Probe the clip at ``path`` with these options. Raises `SourceError` or `UsageError`."""
        return self._probe(path, self.used(), self.video_stream)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options for the output of a command: progress on stderr, the result on stdout."""

    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=RUN)] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Hide progress on stderr.", rich_help_panel=RUN)] = False
    config: Annotated[
        Path | None,
        typer.Option(
            help="Take defaults from this TOML file.",
            show_default="the user's, see gpu-saliency config",
            is_eager=True,
            callback=take_config,
            rich_help_panel=RUN,
        ),
    ] = None
    profile: Annotated[
        str | None,
        typer.Option(
            help="Take defaults from this profile of the config file too.",
            show_default=False,
            is_eager=True,
            callback=take_profile,
            rich_help_panel=RUN,
        ),
    ] = None
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Show details too: paths, reasons, the commands that run.", rich_help_panel=RUN),
    ] = False
    progress: Annotated[
        str,
        typer.Option(
            help="Show progress on stderr as " + one_of(PROGRESS) + "; auto: bars on a terminal, lines elsewhere.",
            autocompletion=of(PROGRESS),
            rich_help_panel=RUN,
        ),
    ] = PROGRESS[0]
    log_file: Annotated[
        Path | None,
        typer.Option(
            help="Add what happens to this file, as text, or as JSON lines for .jsonl.", show_default=False, rich_help_panel=RUN
        ),
    ] = None
    stall_timeout: Annotated[
        float,
        typer.Option(
            help="End a program or a read that makes no progress for this many seconds; 0 never does.", rich_help_panel=RUN
        ),
    ] = DEFAULT_SECONDS

    def __post_init__(self) -> None:
        """Set the stall limit and open the log before the command begins. Raises `UsageError` or `OutputError`."""
        set_stall_timeout(self.stall_timeout)
        if self.progress not in PROGRESS:
            raise unknown_choice("progress", self.progress, PROGRESS)
        if self.log_file is not None or self.progress == "json":
            self.reporter()

    def reporter(self) -> CliReporter:
        """The reporter that shows progress on stderr."""
        return self._reporter

    @functools.cached_property
    def _reporter(self) -> CliReporter:
        from gpu_saliency.cli.reporter import CliReporter

        return CliReporter(quiet=self.quiet, verbose=self.verbose, progress=self.progress, log_file=self.log_file)

    def show(self, result: dict[str, Any], text: str, *, has_output: bool = False, styled: Text | None = None) -> None:
        """Print ``result`` as JSON with ``--json``, and ``text`` otherwise; on a terminal as ``styled``, the same with colours.

        Raises `StdoutError` if stdout cannot be written; a warning where the command ``has_output``, which is complete.
        """
        used = config_json()
        if used is not None:
            result = result | {"config": used}
            self.reporter().detail(f"config {used['path']}: {used['settings']}")
        try:
            if styled is not None and not self.as_json and _print_styled(styled):
                return
            print(json.dumps(result, indent=2) if self.as_json else printable(text, keep="\n"), flush=True)
        except StdoutClosed:
            return
        except StdoutError as error:
            if not has_output:
                raise
            self.reporter().warn(f"{error.line(spell_flag)}; the output file is complete")


def _print_styled(text: Text) -> bool:
    """Print ``text`` with colours on a terminal, or where FORCE_COLOR asks for them; returns whether it did."""
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        console.print(text, soft_wrap=True)
    return console.is_terminal
