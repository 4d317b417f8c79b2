"""`load_saliency_sidecar`: reads a clip's saliency from a sidecar file, or runs the model if there is none."""

from __future__ import annotations

import os
from pathlib import Path

from gpu_saliency.analysis.devices import choose_device
from gpu_saliency.analysis.run import NoticeHook, ProgressHook, SamplesHook, analyse_clip
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.sidecar import (
    AnalysisRecord,
    ModelRecord,
    Sidecar,
    SourceRecord,
    check_fresh,
    read_sidecar,
    save_sidecar,
)
from gpu_saliency.model.contract import describe_model
from gpu_saliency.source.clip import Clip


def load_saliency_sidecar(
    clip: Clip,
    settings: AnalysisSettings | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    reuse: bool = True,
    on_progress: ProgressHook | None = None,
    on_samples: SamplesHook | None = None,
    on_notice: NoticeHook | None = None,
) -> tuple[Sidecar, bool]:
    """Load or compute the saliency of ``clip``. Returns its sidecar, and whether an existing file was reused.

    A file at ``path`` is loaded and must belong to this clip and model; ``reuse=False`` replaces it instead. Without a file the
    model runs, and the sidecar is written to ``path`` (``None``: the sidecar stays in memory). ``on_samples`` receives the maps
    while the model runs; it is not called when a file is loaded. Raises `SidecarError`, `SourceError`, `ModelError`,
    `ToolMissingError` or `OutputError`.
    """
    settings = settings or AnalysisSettings()
    path = None if path is None else Path(path)
    sampling = settings.sampling(clip)
    source = SourceRecord.of(clip)
    if reuse and path is not None and path.exists():
        step_was_given = settings.analysis_fps is not None or settings.every is not None
        sidecar = read_sidecar(path)
        model_now = ModelRecord(**describe_model(settings.model_path))
        check_fresh(sidecar, path, source, model_now, sampling.step if step_was_given else None)
        return sidecar, True
    device, model, reason = choose_device(settings.device, settings.model_path, settings.gpu)
    if reason.startswith("auto: ") and on_notice is not None:
        on_notice(f"finding saliency on the CPU: {reason}")
    result = analyse_clip(clip, model, device, sampling, on_progress=on_progress, on_samples=on_samples, on_notice=on_notice)
    analysis = AnalysisRecord(
        step=sampling.step,
        sampled_frames=len(result.track.sample_frame),
        corrupt_packets=result.corrupt_packets,
        variable_frame_rate=result.variable_frame_rate,
        device=device.name,
        device_reason=reason,
        provider=model.provider,
        facts=result.facts,
    )
    sidecar = Sidecar(result.track, source, ModelRecord(**model.describe(), attention=model.attention), analysis)
    if path is not None:
        save_sidecar(sidecar, path)
    return sidecar, False
