"""The masks and maps of a score, frame by frame: those that the user gives, and the plan's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.sidecar import Sidecar, read_header, read_sidecar_of
from gpu_saliency.analysis.track import decode_gaze, decode_saliency
from gpu_saliency.errors import SidecarError
from gpu_saliency.maps.given import GivenMaps, Load
from gpu_saliency.maps.read import read_maps
from gpu_saliency.source.clip import Clip

_INSIDE = 0.5 - 1e-6
"""Of a pixel; less the rounding of `fit`, so that exactly half of a pixel is inside."""


@dataclass(frozen=True, slots=True)
class ScoreMaps:
    """One layer of given maps, with a map for each frame. Produced by `region_maps` and `sidecar_maps`."""

    given: GivenMaps
    layer: str
    kind: str | None = None
    """Of a sidecar: ``gaze`` or ``saliency``."""

    @property
    def count(self) -> int | None:
        """Maps in the file, where that is known before reading and each frame needs one; ``None`` elsewhere."""
        return None if self.given.endless else self.given.count

    @property
    def endless(self) -> bool:
        """Whether there is a map for every frame there may be."""
        return self.given.endless

    def frames(self, clip: Clip) -> Iterator[NDArray[np.float32]]:
        """``[height, width]`` for each frame of ``clip``, as it is coded. Raises `MapsError`."""
        return self.given.pixels(clip, self.layer)

    def check_count(self, count: int, frames: int, *, limited: bool) -> None:
        """Raise `MapsError` unless ``count`` maps fit ``frames`` frames; with ``limited`` there may be more of them."""
        self.given.check_count(count, frames, limited=limited)


def inside(maps: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.bool_]]:
    """The pixels inside a mask: those of which half or more is white."""
    for one in maps:
        yield one >= _INSIDE


def region_maps(setting: str, path: Path) -> ScoreMaps:
    """Open the maps of a region; an array named as ``setting`` has precedence. Raises the errors of `read_maps`."""
    given = read_maps(setting, path)
    return ScoreMaps(given, setting if setting in given.names else given.names[0])


def sidecar_maps(path: Path, reference: Clip) -> ScoreMaps:
    """The gaze of the sidecar ``path``, or its saliency if it has none, for each frame of ``reference``.

    Each frame gets the map of the nearest sample, as in the plan. A sidecar of the first seconds of ``reference`` has maps for
    these only. Raises `SidecarError` where it is of another clip.
    """
    if not path.is_file():
        raise SidecarError(f"{path}: no such sidecar", cure="give the path of one")
    made = read_header(path).source
    ranged = reference if reference.start or reference.duration or made.start else replace(reference, duration=made.duration)
    sidecar = read_sidecar_of(path, ranged)
    kind = "saliency" if sidecar.track.gaze is None else "gaze"
    given = GivenMaps("sidecar", path, (kind,), lambda _: _frames_of(sidecar, kind), count=sidecar.frame_count, on_grid=True)
    return ScoreMaps(given, kind, kind)


def _frames_of(sidecar: Sidecar, kind: str) -> Iterator[Load]:
    track = sidecar.track
    of_frame = np.searchsorted(track.sample_starts(), np.arange(track.frame_count), side="right") - 1
    for sample in of_frame:
        one = decode_saliency(track.saliency[sample]) if track.gaze is None else decode_gaze(track.gaze[sample])
        yield lambda one=one: {kind: one}  # type: ignore[misc]
