"""``gpu-saliency compare``: plain encodes against encodes by the plan, at several rates."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.choices import DEFAULT_FFMPEG, ENCODERS
from gpu_saliency.cli.complete import of
from gpu_saliency.cli.encode_options import (
    Background,
    BufSize,
    EncoderParams,
    Keyint,
    MaxRate,
    OutputPixFmt,
    RoiChannel,
    parse_bitrate,
    parse_peak,
)
from gpu_saliency.cli.in_out import SourceFile, one_of_two
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import ENCODE, RUN, FfmpegBin, RunOptions, SidecarPath, SourceOptions, overwrite_option
from gpu_saliency.cli.saliency_options import CachedOptions, GpuOptions, PlanOptions
from gpu_saliency.errors import UsageError, setting
from gpu_saliency.texts import shell_join

RESULTS = "Results"
"""A panel of the help page."""


@dataclass(frozen=True, kw_only=True)
class RateOptions:
    """Encoders, and the rates at which each of them encodes."""

    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="Encoder to compare; give it again for more: " + ", ".join(ENCODERS) + ".",
            show_default="libx264",
            autocompletion=of(ENCODERS),
            rich_help_panel=ENCODE,
        ),
    ] = None
    crf_ladder: Annotated[
        str | None,
        typer.Option(
            help="Base qualities, such as 20,26,32,38; BD-rates need four.",
            show_default="four from the encoder's default",
            rich_help_panel=ENCODE,
        ),
    ] = None
    bitrates: Annotated[
        str | None,
        typer.Option(
            help="Video bits per second, such as 500k,1M,2M,4M; replaces --crf-ladder.", show_default=False, rich_help_panel=ENCODE
        ),
    ] = None
    preset: Annotated[
        str | None,
        typer.Option(
            help="Preset of all encoders, or ENCODER=PRESET,ENCODER=PRESET.", show_default="the encoder's", rich_help_panel=ENCODE
        ),
    ] = None
    maxrate: MaxRate = None
    bufsize: BufSize = None
    encoder_params: EncoderParams = ""
    output_pix_fmt: OutputPixFmt = None
    keyint: Keyint = None
    ffmpeg_bin: FfmpegBin = DEFAULT_FFMPEG
    roi_channel: RoiChannel = None
    background: Background = None


@dataclass(frozen=True, kw_only=True)
class ResultOptions:
    """What is scored and shown."""

    masks: Annotated[
        Path | None,
        typer.Option(
            help="Score inside and outside of masks too: a folder of PNG, or a video; white is inside.",
            show_default=False,
            rich_help_panel=RESULTS,
        ),
    ] = None
    gaze: Annotated[
        Path | None,
        typer.Option(
            help="Score weighted by recorded gaze too: a folder of PNG or NPY, an NPZ, or a video.",
            show_default=False,
            rich_help_panel=RESULTS,
        ),
    ] = None
    pairs: Annotated[
        int,
        typer.Option(help="Rates at which a pair of equal size is made, for pictures and blind votes.", rich_help_panel=RESULTS),
    ] = 2
    pictures: Annotated[int, typer.Option(help="Frames of the clip that the pages show, 1 to 8.", rich_help_panel=RESULTS)] = 3


@with_groups
def compare(
    *,
    files: SourceFile,
    out: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT",
            help="Folder for results.json, report.html and blind.html; created if missing.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for the results, in place of OUT.", show_default=False, rich_help_panel=RESULTS
        ),
    ] = None,
    source: SourceOptions,
    rates: RateOptions,
    plan: PlanOptions,
    analysis: CachedOptions,
    gpu: GpuOptions,
    sidecar: SidecarPath = None,
    results: ResultOptions,
    work: Annotated[
        Path | None,
        typer.Option(
            help="Folder for encodes and scores; a later run reuses them.", show_default="OUTPUT/work", rich_help_panel=RUN
        ),
    ] = None,
    overwrite: Annotated[
        bool, overwrite_option("comparison of another source, or write into a folder of other files", RUN)
    ] = False,
    report: RunOptions,
) -> None:
    """Encode plainly and with the plan at several rates, score both, and write a report."""
    src = files.path()
    from gpu_saliency.cli.show_compare import compare_lines
    from gpu_saliency.compare import CompareRequest, compare_encodes
    from gpu_saliency.compare.ladder import parse_ladder
    from gpu_saliency.compare.request import DEFAULT_ENCODERS

    folder = one_of_two(out, output, "output")
    if folder is None:
        raise UsageError("no folder for the results is given", cure=f"give it as OUT or as {setting('output')}")
    maxrate, bufsize = parse_peak(rates.maxrate, rates.bufsize)
    request = CompareRequest(
        policy=plan.policy(),
        analysis=analysis.settings(gpu),
        encoders=tuple(rates.encoder or DEFAULT_ENCODERS),
        crf_ladder=None if rates.crf_ladder is None else parse_ladder(rates.crf_ladder),
        bitrates=None if rates.bitrates is None else tuple(parse_bitrate(one, "bitrates") for one in rates.bitrates.split(",")),
        presets=parse_presets(rates.preset),
        maxrate=maxrate,
        bufsize=bufsize,
        encoder_params=rates.encoder_params,
        output_pix_fmt=rates.output_pix_fmt,
        keyint=rates.keyint,
        ffmpeg_bin=rates.ffmpeg_bin,
        roi_channel=rates.roi_channel,
        background=rates.background,
        clip=source.probe(src),
        output=folder,
        sidecar=sidecar,
        work=work,
        masks=results.masks,
        gaze=results.gaze,
        pairs=results.pairs,
        pictures=results.pictures,
        overwrite=overwrite,
        command=shell_join(["gpu-saliency", *sys.argv[1:]]),
    )
    result = compare_encodes(request, report.reporter())
    report.show(result.to_json(), "\n".join(compare_lines(result)), has_output=True)


def parse_presets(text: str | None) -> dict[str, str]:
    """Convert ``medium`` or ``libx264=fast,libsvtav1=10`` to the preset of each encoder; the key ``""`` is for all others."""
    if text is None:
        return {}
    pairs = [one.rpartition("=") for one in text.split(",")]
    return {encoder: preset for encoder, _, preset in pairs}
