"""Runs the server until the user ends it."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import threading
import webbrowser

import uvicorn

from gpu_saliency.errors import GpuSaliencyError, UsageError
from gpu_saliency.plan import RoiPolicy
from gpu_saliency.preview.session import PreviewSession
from gpu_saliency.preview.store import FrameStore
from gpu_saliency.preview.web.app import make_app
from gpu_saliency.preview.web.guard import is_loopback, own_hosts
from gpu_saliency.preview.web.viewer import Shared
from gpu_saliency.progress import Reporter

_LONGEST_COMMAND = 1 << 16
"""Bytes of what a page says."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises `UsageError`."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: out of range", cure="1 to 65535, or 0 for one that is free")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except socket.gaierror as error:
        raise UsageError(f"--host {host}: is no address of this machine: {error.strerror}", cure="leave it out") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"--port {port}: is in use", cure="give another --port, or 0 for one that is free") from error
        raise UsageError(f"--host {host} --port {port}: {error.strerror}", cure="leave them out") from error


def serve(
    session: PreviewSession,
    policy: RoiPolicy,
    listener: socket.socket,
    host: str,
    *,
    analysis: list[str],
    open_page: bool,
    reporter: Reporter,
) -> None:
    """Show ``session`` to browsers until Ctrl-C. Raises what ended the analysis before its first map."""
    port = listener.getsockname()[1]
    # Whoever is on the same machine may look; elsewhere only who was told the address.
    token = "" if is_loopback(host) else secrets.token_urlsafe(24)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}/" + (f"{token}/" if token else "")
    shared = Shared(session, FrameStore(session.clip), policy, analysis)
    config = uvicorn.Config(
        make_app(shared, own_hosts(host, port), token),
        log_level="error",
        access_log=False,
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=_LONGEST_COMMAND,
        ws_per_message_deflate=False,  # a JPEG does not get smaller
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    print(url, flush=True)
    if not token:
        reporter.say("Ctrl-C ends it.")
    else:
        reporter.say("Whoever knows this address can look; nothing is encrypted on the way. Ctrl-C ends it.")
    if open_page:
        threading.Thread(target=_open, args=(url, reporter), daemon=True).start()
    try:
        asyncio.run(_run(uvicorn.Server(config), listener, session))
    except KeyboardInterrupt:  # the way to end it
        pass
    finally:
        shared.close()
        listener.close()


async def _run(server: uvicorn.Server, listener: socket.socket, session: PreviewSession) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    failed: GpuSaliencyError | None = None
    while not serving.done():
        view = session.view()
        if view.track is None and view.error is not None:
            failed, server.should_exit = view.error, True
            break
        if view.track is not None:
            break
        await asyncio.wait([serving], timeout=0.1)
    await serving
    if failed is not None:
        raise failed


def _open(url: str, reporter: Reporter) -> None:
    if not webbrowser.open(url):
        reporter.warn(f"--open: no browser could be started; open {url}")
