"""Runs the server until the user ends it."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from gpu_saliency.errors import GpuSaliencyError, UsageError
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.preview.live.session import LiveSession
from gpu_saliency.preview.session import Looked, PreviewSession
from gpu_saliency.preview.web.app import make_app
from gpu_saliency.preview.web.guard import is_loopback, own_hosts
from gpu_saliency.preview.web.pictures import FrameStore
from gpu_saliency.preview.web.screens import ClipScreen, LiveScreen, NewestPictures
from gpu_saliency.preview.web.viewer import Screen, Shared
from gpu_saliency.progress import Reporter

_LONGEST_COMMAND = 1 << 16
"""Bytes of what a page says."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the page is."""

    host: str
    listener: socket.socket
    open_page: bool
    reporter: Reporter


@contextmanager
def open_site(host: str, port: int, open_page: bool, reporter: Reporter) -> Iterator[Site]:
    """Raises `UsageError` where nobody can listen there."""
    with bind(host, port) as listener:
        yield Site(host, listener, open_page, reporter)


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


def serve_clip(session: PreviewSession, policy: RoiPolicy, site: Site, analysis: list[str]) -> None:
    """Show a clip to browsers until Ctrl-C. Raises what ended the analysis before its first map."""
    store = FrameStore(session.clip)
    try:
        _serve(Shared(session, store.size, policy, analysis), lambda: ClipScreen(session.clip, store), site)
    finally:
        store.close()


def serve_live(session: LiveSession, policy: RoiPolicy, site: Site) -> None:
    """Show a live source to browsers until Ctrl-C. Raises what ended the analysis before its first map."""
    pictures = NewestPictures(session.clip)
    _serve(Shared(session, pictures.size, policy, []), lambda: LiveScreen(session.feed, pictures), site)


def _serve(shared: Shared, new_screen: Callable[[], Screen], site: Site) -> None:
    host, port = site.host, site.listener.getsockname()[1]
    # Whoever is on the same machine may look; elsewhere only who was told the address.
    token = "" if is_loopback(host) else secrets.token_urlsafe(24)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}/" + (f"{token}/" if token else "")
    config = uvicorn.Config(
        make_app(shared, new_screen, own_hosts(host, port), token),
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
        site.reporter.say("Ctrl-C ends it.")
    else:
        site.reporter.say("Whoever knows this address can look; nothing is encrypted on the way. Ctrl-C ends it.")
    if site.open_page:
        threading.Thread(target=_open, args=(url, site.reporter), daemon=True).start()
    try:
        asyncio.run(_run(uvicorn.Server(config), site.listener, shared.session))
    except KeyboardInterrupt:  # the way to end it
        pass
    finally:
        shared.close()


async def _run(server: uvicorn.Server, listener: socket.socket, session: Looked) -> None:
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
