"""``gpu-saliency inspect``: compares a finished encode with its plan and a plain encode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_saliency.choices import DEFAULT_FFMPEG
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import AllowPlaylists, FfmpegBin, RunOptions, overwrite_option
from gpu_saliency.cli.rows import Rows, format_rows

if TYPE_CHECKING:
    from gpu_saliency.proof import Proof


@with_groups
def inspect(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Encode to inspect.", show_default=False)],
    sidecar: Annotated[Path | None, typer.Option(help="Sidecar of the encode.", show_default="FILE.saliency.npz")] = None,
    src: Annotated[Path | None, typer.Option(help="Source of the encode, if it has moved.", show_default=False)] = None,
    plain: Annotated[
        Path | None, typer.Option(help="Plain encode with the same settings; made if not given.", show_default=False)
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Write a PNG with the source, the plan and the effect.", show_default=False)
    ] = None,
    frames: Annotated[int, typer.Option(help="Compare only this many frames from the start; 0 compares all.")] = 0,
    encoder_params: Annotated[str, typer.Option(help="The --encoder-params used for the encode.", show_default=False)] = "",
    ffmpeg_bin: FfmpegBin = DEFAULT_FFMPEG,
    allow_playlists: AllowPlaylists = False,
    overwrite: Annotated[bool, overwrite_option("picture")] = False,
    report: RunOptions,
) -> None:
    """Compare an encode block by block with its plan and with a plain encode."""
    from gpu_saliency.inspection import inspect_encode

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
        allow_playlists=allow_playlists,
        observer=report.reporter(),
    )
    report.show(found.to_json(), f"{format_rows(_rows(found.proof))}\n{found.proof.summary()}")


def _rows(proof: Proof) -> Rows:
    """Describe the measurements of ``proof`` in rows of text."""
    unit = proof.unit if proof.unit == "QP" else "dB of error"

    def side(planned: float | None, change: float | None, blocks: int) -> str:
        if planned is None or change is None:
            return "no block was measured"
        return f"plan {planned:+.2f} QP, realised {change:+.2f} {unit}, {blocks} blocks"

    agreement = "undefined: the plan or the effect is the same everywhere"
    if proof.correlation is not None and proof.slope is not None:
        agreement = f"correlation {proof.correlation:.3f}, slope {proof.slope:.2f} {unit} per planned QP"
    what = "the whole clip" if proof.whole_clip else "an excerpt"
    ratio = proof.size_ratio if proof.whole_clip else proof.excerpt_size_ratio
    return [
        ("compared", f"{proof.frames} frames, {what}; {proof.blocks} of {proof.blocks_planned} blocks measured"),
        ("inside", side(proof.inside_planned, proof.inside_change, proof.blocks_inside)),
        ("outside", side(proof.outside_planned, proof.outside_change, proof.blocks_outside)),
        ("agreement", agreement),
        ("size", "unknown" if ratio is None else f"{100 * (ratio - 1):+.1f} % of a plain encode's video bytes, {what}"),
    ]
