"""`load_saliency_sidecar`: reuse what is known of a clip, or run the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpu_saliency.analysis.devices import check_device, choose_device
from gpu_saliency.analysis.run import NoticeHook, ProgressHook, SamplesHook, analyse_clip
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.sidecar import Sidecar, check_fresh, describe_source, read_sidecar, save_sidecar
from gpu_saliency.model.contract import describe_model
from gpu_saliency.source.clip import Clip


def load_saliency_sidecar(
    clip: Clip,
    settings: AnalysisSettings | None = None,
    path: Path | None = None,
    *,
    reuse: bool = True,
    on_progress: ProgressHook | None = None,
    on_samples: SamplesHook | None = None,
    on_notice: NoticeHook | None = None,
) -> tuple[Sidecar, bool]:
    """The saliency of ``clip``, and whether it was reused.

    A file at ``path`` is loaded and must belong to this clip and model (``reuse=False`` replaces it instead). Without one the model
    runs, and what it finds is written to ``path`` (``None``: kept in memory only). ``on_samples`` sees the maps as they are
    found; of a file that is loaded it sees none. Raises `SidecarError`, `SourceError`, `ModelError`, `ToolMissingError`,
    `UsageError` or `OutputError`.
    """
    settings = settings or AnalysisSettings()
    sampling = settings.sampling(clip)
    check_device(settings.device)
    source = describe_source(clip)
    if reuse and path is not None and path.exists():
        insisted: dict[str, Any] = {}
        if settings.analysis_fps is not None or settings.every is not None:
            insisted["step"] = str(sampling.step)
        sidecar = read_sidecar(path)
        check_fresh(sidecar, path, source, describe_model(settings.model), insisted)
        return sidecar, True
    device, model, why = choose_device(settings.device, settings.model, settings.gpu)
    if why.startswith("auto: ") and on_notice is not None:
        on_notice(f"finding saliency on the CPU: {why}")
    found = analyse_clip(clip, model, device, sampling, on_progress=on_progress, on_samples=on_samples, on_notice=on_notice).found
    sidecar = Sidecar(
        track=found.track,
        source=source,
        model=model.describe(),
        analysis={
            "step": str(sampling.step),
            "sampled_frames": len(found.track.sample_frame),
            "corrupt_packets": found.corrupt_packets,
            "variable_frame_rate": found.variable_frame_rate,
            "device": device.name,
            "device_reason": why,
            "provider": model.provider,
        }
        | found.facts,
    )
    if path is not None:
        save_sidecar(sidecar, path)
    return sidecar, False
