"""Output files: checked before the work starts, written under a temporary name, renamed when complete."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gpu_saliency.errors import GpuSaliencyError, OutputError, setting
from gpu_saliency.process.signals import held
from gpu_saliency.process.temporary import temporary_folder


def check_output(output: Path, source: Path | None, *, overwrite: bool, name: str = "output") -> None:
    """Raise `OutputError` unless ``output`` can be written: it is not ``source``, and its folder is writable.

    ``name`` is the setting that holds the path; errors mention it.
    """
    another = f"give {setting(name)} another path"
    if source is not None and output.exists() and output.samefile(source):
        raise OutputError(f"{output}: is the source itself", cure=another)
    if output.is_dir():
        raise OutputError(f"{output}: is a folder", cure=f"give {setting(name)} the path of a file")
    if output.exists() and not overwrite:
        raise OutputError(f"{output}: exists", cure=f"give {setting('overwrite', True)}, or {setting(name)} another path")
    check_folder(output, cure=another)


def check_folder(path: Path, *, cure: str | None = None) -> None:
    """Raise `OutputError` unless the folder of ``path`` exists and is writable."""
    folder = path.parent
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{path}: {folder} is not a folder", cure=cure)
    if not folder.exists():
        raise OutputError(f"{path}: its folder does not exist", cure=f"run mkdir -p {shlex.quote(str(folder))}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: its folder is not writable", cure=cure)


@contextmanager
def writing(path: Path, *, cure: str | None = None) -> Iterator[None]:
    """Convert an `OSError` of the block to an `OutputError` that names ``path``; errors of this package pass unchanged.

    For a full disk the error names the folder, which the user knows, also where ``path`` is a temporary file.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, GpuSaliencyError):
            raise
        if error.errno == errno.ENOSPC:
            raise OutputError(f"{visible_folder(path)}: {error.strerror}", cure=cure) from error
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}", cure=cure) from error


def visible_folder(path: Path) -> Path:
    """The folder of ``path`` that the user knows: without the hidden folders for temporary files inside it."""
    return next((folder for folder in path.parents if "/." not in str(folder)), path.parent)


@contextmanager
def temporary_output(output: Path, *, cure: str | None = None) -> Iterator[Path]:
    """Create an empty file in a hidden folder beside ``output``, yield its path and remove both at the end of the block.

    The file has the suffix of ``output``, from which ffmpeg chooses the container. Raises `OutputError` if it cannot be created.
    """
    with ExitStack() as stack:
        with writing(output, cure=cure):
            temporary = stack.enter_context(temporary_folder(output.parent)) / f"output{output.suffix}"
            temporary.touch()
        yield temporary


@contextmanager
def publish(output: Path, *, cure: str | None = None) -> Iterator[Path]:
    """Write ``output`` atomically: yield a temporary path, and rename that file to ``output`` at the end of the block.

    After an error the temporary file is removed, and an older ``output`` is unchanged. Raises `OutputError` if the temporary file
    cannot be created or renamed.
    """
    with temporary_output(output, cure=cure) as temporary:
        yield temporary
        with writing(output, cure=cure), held():
            temporary.replace(output)


def check_regular(path: Path) -> None:
    """Raise `OSError` unless ``path`` is a regular file: a FIFO, a terminal or ``/dev/zero`` would be read without end."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
