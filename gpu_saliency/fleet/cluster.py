"""`Cluster`: the connection to Ray. The only module that imports Ray in the scheduler's process."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

from gpu_saliency.batch.local.machine import usable_cores
from gpu_saliency.errors import ToolMissingError, UsageError
from gpu_saliency.fleet.seats import Node
from gpu_saliency.texts import printable

LOCAL, AUTO = "local", "auto"
_STORE_BYTES = 80 << 20
"""Ray's object store where this program starts Ray; hardly any of it is used. Ray takes no less."""
_CONNECT_SECONDS = 10.0
_START = "start one with: ray start --head"
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # Ray hides GPUs from actors that hold none; unset, newer versions warn
}


class Cluster:
    """The nodes of a cluster. Made by `open_cluster`; ``ray`` is the module."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self.here = str(ray.get_runtime_context().get_node_id())
        """The node of this process."""

    def nodes(self) -> list[Node]:
        """The nodes that are alive and have cores."""
        found = []
        for one in self.ray.nodes():
            resources = one.get("Resources", {})
            if one.get("Alive") and resources.get("CPU", 0) > 0:
                memory = int(resources["memory"]) if "memory" in resources else None
                name = str(one.get("NodeManagerAddress"))
                found.append(Node(one["NodeID"], name, float(resources["CPU"]), float(resources.get("GPU", 0)), memory))
        return found

    def on_node(self, node: str) -> Any:
        """Ray's strategy that places an actor or task on ``node`` only."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(node_id=node, soft=False)


def check_ray(address: str) -> Any:
    """Import Ray, quietly, for `open_cluster` with ``address``, and return the module.

    Raises `ToolMissingError` where Ray is not installed, `UsageError` for what is no address and where nothing answers.
    """
    _check_address(address)
    if address == LOCAL and "ray" not in sys.modules:
        # Ray listens on all interfaces: without a token others could use it. It reads these variables when it is imported.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ToolMissingError(f"Ray cannot be imported: {error}", cure="pip install 'gpu-saliency[fleet]'") from None
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return ray


@contextlib.contextmanager
def open_cluster(address: str) -> Iterator[Cluster]:
    """Connect to the Ray cluster at ``address``, such as ``10.0.0.1:6379``, and leave it after the block.

    ``auto`` is the one of this machine; ``local`` starts a Ray on this machine for the block. Raises `UsageError` where there is no
    such cluster, or it cannot be used, and `ToolMissingError` where Ray is not installed.
    """
    ray = check_ray(address)
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.CRITICAL}
    if address == LOCAL:
        options |= {"num_cpus": usable_cores(), "include_dashboard": False, "object_store_memory": _STORE_BYTES}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        try:
            with _stderr_closed():
                ray.init(**options)
            # Errors of workers, which this program reports itself, would be printed on stdout, among the results (read in Ray 2.52
            # and 2.60: `print_worker_logs` looks at this, whatever log_to_driver is).
            ray._private.worker._worker_logs_enabled = False
        except (RuntimeError, ConnectionError, ValueError, OSError) as error:
            raise UsageError(f"Ray cannot be used: {first_line(error)}", setting="ray", value=address, cure=_START) from error
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)  # Ray sets its own
        yield Cluster(ray)
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _stderr_closed() -> Iterator[None]:
    """Drop what Ray's core prints on stderr while it starts: it cannot be told not to, and errors come as exceptions."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _check_address(address: str) -> None:
    """Raise `UsageError` for what is no address, and for one that does not answer: Ray itself would try for a minute."""
    if address in (LOCAL, AUTO):
        return
    cure = f"give HOST:PORT, {AUTO}, or {LOCAL}"
    if "://" in address:
        raise UsageError("Ray clients cannot be used", setting="ray", value=address, cure=f"run this on the head node; {cure}")
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise UsageError("is not an address", setting="ray", value=address, cure=cure)
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"there is no Ray: {reason}", setting="ray", value=address, cure=f"{_START}, or give {LOCAL}") from None


def first_line(error: BaseException) -> str:
    """The first sentence of one of Ray's errors, which have many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return printable(lines[0].partition(". ")[0] if lines else type(error).__name__)[:200]
