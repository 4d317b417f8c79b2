"""Makes a track from given maps: the clip is decoded for its cuts, activity and time axis, and no model runs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.device import AnalysisResult
from gpu_saliency.analysis.recorder import HostRecorder
from gpu_saliency.analysis.run import ProgressHook, SamplesHook
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.sidecar.records import MapsRecord
from gpu_saliency.analysis.track import SaliencyTrack, Samples, join_samples
from gpu_saliency.errors import setting
from gpu_saliency.maps.given import HOW_MANY, UNNAMED, GivenMaps, Layers
from gpu_saliency.maps.read import hash_maps, read_maps
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.model.contract import DEFAULT_BATCH_SIZE, TOLERANCE, shipped_input_size
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_batches
from gpu_saliency.source.prefetch import prefetch
from gpu_saliency.source.sampling import NearestFrames, Sampling, nearest_position

MAX_DENSITY = 64.0
"""Density of given gaze, as a multiple of the frame's mean, that the track stores as 1; more is cut off."""
_OBJECT, _FLOOR, _BETA = 6.0, 0.2, 0.5
"""Those of the shipped models' curve."""
_LEAST_DENSITY = 1e-4
_LABEL = 1.5 / 255
"""A brightest value up to this is one code of 255: the maps are masks of 0 and 1, not of black and white."""


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


def analyse_given(
    clip: Clip,
    maps: OpenMaps,
    sampling: Sampling,
    *,
    on_progress: ProgressHook | None = None,
    on_samples: SamplesHook | None = None,
) -> AnalysisResult:
    """Make the track of ``clip`` from ``maps``; the hooks are those of `analyse_clip`. Raises `SourceError` or `MapsError`."""
    reader = _MapReader(clip, maps)
    reader.check_early()
    choice = sampling if reader.numbers is None else NearestFrames(sampling, reader.numbers)
    size, tally = shipped_input_size(clip.upright_aspect), DecodeTally()
    recorder = HostRecorder(clip, size, maps.attention)
    parts: list[Samples] = []
    with (
        contextlib.closing(reader),
        contextlib.closing(prefetch(decode_batches(clip, choice, size.content, DEFAULT_BATCH_SIZE, tally))) as batches,
    ):
        for batch in batches:
            found = [reader.blocks(int(frame)) for frame in batch.index]
            if None in found:
                continue  # too few maps: the decoder runs to the end, so that the error can state both numbers
            saliency, gaze = zip(*(one for one in found if one is not None), strict=True)
            parts.append(recorder.add_blocks(batch, np.stack(saliency), None if maps.gaze is None else np.stack(gaze)))
            if on_samples is not None:
                on_samples(parts[-1], tally)
            if on_progress is not None:
                on_progress(int(batch.index[-1]) + 1, clip.frame_count)
        reader.check_end(tally.frames)
    samples = join_samples(parts)
    track = SaliencyTrack(
        saliency=samples.saliency,
        activity=samples.activity,
        sample_frame=samples.sample_frame,
        motion=samples.motion,
        frame_count=tally.frames,
        cuts=tally.scene.cuts(),
        frame_pts=tally.frame_pts(),
        time_base=tally.time_base,
        gaze=samples.gaze,
        attention=samples.attention,
    )
    facts = {"decoder": "libavcodec", "decoder_reason": "the decoder of device cpu"}
    return AnalysisResult(track, tally.corrupt_packets, tally.variable_frame_rate, facts)


class _MapReader:
    """Reads the maps of rising frames, in one pass over the file."""

    def __init__(self, clip: Clip, maps: OpenMaps) -> None:
        self._clip, self._maps, self._given = clip, maps, maps.given
        self.numbers = self._given.numbers_within(clip)
        self._loads = iter(self._given.read(clip))
        self._next = 0
        self._peak = 0.0

    def close(self) -> None:
        """Close the file."""
        close = getattr(self._loads, "close", None)
        if close is not None:
            close()

    def check_early(self) -> None:
        """Find what can be found before the clip is decoded: a first map that cannot be used, and far too few or many maps."""
        load = next(self._given.read(self._clip), None)
        if load is None:
            raise self._given.error("holds no map", HOW_MANY)
        self._given.checked(load(), 0, self._clip)
        count, stated = self._given.count, self._clip.frame_count
        if count is not None and stated is not None and self.numbers is None and abs(count - stated) > max(2, stated // 20):
            self._given.check_count(count, stated, limited=bool(self._clip.duration))

    def blocks(self, frame: int) -> tuple[NDArray[np.float32], NDArray[np.float32] | None] | None:
        """Saliency and gaze of ``frame``, ``[rows, cols]`` in 0..1; ``None`` where the maps end before it."""
        position = frame if self.numbers is None else nearest_position(self.numbers, frame)
        load = None
        while self._next <= position:
            load = next(self._loads, None)
            if load is None:
                return None
            self._next += 1
        assert load is not None
        layers = self._given.checked(load(), position, self._clip)
        gaze = None if self._maps.gaze is None else self._density(layers, self._maps.gaze)
        if self._maps.saliency is not None:
            return self._saliency(layers, self._maps.saliency, position), gaze
        assert gaze is not None
        # For segments, views and the other mappings, which know saliency only.
        return gaze / max(float(gaze.max()), 1e-9), gaze

    def _saliency(self, layers: Layers, name: str, position: int) -> NDArray[np.float32]:
        one = layers[name]
        peak = float(one.max())
        if peak > 1 + TOLERANCE:
            cure = f"give values in 0..1, or {setting('maps_kind', 'gaze')} for densities"
            raise self._given.error(f"map {position} has the value {peak:g}, above 1", cure)
        self._peak = max(self._peak, peak)
        return np.minimum(self._given.blocks(one, self._clip), np.float32(1))

    def _density(self, layers: Layers, name: str) -> NDArray[np.float32]:
        """Density of gaze as a multiple of the frame's mean, divided by `MAX_DENSITY`; a map of zeros is even."""
        blocks = self._given.blocks(layers[name], self._clip)
        mean = float(layers[name].mean(dtype=np.float64))
        relative = blocks / np.float32(mean) if mean > 0 else np.ones_like(blocks)
        return np.asarray(np.minimum(relative / np.float32(MAX_DENSITY), 1), np.float32)

    def check_end(self, frames: int) -> None:
        """Raise `MapsError` unless there were maps for ``frames`` frames, and saliency in them."""
        limited = bool(self._clip.duration)
        if self.numbers is not None:
            if self.numbers[0] >= frames or (self.numbers[-1] >= frames and not limited):
                named = self.numbers[0] if self.numbers[0] >= frames else self.numbers[-1]
                raise self._given.error(f"has a map for frame {named}, the clip has {frames} frames", HOW_MANY)
        elif not self._given.endless:
            count = self._given.count
            if count is None:
                count = self._next if limited and self._next >= frames else self._next + sum(1 for _ in self._loads)
            self._given.check_count(count, frames, limited=limited)
        if 0 < self._peak <= _LABEL:
            cure = "give white (255) where viewers look; masks with the value 1 are nearly black"
            raise self._given.error("its brightest value is 1 of 255", cure)
