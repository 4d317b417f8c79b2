"""Options that several verbs share, each declared once."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.analysis.aggregate import AGGREGATORS
from gpu_saliency.analysis.settings import PROVIDERS, AnalysisSettings, GpuSettings, parse_gpus
from gpu_saliency.errors import UsageError
from gpu_saliency.model.shipped import DEFAULT_MODEL, SHIPPED_MODELS, find_model
from gpu_saliency.plan.policy import MAPPINGS
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.frame_rate import parse_frame_rate
from gpu_saliency.source.probe import probe_clip

_SOURCE, _SALIENCY, _ENCODE, _RUN = "Source", "Saliency", "Encode", "Run"

Src = Annotated[Path, typer.Option("--src", help="Source clip: any container, .y4m, or raw .yuv.", rich_help_panel=_SOURCE)]
Width = Annotated[int | None, typer.Option(help="Width in pixels; needed for raw video.", rich_help_panel=_SOURCE)]
Height = Annotated[int | None, typer.Option(help="Height in pixels; needed for raw video.", rich_help_panel=_SOURCE)]
PixFmt = Annotated[str | None, typer.Option(help="Pixel format of raw video.", show_default="yuv420p", rich_help_panel=_SOURCE)]
FrameRate = Annotated[
    str | None, typer.Option("--framerate", help="Frame rate of raw video.", show_default="24.0", rich_help_panel=_SOURCE)
]
Duration = Annotated[float, typer.Option(help="Seconds to use from the start; 0 for all.", rich_help_panel=_SOURCE)]

Model = Annotated[
    Path | None,
    typer.Option(
        "--saliency-model",
        help="ONNX file, or one of " + ", ".join(SHIPPED_MODELS) + ".",
        show_default=DEFAULT_MODEL.stem,
        rich_help_panel=_SALIENCY,
    ),
]
Aggregator = Annotated[
    str, typer.Option("--saliency-aggregator", help="One of " + ", ".join(AGGREGATORS) + ".", rich_help_panel=_SALIENCY)
]
EmaAlpha = Annotated[
    float,
    typer.Option("--saliency-ema-alpha", help="Weight of the current frame in ema, (0, 1].", rich_help_panel=_SALIENCY),
]
AnalysisFps = Annotated[
    float | None, typer.Option(help="Saliency maps per second of clip.", show_default="4", rich_help_panel=_SALIENCY)
]
Every = Annotated[
    int | None, typer.Option(help="One saliency map every so many frames; instead of --analysis-fps.", rich_help_panel=_SALIENCY)
]
DeviceName = Annotated[
    str, typer.Option("--device", help="auto, cpu or cuda; auto says why it fell back.", rich_help_panel=_SALIENCY)
]
Gpu = Annotated[str | None, typer.Option(help="GPUs for cuda, such as 0 or 0,1.", show_default="0", rich_help_panel=_SALIENCY)]
Decoders = Annotated[
    str | None,
    typer.Option(
        help="Decoders on each GPU: a number, auto (as many as it has engines), or cpu (decode there and upload).",
        show_default="1",
        rich_help_panel=_SALIENCY,
    ),
]
Provider = Annotated[
    str | None,
    typer.Option(help="Runs the model on cuda: " + " or ".join(PROVIDERS) + ".", show_default="cuda", rich_help_panel=_SALIENCY),
]
SidecarPath = Annotated[
    Path | None, typer.Option("--sidecar", help="Saliency sidecar: reused if it exists, else written.", rich_help_panel=_SALIENCY)
]
Offset = Annotated[
    int,
    typer.Option("--saliency-offset", help="QP offset of salient regions, -12..12; negative is better.", rich_help_panel=_SALIENCY),
]
Mapping = Annotated[
    str,
    typer.Option(
        "--roi-mapping",
        help="One of " + ", ".join(MAPPINGS) + "; balanced keeps the size of a plain encode.",
        rich_help_panel=_SALIENCY,
    ),
]
Segments = Annotated[
    str,
    typer.Option(
        help="How often the plan may change: auto (with the picture, and at cuts), clip (never), or so many segments.",
        rich_help_panel=_SALIENCY,
    ),
]
FfmpegBin = Annotated[
    str,
    typer.Option(
        help="FFmpeg binary; by default that on PATH if it has the encoder, else the bundled one.", rich_help_panel=_ENCODE
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.", rich_help_panel=_RUN)]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on stderr.", rich_help_panel=_RUN)]


def clip_from(
    src: Path, width: int | None, height: int | None, pix_fmt: str | None, framerate: str | None, duration: float
) -> Clip:
    """The probed source. Raises what `probe_clip` does."""
    rate = parse_frame_rate(framerate) if framerate is not None else None
    return probe_clip(src, width=width, height=height, pix_fmt=pix_fmt, frame_rate=rate, duration=duration)


def analysis_from(
    model: Path | None,
    analysis_fps: float | None,
    every: int | None,
    device: str,
    gpu: str | None = None,
    decoders: str | None = None,
    provider: str | None = None,
) -> AnalysisSettings:
    """The settings of the analysis. Raises `UsageError`."""
    try:
        fps = Fraction(str(analysis_fps)) if analysis_fps is not None else None
    except ValueError:  # inf and nan are floats, but no rates
        raise UsageError(f"--analysis-fps {analysis_fps}: is not a rate", cure="a number above 0") from None
    given = {"--gpu": gpu, "--decoders": decoders, "--provider": provider}
    for flag, value in given.items():
        if value is not None and device == "cpu":
            raise UsageError(f"{flag} {value}: means nothing to --device cpu", cure=f"leave {flag} out, or give --device cuda")
    default = GpuSettings()
    settings = GpuSettings(
        gpus=default.gpus if gpu is None else parse_gpus(gpu),
        decoders=default.decoders if decoders is None else decoders,
        provider=default.provider if provider is None else provider,
    )
    return AnalysisSettings(find_model(model) if model else DEFAULT_MODEL, fps, every, device, settings)


def parse_bitrate(text: str) -> int:
    """``2M``, ``800k``, ``1500000`` to bits per second. Raises `UsageError`."""
    scale = {"k": 1000, "m": 1000_000}.get(text[-1:].lower(), 1)
    try:
        return round(float(text[:-1] if scale > 1 else text) * scale)
    except (ValueError, OverflowError):
        raise UsageError(f"--bitrate {text}: is not a bit rate", cure="for example 2M or 800k") from None
