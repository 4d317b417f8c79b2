"""Output files: checked first, written beside, renamed last"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpu_saliency.errors import OutputError


def check_output(output: Path, source: Path | None, *, overwrite: bool) -> None:
    """Raise `OutputError` unless ``output`` may be written: another file than ``source``, in a folder that takes files."""
    if source is not None and output.exists() and output.samefile(source):
        raise OutputError(f"{output}: is the source itself", cure="give --output another path")
    if output.is_dir():
        raise OutputError(f"{output}: is a folder", cure="give --output the path of a file")
    if output.exists() and not overwrite:
        raise OutputError(f"{output}: exists", cure="give --overwrite, or --output another path")
    folder = output.parent
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{output}: {folder} is no folder", cure="give --output another path")
    if not folder.exists():
        raise OutputError(f"{output}: its folder does not exist", cure=f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{output}: its folder cannot be written to", cure="give --output a path in another folder")


@contextmanager
def temporary_output(output: Path) -> Iterator[Path]:
    """A name beside ``output`` with its suffix (from which ffmpeg tells the container). Whatever is left there is removed."""
    temporary = output.with_name(f".{output.stem}.{os.getpid()}.part{output.suffix}")
    try:
        with temporary.open("xb"):
            pass
    except OSError as error:
        raise OutputError(f"{output}: cannot be written: {error.strerror}", cure="give --output another path") from error
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
