"""`GivenMaps`: maps of a clip that can be read again and again, whatever file they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import MapsError
from gpu_saliency.grid import BLOCK_SIZE, grid_shape
from gpu_saliency.maps.fit import fit, fit_blocks, has_shape_of
from gpu_saliency.source.clip import Clip

Map = NDArray[np.float32]
"""``[h, w]`` of any size, upright; 0 or more."""
Layers = dict[str, Map]
"""The maps of one frame by their names: ``saliency``, ``gaze``, or `UNNAMED` where the file does not say what it holds."""
Load = Callable[[], Layers]
"""Reads the maps of one frame; not called for frames that are not needed."""

UNNAMED = "maps"
HOW_MANY = "give one map for each frame, one for all, or number them by their frames"


@dataclass(frozen=True, slots=True)
class GivenMaps:
    """Maps of a clip in a folder, an array, a video or a list of boxes. Produced by `read_maps`."""

    setting: str
    """The setting that named the file; errors mention it."""
    path: Path
    names: tuple[str, ...]
    """The names in each of the `Layers`."""
    read: Callable[[Clip], Iterator[Load]]
    """The maps in their order; the clip is the one that they lie on."""
    count: int | None = None
    """Number of maps, where it is known before reading."""
    numbers: tuple[int, ...] | None = None
    """The frame of each map, rising; ``None``: map i is that of frame i."""
    may_be_in_order: bool = False
    """Whether ``numbers`` were found in file names, and are no frames where they do not lie within the clip."""
    endless: bool = False
    """Whether there is a map for every frame there may be, as of one picture for all."""
    is_constant: bool = False
    """Whether it is the same for all frames."""
    on_grid: bool = False
    """Whether the maps have a value for each 16x16 block of the coded picture, instead of lying on the upright one."""

    def numbers_within(self, clip: Clip) -> tuple[int, ...] | None:
        """The frame of each map where the maps say it, else ``None``: map i is that of frame i."""
        if self.numbers is None or not self.may_be_in_order or clip.duration or clip.frame_count is None:
            return self.numbers
        return self.numbers if self.numbers[-1] < clip.frame_count else None

    def pixels(self, clip: Clip, name: str) -> Iterator[NDArray[np.float32]]:
        """``[height, width]`` of the layer ``name`` for each map, on the coded picture of ``clip``. Raises `MapsError`."""
        for number, load in enumerate(self.read(clip)):
            one = self.checked(load(), number, clip)[name]
            if self.on_grid:
                one = one.repeat(BLOCK_SIZE, axis=0).repeat(BLOCK_SIZE, axis=1)[: clip.height, : clip.width]
                yield np.ascontiguousarray(one, np.float32)
            else:
                yield fit(clip.orientation.coded(one), clip.width, clip.height)

    def blocks(self, layer: Map, clip: Clip) -> NDArray[np.float32]:
        """``[rows, cols]``: the mean of ``layer`` in each block of the coded picture of ``clip``."""
        if self.on_grid:
            return layer
        return fit_blocks(clip.orientation.coded(layer), clip.width, clip.height)

    def checked(self, layers: Layers, number: int, clip: Clip) -> Layers:
        """``layers``, the map ``number`` counted from 0. Raises `MapsError` for bad values or a shape other than the picture's."""
        for one in layers.values():
            if not np.isfinite(one).all() or one.min() < 0:
                raise self.error(f"map {number} has a value that is negative or no number", "give values of 0 or more")
            height, width = one.shape
            if self.on_grid and one.shape != grid_shape(clip.width, clip.height):
                rows, cols = grid_shape(clip.width, clip.height)
                problem = f"map {number} has {height}x{width} blocks, {clip.path} has {rows}x{cols}"
                raise self.error(problem, "give maps of the same clip")
            if not self.on_grid and not has_shape_of(one.shape, clip):
                sides = (clip.height, clip.width) if clip.rotation % 180 else (clip.width, clip.height)
                problem = f"map {number} has {width}x{height} pixels, another shape than the {sides[0]}x{sides[1]} of {clip.path}"
                raise self.error(problem, "give maps that cover the whole picture")
        return layers

    def check_count(self, count: int, frames: int, *, limited: bool) -> None:
        """Raise `MapsError` unless ``count`` maps in order fit ``frames`` frames; with ``limited`` there may be more of them."""
        if not self.endless and count != frames and not (limited and count > frames):
            raise self.error(f"has {count} maps for {frames} frames", HOW_MANY)

    def error(self, problem: str, cure: str) -> MapsError:
        """An error about these maps."""
        return MapsError(problem, setting=self.setting, value=self.path, cure=cure)
