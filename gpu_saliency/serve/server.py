"""Runs the service until a signal asks it to end: the jobs that run are finished first, then it stops answering."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

import uvicorn

from gpu_saliency.preview.web.guard import own_hosts
from gpu_saliency.preview.web.limits import MAX_HEADER_BYTES, OneLine
from gpu_saliency.process.signals import EXIT_CODE, routed
from gpu_saliency.progress import Reporter
from gpu_saliency.serve.app import make_app
from gpu_saliency.serve.limits import LimitedClient
from gpu_saliency.serve.service import Service
from gpu_saliency.serve.watch import Watcher

_POLL_SECONDS = 0.2


def accepted_hosts(host: str, port: int, public: Iterable[str]) -> frozenset[str] | None:
    """The accepted values of the Host header: those of this machine for loopback, else any; with ``public`` names, these too."""
    own, names = own_hosts(host, port), {name.lower() for name in public}
    if own is None:
        return frozenset(names) if names else None
    return own | names


def run_server(
    service: Service, watcher: Watcher | None, listener: socket.socket, hosts: frozenset[str] | None, reporter: Reporter
) -> None:
    """Answer requests and run jobs until SIGINT or SIGTERM, and then until the jobs that run have ended."""
    config = uvicorn.Config(
        make_app(service, hosts),
        http=LimitedClient,
        ws="none",
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )

    def drain() -> None:
        service.accepts = False
        if watcher is not None:
            watcher.stop()
        service.scheduler.drain()

    OneLine(reporter, "server").attach()
    threads = [service.scheduler, *([] if watcher is None else [watcher])]
    for thread in threads:
        thread.start()
    try:
        # The clean end of a stream cancels its task, which asyncio reports as an interrupt.
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_run(_Server(config, drain), service, listener, reporter))
    finally:
        drain()
        for thread in threads:
            thread.join()
        service.store.close()


class _Server(uvicorn.Server):
    """Uvicorn's server; a signal calls ``drain``, and a second one ends the process at once."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with routed(self._drain, EXIT_CODE, patient=True):
            yield


async def _run(server: _Server, service: Service, listener: socket.socket, reporter: Reporter) -> None:
    service.hub.start()
    await service.store.start()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    is_told = False
    while not serving.done():
        await asyncio.wait([serving], timeout=_POLL_SECONDS)
        if not service.accepts and not is_told:
            is_told = True
            service.hub.publish("ending")
            reporter.say("ending: no more jobs are taken")
        if not service.scheduler.is_alive():
            await asyncio.sleep(_POLL_SECONDS)  # the last events are on their way
            service.hub.close()
            server.should_exit = True
            break
    await serving
