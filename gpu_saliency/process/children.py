"""Starts external programs, so that they and the programs that they start end with this process, however it ends.

Each program gets a process group of its own, so that signals reach its children too, and a variable in its environment, by which
the guardian finds it when this process was killed. PR_SET_PDEATHSIG would not do: the kernel sends it when the *thread* ends that
started the program, Python can only set it after a fork, which is unsafe beside threads, and grandchildren do not inherit it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_saliency.process import guard, signals

PATIENCE = 5.0
"""Seconds that a program has to end after SIGTERM before it gets SIGKILL."""
_running: dict[int, subprocess.Popen[Any]] = {}
_TICKS = os.sysconf("SC_CLK_TCK")


def start(command: Sequence[str | os.PathLike[str]], **options: Any) -> subprocess.Popen[Any]:
    """Start ``command`` with the ``options`` of `subprocess.Popen`; `release` it when it has ended. Raises `OSError`."""
    guard.start()
    environment = (options.pop("env", None) or os.environ) | {guard.TOKEN: "1"}
    with signals.held():
        process = subprocess.Popen(command, env=environment, start_new_session=True, **options)
        _running[process.pid] = process
        guard.tell("P", str(process.pid).encode())
    return process


def release(process: subprocess.Popen[Any]) -> None:
    """Forget a program that has ended."""
    if _running.pop(process.pid, None) is not None:
        guard.tell("p", str(process.pid).encode())


def run(command: Sequence[str], timeout: float, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run ``command`` and capture its output, as `subprocess.run` does; after ``timeout`` seconds its children are killed too.

    Raises `OSError` or `subprocess.TimeoutExpired`.
    """
    process = start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        end(process, patience=0)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def run_module(module: str, arguments: Sequence[str], timeout: float, **variables: str) -> subprocess.CompletedProcess[str]:
    """`run` a ``module`` of this package in a new Python process; ``variables`` are added to its environment."""
    return run(_module_command(module, arguments), timeout, env=_module_environment(variables), text=True)


def start_module(module: str, arguments: Sequence[str], variables: dict[str, str], **options: Any) -> subprocess.Popen[Any]:
    """`start` a ``module`` of this package in a new Python process; ``variables`` are added to its environment."""
    return start(_module_command(module, arguments), env=_module_environment(variables), **options)


def _module_command(module: str, arguments: Sequence[str]) -> list[str]:
    # -P: Python must import this package, not a module of the same name in the current folder.
    return [sys.executable, "-P", "-m", module, *arguments]


def _module_environment(variables: dict[str, str]) -> dict[str, str]:
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)} | variables


def send(process: subprocess.Popen[Any], number: signal.Signals) -> None:
    """Send a signal to ``process`` and the programs that it started."""
    if process.returncode is not None:
        return
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        process.send_signal(number)  # it has no group of its own


def terminate(process: subprocess.Popen[Any]) -> None:
    """Ask ``process`` to end, also where it is stopped."""
    send(process, signal.SIGTERM)
    send(process, signal.SIGCONT)


def kill(process: subprocess.Popen[Any]) -> None:
    """End ``process`` even if it ignores SIGTERM."""
    send(process, signal.SIGKILL)


def end(process: subprocess.Popen[Any], patience: float = PATIENCE) -> None:
    """End ``process`` if it still runs: with SIGTERM, and with SIGKILL after ``patience`` seconds; then `release` it."""
    try:
        if process.poll() is None:
            if patience:
                terminate(process)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience)
            with contextlib.suppress(OSError):  # also children that outlived it
                os.killpg(process.pid, signal.SIGKILL)
            kill(process)
            process.wait()
    finally:
        if process.returncode is not None:
            release(process)


def kill_all() -> None:
    """Kill every program that runs; called at the end of this process."""
    for process in list(_running.values()):
        with contextlib.suppress(OSError):
            kill(process)


def cpu_seconds() -> float | None:
    """Processor time that this process and its programs have used so far; ``None`` where the system does not tell it."""
    groups, total = set(_running), 0
    own = str(os.getpid())
    try:
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
                if folder.name == own or int(fields[2]) in groups:
                    total += sum(map(int, fields[11:15]))
    except OSError:
        return None
    return total / _TICKS


signals.at_end(kill_all)
atexit.register(kill_all)
