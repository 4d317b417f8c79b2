"""``gpu-saliency score``: measure the quality of an encode against its reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_saliency.choices import DEFAULT_FFMPEG
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import RUN, SOURCE, RangedRawOptions, RunOptions, overwrite_option

if TYPE_CHECKING:
    from gpu_saliency.source.clip import Clip

REGIONS = "Regions"
"""A panel of the help page."""


@dataclass(frozen=True, kw_only=True)
class RegionOptions:
    """Parts of the frame to score beside the whole."""

    masks: Annotated[
        Path | None,
        typer.Option(
            help="Score inside and outside of masks: a folder of PNG, or a video; white is inside.",
            show_default=False,
            rich_help_panel=REGIONS,
        ),
    ] = None
    gaze: Annotated[
        Path | None,
        typer.Option(
            help="Score weighted by recorded gaze: a folder of PNG or NPY, an NPZ, or a video.",
            show_default=False,
            rich_help_panel=REGIONS,
        ),
    ] = None
    sidecar: Annotated[
        Path | None,
        typer.Option(
            help="Score weighted by the map of this sidecar; circular, no proof of a gain.",
            show_default=False,
            rich_help_panel=REGIONS,
        ),
    ] = None


@with_groups
def score(
    *,
    ref: Annotated[Path, typer.Option(help="Reference: the source of the encode.", rich_help_panel=SOURCE)],
    dist: Annotated[Path, typer.Option(help="Encode to score.", rich_help_panel=SOURCE)],
    raw: RangedRawOptions,
    frames: Annotated[
        int, typer.Option(help="Compare only this many frames from the start; 0 compares all.", rich_help_panel=SOURCE)
    ] = 0,
    regions: RegionOptions,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the scores of each frame in this PNG.", show_default=False, rich_help_panel=RUN)
    ] = None,
    ffmpeg_bin: Annotated[
        str,
        typer.Option(
            help="Path or name of ffmpeg; the one on PATH is used if it has all metrics, else the bundled one.", rich_help_panel=RUN
        ),
    ] = DEFAULT_FFMPEG,
    overwrite: Annotated[bool, overwrite_option("plot", RUN)] = False,
    report: RunOptions,
) -> None:
    """Measure PSNR, SSIM, XPSNR, VMAF and CAMBI of an encode, of the whole frame and of regions."""
    from gpu_saliency.cli.show_score import score_lines
    from gpu_saliency.score import score_encode

    found = score_encode(
        *_probe(ref, dist, raw),
        masks=regions.masks,
        gaze=regions.gaze,
        sidecar=regions.sidecar,
        frames=frames,
        plot=plot,
        ffmpeg_bin=ffmpeg_bin,
        overwrite=overwrite,
        observer=report.reporter(),
    )
    report.show(found.to_json(), "\n".join(score_lines(found)))


def _probe(ref: Path, dist: Path, raw: RangedRawOptions) -> tuple[Clip, Clip]:
    """Read both headers, and use the range of the reference.

    The format of raw video is of the raw file, or is checked against both files.
    """
    from gpu_saliency.source.probe import probe_clip
    from gpu_saliency.source.raw import RAW_SUFFIXES

    is_raw = [path.suffix.lower() in RAW_SUFFIXES for path in (ref, dist)]
    start, duration = raw.used()
    if is_raw[0] or not any(is_raw):
        reference = raw.probe_part(ref)
    else:
        reference = probe_clip(ref, start=start, duration=duration, allow_playlists=raw.allow_playlists)
    if is_raw[1] or not any(is_raw):
        return reference, raw.probe(dist)
    return reference, probe_clip(dist, allow_playlists=raw.allow_playlists)
