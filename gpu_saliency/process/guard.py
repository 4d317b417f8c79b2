"""The parent's side of the guardian, a small process that cleans up after this one if it is killed (guardian.py)."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import threading
from pathlib import Path

from gpu_saliency.process import signals

_MARK = "GPU_SALIENCY_RUN_"
TOKEN = _MARK + secrets.token_hex(12)
"""Variable in the environment of every program that this process starts, by which the guardian knows them."""
_lock = threading.Lock()
_write_end: int | None = None
_is_started = False


def start() -> None:
    """Start the guardian once. Without one, for example where no process can be started, strays are swept by the next run."""
    global _write_end, _is_started
    with _lock:
        if _is_started or not sys.executable:
            return
        _is_started = True
        read_end, write_end = os.pipe()
        wakeup = signals.wakeup_end()
        script = str(Path(__file__).with_name("guardian.py"))
        command = [sys.executable, "-I", "-S", script, str(os.getpid()), TOKEN, str(-1 if wakeup is None else wakeup)]
        try:
            # Never waited for: it ends after this process.
            process = subprocess.Popen(
                command,
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                # Without the marks of processes above this one: their guardians would kill this one's before it has cleaned up.
                env={name: value for name, value in os.environ.items() if not name.startswith(_MARK)},
                pass_fds=() if wakeup is None else (wakeup,),
            )
            process.returncode = 0  # otherwise the destructor of Popen warns of a process that still runs
        except OSError:
            os.close(write_end)
        else:
            os.set_blocking(write_end, False)  # a guardian that is stopped must not stop this process
            _write_end = write_end
        finally:
            os.close(read_end)


def tell(kind: str, content: bytes) -> None:
    """Send the guardian a message (see guardian.py); nothing happens where there is none."""
    with _lock, contextlib.suppress(OSError):
        if _write_end is not None:
            os.write(_write_end, kind.encode() + content + b"\0")


def _forget() -> None:
    """In a fork of this process: the guardian is the parent's, and the end of the parent must reach it."""
    global _write_end, _is_started, _lock, TOKEN
    if _write_end is not None:
        os.close(_write_end)
    _write_end, _is_started, _lock = None, False, threading.Lock()
    TOKEN = _MARK + secrets.token_hex(12)


os.register_at_fork(after_in_child=_forget)
