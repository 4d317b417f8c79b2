"""Runs a function in a forked child, so that a crash or a hang of a library in it does not end the harness."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
import warnings
from collections.abc import Callable
from typing import Any


class Lost(Exception):  # noqa: N818 - says what happened
    """The child crashed, hung, or raised."""


def isolated(function: Callable[[], Any], seconds: float) -> Any:
    """Return what ``function`` returns, through JSON. Raises `Lost`."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads of libraries; the child uses none of their contexts.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read)
            os.setpgid(0, 0)
            with os.fdopen(write, "w") as stream:
                # The stream's end is the parent's sign to kill this process, so an error has to go through it too.
                try:
                    stream.write(json.dumps({"result": function()}))
                except BaseException as error:
                    stream.write(json.dumps({"error": f"{type(error).__name__}: {error}"}))
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    text, deadline = b"", time.monotonic() + seconds
    try:
        while select.select([read], [], [], max(0, deadline - time.monotonic()))[0]:
            piece = os.read(read, 1 << 16)
            if not piece:
                break
            text += piece
        else:
            raise Lost(f"took more than {seconds:.0f} s")
    finally:
        os.close(read)
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    try:
        answer = json.loads(text)
    except ValueError:
        raise Lost(f"ended with status {os.waitstatus_to_exitcode(status)}") from None
    if "error" in answer:
        raise Lost(answer["error"])
    return answer["result"]
