"""Finds an ffmpeg, reads its version, encoders and filters, and runs it with progress reports and error evidence."""

from __future__ import annotations

import collections
import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import IO

from gpu_saliency.encode.complaints import complaint_of
from gpu_saliency.encode.workers import OnFrame, Processes
from gpu_saliency.errors import EncodeError, GpuSaliencyError, OutputError, ToolMissingError, setting
from gpu_saliency.files import visible_folder
from gpu_saliency.process import children
from gpu_saliency.process.stalls import STALL_CURE, StallWatch

DEFAULT_FFMPEG = "ffmpeg"
_LAST_WORDS = 12
# Lines of ffmpeg's own stages that name the failure; they need not come last, because decoders of a damaged source print on.
_REASON = re.compile(r"^\[(out|[va]ost|[va]f|fc)#.*(error|failed|cannot|invalid)", re.IGNORECASE)
# A line has the contexts that it comes from, if any, then its level where the command asks for levels.
_LEVEL = re.compile(r"^((?:\[[^\]]* @ [^\]]*\] )*)\[(panic|fatal|error|warning|info)\] ")
_ERRORS = frozenset({"panic", "fatal", "error"})
_PROBE_TIMEOUT = 30
_PROGRESS = frozenset({"frame", "total_size", "out_time_us"})
"""The lines of ``-progress`` that change when ffmpeg has written something."""
DISK_FULL = os.strerror(errno.ENOSPC)
"""How an encoder's line ends that could not write for lack of space."""
# libavfilter 10.1 belongs to FFmpeg 7.0, which reads any option's value from a file as "-/option FILE".
_GRAPH_FILE_AVFILTER = (10, 1)


@dataclass(frozen=True, slots=True)
class Ffmpeg:
    """A usable ffmpeg binary with its version, encoders and filters. Produced by `probe_ffmpeg`."""

    path: str
    origin: str
    """How the path was found: ``asked for`` (given by the user), ``PATH`` or ``bundled``."""
    version: str
    avfilter: tuple[int, int]
    encoders: frozenset[str]
    filters: frozenset[str]

    def graph_file(self, graph: Path) -> list[str]:
        """Arguments that make ffmpeg read a graph from a file; a command line is too short for thousands of regions."""
        option = "-/filter:v" if self.avfilter >= _GRAPH_FILE_AVFILTER else "-filter_script:v"
        return [option, str(graph)]


def find_ffmpeg(wanted: str, encoder: str) -> Ffmpeg:
    """Find an ffmpeg that has ``encoder``.

    ``wanted`` is a path or a command name. The default ``ffmpeg`` takes the one on PATH if it has the encoder, else the bundled
    one. Raises `ToolMissingError` with the binaries that were tried.
    """
    if wanted != DEFAULT_FFMPEG:
        path = shutil.which(wanted)
        if path is None:
            cure = f"give a path, or leave {setting('ffmpeg_bin')} out"
            raise ToolMissingError("no such program", setting="ffmpeg_bin", value=wanted, cure=cure)
        found = probe_ffmpeg(path, "asked for")
        if encoder not in found.encoders:
            raise ToolMissingError(
                f"ffmpeg {found.version} has no {encoder}",
                setting="ffmpeg_bin",
                value=wanted,
                cure=f"leave {setting('ffmpeg_bin')} out to use the bundled one",
            )
        return found
    reasons = []
    for origin, path in candidates():
        try:
            found = probe_ffmpeg(path, origin)
        except ToolMissingError as error:
            reasons.append(error.message)
            continue
        if encoder in found.encoders:
            return found
        reasons.append(f"{path} ({found.version}) has no {encoder}")
    raise ToolMissingError(
        f"no ffmpeg with {encoder}: " + ("; ".join(reasons) or "none on PATH and none bundled"),
        cure="install ffmpeg, or pip install imageio-ffmpeg",
    )


def candidates() -> list[tuple[str, str]]:
    """The ffmpeg binaries that a run without ``ffmpeg_bin`` tries, in order: (origin, path)."""
    found = []
    on_path = shutil.which(DEFAULT_FFMPEG)
    if on_path:
        found.append(("PATH", on_path))
    import imageio_ffmpeg  # imported late: it searches the disk

    with contextlib.suppress(RuntimeError):  # the package has no binary for this platform
        found.append(("bundled", imageio_ffmpeg.get_ffmpeg_exe()))
    return found


@lru_cache(maxsize=16)
def probe_ffmpeg(path: str, origin: str) -> Ffmpeg:
    """Run ``path`` to read its version, encoders and filters. Raises `ToolMissingError` if its output is not that of ffmpeg."""
    version = ask_program(path, "-version")
    first = re.search(r"^ffmpeg version (\S+)", version, re.MULTILINE)
    avfilter = re.search(r"^libavfilter\s+(\d+)\.\s*(\d+)", version, re.MULTILINE)
    if not first or not avfilter:
        raise ToolMissingError(f"{path}: is not an ffmpeg", cure="give the path of an ffmpeg")
    encoders = re.findall(r"^ [VAS.][F.][S.][X.][B.][D.] (\S+)", ask_program(path, "-hide_banner", "-encoders"), re.MULTILINE)
    filters = re.findall(r"^ [T.][S.][C.]? (\S+) +\S+->", ask_program(path, "-hide_banner", "-filters"), re.MULTILINE)
    return Ffmpeg(path, origin, first[1], (int(avfilter[1]), int(avfilter[2])), frozenset(encoders), frozenset(filters))


@lru_cache(maxsize=64)
def encoder_pix_fmts(path: str, encoder: str) -> tuple[str, ...]:
    """The pixel formats that ``encoder`` of this binary accepts, in its own order; empty where ffmpeg lists none."""
    listed = re.search(r"Supported pixel formats: (.+)", ask_program(path, "-hide_banner", "-h", f"encoder={encoder}"))
    return tuple(listed[1].split()) if listed else ()


@lru_cache(maxsize=64)
def encoder_options(path: str, encoder: str) -> frozenset[str]:
    """The names of the private options of this binary's ``encoder``."""
    return frozenset(re.findall(r"^ {2,}-(\S+)", ask_program(path, "-hide_banner", "-h", f"encoder={encoder}"), re.MULTILINE))


@lru_cache(maxsize=16)
def accepts_param(path: str, encoder: str, option: str, param: str) -> bool:
    """Whether this binary's ``encoder`` accepts ``param``, ``key=value``, in ``option``: it encodes one small picture.

    An encoder that refuses a value may only warn and use its default.
    """
    source = ("-f", "lavfi", "-i", "color=size=64x64:rate=25:duration=0.04")
    arguments = ("-hide_banner", "-nostdin", "-v", "warning", *source, "-c:v", encoder, option, param, "-f", "null", "-")
    return not any(complaint_of(_without_level(line)[0]) for line in ask_program(path, *arguments).splitlines())


def ask_program(path: str, *arguments: str) -> str:
    """Run ``path`` with ``arguments``; returns its standard output, then its standard error. Raises `ToolMissingError`."""
    command = [path, *arguments]
    try:
        answer = children.run(command, _PROBE_TIMEOUT, text=True, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolMissingError(f"{path}: cannot be run: {error}", cure="install it again, or give another path") from error
    return str(answer.stdout + answer.stderr)


def run_ffmpeg(
    command: Sequence[str],
    on_frame: OnFrame | None = None,
    *,
    pass_fd: int | None = None,
    processes: Processes | None = None,
    on_error: Callable[[str], None] | None = None,
) -> None:
    """Run ``command``; calls ``on_frame`` with each frame count that ffmpeg prints with ``-progress pipe:1``.

    ``pass_fd`` is a file descriptor that ffmpeg inherits and writes to as ``pipe:N``; this process closes its copy as soon as
    ffmpeg runs. ``processes`` holds ffmpeg while it runs. An exception that ends this call early (Ctrl-C, or one raised by
    ``on_frame``) ends ffmpeg too. ``on_error`` is called in another thread with each line of level ``error`` or worse, without the
    level, if ``command`` asks for levels (``level+warning``). Raises `EncodeError` with ffmpeg's last lines when it fails, and
    when it makes no progress (stalls.py), the error of `complaint_of` when the encoder drops a parameter or regions, `OutputError`
    when the disk is full, `ToolMissingError` when ffmpeg cannot be started.
    """
    try:
        # A separate process session: Ctrl-C in a terminal reaches only this process, which then ends ffmpeg.
        process = children.start(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=() if pass_fd is None else (pass_fd,),
        )
    except OSError as error:
        raise ToolMissingError(
            f"{command[0]}: cannot be run: {error.strerror}", cure=f"install it again, or give another {setting('ffmpeg_bin')}"
        ) from error
    finally:
        if pass_fd is not None:
            os.close(pass_fd)
    words: collections.deque[str] = collections.deque(maxlen=_LAST_WORDS)
    assert process.stdout is not None
    assert process.stderr is not None
    reasons: list[str] = []
    complaints: list[GpuSaliencyError] = []
    encoder = command[command.index("-c:v") + 1] if "-c:v" in command else None

    def listen(stderr: IO[str]) -> None:
        of_encoder = ""
        for line in map(str.rstrip, stderr):
            line, level = _without_level(line)
            if on_error is not None and level in _ERRORS:
                on_error(line)
            words.append(line)
            complaint = None if encoder is None or complaints else complaint_of(line)
            if complaint is not None:
                complaints.append(complaint)
            if encoder is not None and line.startswith(f"[{encoder} @ "):
                of_encoder = line
            if not reasons and _REASON.search(line):
                # The encoder's own line just before is more specific than ffmpeg's "opening encoder".
                reasons.append(of_encoder or line if "opening encoder" in line else line)

    listener = threading.Thread(target=listen, args=(process.stderr,), daemon=True)
    listener.start()
    try:
        with (processes or Processes()).holding(process), StallWatch(partial(children.kill, process)) as watch:
            for line in process.stdout:
                if complaints:
                    break
                name, _, value = line.partition("=")
                if name in _PROGRESS:
                    watch.note(name, value)
                if on_frame is not None and name == "frame":
                    on_frame(int(value))
            code = 0 if complaints else process.wait()
    finally:
        children.end(process)
        listener.join(timeout=5)
        process.stdout.close()
        process.stderr.close()
    if code and watch.stalled_seconds is not None:
        raise EncodeError(
            f"ffmpeg made no progress for {watch.stalled_seconds:g} s and was ended",
            cure=STALL_CURE,
            evidence={"ffmpeg_exit": code, "command": [os.fspath(c) for c in command]},
        )
    if complaints:
        raise complaints[0]
    if code:
        said = [word for word in words if word and "Last message repeated" not in word]
        reason = reasons[0] if reasons else said[-1] if said else "no output"
        evidence = {"ffmpeg_exit": code, "ffmpeg_last_words": said, "command": [os.fspath(c) for c in command]}
        if any(word.endswith(DISK_FULL) for word in said):
            cure = f"free some space, or give {setting('output')} another disk"
            raise OutputError(f"{visible_folder(_output_of(command))}: {DISK_FULL}", cure=cure, evidence=evidence)
        ending = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        raise EncodeError(
            f"ffmpeg failed ({ending}): {reason}", cure="check the source and the settings of the encoder", evidence=evidence
        )


def _without_level(line: str) -> tuple[str, str | None]:
    found = _LEVEL.match(line)
    return (line, None) if found is None else (found[1] + line[found.end() :], found[2])


def _output_of(command: Sequence[str]) -> Path:
    return Path(command[-1].removeprefix("file:"))
