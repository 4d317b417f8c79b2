"""Programs that this process starts: they end with it, not with the thread that started them."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from waiting import HANG_SECONDS, wait_until

from gpu_saliency.process import children

SLEEP = [sys.executable, "-c", f"import time; print('ready', flush=True); time.sleep({HANG_SECONDS})"]


def ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"ready"


def test_a_program_outlives_the_thread_that_started_it() -> None:
    started: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(target=lambda: started.append(children.start(SLEEP, stdout=subprocess.PIPE)))
    thread.start()
    thread.join()
    with started[0] as process:
        ready(process)
        assert process.poll() is None
        children.end(process)
        assert process.returncode == -signal.SIGTERM


_PARENT = """
import os, subprocess, sys, threading, time
from gpu_saliency.process import children
def begin():
    children.start([sys.executable, "-c", {child!r}, sys.argv[1]], {options})
for _ in range(3):
    thread = threading.Thread(target=begin); thread.start(); thread.join()
print("started", flush=True)
time.sleep({seconds})
"""
_PLAIN = "import os, sys, time; open(sys.argv[1] + '/' + str(os.getpid()), 'x'); time.sleep(1000)"
_IGNORES = "import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; " + _PLAIN
_GRANDCHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_IGNORES!r}, sys.argv[1]])"
_OWN_SESSION = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_PLAIN!r}, sys.argv[1]], start_new_session=True)"


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
@pytest.mark.parametrize("child", [_PLAIN, _IGNORES, _GRANDCHILD, _OWN_SESSION], ids=["plain", "ignores", "grandchild", "session"])
def test_programs_end_with_their_parent(tmp_path: Path, child: str, ending: signal.Signals) -> None:
    """They are started from threads that have ended; the parent has no handlers of its own."""
    code = _PARENT.format(child=child, options="", seconds=HANG_SECONDS)
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        wait_until(lambda: len(list(tmp_path.iterdir())) == 3, "three programs run", alive=lambda: parent.poll() is None)
        parent.send_signal(ending)
        parent.wait(HANG_SECONDS)
    programs = [int(path.name) for path in tmp_path.iterdir()]
    wait_until(lambda: not any(map(_runs, programs)), "the programs end")


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_a_stopped_program_is_ended() -> None:
    with children.start(SLEEP, stdout=subprocess.PIPE) as process:
        ready(process)
        process.send_signal(signal.SIGSTOP)
        children.end(process)
        assert process.returncode == -signal.SIGTERM


def test_a_program_that_does_not_answer_is_ended_with_its_children(tmp_path: Path) -> None:
    """A shell whose child keeps the pipe open: its output would never end."""
    path = tmp_path / "hangs"
    path.write_text(f"#!/bin/sh\n{shlex.join([sys.executable, '-c', _PLAIN, str(tmp_path)])}\ntrue\n")
    path.chmod(0o755)
    with pytest.raises(subprocess.TimeoutExpired):
        children.run([str(path)], timeout=2)
    programs = [int(entry.name) for entry in tmp_path.iterdir() if entry.name.isdigit()]
    wait_until(lambda: not any(map(_runs, programs)), "the child ends")


def test_output_is_captured() -> None:
    done = children.run([sys.executable, "-c", "import sys; print(1); print(2, file=sys.stderr); sys.exit(3)"], 60, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "1\n", "2\n")
    assert os.getpid() not in children._running
