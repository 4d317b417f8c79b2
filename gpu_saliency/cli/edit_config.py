"""``gpu-saliency config edit``: opens the config file in the user's editor."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from gpu_saliency.errors import UsageError
from gpu_saliency.process.children import PATIENCE

_VARIABLES = ("VISUAL", "EDITOR")
"""The variables that name an editor, the stronger one first, as for git and crontab."""


def editor_command(path: Path) -> list[str]:
    """The command that opens ``path`` in the user's editor. Raises `UsageError` where no editor is named, or without a terminal."""
    variable = next((name for name in _VARIABLES if os.environ.get(name, "").strip()), None)
    if variable is None:
        raise UsageError("no editor is set", cure=f"set VISUAL or EDITOR, for example EDITOR=nano; or edit {path} by other means")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "an editor needs a terminal on stdin and stdout", cure=f"run it in a terminal, or edit {path} by other means"
        )
    try:
        return [*shlex.split(os.environ[variable]), str(path)]
    except ValueError as error:
        raise UsageError(f"{variable}={os.environ[variable]}: {error}", cure="quote it as for a shell") from error


def edit(command: list[str]) -> None:
    """Run the editor until the user closes it. Raises `UsageError` if it does not start or reports a failure.

    It stays in this process group, because only the group in the foreground may read from the terminal.
    """
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        problem = f"the editor {command[0]} does not start: {error.strerror}"
        raise UsageError(problem, cure="set VISUAL or EDITOR to a program that is installed") from error
    try:
        with _interrupts_ignored():
            status = process.wait()
    except BaseException:
        process.terminate()  # editors keep what was typed in a file of their own
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        raise
    if status:
        end = f"with status {status}" if status > 0 else f"by {signal.Signals(-status).name}"
        raise UsageError(f"the editor {command[0]} ended {end}", cure="the file is as the editor left it")


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Leave Ctrl-C to the editor, where it is a key like others; the terminal sends it to this process too."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
