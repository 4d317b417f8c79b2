"""The server of ``preview --web``, met by clients that are no browsers: access, contents, and misbehaving clients."""

from __future__ import annotations

import http.client
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from clips import make_clip
from preview_server import POLICY, Server, Viewer
from program import run
from waiting import HANG_SECONDS, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gpu_saliency import RoiPolicy, build_roi_plan, load_saliency_sidecar, probe_clip
from gpu_saliency.cli.encode_command import encode_command
from gpu_saliency.draw.canvas import png_bytes
from gpu_saliency.plan.build import plan_track
from gpu_saliency.plan.share import find_share
from gpu_saliency.preview.web.app import FILES, MAX_VIEWERS
from gpu_saliency.preview.web.guard import is_loopback, own_hosts
from gpu_saliency.preview.web.wire import parse_command

FLAT = 6 << 20
"""Bytes by which a server's memory may grow. Queued pictures would exceed it: 72 of 24 kB for each of 5 viewers are 8.6 MB."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of 640x360."""
    return make_clip(tmp_path_factory.mktemp("clip") / "in put.mp4", size="640x360", seconds=4)


@pytest.fixture(scope="module")
def server(clip: Path) -> Iterator[Server]:
    with Server(clip, "--saliency-offset", -4, "--max-background-offset", 2.5) as server:
        yield server


PICTURES = 72


@pytest.fixture(scope="module")
def warm_server(server: Server) -> Server:
    """The server after one round of the clip: its cache of pictures is full."""
    viewer = Viewer(server)
    viewer.until("timeline", finished=True)
    viewer.picture_from(90)
    viewer.close()
    return server


def get(server: Server, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    assert server.port is not None
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=HANG_SECONDS)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_the_page_loads_nothing_from_other_sites(server: Server) -> None:
    """And it is small: all its files together."""
    weight = 0
    for path in ("/", *(f"/{name}" for name in FILES if name)):
        status, headers, body = get(server, path)
        assert status == 200
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert b"http" not in body
        weight += len(body)
    assert weight < 100_000


def test_a_page_says_that_there_is_nothing(server: Server) -> None:
    status, headers, body = get(server, "/missing")
    assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"Nothing here" in body
    assert b"saliency" not in body  # beyond loopback who lacks the token is not told what this is


@pytest.mark.parametrize("path", ["/../cli.py", "/%2e%2e/app.py", "/page/index.html", "/etc/passwd", "/viewer/x", "//app.js"])
def test_other_paths_are_not_found(server: Server, path: str) -> None:
    assert get(server, path)[0] == 404


def test_only_get_is_allowed(server: Server) -> None:
    assert get(server, "/", "POST")[0] == 405
    assert get(server, "/viewer")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example:{port}"])
def test_an_unknown_host_is_refused(server: Server, host: str) -> None:
    """As after DNS rebinding: another host name that points to this address."""
    host = host.format(port=server.port)
    assert get(server, Host=host)[0] == 403
    with pytest.raises(InvalidStatus) as refused:
        Viewer(server, origin=f"http://{host}")
    assert refused.value.response.status_code == 403


def test_requests_of_the_page_itself_are_accepted(server: Server) -> None:
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}", f"LOCALHOST:{server.port}"):
        assert get(server, Host=host)[0] == 200
    assert get(server, Origin="http://evil.example")[0] == 403
    assert get(server, Origin="null")[0] == 403
    viewer = Viewer(server, origin=f"http://127.0.0.1:{server.port}")
    assert viewer.picture().jpeg[:2] == b"\xff\xd8"
    viewer.close()


def test_hosts() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("192.168.1.5")
    assert not is_loopback("localhost.evil.example")
    assert own_hosts("0.0.0.0", 80) is None
    assert "localhost" in (own_hosts("127.0.0.1", 80) or ())
    assert "localhost" not in (own_hosts("127.0.0.1", 8080) or ())


def test_beyond_loopback_the_url_contains_a_token(clip: Path) -> None:
    with Server(clip, "--host", "0.0.0.0") as server:
        token = urlsplit(server.url).path
        assert len(token) > 30
        assert get(server, "/")[0] == 404
        assert get(server, "/app.js")[0] == 404
        assert get(server, token, Host="some.name.example")[0] == 200
        server.url = f"http://127.0.0.1:{server.port}{token}"
        with pytest.raises(InvalidStatus):
            Viewer(server, origin="http://evil.example")
        viewer = Viewer(server, origin=f"http://127.0.0.1:{server.port}")
        assert viewer.picture().jpeg
        viewer.close()
        server.url = f"http://127.0.0.1:{server.port}/"
        with pytest.raises(InvalidStatus):
            Viewer(server)


def test_pictures_contain_the_maps_and_the_plan_of_encode(server: Server, clip: Path) -> None:
    sidecar, _ = load_saliency_sidecar(probe_clip(clip))
    viewer = Viewer(server)
    viewer.until("timeline", finished=True)
    asked = (RoiPolicy(-4), RoiPolicy(7, "symmetric", "ema", 0.25, "3"), RoiPolicy(-12, aggregator="max", segments="clip"))
    for one in asked:
        policy = replace(one, max_background_offset=2.5)  # as at the start, since it is not sent
        viewer.send(
            type="policy",
            offset=policy.offset,
            mapping=policy.mapping,
            aggregator=policy.aggregator,
            ema_alpha=policy.ema_alpha,
            segments=policy.segments,
        )
        message = viewer.until("plan", policy=policy.to_json())
        plan = build_roi_plan(sidecar, policy)
        assert message["segment_starts"] == plan.segment_start.tolist()
        assert message["improved_blocks"] == plan.statistics().improved_blocks
        picture = viewer.pause_at(70)
        segment = plan.segment_of(70)
        assert np.array_equal(picture.offsets, plan.qp_offset[segment])
        assert picture.facts["recentre"] == pytest.approx(float(plan.recentre[segment]), abs=1e-4)
        assert np.array_equal(picture.saliency, sidecar.track.saliency[picture.facts["sample"]])
        assert picture.facts["sample"] == 11
    viewer.close()


def test_the_command_is_accepted_by_encode(clip: Path, tmp_path: Path) -> None:
    policy = RoiPolicy(-5, "attention", "ema", 0.3, "2", 3.5)
    words = shlex.split(encode_command(probe_clip(clip), policy, [("--every", "8")]))
    assert words[:5] == ["gpu-saliency", "encode", "--src", str(clip), "--output"]
    words[5] = str(tmp_path / "out.mp4")
    done = run(*words[1:], "--dry-run", "--json")
    assert done.code == 0, done.err
    roi = done.json["roi"]
    assert {key: roi[key] for key in policy.to_json()} == policy.to_json()
    assert done.json["analysis"]["step"] == "8"
    assert encode_command(probe_clip(clip), RoiPolicy(), []).endswith(".roi.mp4'")


def test_stepping_and_seeking(server: Server) -> None:
    viewer = Viewer(server)
    viewer.until("timeline", finished=True)
    assert viewer.pause_at(40).facts["frame"] == 40
    for frames, expected in ((1, 41), (-1, 40), (-1, 39), (1000, 95), (1, 95), (-1000, 0)):
        viewer.send(type="step", number=frames)
        while (picture := viewer.picture()).facts["frame"] != expected:
            pass
        assert picture.facts["playing"] is False
    viewer.send(type="toggle")
    assert [viewer.picture().facts["playing"] for _ in range(3)] == [True] * 3
    viewer.close()


INVALID = [
    "",
    "{",
    "[]",
    "3",
    '{"type": "open", "path": "/etc/passwd"}',
    '{"type": "seek"}',
    '{"type": "seek", "number": "3"}',
    '{"type": "seek", "number": 1e3}',
    '{"type": "seek", "number": true}',
    '{"type": "step", "number": 99999999999999}',
    '{"type": "policy"}',
    '{"type": "policy", "offset": -3, "mapping": ["balanced"], "aggregator": "mean", "ema_alpha": 0.6, "segments": "auto"}',
    "[" * 5000,
]


@pytest.mark.parametrize("text", INVALID, ids=range(len(INVALID)))
def test_invalid_messages(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        parse_command(text)


def test_invalid_policies_are_reported_and_invalid_messages_end_the_connection(server: Server) -> None:
    viewer = Viewer(server)
    policy = {"type": "policy", "mapping": "balanced", "aggregator": "mean", "ema_alpha": 0.6, "segments": "auto"}
    viewer.until("timeline", finished=True)
    for values, problem in (
        ({"offset": 13}, "--saliency-offset 13"),
        ({"offset": 1, "segments": "99"}, "--segments 99: there are only 16 maps"),
    ):
        viewer.send(**policy | values)
        assert problem in viewer.until("error")["message"]
    viewer.send(**policy | {"offset": -2})
    assert viewer.until("plan")["policy"]["offset"] == -2

    def send_invalid_messages() -> None:
        # The server may close the connection while the rest is still being sent.
        for _ in range(30):
            viewer.send(type="seek", number="x")
        viewer.receive_all()

    with pytest.raises(ConnectionClosed) as closed:
        send_invalid_messages()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def stalled_client(server: Server) -> socket.socket:
    """A client that was accepted and reads nothing more; its receive buffer is as small as possible."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    assert server.port is not None
    raw.connect(("127.0.0.1", server.port))
    request = "GET /viewer HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    request += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    raw.sendall(request.format(server.port).encode())
    assert raw.recv(12) == b"HTTP/1.1 101"
    return raw


def test_stalled_and_vanishing_viewers_cost_no_memory_and_delay_no_others(warm_server: Server) -> None:
    server = warm_server
    good = Viewer(server)
    good.picture()
    before = server.memory()
    stalled = [stalled_client(server) for _ in range(4)]
    for _ in range(6):
        vanishing = Viewer(server)
        vanishing.picture()
        vanishing.vanish()
    silent = Viewer(server)  # receives pictures but acknowledges none
    for _ in range(2):
        while isinstance(silent.socket.recv(timeout=HANG_SECONDS), str):
            pass
    for _ in range(PICTURES):
        good.picture()
    with pytest.raises(TimeoutError):
        silent.socket.recv(timeout=0)
    assert server.memory() - before < FLAT
    for client in stalled:
        client.close()
    silent.close()
    good.close()


def test_ten_viewers_share_one_analysis_and_cache(warm_server: Server) -> None:
    server = warm_server
    viewers = [Viewer(server)]
    viewers[0].picture()
    before = server.memory()
    viewers += [Viewer(server) for _ in range(9)]
    while not all(len(set(viewer.frames)) > 20 for viewer in viewers):
        for viewer in viewers:
            viewer.picture()
    assert server.memory() - before < FLAT
    for viewer in viewers:
        viewer.close()


def test_more_than_sixteen_viewers_are_refused(server: Server) -> None:
    """The server may take a while to notice that a viewer has left, so those who come at once may be refused."""
    viewers = [accepted(server) for _ in range(16)]
    one_more = Viewer(server)
    with pytest.raises(ConnectionClosed) as closed:
        one_more.receive_all()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "the limit of 16 viewers is reached")
    viewers.pop().close()
    viewers.append(accepted(server))
    for viewer in viewers:
        viewer.close()


def _frame(kind: int, content: bytes) -> bytes:
    """A WebSocket frame of a client; its mask is zero."""
    return bytes([0x80 | kind, 0x80 | len(content), 0, 0, 0, 0]) + content


def test_a_viewer_that_leaves_with_its_last_message_frees_its_place(warm_server: Server) -> None:
    """More of them than places. Each is paused and has all pictures, so that none that cannot be sent ends its stream."""
    for _ in range(MAX_VIEWERS + 1):
        viewer = accepted(warm_server)
        viewer.pause_at(3)
        with suppress(TimeoutError):  # a server that is still busy hides the defect, but is no failure
            while True:
                viewer.socket.recv(timeout=0.1)
        viewer.socket.socket.sendall(_frame(1, b"{") + _frame(8, b""))
        viewer.close()


def accepted(server: Server) -> Viewer:
    """A viewer that has received a picture; tries again while the server is full."""
    viewer: Viewer

    def is_accepted() -> bool:
        nonlocal viewer
        viewer = Viewer(server)
        try:
            viewer.picture()
        except ConnectionClosed:
            viewer.close()
            return False
        return True

    wait_until(is_accepted, "a place for another viewer")
    return viewer


def test_pictures_and_maps_arrive_while_the_analysis_runs(clip: Path) -> None:
    """The analysis is held before its first batch, then let through batch by batch."""
    with Server(clip, "--every", 8, "--segments", 7, gated=True) as server:
        viewer = Viewer(server)
        picture = viewer.picture()
        assert (picture.facts["frame"], picture.saliency.size) == (0, 0)
        server.let_through()
        first = viewer.until("timeline")["frames"]
        assert viewer.last["timeline"]["finished"] is False
        assert viewer.picture_with_map().facts["playing"] is True
        assert viewer.picture_from(5).facts["segments"] <= viewer.last["timeline"]["maps"]
        server.let_through()
        second = viewer.until("timeline", finished=False)["frames"]
        assert 0 < first < second < 96
        server.open_gate()
        assert viewer.until("timeline", finished=True)["frames"] == 96
        assert viewer.until("plan")["segments"] == 7
        viewer.close()


def test_a_share_of_the_bits(server: Server, clip: Path) -> None:
    """The offset follows from the share; a share out of reach is an error that changes nothing."""
    viewer = Viewer(server)
    viewer.until("timeline", finished=True)
    viewer.send(**POLICY | {"salient_bits": 0.35})
    plan = viewer.until("plan", salient_bits=0.35)
    assert plan["share"] == pytest.approx(0.35, abs=0.01)
    assert plan["plain_share"] < 0.35
    track = load_saliency_sidecar(probe_clip(clip))[0].track
    policy = RoiPolicy(max_background_offset=2.5)
    found = find_share(lambda policy: plan_track(track, (640, 360), policy), track, policy, 0.35)
    assert plan["policy"]["offset"] == found.offset
    assert "--salient-bits 35%" in plan["command"]
    assert "--saliency-offset" not in plan["command"]
    for share in (0.99, 1.5):
        viewer.send(**POLICY | {"salient_bits": share})
        assert "--salient-bits" in viewer.until("error")["message"]
    viewer.close()


def test_a_strength_at_the_start(clip: Path, grain_path: Path) -> None:
    with Server(clip, "--salient-bits", "35%") as server:
        viewer = Viewer(server)
        assert viewer.until("hello")["salient_bits"] == 0.35
        viewer.until("timeline", finished=True)
        assert viewer.until("plan")["share"] == pytest.approx(0.35, abs=0.01)
        viewer.close()
    with Server(grain_path, "--saliency-offset", "auto", "--preset", "veryfast") as server:
        viewer = Viewer(server)
        assert viewer.until("hello")["auto"] is True
        viewer.close()


def test_trial_encodes_need_the_whole_analysis(clip: Path) -> None:
    with Server(clip, gated=True) as server:
        viewer = Viewer(server)
        server.let_through()
        viewer.until("plan")
        viewer.send(type="measure", what="clip")
        assert viewer.until("error")["message"].startswith("trial encodes need the whole analysis")
        viewer.close()


def test_given_maps_are_named(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(png_bytes(np.full((360, 640), 255, np.uint8)))
    with Server(clip, "--maps", tmp_path / "mask.png") as server:
        viewer = Viewer(server)
        assert viewer.until("hello")["origin"] == "given maps mask.png"
        viewer.until("timeline", finished=True)
        assert viewer.picture_with_map().saliency.min() == 255
        assert f"--maps {tmp_path / 'mask.png'}" in viewer.last["plan"]["command"]
        viewer.close()


def test_unusable_addresses(clip: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("preview", clip, "--web", "--port", port)
        assert (done.code, done.errors) == (
            64,
            [f"ERROR: --port {port}: is in use (give another port, or 0 for a free one)"],
        )
    for flags, words in (
        (["--port", 70000], "--port 70000: out of range"),
        (["--host", "no.such.name.invalid"], "--host no.such.name.invalid: is not an address of this machine"),
        (["--host", "203.0.113.7"], "--host 203.0.113.7"),
    ):
        done = run("preview", clip, "--web", *flags)
        assert (done.code, len(done.errors)) == (64, 1), done.err
        assert words in done.errors[0]


def test_missing_clips_models_and_packages(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("preview", tmp_path / "no.mp4", "--web").code == 66
    assert run("preview", clip, "--web", "--saliency-model", tmp_path / "no.onnx").code == 65
    package = sys.modules["gpu_saliency.preview"]
    monkeypatch.setattr(package, "web", package.web)  # the import below replaces it, for later tests too
    for name in [name for name in sys.modules if name.startswith("gpu_saliency.preview.web")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = run("preview", clip, "--web")
    assert (done.code, len(done.errors)) == (69, 1)
    assert "pip install 'gpu-saliency[preview]'" in done.errors[0]
