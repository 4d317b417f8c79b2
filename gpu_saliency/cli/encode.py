"""``gpu-saliency encode``: the main job."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from gpu_saliency.analysis.aggregate import DEFAULT_AGGREGATOR, DEFAULT_EMA_ALPHA
from gpu_saliency.cli import options as opt
from gpu_saliency.cli.reporter import CliReporter
from gpu_saliency.cli.rows import Rows, print_rows
from gpu_saliency.dryrun import dry_run
from gpu_saliency.encode.encoders import CHANNELS, ENCODERS
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG
from gpu_saliency.encode.prepare import EncodeSettings
from gpu_saliency.pipeline import encode_clip
from gpu_saliency.plan.policy import DEFAULT_MAPPING, DEFAULT_OFFSET, RoiPolicy
from gpu_saliency.plan.segments import DEFAULT_SEGMENTS
from gpu_saliency.request import EncodeRequest

_FALLBACK_VARIABLES = ("GPU_SALIENCY_FALLBACK_OK", "VMAFTUNE_SALIENCY_FALLBACK_OK")
_ENCODE = "Encode"
_NAMES = ", ".join(ENCODERS)


def encode(
    src: opt.Src,
    output: Annotated[Path, typer.Option(help="Encoded output; its suffix names the container.", rich_help_panel=_ENCODE)],
    width: opt.Width = None,
    height: opt.Height = None,
    pix_fmt: opt.PixFmt = None,
    framerate: opt.FrameRate = None,
    duration: opt.Duration = 0.0,
    encoder: Annotated[str, typer.Option(help=f"One of {_NAMES}.", rich_help_panel=_ENCODE)] = "libx264",
    preset: Annotated[str | None, typer.Option(help="Speed preset.", show_default="the encoder's", rich_help_panel=_ENCODE)] = None,
    crf: Annotated[
        float | None,
        typer.Option(help="Base quality, on the encoder's scale.", show_default="the encoder's", rich_help_panel=_ENCODE),
    ] = None,
    bitrate: Annotated[
        str | None,
        typer.Option(
            help="Bits per second of video, such as 2M, instead of --crf; in two passes where the encoder has them.",
            show_default=False,
            rich_help_panel=_ENCODE,
        ),
    ] = None,
    encoder_params: Annotated[
        str, typer.Option(help="Further key=value:... of the encoder; what would lose the ROI is refused.", rich_help_panel=_ENCODE)
    ] = "",
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Drop the audio.", rich_help_panel=_ENCODE)] = False,
    ffmpeg_bin: opt.FfmpegBin = DEFAULT_FFMPEG,
    saliency_offset: opt.Offset = DEFAULT_OFFSET,
    roi_mapping: opt.Mapping = DEFAULT_MAPPING,
    segments: opt.Segments = DEFAULT_SEGMENTS,
    roi_channel: Annotated[
        str | None,
        typer.Option(help="Force one of " + ", ".join(CHANNELS) + ".", show_default="the best", rich_help_panel="Saliency"),
    ] = None,
    saliency_model: opt.Model = None,
    saliency_aggregator: opt.Aggregator = DEFAULT_AGGREGATOR,
    saliency_ema_alpha: opt.EmaAlpha = DEFAULT_EMA_ALPHA,
    analysis_fps: opt.AnalysisFps = None,
    every: opt.Every = None,
    device: opt.DeviceName = "auto",
    gpu: opt.Gpu = None,
    decoders: opt.Decoders = None,
    provider: opt.Provider = None,
    sidecar: opt.SidecarPath = None,
    saliency_fallback_plain: Annotated[
        bool,
        typer.Option(
            "--saliency-fallback-plain",
            help="Accept a plain encode where no ROI reaches the encoder; also GPU_SALIENCY_FALLBACK_OK=1.",
            rich_help_panel=_ENCODE,
        ),
    ] = False,
    prove: Annotated[
        str,
        typer.Option(help="Compare with a plain encode: of an excerpt, of the full clip, or none.", rich_help_panel="Run"),
    ] = "excerpt",
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and the ffmpeg command only.", rich_help_panel="Run")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.", rich_help_panel="Run")] = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Find what is salient in a clip and encode it so that its bits go there."""
    policy = RoiPolicy(saliency_offset, roi_mapping, saliency_aggregator, saliency_ema_alpha, segments)
    analysis = opt.analysis_from(saliency_model, analysis_fps, every, device, gpu, decoders, provider)
    request = EncodeRequest(
        clip=opt.clip_from(src, width, height, pix_fmt, framerate, duration),
        output=output,
        analysis=analysis,
        policy=policy,
        encode=EncodeSettings(
            encoder=encoder,
            preset=preset,
            crf=crf,
            encoder_params=encoder_params,
            audio=not no_audio,
            ffmpeg_bin=ffmpeg_bin,
            roi_channel=roi_channel,
            bitrate=None if bitrate is None else opt.parse_bitrate(bitrate),
        ),
        sidecar=sidecar,
        fallback_plain=saliency_fallback_plain or fallback_allowed(),
        overwrite=overwrite,
        prove=prove,
    )
    reporter = CliReporter(quiet=quiet)
    result = (dry_run(request, reporter) if dry else encode_clip(request, reporter)).to_json()
    if as_json:
        print(json.dumps(result, indent=2))
        return
    print_rows(_rows(result))
    if dry:
        print("\n".join(result["commands"]))


def fallback_allowed() -> bool:
    """Whether the environment allows a plain encode where no ROI reaches the encoder."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in _FALLBACK_VARIABLES)


def _rows(result: dict[str, Any]) -> Rows:
    """What was done, for people."""
    rows: Rows = []

    def add(name: str, text: str) -> None:
        rows.append((name, text))

    source, ffmpeg, roi, analysis = result["source"], result["ffmpeg"], result["roi"], result["analysis"]
    add("source", f"{source['path']}: {source['width']}x{source['height']} {source['pix_fmt']} {source['frame_rate']} fps")
    if analysis is not None:
        how = "reused" if analysis["reused"] else f"{analysis['device']} ({analysis['device_reason']}), {analysis['provider']}"
        if analysis["device"] == "cuda" and not analysis["reused"]:
            how += f", {analysis['decoder']} ({analysis['decoder_reason']})"
        add("saliency", f"{analysis['sampled_frames']} maps of {analysis['frames']} frames; {how}")
    if roi is not None:
        add(
            "ROI plan",
            f"{roi['mapping']} {roi['offset']:+d}, {roi['segments']} segments by {roi['aggregator']}, {roi['scenes']} scenes: "
            f"{roi['effective_min']:+.2f} to {roi['effective_max']:+.2f} QP, {roi['improved_blocks']:.0%} of the blocks improved",
        )
        add("channel", _channel_text(roi, result["crf"]))
    else:
        add("ROI plan", "none: a plain encode")
    quality = "".join(f" {key} {result[key]}" for key in ("preset", "crf", "bitrate") if result[key] is not None)
    add("encoder", f"{result['encoder']}{quality}, ffmpeg {ffmpeg['version']} ({ffmpeg['origin']}: {ffmpeg['path']})")
    if source["pix_fmt"] != result["pix_fmt"]:
        add("converted", f"{source['pix_fmt']} to {result['pix_fmt']}, which {result['encoder']} takes at this size")
    if source["left_out"]:
        add("left out", ", ".join(source["left_out"]))
    if "output" in result:
        output, seconds = result["output"], result["seconds"]
        add("output", f"{output['path']}: {output['size_bytes']:,} bytes, {output['frames']} frames")
        add("seconds", ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()))
    if result.get("proof"):
        add("proof", result["proof"]["summary"])
    return rows


def _channel_text(roi: dict[str, Any], crf: float | None) -> str:
    text: str = roi["channel"]
    if roi["parts"] > 1:
        text += f", in {roi['parts']} parts"
    if roi["crf_used"] != crf:
        text += f", with crf {roi['crf_used']:g} for the same size"
    over = "; ".join(f"{one['channel']}: {one['reason']}" for one in roi["passed_over"])
    return f"{text} (passed over: {over})" if over else text
