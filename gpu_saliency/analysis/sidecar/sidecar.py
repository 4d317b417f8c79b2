"""The sidecar in memory, and the constants of its file format."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.sidecar.records import AnalysisRecord, MapsRecord, ModelRecord, SourceRecord
from gpu_saliency.analysis.track import SaliencyTrack

FORMAT, VERSION = "gpu_saliency.sidecar", 4
READABLE_VERSIONS = (2, 3, 4)
"""Version 2 has neither gaze maps nor the model's curve; versions 2 and 3 are always of a model."""
SUFFIX = ".saliency.npz"
_MAX_ENCODES = 64
_LONGEST_NAME = 255
"""Bytes that a file's name may have on Linux, macOS and Windows' file systems; the same everywhere, so that the name is too."""


def sidecar_beside(file: Path) -> Path:
    """The default path of the sidecar of ``file``, a source or an encode: its name and `SUFFIX`.

    Where that would be longer than a file's name may be, part of the name gives way to a hash of the whole.
    """
    name = os.fsencode(file.name)
    if len(name) + len(SUFFIX) > _LONGEST_NAME:
        ending = f".{hashlib.sha256(name).hexdigest()[:8]}{SUFFIX}"
        return file.with_name(name[: _LONGEST_NAME - len(ending)].decode(errors="ignore") + ending)
    return file.with_name(file.name + SUFFIX)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A clip's saliency track with its provenance, in host memory. Raises `ValueError` unless it has one origin."""

    track: SaliencyTrack
    source: SourceRecord
    model: ModelRecord | None
    """The model that made the maps; ``None`` where they were given."""
    analysis: AnalysisRecord
    encodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The encodes made from this sidecar, by output file name: settings, ROI policy, size; ``inspect`` reads them."""

    maps: MapsRecord | None = None
    """The given maps; ``None`` where a model made them."""

    def __post_init__(self) -> None:
        if (self.model is None) == (self.maps is None):
            raise ValueError("maps come from a model or were given")

    @property
    def origin(self) -> ModelRecord | MapsRecord:
        """The model or the given maps."""
        origin = self.model or self.maps
        assert origin is not None
        return origin

    def origin_json(self) -> dict[str, Any]:
        """``model`` and ``maps`` in results and in the header: the one that does not apply is ``None``."""
        return {"model": self.model and self.model.to_json(), "maps": self.maps and self.maps.to_json()}

    @property
    def frame_count(self) -> int:
        """Frames of the clip as decoded."""
        return self.track.frame_count

    def with_encode(self, name: str, record: dict[str, Any]) -> Sidecar:
        """Return a copy with the record of the encode ``name`` added; it keeps the newest 64 records."""
        encodes = {key: value for key, value in self.encodes.items() if key != name} | {name: record}
        return replace(self, encodes=dict(list(encodes.items())[-_MAX_ENCODES:]))
