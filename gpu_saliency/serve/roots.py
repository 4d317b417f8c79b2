"""`Roots`: the folders in which clients may name files. Symbolic links and ``..`` are resolved before each check."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from gpu_saliency.errors import GpuSaliencyError, OutsideError, SourceMissingError, UsageError, setting

_MOST_ENTRIES = 100_000


class Roots:
    """The allowed folders. Relative paths count from the first."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Raises `UsageError` for a folder that is none."""
        found = []
        for folder in folders:
            if not folder.is_dir():
                raise UsageError("is not a folder", setting="root", value=folder, cure="give a folder that exists")
            found.append(os.path.realpath(folder))
        if not found:
            raise UsageError("no folder is allowed", cure=f"give {setting('root')} for each folder with sources or outputs")
        self.folders = tuple(found)

    def resolve(self, path: str) -> str:
        """The absolute path to which ``path`` leads, without links. Raises `OutsideError`."""
        try:
            found = os.path.realpath(os.path.join(self.folders[0], path))  # noqa: PTH118 - bytes that are not UTF-8
        except ValueError:  # a NUL
            raise OutsideError("a path has a null character", cure="give another path") from None
        if not self.holds(found):
            cure = "give a path below one of the folders that this server allows"
            raise OutsideError(f"{path}: is not below an allowed folder", cure=cure)
        return found

    def holds(self, path: str) -> bool:
        """Whether ``path``, which is resolved, lies below an allowed folder."""
        return any(path.startswith(folder.rstrip("/") + "/") for folder in self.folders)

    def check(self, paths: Iterable[str]) -> None:
        """Raise `OutsideError` if one of ``paths``, or a file in a folder of maps, now leads out of the allowed folders."""
        for path in paths:
            self._check_entries(self.resolve(path))

    def _check_entries(self, path: str) -> None:
        if not os.path.isdir(path):  # noqa: PTH112
            return
        with os.scandir(path) as entries:
            for number, entry in enumerate(entries):
                if number >= _MOST_ENTRIES:
                    raise OutsideError(f"{path}: has more than {_MOST_ENTRIES:,} files", cure="give a smaller folder")
                if entry.is_symlink():
                    self.resolve(entry.path)

    def open(self, path: str) -> BinaryIO:
        """Open a regular file for reading. Raises `OutsideError` or `SourceMissingError`.

        What was opened is checked, so that no other file can take its place in between.
        """
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")
        except OSError as error:
            raise SourceMissingError(f"{path}: {error.strerror}", cure="run its job again") from None
        try:
            if not self.holds(os.readlink(f"/proc/self/fd/{file.fileno()}")):  # noqa: PTH115
                raise OutsideError(f"{path}: is not below an allowed folder", cure="run its job again")
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SourceMissingError(f"{path}: is not a regular file", cure="run its job again")
        except GpuSaliencyError:
            file.close()
            raise
        return file
