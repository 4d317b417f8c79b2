"""Opens zip files of any origin: NPZ files and sidecars, of which every member is stored or deflated and has a name of its own."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from gpu_saliency.untrusted.regular import open_regular

_MAX_DIRECTORY = 1 << 20
"""Bytes of a zip's directory, which `zipfile` reads whole: 10,000 members and more."""
_ENCRYPTED = 1
_PLAIN_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
"""Bzip2 and LZMA expand a thousand times more than deflate, and this program never writes them."""


class _Limited:
    """A file of which no single read is larger than ``limit``, as long as there is one."""

    def __init__(self, file: BinaryIO, limit: int | None) -> None:
        self._file, self.limit = file, limit

    def read(self, size: int = -1) -> bytes:
        if self.limit is None:
            return self._file.read(size)
        data = self._file.read(self.limit + 1 if size < 0 else min(size, self.limit + 1))
        if len(data) > self.limit:
            raise zipfile.BadZipFile(f"its directory has more than {self.limit} bytes")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the zip file ``path``. Raises `OSError`, or `ValueError` or another type of `zipfile` for one that is not usable."""
    with open_regular(path) as file:
        limited = _Limited(file, _MAX_DIRECTORY)
        with zipfile.ZipFile(limited) as archive:
            limited.limit = None
            names = archive.namelist()
            if len(set(names)) != len(names):
                raise ValueError("a member is there twice")
            yield archive


def open_member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open the member ``name``; reading it never gives more than its ``file_size``. Raises `KeyError` or `ValueError`."""
    info = archive.getinfo(name)
    if info.flag_bits & _ENCRYPTED:
        raise ValueError("is encrypted")
    if info.compress_type not in _PLAIN_METHODS:
        raise ValueError(f"is compressed by method {info.compress_type}, only {' and '.join(_PLAIN_METHODS.values())} are read")
    return archive.open(info)


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and type of an NPY file, which then stands at its first value. Raises `ValueError`.

    No pickle is read. NumPy parses the header, of 10,000 characters at most, as a Python literal.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = read(file)
    except Exception as error:  # a literal of Python fails in many ways
        raise ValueError(f"no header of an array: {str(error).splitlines()[0][:200] if str(error) else 'damaged'}") from error
    if not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"no header of an array: its shape is {str(shape)[:80]}")
    return shape, fortran, dtype
