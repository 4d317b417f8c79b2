"""``gpu-saliency encode``: encodes a clip with more bits in its salient regions."""

from __future__ import annotations

from typing import Annotated

import typer

from gpu_saliency.cli.encode_call import EncodeCall
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import RUN, RunOptions
from gpu_saliency.cli.show_encode import encode_lines
from gpu_saliency.dryrun import dry_run
from gpu_saliency.pipeline import encode_clip
from gpu_saliency.results import DryRunResult, EncodeResult


@with_groups
def encode(
    *,
    call: EncodeCall,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and the commands; write no file.", rich_help_panel=RUN)
    ] = False,
    report: RunOptions,
) -> None:
    """Detect salient regions and encode the clip with more bits there."""
    request = call.request()
    reporter = report.reporter()
    result: EncodeResult | DryRunResult = dry_run(request, reporter) if dry else encode_clip(request, reporter)
    report.show(result.to_json(), "\n".join(encode_lines(result)), has_output=not dry)
