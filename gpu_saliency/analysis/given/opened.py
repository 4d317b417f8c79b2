"""`OpenMaps`: given maps, opened, with the layers that a track takes of them and the curve of its attention."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.sidecar.records import MapsRecord
from gpu_saliency.errors import setting
from gpu_saliency.maps.given import UNNAMED, GivenMaps
from gpu_saliency.maps.read import hash_maps, read_maps
from gpu_saliency.model.attention import AttentionCurve

MAX_DENSITY = 64.0
"""Density of given gaze, as a multiple of the frame's mean, that the track stores as 1; more is cut off."""
_OBJECT, _FLOOR, _BETA = 6.0, 0.2, 0.5
"""Those of the curve that models without one get, `DEFAULT_CURVE`."""
_LEAST_DENSITY = 1e-6
"""Below the least that a track stores, so that an exported density comes back as it was: `AttentionCurve` reads 0 as this."""


def _gaze_curve(object_weight: float) -> AttentionCurve:
    """The curve of given gaze: its density is the attention itself. The curve of saliency serves no track, since gaze is there."""
    straight = ((_LEAST_DENSITY, _LEAST_DENSITY * MAX_DENSITY), (1.0, MAX_DENSITY))
    return AttentionCurve(gaze=straight, saliency=straight, object=object_weight, floor=_FLOOR, beta=_BETA)


@dataclass(frozen=True, slots=True)
class OpenMaps:
    """Given maps, and which of their layers the track takes. Produced by `open_maps`."""

    given: GivenMaps
    saliency: str | None
    """Name of the layer that holds saliency."""
    gaze: str | None
    """Name of the layer that holds the density of gaze; one of the two is there."""

    @property
    def attention(self) -> AttentionCurve | None:
        """The curve of the track; ``None`` is the default for saliency."""
        if self.gaze is None:
            return None
        return _gaze_curve(0.0 if self.saliency is None else _OBJECT)

    def record(self) -> MapsRecord:
        """Identify the maps; reads the whole file or folder. Raises `MapsError`."""
        kind = "+".join(name for name, layer in (("saliency", self.saliency), ("gaze", self.gaze)) if layer is not None)
        path = self.given.path.resolve()  # so that the folder "." has a name
        return MapsRecord(path.name, hash_maps(self.given.setting, path), kind, self.attention)


def open_maps(settings: AnalysisSettings) -> OpenMaps:
    """Open the maps of ``settings``. Raises `SourceMissingError`, `SourceError` or `MapsError`."""
    assert settings.maps is not None
    given = read_maps("maps", Path(settings.maps))
    kind = settings.maps_kind
    if given.names == (UNNAMED,):
        return OpenMaps(given, None, UNNAMED) if kind == "gaze" else OpenMaps(given, UNNAMED, None)
    if kind is not None and kind not in given.names:
        cure = f"leave {setting('maps_kind')} out"
        raise given.error(f"holds no {kind}, only {' and '.join(given.names)}", cure)
    wanted = given.names if kind is None else (kind,)
    return OpenMaps(given, *(name if name in wanted else None for name in ("saliency", "gaze")))
