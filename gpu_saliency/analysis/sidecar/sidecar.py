"""The sidecar in memory, and the constants of its file format."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.sidecar.records import AnalysisRecord, ModelRecord, SourceRecord
from gpu_saliency.analysis.track import SaliencyTrack

FORMAT, VERSION = "gpu_saliency.sidecar", 3
READABLE_VERSIONS = (2, 3)
"""Version 2 has neither gaze maps nor the model's curve."""
SUFFIX = ".saliency.npz"
_MAX_ENCODES = 64


def sidecar_beside(file: Path) -> Path:
    """The default path of the sidecar of ``file``, a source or an encode."""
    return file.with_name(file.name + SUFFIX)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A clip's saliency track with its provenance, in host memory."""

    track: SaliencyTrack
    source: SourceRecord
    model: ModelRecord
    analysis: AnalysisRecord
    encodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The encodes made from this sidecar, by output file name: settings, ROI policy, size; ``inspect`` reads them."""

    @property
    def frame_count(self) -> int:
        """Frames of the clip as decoded."""
        return self.track.frame_count

    def with_encode(self, name: str, record: dict[str, Any]) -> Sidecar:
        """Return a copy with the record of the encode ``name`` added; it keeps the newest 64 records."""
        encodes = {key: value for key, value in self.encodes.items() if key != name} | {name: record}
        return replace(self, encodes=dict(list(encodes.items())[-_MAX_ENCODES:]))
