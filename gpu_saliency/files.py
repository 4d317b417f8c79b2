"""Output files: checked before the work starts, written under a temporary name, named when complete."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gpu_saliency.errors import GpuSaliencyError, OutputError, setting
from gpu_saliency.process.signals import held
from gpu_saliency.process.temporary import temporary_folder
from gpu_saliency.publishing import check_replaceable, exists, give_name, taken


def check_output(output: Path, source: Path | None, *, overwrite: bool, name: str = "output") -> None:
    """Raise `OutputError` unless ``output`` can be written: it is not ``source``, no device, and its folder is writable.

    ``name`` is the setting that holds the path; errors mention it.
    """
    another = f"give {setting(name)} another path"
    with writing(output, cure=another):
        check_name(output, cure=another)
        if source is not None and output.exists() and output.samefile(source):
            raise OutputError(f"{output}: is the source itself", cure=another)
        check_replaceable(output, cure=f"give {setting(name)} the path of a file")
        if exists(output) and not overwrite:
            raise taken(output, name=name)
        check_folder(output, cure=another)


def check_name(output: Path, *, cure: str | None = None) -> None:
    """Raise `OutputError` if no file can have the name ``output``: it is too long for the file system, or has a null character."""
    if "\0" in str(output):
        raise OutputError(f"{str(output).replace(chr(0), '')!r}: has a null character in its name", cure=cure)
    size = len(os.fsencode(output.name))
    longest = _longest_name(output.parent)
    if size > longest:
        raise OutputError(f"{output}: its name has {size} bytes, {longest} is the most that this folder allows", cure=cure)


def _longest_name(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):  # no such folder, no such limit, no such system
        return 255


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
def publish(output: Path, *, overwrite: bool = True, cure: str | None = None, name: str = "output") -> Iterator[Path]:
    """Write ``output`` atomically: yield a temporary path, and give that file the name ``output`` at the end of the block.

    Without ``overwrite`` a file that has the name by then stays, and `OutputError` is raised (see `give_name`). After an error the
    temporary file is removed, and an older ``output`` is unchanged. ``name`` is the setting that holds the path. Raises
    `OutputError` if the temporary file cannot be created or renamed.
    """
    check_name(output, cure=cure)
    check_replaceable(output, cure=cure)
    with temporary_output(output, cure=cure) as temporary:
        yield temporary
        with writing(output, cure=cure), held():
            give_name(temporary, output, overwrite=overwrite, name=name)


@contextmanager
def restored_after_error(path: Path) -> Iterator[Callable[[], None]]:
    """Undo a change of the file ``path`` if the block ends with an error: an older file comes back, a new one is removed.

    Call the yielded function right after the change; before that nothing is undone. For the steps that publish several files, of
    which all or none must stay. Raises `OutputError` if the older file cannot be kept.
    """
    changed = False

    def note() -> None:
        nonlocal changed
        changed = True

    with temporary_output(path.with_suffix(".older")) as older:
        had = exists(path)
        if had:
            with writing(path):
                _copy(path, older)
        try:
            yield note
        except BaseException:
            if changed and had:
                older.replace(path)
            elif changed:
                path.unlink(missing_ok=True)
            raise


def _copy(path: Path, copy: Path) -> None:
    """Make the empty file ``copy`` another name of ``path``, or a copy where that is not possible."""
    copy.unlink()
    try:
        os.link(path, copy, follow_symlinks=False)
    except OSError:
        shutil.copy2(path, copy, follow_symlinks=False)
