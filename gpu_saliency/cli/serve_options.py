"""Options of ``serve``, and the options of its jobs as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer

from gpu_saliency.batch.names import DEFAULT_TEMPLATE
from gpu_saliency.cache.folder import parse_bytes
from gpu_saliency.cli.option_groups import flag_of
from gpu_saliency.errors import UsageError, setting

SERVER, WATCH = "Server", "Watched folders"
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8040
DEFAULT_STILL = 10.0


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What the server allows, and where it listens."""

    root: Annotated[
        list[Path],
        typer.Option(help="Folder in which jobs may read and write; can be given several times.", rich_help_panel=SERVER),
    ]
    state: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the queue and the token, outside of the folders --root.",
            show_default="the user's state folder",
            rich_help_panel=SERVER,
        ),
    ] = None
    host: Annotated[str, typer.Option(help="Listen on this address.", rich_help_panel=SERVER)] = DEFAULT_HOST
    port: Annotated[int, typer.Option(help="Listen on this port; 0 chooses a free one.", rich_help_panel=SERVER)] = DEFAULT_PORT
    public_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name by which clients reach a proxy in front, as in their Host header; can be given several times.",
            show_default=False,
            rich_help_panel=SERVER,
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the token, readable by this user only; also GPU_SALIENCY_SERVE_TOKEN.",
            show_default="a random token in the folder --state",
            rich_help_panel=SERVER,
        ),
    ] = None
    no_token: Annotated[
        bool,
        typer.Option("--no-token", help="Let every user of this machine in; on a loopback address only.", rich_help_panel=SERVER),
    ] = False
    min_free: Annotated[
        str, typer.Option(help="Accept and start no job with less free disk than this.", rich_help_panel=SERVER)
    ] = "1G"

    def least(self) -> int:
        """Bytes of ``--min-free``. Raises `UsageError`."""
        return parse_bytes(self.min_free, "min_free")


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """Folders whose clips become jobs by themselves."""

    watch: Annotated[
        list[Path] | None,
        typer.Option(
            help="Encode the clips that appear in this folder, which lies in a --root; can be given several times.",
            show_default=False,
            rich_help_panel=WATCH,
        ),
    ] = None
    watch_out: Annotated[
        Path | None,
        typer.Option(help="Folder for the outputs of watched clips.", show_default=False, rich_help_panel=WATCH),
    ] = None
    watch_still: Annotated[
        float,
        typer.Option(help="Take a clip when its size and time have not changed for this many seconds.", rich_help_panel=WATCH),
    ] = DEFAULT_STILL
    name: Annotated[
        str,
        typer.Option(
            help="Path of each output below --watch-out, with {name}, {ext}, {folder}, {number}, {rung} and options such as {crf}.",
            rich_help_panel=WATCH,
        ),
    ] = DEFAULT_TEMPLATE

    def __post_init__(self) -> None:
        """Raise `UsageError` for options that do not fit together."""
        if not 0.1 <= self.watch_still <= 86400:
            raise UsageError("out of range", setting="watch_still", value=self.watch_still, cure="0.1 to 86400 seconds")
        if self.watch and self.watch_out is None:
            raise UsageError("a watched folder needs a place for the outputs", cure=f"give {setting('watch_out')} too")
        if self.watch_out is not None and not self.watch:
            cure = f"give {setting('watch')} too, or leave it out"
            raise UsageError("has no effect without a watched folder", setting="watch_out", value=self.watch_out, cure=cure)


def described_options(group: type[Any]) -> Iterator[tuple[str, type, str]]:
    """Name, type of the value, and help text of each option of ``group``."""
    hints = get_type_hints(group, include_extras=True)
    for one in fields(group):
        hint = hints[one.name]
        if isinstance(hint, type) and is_dataclass(hint):
            yield from described_options(hint)
            continue
        kind, *notes = get_args(hint)
        if get_origin(kind) in (Union, UnionType):
            kind = next(part for part in get_args(kind) if part is not type(None))
        yield flag_of(one, hint).removeprefix("--"), kind, next(note.help for note in notes if getattr(note, "help", None))
