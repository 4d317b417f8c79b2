"""`KeptMaps`: the maps of earlier analyses in the cache folder, found by all that they depend on (docs/cache.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.sidecar import MapsRecord, ModelRecord, Sidecar, SourceRecord, read_sidecar_of
from gpu_saliency.analysis.sidecar.sidecar import SUFFIX, VERSION
from gpu_saliency.analysis.sidecar.write import write_sidecar
from gpu_saliency.cache.folder import cache_bytes, cache_folder
from gpu_saliency.cache.store import Cache
from gpu_saliency.errors import GpuSaliencyError, SidecarError
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import Sampling

ANALYSIS_VERSION = 1
"""Raise it with every change after which the same clip, model and settings give other maps, activity, cuts or time stamps."""
_NOT_CONTENT = {"path", "identity"}
"""Fields of a clip that do not decide what is decoded; its fingerprint takes their place."""


def map_cache() -> Cache:
    """The cache of maps, by the variables of the environment. Raises `UsageError`."""
    return Cache(cache_folder() / "maps", SUFFIX, cache_bytes())


@dataclass(frozen=True, slots=True)
class KeptMaps:
    """The kept maps of one clip with certain settings."""

    cache: Cache
    clip: Clip
    settings: AnalysisSettings
    sampling: Sampling
    source: SourceRecord
    origin: ModelRecord | MapsRecord

    def find(self, notice: Callable[[str], None] | None = None) -> tuple[Sidecar, Path] | None:
        """The maps and their file; ``None`` where they are not kept. A damaged entry is removed."""
        wanted = self.settings.device
        for device in ("cuda", "cpu") if wanted == "auto" and self.settings.maps is None else (wanted,):
            key = self._key(device)
            path = self.cache.find(key)
            if path is None:
                continue
            try:
                found = read_sidecar_of(path, self.clip, self.source, self.origin, self.sampling)
            except SidecarError as error:
                self.cache.remove(key)
                if notice is not None:
                    notice(f"{error.message}; removed from the cache")
                continue
            return replace(found, source=self.source, encodes={}), path
        return None

    def keep(self, sidecar: Sidecar, notice: Callable[[str], None] | None = None) -> None:
        """Keep the maps of ``sidecar``. A cache that cannot be written is no error: the message goes to ``notice``."""
        device = sidecar.analysis.device if self.settings.maps is None else self.settings.device
        # The path is not needed, and would show to readers of the cache what was analysed.
        entry = replace(sidecar, source=replace(sidecar.source, path=""), encodes={})
        try:
            self.cache.add(self._key(device), lambda path: write_sidecar(entry, path, fast=True))
        except (OSError, GpuSaliencyError) as error:
            if notice is not None:
                notice(f"the maps are not kept for later runs: {getattr(error, 'strerror', None) or error}")

    def _key(self, device: str) -> str:
        clip = {one.name: repr(getattr(self.clip, one.name)) for one in fields(Clip) if one.name not in _NOT_CONTENT}
        gpu = self.settings.gpu
        facts = {
            "version": [ANALYSIS_VERSION, VERSION],
            "clip": clip,
            "fingerprint": self.source.fingerprint,
            "origin": [type(self.origin).__name__, self.origin.sha256, getattr(self.origin, "kind", None)],
            "step": self.sampling.key,
            "device": [device, gpu.provider, gpu.exact, gpu.decoders] if device == "cuda" else [device],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
