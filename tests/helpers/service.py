"""``gpu-saliency serve`` in a process of its own, and a client for it. Shared by the tests."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from waiting import HANG_SECONDS, wait_until

QUICK = {"preset": "ultrafast", "every": 12, "prove": "none", "no-equal-size": True, "no-cache": True, "threads": 1}
"""Options of short jobs: little analysis, and no further encodes."""
Answer = tuple[int, Any]


class Service:
    """A server for the files in ``folder/root``; it runs until the end of the block, which sends SIGTERM."""

    def __init__(self, folder: Path, *arguments: object, within: tuple[object, ...] = (), **variables: str) -> None:
        """``within``: the start of a command that runs the server, such as one that gives it mounts of its own."""
        self.root, self.state = folder / "root", folder / "state"
        self.root.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "gpu_saliency", "serve", "--root", self.root, "--state", self.state, "--port", 0]
        words = [*map(str, (*within, *command)), "--min-free", "1M", "--tries", "2", *map(str, arguments)]
        self._ended: tuple[int, str] | None = None
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, env=os.environ | variables)

    def __enter__(self) -> Service:
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.process.communicate(timeout=HANG_SECONDS)[1]
        self.port = urlsplit(self.url).port or 80
        token = self.state / "token"
        self.token = token.read_text().strip() if token.exists() else None
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        is_ended = self._ended is not None
        code, err = self.end()
        if kind is None:
            assert is_ended or code == 0, err
            assert "Traceback" not in err
            assert "internal error" not in err

    def end(self, number: signal.Signals | None = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal, ``None`` for none, and wait for the end; returns exit status and stderr."""
        if self._ended is None:
            if self.process.poll() is None and number is not None:
                self.process.send_signal(number)
            err = self.process.communicate(timeout=HANG_SECONDS)[1]
            self._ended = self.process.returncode, err
        return self._ended

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, data: bytes | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request; returns status, headers and body. ``data`` takes the place of a ``body`` that is sent as JSON."""
        content = data if body is None else json.dumps(body).encode()
        kind = {} if content is None else {"Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, content, {**kind, **(self.headers if headers is None else headers)})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        """Send a request; returns status and the body, which is JSON."""
        status, _, content = self.send(method, path, body, headers)
        return status, json.loads(content)

    def submit(self, source: object, output: object, priority: int = 0, **options: object) -> int:
        """Submit a short job that must be taken; returns its number."""
        named = {name.replace("_", "-"): value for name, value in options.items()}
        job = {"source": str(source), "output": str(output), "priority": priority, "options": QUICK | named}
        status, taken = self.ask("POST", "/api/jobs", job)
        assert status == 201, taken
        number: int = taken["jobs"][0]["id"]
        return number

    def job(self, number: int) -> dict[str, Any]:
        """A job as the server shows it."""
        status, job = self.ask("GET", f"/api/jobs/{number}")
        assert status == 200, job
        found: dict[str, Any] = job
        return found

    def wait_for(self, number: int, *states: str, stage: str | None = None) -> dict[str, Any]:
        """Wait until the job is in one of ``states``, and at ``stage``."""
        found: dict[str, Any] = {}

        def reached() -> bool:
            found.update(self.job(number))
            return found["state"] in states and stage in (None, found["stage"])

        wait_until(reached, f"job {number} {states} {stage}", alive=lambda: self.process.poll() is None)
        return found

    def wait_for_step(self, number: int, word: str) -> None:
        """Wait until a running job is in a step that begins with ``word``."""

        def reached() -> bool:
            running = self.ask("GET", "/api/status")[1]["running"]
            return any(one["job"] == number and one["step"].startswith(word) and one["done"] for one in running)

        wait_until(reached, f"job {number} in {word}", alive=lambda: self.process.poll() is None)

    def connect(self) -> socket.socket:
        """A plain connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=HANG_SECONDS)

    @contextlib.contextmanager
    def events(self, last: int | None = None) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
        """The events from now on, or those after number ``last``, with kind and facts; the facts have the ``number``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG_SECONDS)
        more = {} if last is None else {"Last-Event-ID": str(last)}
        connection.request("GET", "/api/events", headers=self.headers | more)
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.readline().startswith(b":")

        def read() -> Iterator[tuple[str, dict[str, Any]]]:
            fields: dict[str, str] = {}
            while line := answer.readline().decode():
                if line.strip():
                    name, _, value = line.strip().partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    yield fields["event"], {**json.loads(fields["data"]), "number": int(fields["id"])}
                    fields = {}

        try:
            yield read()
        finally:
            connection.close()

    def metric(self, line: str) -> float:
        """The value of a figure; ``line`` is its name with labels."""
        text = self.send("GET", "/metrics")[2].decode()
        return float(next(one for one in text.splitlines() if one.startswith(f"{line} ")).rpartition(" ")[2])
