"""Output files: checked before the work begins, written under a temporary name, renamed when they are complete."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpu_saliency.errors import GpuSaliencyError, OutputError, setting


def check_output(output: Path, source: Path | None, *, overwrite: bool, name: str = "output") -> None:
    """Raise `OutputError` unless ``output`` may be written: another file than ``source``, in a folder that takes files.

    ``name`` is the setting that holds the path.
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
    """Raise `OutputError` unless the folder that ``path`` lies in exists and takes files."""
    folder = path.parent
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{path}: {folder} is no folder", cure=cure)
    if not folder.exists():
        raise OutputError(f"{path}: its folder does not exist", cure=f"mkdir -p {shlex.quote(str(folder))}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: its folder cannot be written to", cure=cure)


@contextmanager
def writing(path: Path, *, cure: str | None = None) -> Iterator[None]:
    """Turn any `OSError` of the block into an `OutputError` that names ``path``; our own errors pass."""
    try:
        yield
    except OSError as error:
        if isinstance(error, GpuSaliencyError):
            raise
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}", cure=cure) from error


@contextmanager
def temporary_output(output: Path, *, cure: str | None = None) -> Iterator[Path]:
    """An empty file beside ``output`` with its suffix, from which ffmpeg tells the container; removed at the end of the block.

    Raises `OutputError`.
    """
    temporary = output.with_name(f".{output.stem}.{os.getpid()}.part{output.suffix}")
    with writing(output, cure=cure), temporary.open("xb"):
        pass
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def publish(output: Path, *, cure: str | None = None) -> Iterator[Path]:
    """Give ``output`` its name only when it is complete: yields a temporary path and renames it at the end of the block.

    After an error nothing is left. Raises `OutputError` where the temporary file cannot be made or renamed.
    """
    with temporary_output(output, cure=cure) as temporary:
        yield temporary
        with writing(output, cure=cure):
            temporary.replace(output)
