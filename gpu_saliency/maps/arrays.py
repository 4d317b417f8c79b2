"""Reads maps from NPY and NPZ files of any origin, one map at a time: no pickles, and little memory whatever a header claims."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.errors import MapsError
from gpu_saliency.errors import setting as mark
from gpu_saliency.grid import BLOCK_SIZE
from gpu_saliency.maps.given import UNNAMED, GivenMaps, Load, Map
from gpu_saliency.source.clip import Clip
from gpu_saliency.untrusted.archive import open_archive, open_member, read_npy_header
from gpu_saliency.untrusted.regular import open_regular

_MAX_PIXELS = 1 << 26
_MAX_MAPS = 1 << 22
_LARGER = 4
"""By how much a map may have more pixels than the picture, or than `_SMALL`: a few bytes of a zip inflate to any number of them."""
_SMALL = 1 << 20
_CURE = "give numbers in 0..1, or uint8, of shape [frames, h, w] or [h, w]"
_FULL = {"|u1": 255.0, "<u2": 65535.0, ">u2": 65535.0}
"""Value of white of an integer type; other types hold 0..1 themselves."""


@dataclass(frozen=True, slots=True)
class ArrayStream:
    """An array of an open file, which is read map by map."""

    setting: str
    path: Path
    name: str
    file: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def count(self) -> int:
        """Number of maps."""
        return self.shape[0] if len(self.shape) == 3 else 1

    def maps(self, clip: Clip | None = None) -> Iterator[Map]:
        """Each map, once. Raises `MapsError` where the file ends too early, or maps are far larger than the picture of ``clip``."""
        height, width = self.shape[-2:]
        if clip is not None and height * width > _LARGER * max(_SMALL, clip.width * clip.height):
            raise _unusable(self, f"has maps of {width}x{height}, far larger than the picture of {clip.width}x{clip.height}")
        size = height * width * self.dtype.itemsize
        scale = np.float32(_FULL.get(self.dtype.str, 1.0))
        for number in range(self.count):
            try:
                data = self.file.read(size)
            except Exception as error:  # zipfile, zlib, lzma and bz2 each raise types of their own
                raise _unusable(self, f"is damaged in map {number}: {error}") from error
            if len(data) != size:
                raise _unusable(self, f"ends in map {number} of {self.count}")
            with np.errstate(over="ignore"):  # values beyond float32 become infinite, which is refused with the frame's number
                one = np.frombuffer(data, self.dtype).reshape(height, width).astype(np.float32)
            yield one / scale

    def values(self) -> NDArray[np.generic]:
        """The whole array."""
        try:
            data = self.file.read(math.prod(self.shape) * self.dtype.itemsize)
            return np.frombuffer(data, self.dtype).reshape(self.shape)
        except Exception as error:  # as for maps
            raise _unusable(self, f"is damaged: {error}") from error


def read_array_file(setting: str, path: Path) -> GivenMaps:
    """An NPY file, or the arrays ``saliency`` and ``gaze``, ``maps``, or the only one of an NPZ file. Raises `MapsError`."""
    if path.suffix.lower() == ".npy":
        with open_array(setting, path) as array:
            return _given(setting, path, {UNNAMED: None}, array.count, None, on_grid=False)
    with _archive(setting, path) as archive:
        members = [name.removesuffix(".npy") for name in archive.namelist()]
        names = _names_of(setting, path, members)
        counts = set()
        for member in names.values():
            with _open_member(setting, path, archive, member) as array:
                counts.add(array.count)
        if len(counts) != 1:
            raise MapsError("its saliency and gaze differ in number", setting=setting, value=path, cure=_CURE)
        numbers = _frames(setting, path, archive, counts.copy().pop()) if "frames" in members else None
        on_grid = "block_size" in members and _block_size(setting, path, archive) == BLOCK_SIZE
    return _given(setting, path, dict(names), counts.pop(), numbers, on_grid=on_grid)


@contextmanager
def open_array(setting: str, path: Path) -> Iterator[ArrayStream]:
    """Open an NPY file. Raises `MapsError`."""
    try:
        file = open_regular(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MapsError(f"cannot be read: {reason}", setting=setting, value=path, cure=_CURE) from error
    with file:
        yield _stream(setting, path, "the array", file, dimensions=(2, 3))


def _given(
    setting: str, path: Path, names: dict[str, str | None], count: int, numbers: tuple[int, ...] | None, *, on_grid: bool
) -> GivenMaps:
    is_single = count == 1 and numbers is None

    def read(clip: Clip) -> Iterator[Load]:
        with ExitStack() as stack:
            if path.suffix.lower() == ".npy":
                streams = {name: stack.enter_context(open_array(setting, path)).maps(clip) for name in names}
            else:
                archive = stack.enter_context(_archive(setting, path))
                streams = {
                    name: stack.enter_context(_open_member(setting, path, archive, str(member))).maps(clip)
                    for name, member in names.items()
                }
            for _number in range(count):
                layers = {name: next(stream) for name, stream in streams.items()}
                yield lambda layers=layers: layers  # type: ignore[misc]  # mypy: no type of a default
                while is_single:
                    yield lambda layers=layers: layers  # type: ignore[misc]

    return GivenMaps(setting, path, tuple(names), read, count, numbers, endless=is_single, is_constant=is_single, on_grid=on_grid)


def _names_of(setting: str, path: Path, members: list[str]) -> dict[str, str]:
    """The array of each layer."""
    if "header.json" in members:
        raise MapsError("is a sidecar", setting=setting, value=path, cure=f"give it as {mark('sidecar')}")
    named: dict[str, str] = {name: name for name in ("saliency", "gaze") if name in members}
    if named:
        return named
    if UNNAMED in members or len(members) == 1:
        return {UNNAMED: UNNAMED if UNNAMED in members else members[0]}
    cure = "name an array saliency or gaze"
    raise MapsError(f"holds {', '.join(members)[:100] or 'nothing'}", setting=setting, value=path, cure=cure)


def _frames(setting: str, path: Path, archive: zipfile.ZipFile, count: int) -> tuple[int, ...]:
    with _open_member(setting, path, archive, "frames", dimensions=(1,)) as array:
        is_right = array.shape == (count,) and array.dtype.kind in "ui"
        values = array.values().astype(np.int64) if is_right else None
    if values is None or np.any(values[1:] <= values[:-1]) or int(values[0]) < 0:
        cure = "give the number of the frame of each map, from 0, rising"
        raise MapsError("its frames are not so many rising whole numbers as maps", setting=setting, value=path, cure=cure)
    return tuple(int(value) for value in values)


def _block_size(setting: str, path: Path, archive: zipfile.ZipFile) -> int:
    with _open_member(setting, path, archive, "block_size", dimensions=(0, 1)) as array:
        return int(array.values().reshape(-1)[0]) if math.prod(array.shape) == 1 and array.dtype.kind in "ui" else 0


@contextmanager
def _archive(setting: str, path: Path) -> Iterator[zipfile.ZipFile]:
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(open_archive(path))
        except Exception as error:  # as for members, below
            reason = (str(getattr(error, "strerror", None) or error).splitlines() or [type(error).__name__])[0][:200]
            raise MapsError(f"is no NPZ file: {reason}", setting=setting, value=path, cure=_CURE) from error
        yield archive


@contextmanager
def _open_member(
    setting: str, path: Path, archive: zipfile.ZipFile, name: str, dimensions: tuple[int, ...] = (2, 3)
) -> Iterator[ArrayStream]:
    try:
        member = open_member(archive, f"{name}.npy" if f"{name}.npy" in archive.namelist() else name)
    except Exception as error:  # zipfile raises half a dozen types for members that it cannot read
        raise MapsError(f"its {name} cannot be read: {error}", setting=setting, value=path, cure=_CURE) from error
    with member:
        yield _stream(setting, path, name, member, dimensions)


def _stream(setting: str, path: Path, name: str, file: IO[bytes], dimensions: tuple[int, ...]) -> ArrayStream:
    """Read and check the header of an array; the file stands at its first value then."""
    try:
        shape, fortran, dtype = read_npy_header(file)
    except ValueError as error:
        raise MapsError(f"{name} has {error}", setting=setting, value=path, cure=_CURE) from error
    found = ArrayStream(setting, path, name, file, shape, dtype)
    if dtype.kind not in "buif" or len(shape) not in dimensions or fortran or 0 in shape:
        order = " in Fortran's order" if fortran else ""
        raise _unusable(found, f"has shape {list(shape)} of {dtype}{order}")
    if (len(shape) > 1 and (math.prod(shape[-2:]) > _MAX_PIXELS or found.count > _MAX_MAPS)) or max(shape, default=0) > _MAX_PIXELS:
        raise _unusable(found, f"has shape {list(shape)}, which is too large")
    return found


def _unusable(array: ArrayStream, problem: str) -> MapsError:
    return MapsError(f"{array.name} {problem}", setting=array.setting, value=array.path, cure=_CURE)
