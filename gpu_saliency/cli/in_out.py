"""The source and the output of a command: as arguments, ``IN [OUT]``, or as the options ``--src`` and ``--output``."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_saliency.cli.options import ENCODE, SOURCE
from gpu_saliency.errors import SourceMissingError, UsageError, setting
from gpu_saliency.texts import hide_url

if TYPE_CHECKING:
    from gpu_saliency.encode.encoders import EncoderSpec

_WILDCARDS = frozenset("*?[")
_AS_MP4 = frozenset({".mp4", ".m4v", ".mov", ".y4m", ".yuv", ".raw", ".h264", ".hevc"})
"""Suffixes of sources of which the default output is .mp4; .mkv holds the streams of all others."""


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """The source of a command."""

    file: Annotated[
        str | None,
        typer.Argument(metavar="IN", help="Source clip: any container that ffmpeg reads, .y4m, or raw .yuv.", show_default=False),
    ] = None
    src: Annotated[
        str | None, typer.Option("--src", "-i", help="Source clip, in place of IN.", show_default=False, rich_help_panel=SOURCE)
    ] = None

    def path(self) -> Path:
        """The path of the source. Raises `UsageError` where none is given or two are, `SourceMissingError` where it is missing."""
        if self.file is not None and self.src is not None:
            cure = f"leave one of IN and {setting('src')} out"
            raise UsageError(f"two sources are given: {self.file} and {setting('src', self.src)}", cure=cure)
        given = self.file if self.src is None else self.src
        if given is None:
            raise UsageError("no source is given", cure=f"give the path of a video, as IN or as {setting('src')}")
        check_exists(given)
        return Path(given)


@dataclass(frozen=True, kw_only=True)
class SourceAndOutput(SourceFile):
    """The source and the output of an encode."""

    out: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT",
            help="Encoded output; its suffix selects the container, such as .mp4 or .mkv.",
            show_default="IN.roi.mp4, or .mkv, beside IN",
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Encoded output, in place of OUT.", show_default=False, rich_help_panel=ENCODE),
    ] = None

    def target(self, source: Path, encoder: str) -> Path:
        """The path of the output. Raises `UsageError` where two are given."""
        given = one_of_two(self.out, self.output, "output")
        return given if given is not None else default_output(source, encoder)


def one_of_two(argument: Path | None, option: Path | None, name: str) -> Path | None:
    """The path that is given as an argument or as the option ``name``. Raises `UsageError` where both are."""
    if argument is not None and option is not None:
        cure = f"leave one of OUT and {setting(name)} out"
        raise UsageError(f"two outputs are given: {argument} and {setting(name, option)}", cure=cure)
    return argument if option is None else option


def default_output(source: Path, encoder: str) -> Path:
    """The path of an encode of ``source`` where the user gives none: ``STEM.roi.mp4`` beside it, or another container that fits."""
    from gpu_saliency.encode.encoders import ENCODERS

    suffix = ".mp4" if source.suffix.lower() in _AS_MP4 else ".mkv"
    spec: EncoderSpec | None = ENCODERS.get(encoder)
    if spec is not None and spec.suffixes and suffix not in spec.suffixes:
        suffix = spec.suffixes[0]
    return source.with_name(f"{source.stem}.roi{suffix}")


def check_exists(given: str) -> None:
    """Raise `SourceMissingError` with what to do instead where ``given`` is no path of a file that exists."""
    if given == "-":
        raise SourceMissingError("-: stdin cannot be encoded", cure="give the path of a file; preview reads stdin")
    if "://" in given:
        cure = "download it first; preview reads URLs"
        raise SourceMissingError(f"{hide_url(given)}: is a URL, not a file", cure=cure)
    path = Path(given)
    try:
        if path.exists() or path.is_symlink():
            return
    except OSError:  # the probe says why
        return
    if _WILDCARDS & set(given):
        cure = "give the path of one video; no file has a name of this pattern"
        raise SourceMissingError(f"{given}: no such file", cure=cure)
    near = _near(path)
    guess = "" if near is None else f", did you mean {near}?"
    raise SourceMissingError(f"{path}: no such file{guess}", cure="give the path of a video file")


def _near(path: Path) -> Path | None:
    """A file in the folder of ``path`` whose name is almost the same; ``None`` where there is none, or no such folder."""
    try:
        names = [one.name for one in path.parent.iterdir()]
    except OSError:
        return None
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.8)
    return path.with_name(near[0]) if near else None
