"""``gpu-saliency preview --web`` in a process of its own, and a client that behaves as its page. Shared by the tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from waiting import HANG_SECONDS

pytest.importorskip("websockets")  # a machine that runs the tests of the GPU alone has none
from websockets.sync.client import connect

POLICY = {"type": "policy", "offset": -3, "mapping": "attention", "aggregator": "mean", "ema_alpha": 0.6, "segments": "auto"}
"""The message of the default policy."""
_GATED = Path(__file__).with_name("gated_preview.py")


class Server:
    """A server that runs until the end of the block, which sends Ctrl-C; its exit must be clean.

    A ``gated`` server's analysis waits before each batch of maps until `let_through` or `open_gate` is called. One with
    ``connection_seconds`` ends connections of that age, not of 30 seconds, unless they are viewers.
    """

    def __init__(
        self,
        clip: Path | str,
        *arguments: object,
        gated: bool = False,
        connection_seconds: float | None = None,
        stdin: IO[bytes] | int | None = None,
    ) -> None:
        program = ["-m", "gpu_saliency"]
        inherited: tuple[int, ...] = ()
        self._gate: int | None = None
        if gated or connection_seconds is not None:
            read, self._gate = os.pipe()
            program, inherited = [str(_GATED), str(read), str(connection_seconds or "")], (read,)
        command = [sys.executable, *program, "preview", str(clip), "--web", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=inherited
        )
        for descriptor in inherited:
            os.close(descriptor)
        if not gated:
            self.open_gate()

    def __enter__(self) -> Server:
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.end()
        self.port = urlsplit(self.url).port
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        code, stderr = self.end()
        if kind is None:
            assert code == 0, stderr
            assert "Traceback" not in stderr
            assert "Error" not in stderr

    def let_through(self, batches: int = 1) -> None:
        """Let the analysis hand on this many more batches of maps."""
        assert self._gate is not None
        os.write(self._gate, b"." * batches)

    def open_gate(self) -> None:
        """Let the analysis run freely."""
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None

    def end(self) -> tuple[int, str]:
        """Send Ctrl-C; returns exit status and stderr."""
        self.open_gate()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        _, stderr = self.process.communicate(timeout=HANG_SECONDS)
        return self.process.returncode, stderr

    @property
    def socket_url(self) -> str:
        return self.url.replace("http://", "ws://") + "viewer"

    def memory(self) -> int:
        """Resident bytes of the process."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024


@dataclass
class Picture:
    facts: dict[str, Any]
    saliency: NDArray[np.uint8]
    offsets: NDArray[np.int8]
    jpeg: bytes


class Viewer:
    """A client that sends the page's messages; it acknowledges each picture at once."""

    def __init__(self, server: Server, **options: Any) -> None:
        # No keep-alive pings: under load they would end the connection.
        self._context = connect(
            server.socket_url, max_size=None, proxy=None, compression=None, open_timeout=HANG_SECONDS, ping_interval=None, **options
        )
        self.socket = self._context.__enter__()
        self.last: dict[str, dict[str, Any]] = {}
        """The last message of each type."""
        self.frames: list[int] = []

    def send(self, **message: object) -> None:
        self.socket.send(json.dumps(message))

    def receive(self) -> Picture | dict[str, Any]:
        """The next message. Raises `TimeoutError`, or `ConnectionClosed` after the last."""
        message = self.socket.recv(timeout=HANG_SECONDS)
        if isinstance(message, str):
            content: dict[str, Any] = json.loads(message)
            self.last[content["type"]] = content
            return content
        length = int.from_bytes(message[:4], "little")
        facts = json.loads(message[4 : 4 + length])
        if facts["kind"] != "picture":
            other: dict[str, Any] = facts | {"type": facts["kind"], "body": message[4 + length :]}
            return other
        shape = facts.get("rows", 0), facts.get("cols", 0)
        cells, start = shape[0] * shape[1], 4 + length
        self.frames.append(facts["frame"])
        self.send(type="ack", number=facts["frame"])
        return Picture(
            facts,
            np.frombuffer(message, np.uint8, cells, start).reshape(shape),
            np.frombuffer(message, np.int8, cells, start + cells).reshape(shape),
            message[start + 2 * cells :],
        )

    def picture(self) -> Picture:
        """The next picture."""
        while not isinstance(message := self.receive(), Picture):
            pass
        return message

    def picture_with_map(self) -> Picture:
        """The next picture that has a saliency map."""
        while not (picture := self.picture()).saliency.size:
            pass
        return picture

    def picture_from(self, number: int) -> Picture:
        """The next picture of frame ``number`` or a later one."""
        while (picture := self.picture()).facts["frame"] < number:
            pass
        return picture

    def until(self, kind: str, **facts: object) -> dict[str, Any]:
        """The next message of type ``kind`` with these facts."""
        while True:
            message = self.receive()
            if isinstance(message, dict) and message["type"] == kind and all(message[key] == facts[key] for key in facts):
                return message

    def pause_at(self, number: int) -> Picture:
        """Pause at frame ``number``; returns its picture."""
        self.send(type="seek", number=number)
        self.send(type="step", number=0)
        while True:
            picture = self.picture()
            if picture.facts["frame"] == number and not picture.facts["playing"]:
                return picture

    def receive_all(self) -> None:
        """Read until the server closes the connection: raises `ConnectionClosed`."""
        while True:
            self.receive()

    def vanish(self) -> None:
        """Disconnect without a closing handshake."""
        self.socket.socket.shutdown(socket.SHUT_RDWR)
        self.close()

    def close(self) -> None:
        self._context.__exit__(None, None, None)
