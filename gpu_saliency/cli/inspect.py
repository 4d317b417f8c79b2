"""``gpu-saliency inspect``: read the ROI back from a finished encode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.cli import options as opt
from gpu_saliency.cli.reporter import CliReporter
from gpu_saliency.cli.rows import Rows, print_rows
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG
from gpu_saliency.inspection import inspect_encode
from gpu_saliency.proof import Proof


def inspect(
    file: Annotated[Path, typer.Argument(help="The encode to look into.", show_default=False)],
    sidecar: Annotated[Path | None, typer.Option(help="Its sidecar.", show_default="FILE.saliency.npz")] = None,
    src: Annotated[Path | None, typer.Option(help="The source, if it has moved since.", show_default=False)] = None,
    plain: Annotated[
        Path | None, typer.Option(help="A plain encode with the same settings; made here otherwise.", show_default=False)
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Write a PNG: source, plan and effect.", show_default=False)] = None,
    frames: Annotated[int, typer.Option(help="Compare so many frames from the start; 0 for all.")] = 0,
    encoder_params: Annotated[str, typer.Option(help="Those that the encode was given.", show_default=False)] = "",
    ffmpeg_bin: opt.FfmpegBin = DEFAULT_FFMPEG,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing picture.")] = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Compare what an encode did with what its plan asked, block by block, against a plain encode."""
    found = inspect_encode(
        file,
        sidecar=sidecar,
        src=src,
        plain=plain,
        picture=picture,
        frames=frames,
        encoder_params=encoder_params,
        ffmpeg_bin=ffmpeg_bin,
        overwrite=overwrite,
        observer=CliReporter(quiet=quiet),
    )
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
        return
    print_rows(_rows(found.proof))
    print(found.proof.summary())


def _rows(proof: Proof) -> Rows:
    """The numbers of ``proof``, for people."""
    unit = proof.unit if proof.unit == "QP" else "dB of error"

    def side(planned: float | None, change: float | None, blocks: int) -> str:
        if planned is None or change is None:
            return "no block could be measured"
        return f"plan {planned:+.2f} QP, realised {change:+.2f} {unit}, {blocks} blocks"

    agreement = "undefined: the plan or the effect is the same everywhere"
    if proof.correlation is not None and proof.slope is not None:
        agreement = f"correlation {proof.correlation:.3f}, slope {proof.slope:.2f} {unit} per planned QP"
    what = "the whole clip" if proof.whole_clip else "an excerpt"
    ratio = proof.size_ratio if proof.whole_clip else proof.excerpt_size_ratio
    return [
        ("compared", f"{proof.frames} frames, {what}; {proof.blocks} of {proof.blocks_planned} blocks could be measured"),
        ("inside", side(proof.inside_planned, proof.inside_change, proof.blocks_inside)),
        ("outside", side(proof.outside_planned, proof.outside_change, proof.blocks_outside)),
        ("agreement", agreement),
        ("size", "unknown" if ratio is None else f"{100 * (ratio - 1):+.1f} % of a plain encode's video bytes, {what}"),
    ]
