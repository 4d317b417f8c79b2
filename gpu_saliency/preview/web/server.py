"""Runs the preview's web server until Ctrl-C."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from gpu_saliency.errors import GpuSaliencyError, Spelling, UsageError, setting, spell_python
from gpu_saliency.preview.dials import Dials
from gpu_saliency.preview.estimator import Estimator
from gpu_saliency.preview.live.session import LiveSession
from gpu_saliency.preview.planner import Session
from gpu_saliency.preview.screen import ClipScreen, LiveScreen, Screen
from gpu_saliency.preview.session import PreviewSession
from gpu_saliency.preview.web.app import make_app
from gpu_saliency.preview.web.guard import is_loopback, own_hosts
from gpu_saliency.preview.web.limits import LONGEST_MESSAGE, MAX_HEADER_BYTES, LimitedHttp, OneLine
from gpu_saliency.preview.web.pictures import FrameStore, LatestPicture
from gpu_saliency.preview.web.shared import Shared
from gpu_saliency.preview.web.sound import SoundStore
from gpu_saliency.process.signals import routed
from gpu_saliency.progress import Reporter


@dataclass(frozen=True, slots=True)
class Site:
    """The listening socket of the page, and the settings that announce its address. Produced by `open_site`."""

    host: str
    listener: socket.socket
    open_page: bool
    reporter: Reporter


@contextmanager
def open_site(host: str, port: int, open_page: bool, reporter: Reporter) -> Iterator[Site]:
    """Listen on ``host`` and ``port`` until the block ends. Raises `UsageError`."""
    with bind(host, port) as listener:
        yield Site(host, listener, open_page, reporter)


def bind(host: str, port: int) -> socket.socket:
    """Open a socket that listens on ``host`` and ``port``. Raises `UsageError`."""
    if not 0 <= port <= 65535:
        raise UsageError("out of range", setting="port", value=port, cure="give 1 to 65535, or 0 for a free one")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except socket.gaierror as error:
        problem, cure = f"is not an address of this machine: {error.strerror}", f"leave {setting('host')} out"
        raise UsageError(problem, setting="host", value=host, cure=cure) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError("is in use", setting="port", value=port, cure="give another port, or 0 for a free one") from error
        cure = f"leave {setting('host')} and {setting('port')} out"
        raise UsageError(f"{setting('host', host)} {setting('port', port)}: {error.strerror}", cure=cure) from error


def serve_clip(
    session: PreviewSession,
    start: Dials,
    site: Site,
    encode_command: Callable[[Dials], tuple[str, str]],
    estimator: Estimator,
    spell: Spelling = spell_python,
    *,
    auto: bool = False,
) -> None:
    """Show a clip in browsers until Ctrl-C. Raises the error that ended the analysis before its first map.

    The page shows a command to copy and saves a config file: the results of ``encode_command`` for the dials chosen on the page.
    ``auto``: each page begins with the strength that ``estimator`` finds.
    """
    store = FrameStore(session.clip)
    try:
        sound = SoundStore(session.clip) if session.clip.audio_codecs else None
        shared = Shared(session, store.size, start, encode_command, spell, estimator, sound, auto)
        _serve(shared, lambda: ClipScreen(session.clip, store.jpeg), site)
    finally:
        store.close()


def serve_live(session: LiveSession, start: Dials, site: Site, spell: Spelling = spell_python) -> None:
    """Show a live source in browsers until Ctrl-C. Raises the error that ended the analysis before its first map."""
    picture = LatestPicture(session.clip)
    # A live source has no file to encode, so the page shows no command and makes no trial encodes.
    shared = Shared(session, picture.size, start, lambda _: ("", ""), spell)
    _serve(shared, lambda: LiveScreen(session.reader, picture.jpeg), site)


def _serve(shared: Shared, new_screen: Callable[[], Screen[bytes]], site: Site) -> None:
    host, port = site.host, site.listener.getsockname()[1]
    # On loopback every user of this machine has access; beyond loopback the URL needs a secret token.
    token = "" if is_loopback(host) else secrets.token_urlsafe(24)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}/" + (f"{token}/" if token else "")
    config = uvicorn.Config(
        make_app(shared, new_screen, own_hosts(host, port), token),
        http=LimitedHttp,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=LONGEST_MESSAGE,
        ws_per_message_deflate=False,  # JPEG does not compress further
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    try:
        print(url, flush=True)
        warning = "Anyone with this address can open the preview; the connection is not encrypted. " if token else ""
        site.reporter.say(f"{warning}Press Ctrl-C to end.")
        if site.open_page:
            threading.Thread(target=_open, args=(url, site.reporter), daemon=True).start()
        OneLine(site.reporter).attach()
        asyncio.run(_run(_Server(config), site.listener, shared.session))
    except KeyboardInterrupt:  # the regular end
        pass
    finally:
        shared.close()


class _Server(uvicorn.Server):
    """Uvicorn's server, which a signal asks to end; uvicorn would raise the signal again after its end."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        def end() -> None:
            self.should_exit = True

        with routed(end, exit_code=0):
            yield


async def _run(server: uvicorn.Server, listener: socket.socket, session: Session) -> None:
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
        reporter.warn(f"no browser could be started; open {url}")
