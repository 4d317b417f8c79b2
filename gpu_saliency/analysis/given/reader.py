"""`MapReader`: reduces given maps to the block grid of a clip, in one pass over their file."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.given.opened import MAX_DENSITY, OpenMaps
from gpu_saliency.errors import setting
from gpu_saliency.maps.given import HOW_MANY, Load
from gpu_saliency.model.contract import TOLERANCE
from gpu_saliency.source.clip import Clip

Blocks = NDArray[np.float32]
_MAPS_PER_SAMPLE = 3
"""Follow what moves between two samples, at three times the cost of one map: a map of 1080p takes 20 ms to decode and reduce."""
_LABEL = 1.5 / 255
"""A brightest value up to this is one code of 255: the maps are masks of 0 and 1, not of black and white."""


@dataclass(frozen=True, slots=True)
class _FrameMaps:
    """What is given for one frame, ``[rows, cols]`` in 0..1."""

    frame: int
    saliency: Blocks | None
    gaze: Blocks | None


class MapReader:
    """Reads the maps of rising frames once, and averages those of each sample."""

    def __init__(self, clip: Clip, maps: OpenMaps) -> None:
        self._clip, self._maps, self._given = clip, maps, maps.given
        self.numbers = self._given.numbers_within(clip)
        """The frames that the maps name; ``None``: there is one for each frame, or for all."""
        self._loads = iter(self._given.read(clip))
        self._read = 0
        self._peak = 0.0
        self._constant: _FrameMaps | None = None

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

    def samples(self, index: NDArray[np.int64], end: int, cuts: Sequence[int]) -> tuple[Blocks, Blocks | None] | None:
        """Saliency and gaze ``[N, rows, cols]`` in 0..1 of the samples ``index``; ``None`` where the maps end before that.

        Of the maps that are nearer to a sample than to another one, it takes the mean of `_MAPS_PER_SAMPLE` or a few more, at equal
        distances; ``end`` is the first frame that belongs to the next sample. Maps of another scene than its own are left out.
        """
        frames = index.tolist()
        ends = [(before + after + 1) // 2 for before, after in itertools.pairwise(frames)] + [end]
        found = [self._mean(frame, until, cuts) for frame, until in zip(frames, ends, strict=True)]
        if any(one is None for one in found):
            return None
        saliency, gaze = zip(*(one for one in found if one is not None), strict=True)
        return np.stack(saliency), None if self._maps.gaze is None else np.stack(gaze)

    def _mean(self, sample: int, end: int, cuts: Sequence[int]) -> tuple[Blocks, Blocks | None] | None:
        near = list(self._until(end, sample))
        if not near or (self.numbers is None and near[-1].frame < sample):
            return None
        scene = np.searchsorted(cuts, sample, side="right")
        near = [one for one in near if np.searchsorted(cuts, one.frame, side="right") == scene] or near
        gaze = None if self._maps.gaze is None else _average([one.gaze for one in near])
        if self._maps.saliency is not None:
            return _average([one.saliency for one in near]), gaze
        assert gaze is not None
        # For segments, views and the other mappings, which know saliency only.
        return gaze / max(float(gaze.max()), 1e-9), gaze

    def _until(self, end: int, sample: int) -> Iterator[_FrameMaps]:
        """The maps of frames before ``end`` that were not read yet; one that serves all frames is there for ``sample``."""
        if self._given.is_constant:
            self._constant = self._constant or self._reduced(next(self._loads), sample, 0)
            yield replace(self._constant, frame=sample)
            return
        first, own, last = self._read, self._position(sample), self._position(end)
        stride = max(1, (last - first) // _MAPS_PER_SAMPLE)
        for number in range(first, last):
            load = next(self._loads, None)
            if load is None:
                return
            self._read += 1
            if (number - own) % stride == 0:
                yield self._reduced(load, number if self.numbers is None else self.numbers[number], number)

    def _position(self, frame: int) -> int:
        """Number of maps of frames before ``frame``."""
        return frame if self.numbers is None else bisect.bisect_left(self.numbers, frame)

    def _reduced(self, load: Load, frame: int, number: int) -> _FrameMaps:
        """The maps of ``frame``; ``number`` counts them, for errors. Raises `MapsError`."""
        layers = self._given.checked(load(), number, self._clip)
        saliency = None if self._maps.saliency is None else self._saliency(layers[self._maps.saliency], number)
        return _FrameMaps(frame, saliency, None if self._maps.gaze is None else self._density(layers[self._maps.gaze]))

    def _saliency(self, one: Blocks, number: int) -> Blocks:
        peak = float(one.max())
        if peak > 1 + TOLERANCE:
            cure = f"give values in 0..1, or {setting('maps_kind', 'gaze')} for densities"
            raise self._given.error(f"map {number} has the value {peak:g}, above 1", cure)
        self._peak = max(self._peak, peak)
        return np.minimum(self._given.blocks(one, self._clip), np.float32(1))

    def _density(self, one: Blocks) -> Blocks:
        """Density of gaze as a multiple of the frame's mean, divided by `MAX_DENSITY`; a map of zeros is even."""
        blocks = self._given.blocks(one, self._clip)
        mean = float(one.mean(dtype=np.float64))
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
                count = self._read if limited and self._read >= frames else self._read + sum(1 for _ in self._loads)
            self._given.check_count(count, frames, limited=limited)
        if 0 < self._peak <= _LABEL:
            cure = "give white (255) where viewers look; masks with the value 1 are nearly black"
            raise self._given.error("its brightest value is 1 of 255", cure)


def _average(maps: list[Blocks | None]) -> Blocks:
    there = [one for one in maps if one is not None]
    return there[0] if len(there) == 1 else np.asarray(np.mean(there, axis=0), np.float32)
