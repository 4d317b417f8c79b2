"""Opens regular files only: a pipe would block the program, and a device such as ``/dev/zero`` never ends."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path, max_bytes: int | None = None) -> BinaryIO:
    """Open ``path`` for reading. Raises `OSError`, or `ValueError` for another kind of file or one that is too large.

    The check is made on the opened file, so that another file cannot take its place in between.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    try:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("is not a regular file")
        if max_bytes is not None and found.st_size > max_bytes:
            raise ValueError(f"has {found.st_size:,} bytes, at most {max_bytes:,} are allowed")
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of ``path``. Raises `OSError`, or `ValueError` for no regular file or one of more than ``max_bytes``."""
    with open_regular(path, max_bytes) as file:
        data = file.read(max_bytes + 1)  # the file may grow meanwhile
    if len(data) > max_bytes:
        raise ValueError(f"has more than {max_bytes:,} bytes")
    return data


def check_regular(path: Path) -> None:
    """Raise `OSError` unless ``path`` is a regular file: a FIFO, a terminal or ``/dev/zero`` would be read without end."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
