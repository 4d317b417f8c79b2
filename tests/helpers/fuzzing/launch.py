"""Runs the program once for a case, watches it, and finds what it left behind."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fuzzing.case import Case, Run
from fuzzing.child import start
from fuzzing.isolated import Lost, isolated
from fuzzing.system import (
    become_subreaper,
    children,
    command_of,
    descendants,
    is_zombie,
    mount_small_disk,
    own_mounts,
    resident_mib,
)

_POLL = 0.01
_ENCODER = re.compile(r"\S*(ffmpeg|SvtAv1EncApp)[^/ ]* ")


def run_case(case: Case, folder: Path, usual: float, limit: float) -> Run:
    """Run ``case`` in ``folder``; ``usual`` is the time of an undisturbed fresh run, ``limit`` the time after which a run hangs."""
    if not case.fault.disk:
        return _run(case, folder, usual, limit)

    def on_small_disk() -> dict[str, Any]:
        try:
            become_subreaper()  # a child does not inherit it
            own_mounts()
            for name, kib in case.fault.disk:
                mount_small_disk(folder / name, kib)
        except OSError as error:
            return asdict(Run(0, "", "", 0, 0, skipped=f"no mounts in a namespace here: {error}"))
        found = asdict(_run(case, folder, usual, limit))
        # The disks end with this process; what they hold is judged after it.
        for name, _ in case.fault.disk:
            shutil.copytree(folder / name, folder / "harness" / name, symlinks=True)
        return found

    try:
        found = Run(**isolated(on_small_disk, limit * 3))
    except Lost as error:
        return Run(0, "", "", 0, 0, skipped=f"the mount namespace was lost: {error}")
    for name, _ in case.fault.disk:
        if (folder / "harness" / name).is_dir():
            shutil.copytree(folder / "harness" / name, folder / name, symlinks=True, dirs_exist_ok=True)
    return found


def _run(case: Case, folder: Path, usual: float, limit: float) -> Run:
    before = snapshot(folder)
    found = _watch(case, folder, usual, limit)
    now = snapshot(folder)
    found.files = sorted(str(path) for path in now if now[path] != before.get(path))
    found.files += sorted(f"{path} (removed)" for path in before if path not in now)
    return found


def snapshot(folder: Path) -> dict[str, str]:
    """Every file and folder of the case with its content's hash; without the harness's own files and the program's cache."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if name.parts[0] in ("harness", "home"):
            continue
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
        found[str(name)] = (
            kind if kind != "file" or path.stat().st_size > 1 << 26 else hashlib.sha256(path.read_bytes()).hexdigest()
        )
    return found


def _watch(case: Case, folder: Path, usual: float, limit: float) -> Run:
    fault, started = case.fault, time.monotonic()
    pid, target = start(case, folder)
    moment = started + fault.moment * usual
    sent = stopped = hung = unendable = over_memory = False
    peak, next_look = 0.0, started
    ended_at = 0.0
    while True:
        done, status, _ = os.wait4(pid, os.WNOHANG)
        now = time.monotonic()
        if done:
            break
        if fault.signal and not sent and now >= moment:
            if fault.stop_child and not stopped:
                # Stop the encoder first; where there is none yet, wait for one.
                below = [one for one in descendants(target) if _ENCODER.match(command_of(one))]
                if below:
                    for one in below:
                        _kill(one, signal.SIGSTOP)
                    stopped, moment = True, now + 0.2
            else:
                _kill(target, fault.signal)
                sent = True
        if now >= next_look:
            peak = max(peak, sum(map(resident_mib, [pid, *descendants(pid)])))
            next_look = now + 0.1
            if peak > case.memory_mib:
                over_memory = True
                _kill_all(pid)
        if now - started > limit and not hung:
            hung, ended_at = True, now
            _kill(target, signal.SIGTERM)
        if hung and now - ended_at > max(10.0, limit / 4) and not unendable:
            unendable = True
            _kill_all(pid)
        time.sleep(_POLL)
    seconds = time.monotonic() - started
    code = os.waitstatus_to_exitcode(status)
    processes = _leftovers(usual, stopped)
    read = folder / "harness"
    out, err = ((read / name).read_bytes().decode(errors="replace") for name in ("stdout", "stderr"))
    return Run(
        code, out, err, seconds, peak, hung, unendable, over_memory, processes, ended_before_signal=bool(fault.signal) and not sent
    )


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def _kill_all(pid: int) -> None:
    for one in [*descendants(pid), pid]:
        _kill(one, signal.SIGKILL)


def _leftovers(usual: float, stopped: bool) -> list[str]:
    """End the processes that the run left, and return their commands; those that are just ending have time for it.

    This process is a subreaper: whatever the run started and did not end is its child now.
    """
    deadline = time.monotonic() + max(2.0, 2 * usual)
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        alive = [pid for pid in children(os.getpid()) if not is_zombie(pid)]
        if not alive or time.monotonic() > deadline:
            break
        time.sleep(_POLL)
    found = [command_of(pid) or f"process {pid}" for pid in alive]
    for pid in alive:
        _kill_all(pid)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, 0)[0]:
            pass
    return [f"{command} (was stopped)" if stopped else command for command in found]


def describe(case: Case, folder: Path) -> str:
    """The command as a user would type it, for the report."""
    return f"cd {shlex.quote(str(folder))} && " + shlex.join(["gpu-saliency", *case.arguments])
