"""``gpu-saliency encode``: encodes a clip with more bits in its salient regions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.choices import PROVE, VERIFY
from gpu_saliency.cli.complete import of
from gpu_saliency.cli.encode_options import EncodeOptions
from gpu_saliency.cli.in_out import SourceAndOutput
from gpu_saliency.cli.intent_options import IntentOptions
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import ENCODE, RUN, RunOptions, SidecarPath, SourceOptions, StrictSource, overwrite_option
from gpu_saliency.cli.saliency_options import GpuOptions, MapsOptions, PlanOptions
from gpu_saliency.errors import UsageError


@with_groups
def encode(
    *,
    files: SourceAndOutput,
    source: SourceOptions,
    plan: PlanOptions,
    settings: EncodeOptions,
    intent: IntentOptions,
    analysis: MapsOptions,
    gpu: GpuOptions,
    strict: StrictSource = False,
    sidecar: SidecarPath = None,
    prove: Annotated[
        str,
        typer.Option(
            help="Prove the encode against a plain one: excerpt (first 12 frames), full or none.",
            autocompletion=of(PROVE),
            rich_help_panel=RUN,
        ),
    ] = "excerpt",
    verify: Annotated[
        str,
        typer.Option(
            help="Verify the output: quick (all packets, first frame), full (decode every frame) or none.",
            autocompletion=of(VERIFY),
            rich_help_panel=RUN,
        ),
    ] = "quick",
    no_equal_size: Annotated[
        bool,
        typer.Option(
            "--no-equal-size",
            help="Leave --crf as it is; by default a sample corrects it so that the file has the size of a plain encode.",
            rich_help_panel=ENCODE,
        ),
    ] = False,
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
    overwrite: Annotated[bool, overwrite_option("output", RUN)] = False,
    report: RunOptions,
) -> None:
    """Detect salient regions and encode the clip with more bits there."""
    if keep is not None and not dry:
        raise UsageError("has no effect without --dry-run", setting="keep", value=keep, cure="give --dry-run too")
    src = files.path()
    from gpu_saliency.cli.show_encode import encode_lines
    from gpu_saliency.dryrun import dry_run
    from gpu_saliency.pipeline import encode_clip
    from gpu_saliency.request import EncodeRequest
    from gpu_saliency.results import DryRunResult, EncodeResult

    request = EncodeRequest(
        policy=plan.policy(allows_auto=True),
        analysis=analysis.settings(gpu),
        clip=source.probe(src),
        output=files.target(src, settings.encoder),
        encode=settings.settings(),
        intent=intent.intent(auto_offset=plan.is_auto),
        sidecar=sidecar,
        fallback_plain=settings.allows_plain(),
        overwrite=overwrite,
        prove=prove,
        strict=strict,
        verify=verify,
        equal_size=not no_equal_size,
    )
    reporter = report.reporter()
    result: EncodeResult | DryRunResult = dry_run(request, reporter, keep=keep) if dry else encode_clip(request, reporter)
    report.show(result.to_json(), "\n".join(encode_lines(result, verbose=report.verbose)), has_output=not dry)
