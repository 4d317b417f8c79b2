"""The options with which a command takes the rungs of a ladder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gpu_saliency.cli.options import ENCODE
from gpu_saliency.rungs import parse_rung, read_rungs_file


@dataclass(frozen=True, kw_only=True)
class LadderOptions:
    """The outputs of a ladder."""

    rung: Annotated[
        list[str] | None,
        typer.Option(
            help="An output: SIZE:KEY=VALUE:..., such as 1280x720:crf=23; give it again for more.",
            show_default=False,
            rich_help_panel=ENCODE,
        ),
    ] = None
    rungs: Annotated[
        Path | None, typer.Option(help="JSON file with a list of outputs.", show_default=False, rich_help_panel=ENCODE)
    ] = None

    def asked(self) -> tuple[dict[str, Any], ...]:
        """What is asked of each output (`gpu_saliency.rungs`). Raises `SourceMissingError` or `UsageError`."""
        return (*map(parse_rung, self.rung or ()), *(read_rungs_file(self.rungs) if self.rungs is not None else ()))
