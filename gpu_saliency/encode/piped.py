"""Runs an encoder that is not part of ffmpeg; ffmpeg sends the frames to it through a pipe."""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from gpu_saliency.encode.channels.base import FREE_SPACE
from gpu_saliency.encode.complaints import complaint_of
from gpu_saliency.encode.ffmpeg import DISK_FULL, run_ffmpeg
from gpu_saliency.encode.workers import OnFrame, Processes
from gpu_saliency.errors import EncodeError, OutputError, ToolMissingError, setting
from gpu_saliency.files import visible_folder
from gpu_saliency.process import children
from gpu_saliency.process.stalls import STALL_CURE, StallWatch

_LAST_WORDS = 12
_COMPLAINT = re.compile(r"error|unprocessed|invalid|not supported|cannot|failed", re.IGNORECASE)


def run_piped(
    ffmpeg_command: Sequence[str],
    program: Sequence[str],
    on_frame: OnFrame | None = None,
    processes: Processes | None = None,
    on_error: Callable[[str], None] | None = None,
) -> None:
    """Run ``program`` with its standard input from ``ffmpeg_command``, to which this function appends the output name.

    When one of the two programs ends, the pipe breaks and the other ends too; ``processes`` holds both. ``on_error`` is
    that of `run_ffmpeg`. Raises `EncodeError` with the last lines of the one that failed, `OutputError` when the disk is full,
    and `ToolMissingError` when one cannot be started.
    """
    name = _name(program)
    read_end, write_end = os.pipe()
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        try:
            process = children.start(program, stdin=read_end, stdout=log, stderr=log)
        except OSError as error:
            os.close(write_end)
            raise ToolMissingError(
                f"{name}: cannot be run: {error.strerror}",
                cure=f"install it again, or give another {setting('roi_channel')}",
            ) from error
        finally:
            os.close(read_end)
        failure: EncodeError | None = None
        try:
            with (processes or Processes()).holding(process):
                try:
                    command = [*ffmpeg_command, f"pipe:{write_end}"]
                    run_ffmpeg(command, on_frame, pass_fd=write_end, processes=processes, on_error=on_error)
                except EncodeError as error:
                    failure = error
                with StallWatch(partial(children.kill, process)) as watch:
                    code = process.wait()
        finally:
            children.end(process, patience=0)
        log.seek(0)
        said = [line.rstrip() for line in log if line.strip()][-_LAST_WORDS:]
    if code and any(line.endswith(DISK_FULL) for line in said):
        raise OutputError(f"{visible_folder(Path(program[-1]))}: {DISK_FULL}", cure=FREE_SPACE)
    if code and watch.stalled_seconds is not None:
        raise EncodeError(f"{name} made no progress for {watch.stalled_seconds:g} s and was ended", cure=STALL_CURE)
    complaint = next(filter(None, map(complaint_of, said)), None)
    if complaint is not None:
        raise complaint
    reason = _reason(said)
    # An encoder that gives up breaks ffmpeg's pipe, sometimes with exit status 0; its own output then names the cause.
    if code or (failure is not None and reason):
        ending = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        raise EncodeError(
            f"{name} failed ({ending}): {reason or 'no output'}",
            cure="check the settings of the encoder",
            evidence={"ffmpeg_exit": code, "ffmpeg_last_words": said, "command": list(program)},
        )
    if failure is not None:
        raise failure


def _name(program: Sequence[str]) -> str:
    """The name of the encoder in messages: of the shared library if the program is one of ours that loads it."""
    found = program.index("--library") if "--library" in program else -1
    return Path(program[found + 1]).name


def _reason(said: list[str]) -> str:
    """The first of the lines that reports an error; empty if none does."""
    return next((line for line in said if _COMPLAINT.search(line)), "")
