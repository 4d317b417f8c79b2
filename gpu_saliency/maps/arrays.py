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
from gpu_saliency.files import check_regular
from gpu_saliency.grid import BLOCK_SIZE
from gpu_saliency.maps.given import UNNAMED, GivenMaps, Load, Map
from gpu_saliency.source.clip import Clip

_MAX_PIXELS = 1 << 26
_MAX_MAPS = 1 << 22
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

    def maps(self) -> Iterator[Map]:
        """Each map, once. Raises `MapsError` where the file ends too early."""
        height, width = self.shape[-2:]
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
        return np.frombuffer(self.file.read(math.prod(self.shape) * self.dtype.itemsize), self.dtype).reshape(self.shape)


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
        check_regular(path)
        file = path.open("rb")
    except OSError as error:
        raise MapsError(f"cannot be read: {error.strerror}", setting=setting, value=path, cure=_CURE) from error
    with file:
        yield _stream(setting, path, "the array", file, dimensions=(2, 3))


def _given(
    setting: str, path: Path, names: dict[str, str | None], count: int, numbers: tuple[int, ...] | None, *, on_grid: bool
) -> GivenMaps:
    is_single = count == 1 and numbers is None

    def read(_: Clip) -> Iterator[Load]:
        with ExitStack() as stack:
            if path.suffix.lower() == ".npy":
                streams = {name: stack.enter_context(open_array(setting, path)).maps() for name in names}
            else:
                archive = stack.enter_context(_archive(setting, path))
                streams = {
                    name: stack.enter_context(_open_member(setting, path, archive, str(member))).maps()
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
        return int(array.values().reshape(-1)[0])


@contextmanager
def _archive(setting: str, path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # as for members, below
        raise MapsError(f"is no NPZ file: {error}", setting=setting, value=path, cure=_CURE) from error
    with archive:
        yield archive


@contextmanager
def _open_member(
    setting: str, path: Path, archive: zipfile.ZipFile, name: str, dimensions: tuple[int, ...] = (2, 3)
) -> Iterator[ArrayStream]:
    try:
        member = archive.open(f"{name}.npy" if f"{name}.npy" in archive.namelist() else name)
    except Exception as error:  # zipfile raises half a dozen types for members that it cannot read
        raise MapsError(f"its {name} cannot be read: {error}", setting=setting, value=path, cure=_CURE) from error
    with member:
        yield _stream(setting, path, name, member, dimensions)


def _stream(setting: str, path: Path, name: str, file: IO[bytes], dimensions: tuple[int, ...]) -> ArrayStream:
    """Read and check the header of an array; the file stands at its first value then."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # the header is parsed as Python, which fails in many ways
        problem = f"{name} has no header of an array: {str(error)[:200]}"
        raise MapsError(problem, setting=setting, value=path, cure=_CURE) from error
    found = ArrayStream(setting, path, name, file, shape, dtype)
    if dtype.kind not in "buif" or len(shape) not in dimensions or fortran or 0 in shape:
        order = " in Fortran's order" if fortran else ""
        raise _unusable(found, f"has shape {list(shape)} of {dtype}{order}")
    if (len(shape) > 1 and (math.prod(shape[-2:]) > _MAX_PIXELS or found.count > _MAX_MAPS)) or max(shape, default=0) > _MAX_PIXELS:
        raise _unusable(found, f"has shape {list(shape)}, which is too large")
    return found


def _unusable(array: ArrayStream, problem: str) -> MapsError:
    return MapsError(f"{array.name} {problem}", setting=array.setting, value=array.path, cure=_CURE)
