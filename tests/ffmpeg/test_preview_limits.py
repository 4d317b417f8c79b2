"""Clients that misuse the preview server: it stays reachable, its memory flat, and it reports errors in one line each."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from clips import make_clip
from preview_server import Server, Viewer
from waiting import HANG_SECONDS, wait_until
from websockets.exceptions import ConnectionClosed

from gpu_saliency.errors import UsageError
from gpu_saliency.preview.web.limits import MAX_CONNECTIONS, MAX_HEADER_BYTES
from gpu_saliency.preview.web.wire import parse_command

POLICY = {"type": "policy", "offset": -3, "mapping": "balanced", "aggregator": "ema", "ema_alpha": 0.6, "segments": "auto"}
LONG = "1" * 400


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(make_clip(tmp_path_factory.mktemp("limits") / "in.mkv", size="64x48")) as server:
        yield server


def page_works(server: Server) -> bool:
    with urllib.request.urlopen(server.url, timeout=HANG_SECONDS) as answer:
        assert answer.status == 200
        return b"<html" in answer.read()


def client(server: Server) -> socket.socket:
    assert server.port is not None
    return socket.create_connection(("127.0.0.1", server.port), timeout=HANG_SECONDS)


BEGINNINGS = [
    b"",
    b"G",
    b"GET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
    b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
]


@pytest.mark.parametrize("beginning", BEGINNINGS, ids=range(len(BEGINNINGS)))
def test_half_open_connections_do_not_lock_the_page_out(server: Server, beginning: bytes) -> None:
    """Three times as many as the server keeps; the oldest are closed."""
    with ExitStack() as clients:
        for _ in range(3 * MAX_CONNECTIONS):
            one = clients.enter_context(client(server))
            with suppress(OSError):  # it may be closed already
                one.sendall(beginning)
        assert page_works(server)
        viewer = Viewer(server)
        viewer.picture()
        viewer.close()
        descriptors = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        assert descriptors < MAX_CONNECTIONS + 100


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 4 * MAX_HEADER_BYTES + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " + LONG.encode() + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
        b"\r\n" * 50_000,
    ],
    ids=["path", "header", "headers", "length", "TLS", "lines"],
)
def test_requests_that_are_too_large_or_none(server: Server, request_bytes: bytes) -> None:
    before = server.memory()
    with client(server) as one:
        try:
            one.sendall(request_bytes)
            one.shutdown(socket.SHUT_WR)
            while one.recv(65536):
                pass
        except OSError:  # it may close before everything is sent
            pass
    assert page_works(server)
    assert server.memory() - before < 64 << 20


def test_a_body_without_end(tmp_path: Path) -> None:
    """The server stops reading, and closes the connection at the end of its life."""
    with Server(make_clip(tmp_path / "in.mkv", size="64x48"), connection_seconds=5) as server:
        viewer = Viewer(server)
        viewer.until("timeline", finished=True)  # the analysis takes memory too
        viewer.close()
        before = server.memory()
        with client(server) as one:
            one.sendall(f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 99999999999\r\n\r\n".encode())
            with suppress(OSError):  # the end: a reset or a broken pipe
                while True:
                    one.sendall(b"x" * (1 << 16))
        assert server.memory() - before < 64 << 20
        assert page_works(server)


TEXTS = [
    json.dumps(POLICY).replace("0.6", LONG),
    json.dumps(POLICY).replace("0.6", LONG + ".5"),
    json.dumps(POLICY).replace("0.6", "1e999"),
    json.dumps(POLICY).replace("0.6", "-" + LONG),
    json.dumps(POLICY).replace("0.6", "NaN"),
    json.dumps(POLICY).replace("0.6", "Infinity"),
    json.dumps(POLICY).replace("-3", LONG),
    json.dumps(POLICY).replace("-3", LONG + "e5"),
    json.dumps(POLICY).replace("-3", "NaN"),
    json.dumps(POLICY).replace("auto", LONG),
    json.dumps(POLICY).replace("auto", "\ud800"),
    json.dumps(POLICY).replace("auto", "\u0664"),
    json.dumps(POLICY).replace("balanced", "x" * 10_000),
    json.dumps({"type": "seek", "number": int(LONG)}),
    '{"type": "step", "number": -' + "9" * 6000 + "}",
    '{"type": "ack", "number": 1e400}',
    json.dumps({"type": int(LONG)}),
    '{"type": "policy", "type": []}',
    "[" * 60_000,
    '{"a":' * 10_000,
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_parameters_are_refused(text: str) -> None:
    """A `UsageError` is a `ValueError`; its line is short."""
    with pytest.raises((ValueError, RecursionError)) as refused:
        parse_command(text)
    if isinstance(refused.value, UsageError):
        assert len(refused.value.line()) < 300


def test_hostile_parameters_end_no_viewer(server: Server) -> None:
    """Each is refused; after twenty invalid messages the viewer is disconnected, and others are not."""
    other = Viewer(server)
    other.picture_with_map()
    viewer = Viewer(server)
    viewer.until("timeline", finished=True)

    def send_all() -> None:
        while True:
            for text in TEXTS:
                viewer.socket.send(text)
            viewer.receive()

    with pytest.raises(ConnectionClosed) as closed:
        send_all()
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1008
    other.send(type="seek", number=3)
    other.picture_from(3)
    other.close()


def test_a_message_that_is_too_long(server: Server) -> None:
    viewer = Viewer(server)
    viewer.picture()
    viewer.socket.send("x" * (1 << 20))
    with pytest.raises(ConnectionClosed):
        viewer.receive_all()
    assert page_works(server)


def test_errors_of_the_server_are_one_line_each(tmp_path: Path) -> None:
    """The clip vanishes: each viewer that asks for a frame gets a message, and stderr stays short."""
    clip = make_clip(tmp_path / "in.mkv", size="64x48")
    server = Server(clip)
    with server:
        viewer = Viewer(server)
        viewer.until("timeline", finished=True)
        for _ in range(50):
            with client(server) as one:
                one.sendall(b"GET \xff\xfe HTTP/9.9\r\n\r\n")
                one.recv(100)
        wait_until(lambda: page_works(server), "the page")
        viewer.close()
