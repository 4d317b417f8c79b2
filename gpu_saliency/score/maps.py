"""Reads masks and maps from a folder of pictures, a numpy file or a video, one map a frame or one for all frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from gpu_saliency.analysis.sidecar import Sidecar, SourceRecord, check_fresh, read_sidecar
from gpu_saliency.errors import SidecarError, SourceMissingError, UsageError
from gpu_saliency.grid import BLOCK_SIZE
from gpu_saliency.source.clip import Clip, libav_reason
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.probe import probe_clip

Map = NDArray[np.float32]
"""``[h, w]`` of any size, upright, 0 or more; only ratios count."""
_ONE_OR_ALL = "give one map for each frame, or one for all"
_INSIDE = 0.5 - 1e-6
"""Of a pixel; less the rounding of `fit`, so that exactly half of a pixel is inside."""


@dataclass(frozen=True, slots=True)
class Maps:
    """Maps of a clip that can be read again and again. Produced by `read_maps` and `sidecar_maps`."""

    setting: str
    """The setting that named the file; errors mention it."""
    path: Path
    count: int | None
    """Maps in the file, where that is known before reading; 1 serves all frames."""
    read: Callable[[], Iterator[Map]]

    def frames(self, clip: Clip) -> Iterator[NDArray[np.float32]]:
        """``[height, width]`` for each frame of ``clip``, as it is coded; a single map is repeated without end."""
        turns = clip.rotation // 90
        for number, one in enumerate(self.read()):
            if not np.isfinite(one).all() or one.min() < 0:
                problem, cure = f"map {number} has a value that is negative or no number", "give values of 0 or more"
                raise UsageError(problem, setting=self.setting, value=self.path, cure=cure)
            fitted = fit(np.rot90(one, -turns), clip.width, clip.height)
            yield fitted
            while self.count == 1:
                yield fitted

    def check_count(self, count: int, frames: int, *, limited: bool) -> None:
        """Raise `UsageError` unless ``count`` maps fit ``frames`` frames; with ``limited`` there may be more of them."""
        if self.count != 1 and count != frames and not (limited and count > frames):
            problem = f"has {count} maps, {frames} frames are compared"
            raise UsageError(problem, setting=self.setting, value=self.path, cure=_ONE_OR_ALL)


def fit(one: NDArray[np.floating], width: int, height: int) -> NDArray[np.float32]:
    """``one`` scaled by area to ``[height, width]``: each pixel is the mean of what it covers."""
    if one.shape == (height, width):
        return np.ascontiguousarray(one, np.float32)
    fitted = _fit_rows(_fit_rows(one.astype(np.float64), height).T, width).T
    return np.ascontiguousarray(fitted, np.float32)


def _fit_rows(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """``[rows, n]`` scaled to ``[length, n]``: differences of the running sum at the edges of the new rows."""
    rows = len(values)
    if rows == length:
        return values
    edges = np.linspace(0, rows, length + 1)
    first = np.minimum(edges.astype(np.intp), rows - 1)
    sums = np.concatenate((np.zeros_like(values[:1]), np.cumsum(values, axis=0)))
    at_edges = sums[first] + (edges - first)[:, None] * values[first]
    return np.maximum(np.diff(at_edges, axis=0) * (length / rows), 0)


def inside(maps: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.bool_]]:
    """The pixels inside a mask: those of which half or more is white."""
    for one in maps:
        yield one >= _INSIDE


def read_maps(setting: str, path: Path) -> Maps:
    """Open a folder of PNG or NPY files in the order of their names, an NPZ or NPY file, or a video.

    Pictures and videos are read as grey, 0..1. Raises `SourceMissingError`, `SourceError` or `UsageError`.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in (".png", ".npy"))
        if not files:
            raise UsageError("holds no PNG and no NPY", setting=setting, value=path, cure=_ONE_OR_ALL)
        return Maps(setting, path, len(files), lambda: (_read_file(setting, file) for file in files))
    if not path.exists():
        raise SourceMissingError("no such file or folder", setting=setting, value=path, cure="check the path")
    if path.suffix.lower() in (".npz", ".npy"):
        array = _as_maps(setting, path, _load(setting, path))
        return Maps(setting, path, len(array), lambda: iter(array))
    if path.suffix.lower() == ".png":
        return Maps(setting, path, 1, lambda: iter([_read_file(setting, path)]))
    clip = probe_clip(path)
    return Maps(setting, path, None, lambda: _read_video(clip))


def sidecar_maps(path: Path, reference: Clip) -> Maps:
    """The saliency of the sidecar ``path`` for each frame of ``reference``: that of the nearest sample, as the plan has it.

    A sidecar of the first seconds of ``reference`` has maps for these only. Raises `SidecarError` where it is of another clip.
    """
    if not path.is_file():
        raise SidecarError(f"{path}: no such sidecar", cure="give the path of one")
    sidecar = read_sidecar(path)
    check_fresh(sidecar, path, SourceRecord.of(replace(reference, duration=sidecar.source.duration)))
    return Maps("sidecar", path, sidecar.frame_count, lambda: _saliency(sidecar, reference))


def _saliency(sidecar: Sidecar, clip: Clip) -> Iterator[Map]:
    track = sidecar.track
    of_frame = np.searchsorted(track.sample_starts(), np.arange(track.frame_count), side="right") - 1
    maps = track.saliency_maps()
    for sample in of_frame:
        pixels = maps[sample].repeat(BLOCK_SIZE, axis=0).repeat(BLOCK_SIZE, axis=1)[: clip.height, : clip.width]
        # Blocks lie on the coded picture, other maps on the upright one.
        yield np.rot90(pixels, clip.rotation // 90)


def _read_file(setting: str, path: Path) -> Map:
    if path.suffix.lower() == ".npy":
        array = _load(setting, path)
        if array.ndim != 2:
            raise UsageError(f"{path.name} has shape {array.shape}", setting=setting, value=path.parent, cure="give [h, w]")
        return array.astype(np.float32)
    try:
        with av.open(f"file:{path}") as container:
            return _grey(next(container.decode(video=0)))
    except (av.FFmpegError, OSError, StopIteration) as error:
        problem = f"cannot be read: {libav_reason(error)}"
        raise UsageError(problem, setting=setting, value=path, cure="give intact PNG files") from error


def _read_video(clip: Clip) -> Iterator[Map]:
    turns = clip.rotation // 90
    for frame in decode_frames(clip, DecodeTally()):
        yield np.rot90(_grey(frame), turns)


def _grey(frame: av.VideoFrame) -> Map:
    """Grey of full range, 0..1."""
    deep = frame.format.components[0].bits > 8
    grey = frame.reformat(format="gray16le" if deep else "gray", dst_color_range=ColorRange.JPEG)
    return grey.to_ndarray().astype(np.float32) / np.float32(65535 if deep else 255)


def _load(setting: str, path: Path) -> NDArray[np.generic]:
    """The array of an NPY file, or the only one, or the one named ``maps``, of an NPZ file; no pickles."""
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            name = "maps" if "maps" in found.files else found.files[0] if len(found.files) == 1 else None
            if name is None:
                cure = "keep one array in it, or name it maps"
                raise UsageError(f"holds {', '.join(found.files) or 'nothing'}", setting=setting, value=path, cure=cure)
            return np.asarray(found[name])
    except UsageError:
        raise
    except Exception as error:  # numpy and zipfile raise many types on damaged files
        raise UsageError(f"is no numpy file: {error}", setting=setting, value=path, cure="give [frames, h, w]") from error


def _as_maps(setting: str, path: Path, array: NDArray[np.generic]) -> NDArray[np.float32]:
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or not array.size or array.dtype.kind not in "buif":
        problem = f"has shape {array.shape} of {array.dtype}"
        raise UsageError(problem, setting=setting, value=path, cure="give numbers, [frames, h, w], [1, h, w] or [h, w]")
    return array.astype(np.float32)
