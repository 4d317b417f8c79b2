"""Kills the program at random moments with SIGKILL, plainly or as the first process of a PID namespace, and looks what remains."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from waiting import HANG_SECONDS, wait_until

NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")
"""Runs a command as process 1 of a PID namespace, as a container does: every run has the same process number."""


def missing_namespace() -> str | None:
    """The reason why no PID namespace can be made; ``None`` where it can."""
    try:
        done = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True)
    except OSError as error:
        return f"unshare: {error.strerror}"
    return None if done.returncode == 0 else f"no PID namespace: {done.stderr.strip()}"


def processes_with(word: str) -> list[int]:
    """The processes with ``word`` in their command line or environment, apart from this one."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            except OSError:
                continue
            if word.encode() in text:
                found.append(int(folder.name))
    return found


def strays(*folders: Path) -> list[str]:
    """The hidden files and folders in ``folders``."""
    return sorted(path.name for folder in folders for path in folder.iterdir() if path.name.startswith("."))


def kill_runs(clip: Path, folder: Path, kills: int, seed: int, prefix: tuple[str, ...] = ()) -> Iterator[float]:
    """Kill ``kills`` encodes of ``clip`` at random moments of their life, each followed by one that must succeed.

    ``folder`` must be new; ``prefix`` goes before the command. Yields the moment of each kill as a share of a whole run.
    Raises `AssertionError` if the run after a kill fails, or if it leaves a process or a file.
    """
    work, temporary = folder / "work", folder / "temporary"
    work.mkdir(parents=True)
    temporary.mkdir()
    mark = f"KILL_TEST_{random.Random(str(folder)).getrandbits(64):x}"
    environment = os.environ | {"TMPDIR": str(temporary), mark: "1"}
    output = work / "out.mp4"
    command = [*prefix, sys.executable, "-m", "gpu_saliency", "encode", "--src", str(clip), "--output", str(output), "--overwrite"]
    command += ["--preset", "ultrafast", "--quiet"]

    def succeed() -> float:
        began = time.monotonic()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS)
        assert done.returncode == 0, done.stderr
        assert {path.name for path in work.iterdir()} == {"out.mp4", "out.mp4.saliency.npz"}
        assert strays(temporary) == []
        wait_until(lambda: not processes_with(mark), "no process remains")
        return time.monotonic() - began

    whole = succeed()
    chance = random.Random(seed)
    for _ in range(kills):
        share = chance.uniform(0.02, 1.0)
        output.unlink()
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(share * whole)
            for victim in _program_of(process.pid) if prefix else [process.pid]:
                os.kill(victim, signal.SIGKILL)
        succeed()
        yield share


def _program_of(pid: int) -> list[int]:
    """The child of ``pid``: the first process of the namespace."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
