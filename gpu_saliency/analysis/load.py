"""`find_saliency`: reads a clip's saliency from a sidecar or the cache, else from given maps, else runs the model."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from gpu_saliency.analysis.device import AnalysisResult
from gpu_saliency.analysis.devices import choose_device
from gpu_saliency.analysis.given import analyse_given, open_maps
from gpu_saliency.analysis.kept import KeptMaps, map_cache
from gpu_saliency.analysis.run import NoticeHook, ProgressHook, SamplesHook, analyse_clip
from gpu_saliency.analysis.settings import NO_DRIVER, AnalysisSettings
from gpu_saliency.analysis.sidecar import (
    AnalysisRecord,
    DeviceFacts,
    MapsRecord,
    ModelRecord,
    Sidecar,
    SourceRecord,
    read_sidecar_of,
    save_sidecar,
    store_sidecar,
)
from gpu_saliency.analysis.source_notes import check_complete
from gpu_saliency.errors import GpuSaliencyError, MapsError, ModelError, SidecarError, UsageError, setting
from gpu_saliency.model.file import describe_model
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.identity import stat_of
from gpu_saliency.source.sampling import KEYFRAME, Sampling


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
    incomplete. Raises `SidecarError`, `SourceError`, `ModelError`, `MapsError`, `ToolMissingError` or `OutputError`.
    """
    found = find_saliency(
        clip,
        settings,
        path,
        reuse=reuse,
        strict=strict,
        on_progress=on_progress,
        on_samples=on_samples,
        on_notice=on_notice,
    )
    return found.sidecar, found.reused


@dataclass(frozen=True, slots=True)
class FoundSaliency:
    """The saliency of a clip. Produced by `find_saliency`."""

    sidecar: Sidecar
    reused_from: Path | None = None
    """The sidecar or the entry of the cache that it was read from; ``None`` after an analysis."""

    @property
    def reused(self) -> bool:
        """Whether no analysis ran."""
        return self.reused_from is not None


def find_saliency(
    clip: Clip,
    settings: AnalysisSettings | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    reuse: bool = True,
    strict: bool = False,
    beside: Path | None = None,
    on_progress: ProgressHook | None = None,
    on_samples: SamplesHook | None = None,
    on_notice: NoticeHook | None = None,
) -> FoundSaliency:
    """Find the saliency of ``clip`` as `load_saliency_sidecar` does, and say where.

    Before an analysis it looks at the sidecar ``beside``, which the user did not name and which is passed over with a message where
    it does not fit, and with ``settings.cache`` in the cache folder.
    """
    settings = settings or AnalysisSettings()
    if strict and settings.every == KEYFRAME:
        cure = f"leave {setting('every')} or {setting('strict')} out"
        problem = f"contradicts {setting('strict')}: frames between are not decoded"
        raise UsageError(problem, setting="every", value=KEYFRAME, cure=cure)
    path = None if path is None else Path(path)
    sampling = settings.sampling(clip)
    source = SourceRecord.of(clip)
    sampling_was_given = settings.analysis_fps is not None or settings.every is not None
    asked_sampling = sampling if sampling_was_given else None
    if reuse and path is not None and path.exists():
        asked = FoundSaliency(read_sidecar_of(path, clip, source, _origin(settings), asked_sampling), path)
        if strict:
            check_complete(clip, asked.sidecar)
        return asked
    found: FoundSaliency | None = None
    if beside is not None and beside.exists():
        try:
            found = FoundSaliency(read_sidecar_of(beside, clip, source, _origin(settings), asked_sampling), beside)
        except SidecarError as error:
            if on_notice is not None:
                on_notice(f"{error.message}; it is not used")
    kept = KeptMaps(map_cache(), clip, settings, sampling, source, _origin(settings)) if settings.cache and not found else None
    if kept is not None and (entry := kept.find(on_notice)) is not None:
        found = FoundSaliency(*entry)
    if found is None:
        before = _origin_files(settings)
        with clip.watched():
            found = FoundSaliency(_analyse(clip, settings, sampling, source, on_progress, on_samples, on_notice))
        clip.check_unchanged()
        _check_origin(settings, before)
        if kept is not None:
            kept.keep(found.sidecar, on_notice)
    if strict:
        check_complete(clip, found.sidecar)
    if path is not None:
        write = store_sidecar if reuse else save_sidecar
        write(replace(found.sidecar, encodes={}), path)
    return found


def _origin(settings: AnalysisSettings) -> ModelRecord | MapsRecord:
    """The model or the maps of ``settings``, without their curve."""
    if settings.maps is None:
        return ModelRecord(**describe_model(settings.model_path))
    return open_maps(settings).record()


def _origin_files(settings: AnalysisSettings) -> tuple[object, ...]:
    """What tells a changed model file, or file or folder of maps, from what it was."""
    file = settings.model_path if settings.maps is None else Path(settings.maps)
    return tuple(stat_of(one) for one in [file, *(sorted(file.iterdir()) if file.is_dir() else ())])


def _check_origin(settings: AnalysisSettings, before: tuple[object, ...]) -> None:
    """Raise `ModelError` or `MapsError` where the model or the maps changed during the analysis."""
    if _origin_files(settings) != before:
        kind: type[GpuSaliencyError] = ModelError if settings.maps is None else MapsError
        what = settings.model_path if settings.maps is None else settings.maps
        raise kind(f"{what}: changed during the run", cure="run again when nothing writes to it")


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
    device, model, reason = choose_device("cpu" if sampling.at_key_frames else settings.device, settings.model_path, settings.gpu)
    if sampling.at_key_frames:
        reason = "key frames are decoded on the CPU"
    if reason.startswith("auto: ") and NO_DRIVER not in reason and on_notice is not None:
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
        facts=DeviceFacts(**result.facts),
        clock=result.track.clock,
        shortfall=result.shortfall,
        frame_formats=result.frame_formats,
        at_key_frames=sampling.at_key_frames,
    )
