"""``gpu-saliency preview --web`` in a process of its own, and what a viewer that is no browser makes of it. Shared by the tests."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from websockets.sync.client import connect


class Server:
    """Runs as long as the block; its end is that of a user who presses Ctrl-C, and must be clean."""

    def __init__(self, clip: Path | str, *arguments: object) -> None:
        command = [sys.executable, "-m", "gpu_saliency", "preview", str(clip), "--web", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> Server:
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.end()
        self.port = urlsplit(self.url).port
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        code, said = self.end()
        if kind is None:
            assert code == 0, said
            assert "Traceback" not in said
            assert "Error" not in said

    def end(self) -> tuple[int, str]:
        """Exit status, and what it said on stderr."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said

    @property
    def socket_url(self) -> str:
        return self.url.replace("http://", "ws://") + "viewer"

    def memory(self) -> int:
        """Bytes that it holds now."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024


@dataclass
class Picture:
    facts: dict[str, Any]
    saliency: NDArray[np.uint8]
    offsets: NDArray[np.int8]
    jpeg: bytes


class Viewer:
    """Speaks as the page does; draws nothing, and says at once that it did."""

    def __init__(self, server: Server, **options: Any) -> None:
        self._context = connect(server.socket_url, max_size=None, proxy=None, compression=None, **options)
        self.socket = self._context.__enter__()
        self.told: dict[str, dict[str, Any]] = {}
        """The last message of each type."""
        self.frames: list[int] = []

    def say(self, **message: object) -> None:
        self.socket.send(json.dumps(message))

    def hear(self, seconds: float = 30) -> Picture | dict[str, Any]:
        """The next message. Raises `TimeoutError`, or `ConnectionClosed` when there is none to come."""
        message = self.socket.recv(timeout=seconds)
        if isinstance(message, str):
            said: dict[str, Any] = json.loads(message)
            self.told[said["type"]] = said
            return said
        length = int.from_bytes(message[:4], "little")
        facts = json.loads(message[4 : 4 + length])
        shape = facts.get("rows", 0), facts.get("cols", 0)
        cells, start = shape[0] * shape[1], 4 + length
        self.frames.append(facts["frame"])
        self.say(type="ack", number=facts["frame"])
        return Picture(
            facts,
            np.frombuffer(message, np.uint8, cells, start).reshape(shape),
            np.frombuffer(message, np.int8, cells, start + cells).reshape(shape),
            message[start + 2 * cells :],
        )

    def picture(self) -> Picture:
        while not isinstance(heard := self.hear(), Picture):
            pass
        return heard

    def until(self, kind: str, **facts: object) -> dict[str, Any]:
        """The next message of that type with these facts."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            heard = self.hear()
            if isinstance(heard, dict) and heard["type"] == kind and all(heard[key] == value for key, value in facts.items()):
                return heard
        raise AssertionError(f"no {kind} with {facts}")

    def pause_at(self, number: int) -> Picture:
        """Stop there; the picture of it."""
        self.say(type="seek", number=number)
        self.say(type="step", number=0)
        while True:
            shown = self.picture()
            if shown.facts["frame"] == number and not shown.facts["playing"]:
                return shown

    def hear_all(self) -> None:
        """Until the server ends it: raises `ConnectionClosed`."""
        while True:
            self.hear()

    def vanish(self) -> None:
        """Leave without a goodbye."""
        self.socket.socket.shutdown(socket.SHUT_RDWR)
        self.close()

    def close(self) -> None:
        self._context.__exit__(None, None, None)
