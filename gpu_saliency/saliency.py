"""`load_saliency_sidecar`: reuse what is known of a clip, or run the model."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from gpu_saliency.aggregate import DEFAULT_AGGREGATOR, DEFAULT_EMA_ALPHA, check_aggregator
from gpu_saliency.analyse import ProgressHook, analyse_clip
from gpu_saliency.clip import Clip
from gpu_saliency.device import choose_device
from gpu_saliency.model import DEFAULT_MODEL
from gpu_saliency.sampling import Sampling
from gpu_saliency.sidecar import (
    Sidecar,
    check_fresh,
    describe_source,
    quantise,
    read_sidecar,
    save_sidecar,
)


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """How saliency is found. Raises `UsageError` when a value is out of range."""

    model: Path = DEFAULT_MODEL
    aggregator: str = DEFAULT_AGGREGATOR
    ema_alpha: float = DEFAULT_EMA_ALPHA
    """Weight of the current frame in ``ema``, (0, 1]."""
    analysis_fps: Fraction | None = None
    """Maps per second of clip; ``None`` takes the default of `Sampling`, or any rate that a sidecar was made with."""
    every: int | None = None
    """Frames per map; excludes ``analysis_fps``."""
    device: str = "auto"

    def __post_init__(self) -> None:
        check_aggregator(self.aggregator, self.ema_alpha)

    def sampling(self, clip: Clip) -> Sampling:
        return Sampling.choose(clip.frame_rate, analysis_fps=self.analysis_fps, every=self.every)


def load_saliency_sidecar(
    clip: Clip,
    settings: AnalysisSettings | None = None,
    path: Path | None = None,
    *,
    reuse: bool = True,
    on_progress: ProgressHook | None = None,
) -> tuple[Sidecar, bool]:
    """The saliency of ``clip``, and whether it was reused.

    A file at ``path`` is loaded and must belong to this clip, model and aggregator (``reuse=False`` replaces it instead).
    Without one the model runs, and what it finds
    is written to ``path`` (``None``: kept in memory only). Raises `SidecarError`, `SourceError`, `ModelError`,
    `ToolMissingError`, `UsageError` or `OutputError`.
    """
    settings = settings or AnalysisSettings()
    sampling = settings.sampling(clip)
    device, why = choose_device(settings.device)
    model = device.load_model(settings.model)
    source = describe_source(clip)
    if reuse and path is not None and path.exists():
        insisted: dict[str, Any] = {"aggregator": settings.aggregator}
        if settings.aggregator == "ema":
            insisted["ema_alpha"] = settings.ema_alpha
        if settings.analysis_fps is not None or settings.every is not None:
            insisted["step"] = str(sampling.step)
        sidecar = read_sidecar(path)
        check_fresh(sidecar, path, source, model.describe(), insisted)
        return sidecar, True
    found = analyse_clip(
        clip,
        model,
        device,
        sampling,
        aggregator=settings.aggregator,
        ema_alpha=settings.ema_alpha,
        on_progress=on_progress,
    )
    sidecar = Sidecar(
        saliency=quantise(found.saliency),
        detail=quantise(found.detail / found.detail.max(axis=(1, 2), keepdims=True), least=1),
        segment_start=(0,),
        frame_count=found.frame_count,
        source=source,
        model=model.describe(),
        analysis={
            "aggregator": settings.aggregator,
            "ema_alpha": settings.ema_alpha,
            "step": str(sampling.step),
            "sampled_frames": found.sampled_frames,
            "corrupt_packets": found.corrupt_packets,
            "variable_frame_rate": found.variable_frame_rate,
            "device": device.name,
            "device_reason": why,
            "provider": model.provider,
        },
    )
    if path is not None:
        save_sidecar(sidecar, path)
    return sidecar, False
