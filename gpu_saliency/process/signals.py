"""Signals that end the program: the first one ends it cleanly, the second one at once; both leave nothing behind.

Ctrl-C, SIGTERM and SIGHUP raise `KeyboardInterrupt` in the main thread. Python runs its handlers between two steps of Python code,
so a thread here also reads the signals from the pipe of `signal.set_wakeup_fd`, which works while the main thread is inside a
library that does not return. That thread ends the process by itself: at the second signal, if the first one was not handled within
`UNHANDLED_SECONDS`, or if the clean end takes longer than `LONGEST_END`. It kills the child programs and removes the temporary
folders first. Where no thread can run Python code, the guardian kills the process (guardian.py).

This module imports little, because the program installs it before its other imports, which take most of a second.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

EXIT_CODE = 130
UNHANDLED_SECONDS, LONGEST_END = 2.0, 8.0
"""Seconds after the first signal: for the main thread to handle it, and for the whole end. Docker waits 10 s before SIGKILL."""
_FINISHING_SECONDS = 1.0
"""Seconds that a job which is about to publish its output has after the second signal."""
INTERRUPTED = "interrupted; temporary files were removed"
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_SHOWN = b"\x1b[?1049l\x1b[?25h"
"""Leaves a terminal's alternate screen and shows its cursor."""


class _State:
    """What the handler and the watching thread know."""

    phase = "off"
    """``off``, ``starting``: nothing has begun, ``working``, or ``finishing``: a first signal no longer changes the result."""
    is_handled = False
    is_raised = False
    is_late = False
    held = 0
    route: Callable[[], None] | None = None
    exit_code = EXIT_CODE
    is_patient = False
    wakeup: tuple[int, int] | None = None


_state = _State()
_before: dict[signal.Signals, object] = {}
_at_end: list[Callable[[], None]] = []


def at_end(act: Callable[[], None]) -> None:
    """Have ``act`` called when the process is ended at once, in the thread that ends it; its errors are ignored."""
    _at_end.append(act)


def install(phase: str = "starting") -> None:
    """Handle the signals from now on; call it in the main thread. A signal that is ignored (``nohup``) stays ignored."""
    _state.phase, _state.is_handled, _state.held, _state.exit_code = phase, False, 0, EXIT_CODE
    _state.is_raised = _state.is_patient = _state.is_late = False
    for number in _SIGNALS:
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            _before[number] = signal.signal(number, _handle)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    _state.wakeup = read_end, write_end
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    atexit.register(_ignore)
    threading.Thread(target=_watch, args=(read_end,), name="signals", daemon=True).start()


def _ignore() -> None:
    """Ignore the signals while the interpreter ends.

    It gives every signal with a handler its default action back before it clears the modules (``_PySignal_Fini``, read in CPython
    3.11 to 3.13): a signal in that time would end a process whose work is done with the status of a signal.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _uninstall() -> None:
    atexit.unregister(_ignore)
    assert _state.wakeup is not None
    signal.set_wakeup_fd(-1)
    os.close(_state.wakeup[1])  # ends the thread, which closes the other end
    _state.wakeup, _state.phase = None, "off"
    for number, handler in _before.items():
        signal.signal(number, handler)  # type: ignore[arg-type]
    _before.clear()


@contextlib.contextmanager
def working() -> Iterator[None]:
    """The block is the program's work, which signals interrupt; after it they no longer change the result.

    Without `install` before, as in tests, the signals are handled during the block only. Without effect in other threads.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_own = _state.phase == "off"
    if is_own:
        install("working")
    _state.phase = "working"
    try:
        yield
    finally:
        finishing()
        if is_own:
            _uninstall()


def finishing() -> None:
    """State that the job is about to publish its result: from now on a first signal changes nothing."""
    if _state.phase == "working":
        _state.phase = "finishing"


def resumed() -> None:
    """State that more work follows what was published: a first signal interrupts it again, also one that came meanwhile."""
    if _state.phase == "finishing":
        _state.phase = "working"
        if _state.is_late and threading.current_thread() is threading.main_thread():
            _interrupt()


def interrupted() -> bool:
    """Whether a signal has raised `KeyboardInterrupt`. Libraries turn it into other errors, such as a failed import."""
    return _state.is_raised


def forget_interrupt() -> None:
    """Let the process end with the exit code of its own, after a `KeyboardInterrupt` that was handled.

    CPython notes an interrupt that leaves the code of a text, such as that of a data class being made by an import, and does not
    forget it when it is caught: at its end the interpreter would kill itself by SIGINT (``_Py_UnhandledKeyboardInterrupt``, read in
    CPython 3.11 to 3.13). The next text that is run clears the note.
    """
    exec("")


def wakeup_end() -> int | None:
    """The descriptor from which signals are read; ``None`` where they are not handled."""
    return None if _state.wakeup is None else _state.wakeup[0]


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Delay an interrupt until the end of the block, for steps that belong together. The block must be short."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.held += 1
    try:
        yield
    finally:
        _state.held -= 1
        if _state.held == 0 and _pending:
            _interrupt()


@contextlib.contextmanager
def routed(act: Callable[[], None], exit_code: int, *, patient: bool = False) -> Iterator[None]:
    """Call ``act`` for a signal during the block in place of raising; if the process must be ended, it is with ``exit_code``.

    ``patient`` sets no limit on the time that the clean end takes after ``act``; a second signal still ends the process at once.
    """
    before = _state.route, _state.exit_code, _state.is_patient
    _state.route, _state.exit_code, _state.is_patient = act, exit_code, patient
    try:
        yield
    finally:
        _state.route, _state.exit_code, _state.is_patient = before
        _state.is_patient |= patient and _state.is_handled  # the limit would count from the signal


_pending: list[int] = []


def _handle(number: int, _frame: FrameType | None) -> None:
    if _state.phase == "starting":
        end_now()
    if _state.phase != "working" or _state.is_handled:
        _state.is_late = True
        return
    if _state.held:
        _pending.append(number)
        return
    _interrupt()


def _interrupt() -> None:
    _pending.clear()
    _state.is_handled = True
    if _state.route is not None:
        _state.route()
        return
    _state.is_raised = True
    raise KeyboardInterrupt


def _watch(read_end: int) -> None:
    """End the process where the handler in the main thread does not."""
    poll = select.poll()
    poll.register(read_end, select.POLLIN)
    first: float | None = None
    while True:
        if poll.poll(None if first is None else 100):
            data = os.read(read_end, 64)
            if not data:
                os.close(read_end)
                return
            count = sum(byte in _SIGNALS for byte in data)
            if count and first is None:
                first, count = time.monotonic(), count - 1
                _say_stopping()
            if count:
                if _state.phase == "finishing":
                    time.sleep(_FINISHING_SECONDS)
                end_now()
        if first is None:
            continue
        passed = time.monotonic() - first
        is_deaf = _state.phase == "working" and not _state.is_handled
        if (passed > LONGEST_END and not _state.is_patient) or (is_deaf and passed > UNHANDLED_SECONDS):
            end_now()


def _say_stopping() -> None:
    """Show at once on a terminal that the signal was received: a program may take seconds to end."""
    if _state.phase == "working" and _state.route is None and os.isatty(2):
        with contextlib.suppress(OSError):
            _write(2, b"\r\x1b[Kstopping ...\r\n")


def end_now(line: str = INTERRUPTED, kind: str = "interrupted", exit_code: int | None = None) -> None:
    """End the process at once, from any thread: children are killed, temporary folders removed, the error is written.

    It does not return.
    """
    code = _state.exit_code if exit_code is None else exit_code
    for act in _at_end:
        with contextlib.suppress(BaseException):
            act()
    with contextlib.suppress(BaseException):
        if os.isatty(2) and _state.phase != "starting":
            _write(2, _SHOWN)
        if code:
            _write(2, f"ERROR: {line}\n".encode(errors="backslashreplace"))
            if "--json" in sys.argv:
                text = line.replace("\\", "\\\\").replace('"', '\\"')
                fields = f'"kind": "{kind}", "message": "{text}", "cure": null, "exit_code": {code}'
                _write(1, f'{{"error": {{{fields}}}}}\n'.encode(errors="backslashreplace"))
    os._exit(code)


def _write(descriptor: int, text: bytes) -> None:
    """Write without waiting for a reader."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if any(event & select.POLLOUT for _, event in poll.poll(0)):
        os.write(descriptor, text)
