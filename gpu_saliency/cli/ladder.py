"""``gpu-saliency ladder``: several sizes or encoders of one clip from one analysis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_saliency.choices import PROVE, VERIFY
from gpu_saliency.cli.encode_options import EncodeOptions
from gpu_saliency.cli.in_out import SourceFile
from gpu_saliency.cli.ladder_options import LadderOptions
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import ENCODE, RUN, RunOptions, SourceOptions, StrictSource, overwrite_option
from gpu_saliency.cli.saliency_options import GpuOptions, MapsOptions, PlanOptions
from gpu_saliency.errors import chosen

if TYPE_CHECKING:
    from gpu_saliency.ladder import LadderResult


@with_groups
def ladder(
    *,
    files: SourceFile,
    out_dir: Annotated[Path, typer.Option(help="Folder for the outputs; made if it does not exist.", rich_help_panel=ENCODE)],
    outputs: LadderOptions,
    suffix: Annotated[
        str, typer.Option(help="Suffix of all outputs, which selects the container.", rich_help_panel=ENCODE)
    ] = ".mp4",
    source: SourceOptions,
    plan: PlanOptions,
    settings: EncodeOptions,
    analysis: MapsOptions,
    gpu: GpuOptions,
    strict: StrictSource = False,
    prove: Annotated[
        str, typer.Option(help="Prove each output against a plain encode: excerpt, full or none.", rich_help_panel=RUN)
    ] = "excerpt",
    verify: Annotated[str, typer.Option(help="Verify each output: quick, full or none.", rich_help_panel=RUN)] = "quick",
    overwrite: Annotated[bool, overwrite_option("output", RUN)] = False,
    report: RunOptions,
) -> None:
    """Encode several sizes of the clip from one analysis, with key frames at the same times."""
    from gpu_saliency.cli.rungs import rungs_of
    from gpu_saliency.ladder import LadderRequest, encode_ladder

    src = files.path()
    request = LadderRequest(
        clip=source.probe(src),
        folder=out_dir,
        rungs=rungs_of(outputs.asked(), settings.settings(), src.stem),
        suffix=suffix,
        analysis=analysis.settings(gpu),
        policy=plan.policy(),
        overwrite=overwrite,
        prove=chosen("prove", prove, PROVE),
        strict=strict,
        verify=chosen("verify", verify, VERIFY),
    )
    result = encode_ladder(request, report.reporter())
    report.show(result.to_json(), "\n".join(_lines(result)), has_output=True)


def _lines(result: LadderResult) -> Iterator[str]:
    for one in result.rungs:
        output, proof = one.output, one.proof
        moved = "" if proof is None else "; " + proof.summary().partition(":")[0].lower()
        facts = output.facts
        yield f"{output.path}: {facts.width}x{facts.height}, {output.size_bytes:,} bytes, {facts.frames} frames{moved}"
    yield f"key frames at every {result.keyint} frames, {len(result.key_frames)} in each output, at the same times"
