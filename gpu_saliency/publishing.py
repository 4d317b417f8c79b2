"""Gives a finished file its name: never over another file unless that is allowed, and never over what is no file.

`files.publish` uses this; the file was written under a temporary name in the same folder or file system before.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from gpu_saliency.errors import OutputError, setting

# What link() says where the file system, or a rule of the system, has no hard links.
_NO_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
# Folders of the system whose entries stand for devices and processes.
_NO_FOLDERS = ("/proc", "/sys")
_DEVICES = "/dev"
_KINDS = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a named pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISCHR, "is a device"),
)


def check_replaceable(output: Path, *, cure: str | None = None) -> None:
    """Raise `OutputError` if something that is no regular file has the name ``output``, such as ``/dev/null`` or a named pipe.

    A link counts as what it leads to. A link that leads nowhere, and a free name, pass.
    """
    try:
        mode = output.stat().st_mode
    except OSError:
        mode = stat.S_IFREG
    problem = next((words for is_kind, words in _KINDS if is_kind(mode)), None)
    folder = os.path.realpath(output.parent)
    if problem is None and (folder == _DEVICES or any(f"{folder}/".startswith(f"{place}/") for place in _NO_FOLDERS)):
        problem = f"{folder} is no folder for files"
    if problem is not None:
        raise OutputError(f"{output}: {problem}", cure=cure or "give the path of a file")


def exists(output: Path) -> bool:
    """Whether the name ``output`` is taken, also by a link that leads nowhere. Raises no error for any text."""
    return os.path.lexists(output)


def taken(output: Path, *, name: str = "output") -> OutputError:
    """The error of a name that is taken; ``name`` is the setting that holds the path."""
    problem = f"{output}: exists"
    if output.is_symlink() and not output.exists():
        problem += ", as a link to a missing file"
    return OutputError(problem, cure=f"give {setting('overwrite', True)}, or {setting(name)} another path")


def give_name(temporary: Path, output: Path, *, overwrite: bool, name: str = "output") -> None:
    """Rename ``temporary`` to ``output`` in one step, so that ``output`` is either complete or unchanged.

    Without ``overwrite`` the name must be free at that very moment: `OutputError`, also if another program has taken it since the
    work began. The step is link(), which fails where the name is taken. A file system without hard links (FAT, some network
    folders) gets an empty file by ``O_EXCL`` first, which fails in the same way, and then the rename over that. With
    ``overwrite`` a regular file, or a link, is replaced. Raises `OSError` for other failures.
    """
    check_replaceable(output)
    if overwrite:
        temporary.replace(output)
        return
    try:
        os.link(temporary, output, follow_symlinks=False)
    except FileExistsError:
        raise taken(output, name=name) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _claim(temporary, output, name)
    else:
        temporary.unlink()


def _claim(temporary: Path, output: Path, name: str) -> None:
    try:
        os.close(os.open(output, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        raise taken(output, name=name) from None
    try:
        temporary.replace(output)
    except BaseException:
        output.unlink(missing_ok=True)
        raise
