"""``gpu-saliency encode``: encodes a clip with more bits in its salient regions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.cli.encode_call import EncodeCall
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import RUN, RunOptions
from gpu_saliency.errors import UsageError


@with_groups
def encode(
    *,
    call: EncodeCall,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and the commands; write no file.", rich_help_panel=RUN)
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="With --dry-run: write the files that the commands name, and run.sh with the commands, to this new folder.",
            show_default=False,
            rich_help_panel=RUN,
        ),
    ] = None,
    report: RunOptions,
) -> None:
    """Detect salient regions and encode the clip with more bits there."""
    if keep is not None and not dry:
        raise UsageError("has no effect without --dry-run", setting="keep", value=keep, cure="give --dry-run too")
    request = call.request()
    from gpu_saliency.cli.show_encode import encode_lines
    from gpu_saliency.dryrun import dry_run
    from gpu_saliency.pipeline import encode_clip
    from gpu_saliency.results import DryRunResult, EncodeResult

    reporter = report.reporter()
    result: EncodeResult | DryRunResult = dry_run(request, reporter, keep=keep) if dry else encode_clip(request, reporter)
    report.show(result.to_json(), "\n".join(encode_lines(result, verbose=report.verbose)), has_output=not dry)
