"""Ray nodes for tests: real ones, each in a network namespace, so that nothing outside can reach them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kills import processes_with
from waiting import HANG_SECONDS, wait_until

ROOT = Path(__file__).parents[2]
PORT = 6379
_HEAD = ("--head", "--include-dashboard=false", "--disable-usage-stats")


def missing_namespaces() -> str | None:
    """The reason why no network namespace can be made; ``None`` where it can."""
    name = f"gs{secrets.token_hex(4)}"
    try:
        done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    except OSError as error:
        return f"ip: {error.strerror}"
    if done.returncode == 0:
        subprocess.run(["ip", "netns", "del", name], check=True)
    return None if done.returncode == 0 else f"no network namespace: {done.stderr.strip()}"


@dataclass
class RayNodes:
    """A cluster: each node is in the namespace of its name, and has the variable ``mark`` in its environment, as all it starts."""

    prefix: str = field(default_factory=lambda: f"gs{secrets.token_hex(3)}")
    address: str = f"127.0.0.1:{PORT}"
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="r", dir="/tmp")))  # sockets need a short path

    @property
    def mark(self) -> str:
        return f"RAY_TEST_{self.prefix}"

    def environment(self, **more: str) -> dict[str, str]:
        ray = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "test" * 8, "PYTHONPATH": str(ROOT)}
        return os.environ | ray | {self.mark: "1"} | more

    def inside(self, space: str, *command: object) -> list[str]:
        return ["ip", "netns", "exec", f"{self.prefix}{space}", *map(str, command)]

    def run_ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    def add_space(self, space: str) -> None:
        self.run_ip("netns", "add", f"{self.prefix}{space}")
        subprocess.run(self.inside(space, "ip", "link", "set", "lo", "up"), check=True)

    def join(self, first: str, second: str) -> None:
        """Connect two namespaces; the first has the address 10.77.0.1, the second 10.77.0.2."""
        ends = [f"{self.prefix}v{number}" for number in (1, 2)]
        self.run_ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for number, (space, end) in enumerate(zip((first, second), ends, strict=True), 1):
            self.run_ip("link", "set", end, "netns", f"{self.prefix}{space}")
            for words in (["addr", "add", f"10.77.0.{number}/24", "dev", end], ["link", "set", end, "up"]):
                subprocess.run(self.inside(space, "ip", *words), check=True)

    def start(self, space: str, *options: object, wrapper: tuple[str, ...] = (), **variables: str) -> None:
        """``ray start`` in a namespace; ``wrapper`` goes before the command."""
        ray = [str(Path(sys.executable).with_name("ray")), "start", "--object-store-memory=80000000", *map(str, options)]
        command = self.inside(space, *wrapper, *ray)
        done = subprocess.run(command, env=self.environment(**variables), capture_output=True, text=True, timeout=HANG_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr

    def raylets(self) -> list[int]:
        return [pid for pid in processes_with(self.mark) if b"/raylet/raylet\0" in _command(pid)]

    def work(self) -> list[int]:
        """The processes of a batch: workers, guardians, encoders; not those of Ray."""
        return [pid for pid in processes_with(self.mark) if b"gpu_saliency" in _command(pid) or b"ffmpeg" in _command(pid)]

    def close(self) -> None:
        def kill() -> bool:
            found = processes_with(self.mark)
            for pid in found:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            return not found

        wait_until(kill, "all nodes have ended")
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.split()
        for name in listed:
            if name.startswith(self.prefix):
                self.run_ip("netns", "del", name)
        shutil.rmtree(self.folder, ignore_errors=True)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def parent(pid: int) -> int:
    """The parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def ancestors(pid: int) -> list[int]:
    """The parent of a process, its parent, and so on."""
    found = []
    while pid > 1:
        with contextlib.suppress(OSError):
            pid = parent(pid)
            found.append(pid)
            continue
        break
    return found


@contextlib.contextmanager
def one_node(*options: object) -> Iterator[RayNodes]:
    """A cluster of one node that only its own network namespace can reach."""
    nodes = RayNodes()
    try:
        nodes.add_space("a")
        nodes.start(
            "a", *_HEAD, "--node-ip-address=127.0.0.1", f"--port={PORT}", f"--temp-dir={nodes.folder}", "--num-cpus=2", *options
        )
        yield nodes
    finally:
        nodes.close()


@contextlib.contextmanager
def two_machines() -> Iterator[RayNodes]:
    """Two network namespaces, ``a`` and ``b``, that see each other; a head node of one core runs in the first."""
    nodes = RayNodes(address=f"10.77.0.1:{PORT}")
    try:
        nodes.add_space("a")
        nodes.add_space("b")
        nodes.join("a", "b")
        nodes.start("a", *_HEAD, "--node-ip-address=10.77.0.1", f"--port={PORT}", f"--temp-dir={nodes.folder}", "--num-cpus=1")
        yield nodes
    finally:
        nodes.close()
