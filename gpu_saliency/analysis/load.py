"""`load_saliency_sidecar`: reads a clip's saliency from a sidecar, else from given maps, else runs the model."""

from __future__ import annotations

import os
from pathlib import Path

from gpu_saliency.analysis.device import AnalysisResult
from gpu_saliency.analysis.devices import choose_device
from gpu_saliency.analysis.given import analyse_given, open_maps
from gpu_saliency.analysis.run import NoticeHook, ProgressHook, SamplesHook, analyse_clip
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.sidecar import (
    AnalysisRecord,
    MapsRecord,
    ModelRecord,
    Sidecar,
    SourceRecord,
    check_fresh,
    read_sidecar,
    save_sidecar,
)
from gpu_saliency.analysis.source_notes import check_complete
from gpu_saliency.model.contract import describe_model
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import Sampling


def load_saliency_sidecar(
    clip: Clip,
    settings: AnalysisSettings | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    reuse: bool = True,
    strict: bool = False,
    on_progress: ProgressHook | None = None,
    on_samples: SamplesHook | None = None,
    on_notice: NoticeHook | None = None,
) -> tuple[Sidecar, bool]:
    """Load or compute the saliency of ``clip``. Returns its sidecar, and whether an existing file was reused.

    A file at ``path`` is loaded and must belong to this clip and model or maps; ``reuse=False`` replaces it instead. Without a file
    the model runs or the given maps are read, and the sidecar is written to ``path`` (``None``: it stays in memory).
    ``on_samples`` receives the maps meanwhile; it is not called when a file is loaded. ``strict`` refuses a clip that is damaged or
    incomplete. Raises `SidecarError`, `SourceError`,
    `ModelError`, `MapsError`, `ToolMissingError` or `OutputError`.
    """
    settings = settings or AnalysisSettings()
    path = None if path is None else Path(path)
    sampling = settings.sampling(clip)
    source = SourceRecord.of(clip)
    if reuse and path is not None and path.exists():
        step_was_given = settings.analysis_fps is not None or settings.every is not None
        sidecar = read_sidecar(path)
        check_fresh(sidecar, path, source, _origin(settings), sampling.step if step_was_given else None)
        if strict:
            check_complete(clip, sidecar)
        return sidecar, True
    sidecar = _analyse(clip, settings, sampling, source, on_progress, on_samples, on_notice)
    if strict:
        check_complete(clip, sidecar)
    if path is not None:
        save_sidecar(sidecar, path)
    return sidecar, False


def _origin(settings: AnalysisSettings) -> ModelRecord | MapsRecord:
    """The model or the maps of ``settings``, without their curve."""
    if settings.maps is None:
        return ModelRecord(**describe_model(settings.model_path))
    return open_maps(settings).record()


def _analyse(
    clip: Clip,
    settings: AnalysisSettings,
    sampling: Sampling,
    source: SourceRecord,
    on_progress: ProgressHook | None,
    on_samples: SamplesHook | None,
    on_notice: NoticeHook | None,
) -> Sidecar:
    if settings.maps is not None:
        maps = open_maps(settings)
        record = maps.record()
        given = analyse_given(clip, maps, sampling, on_progress=on_progress, on_samples=on_samples)
        analysis = _analysis_record(given, sampling, "cpu", "maps were given, so no model ran", "none")
        return Sidecar(given.track, source, None, analysis, maps=record)
    device, model, reason = choose_device(settings.device, settings.model_path, settings.gpu)
    if reason.startswith("auto: ") and on_notice is not None:
        on_notice(f"finding saliency on the CPU: {reason}")
    result = analyse_clip(clip, model, device, sampling, on_progress=on_progress, on_samples=on_samples, on_notice=on_notice)
    analysis = _analysis_record(result, sampling, device.name, reason, model.provider)
    return Sidecar(result.track, source, ModelRecord(**model.describe(), attention=model.attention), analysis)


def _analysis_record(result: AnalysisResult, sampling: Sampling, device: str, reason: str, provider: str) -> AnalysisRecord:
    return AnalysisRecord(
        step=sampling.step,
        sampled_frames=len(result.track.sample_frame),
        corrupt_packets=result.corrupt_packets,
        variable_frame_rate=result.variable_frame_rate,
        device=device,
        device_reason=reason,
        provider=provider,
        facts=result.facts,
        clock=result.track.clock,
        shortfall=result.shortfall,
        frame_formats=result.frame_formats,
    )
