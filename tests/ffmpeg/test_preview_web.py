"""The server of ``preview --web`` as viewers that are no browsers meet it: who is let in, what they get, what they cannot harm."""

from __future__ import annotations

import http.client
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from preview_server import Picture, Server, Viewer
from support import make_clip, run
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gpu_saliency import RoiPolicy, build_roi_plan, load_saliency_sidecar, probe_clip
from gpu_saliency.preview.web.guard import is_loopback, own_hosts
from gpu_saliency.preview.web.wire import encode_command, parse_command

FLAT = 24 << 20
"""Bytes by which a server's memory may grow that holds a few pictures more; what it holds back unseen would be more in a second."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of 640x360."""
    return make_clip(tmp_path_factory.mktemp("clip") / "in put.mp4", size="640x360", seconds=4)


@pytest.fixture(scope="module")
def server(clip: Path) -> Iterator[Server]:
    with Server(clip, "--saliency-offset", -4) as server:
        yield server


def get(server: Server, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    assert server.port is not None
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_the_page_loads_nothing_from_elsewhere(server: Server) -> None:
    for path in ("/", "/app.js", "/style.css"):
        status, headers, body = get(server, path)
        assert status == 200
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert b"http" not in body


@pytest.mark.parametrize("path", ["/../cli.py", "/%2e%2e/app.py", "/page/index.html", "/etc/passwd", "/viewer/x", "//app.js"])
def test_no_path_names_a_file(server: Server, path: str) -> None:
    assert get(server, path)[0] == 404


def test_only_reading_is_allowed(server: Server) -> None:
    assert get(server, "/", "POST")[0] == 405
    assert get(server, "/viewer")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example:{port}"])
def test_a_foreign_name_is_refused(server: Server, host: str) -> None:
    """As after DNS rebinding: another name with our address."""
    host = host.format(port=server.port)
    assert get(server, Host=host)[0] == 403
    with pytest.raises(InvalidStatus) as refused:
        Viewer(server, origin=f"http://{host}")
    assert refused.value.response.status_code == 403


def test_own_names_are_let_in(server: Server) -> None:
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


def test_beyond_loopback_there_is_a_token(clip: Path) -> None:
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


def test_pictures_carry_the_maps_and_the_plan_that_encode_makes(server: Server, clip: Path) -> None:
    sidecar, _ = load_saliency_sidecar(probe_clip(clip))
    viewer = Viewer(server)
    viewer.until("timeline", finished=True)
    for policy in (RoiPolicy(-4), RoiPolicy(7, "symmetric", "ema", 0.25, "3"), RoiPolicy(-12, aggregator="max", segments="clip")):
        viewer.say(
            type="policy",
            offset=policy.offset,
            mapping=policy.mapping,
            aggregator=policy.aggregator,
            ema_alpha=policy.ema_alpha,
            segments=policy.segments,
        )
        told = viewer.until("plan", policy=policy.to_json())
        plan = build_roi_plan(sidecar, policy)
        assert told["segment_starts"] == plan.segment_start.tolist()
        assert told["improved_blocks"] == plan.statistics().improved_blocks
        shown = viewer.pause_at(70)
        segment = plan.segment_of(70)
        assert np.array_equal(shown.offsets, plan.qp_offset[segment])
        assert shown.facts["recentre"] == pytest.approx(float(plan.recentre[segment]), abs=1e-4)
        assert np.array_equal(shown.saliency, sidecar.track.saliency[shown.facts["sample"]])
        assert shown.facts["sample"] == 11
    viewer.close()


def test_the_command_is_one_that_encode_takes(clip: Path, tmp_path: Path) -> None:
    policy = RoiPolicy(-5, "symmetric", "ema", 0.3, "2")
    words = shlex.split(encode_command(probe_clip(clip), policy, ["--every", "8"]))
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
    for by, wanted in ((1, 41), (-1, 40), (-1, 39), (1000, 95), (1, 95), (-1000, 0)):
        viewer.say(type="step", number=by)
        while (shown := viewer.picture()).facts["frame"] != wanted:
            pass
        assert shown.facts["playing"] is False
    viewer.say(type="toggle")
    assert [viewer.picture().facts["playing"] for _ in range(3)] == [True] * 3
    viewer.close()


WRONG = [
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


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_no_command(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        parse_command(text)


def test_a_viewer_that_talks_nonsense_is_sent_away_and_one_that_errs_is_told(server: Server) -> None:
    viewer = Viewer(server)
    policy = {"type": "policy", "mapping": "balanced", "aggregator": "mean", "ema_alpha": 0.6, "segments": "auto"}
    viewer.until("timeline", finished=True)
    for wrong, words in (
        ({"offset": 13}, "--saliency-offset 13"),
        ({"offset": 1, "segments": "99"}, "--segments 99: there are 16 maps"),
    ):
        viewer.say(**policy | wrong)
        assert words in viewer.until("error")["message"]
    viewer.say(**policy | {"offset": -2})
    assert viewer.until("plan")["policy"]["offset"] == -2

    def pester() -> None:
        # The server may hang up while the rest is still being said.
        for _ in range(30):
            viewer.say(type="seek", number="x")
        viewer.hear_all()

    with pytest.raises(ConnectionClosed) as closed:
        pester()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def stalled(server: Server) -> socket.socket:
    """A viewer that was let in and reads nothing any more, not even what its own machine would."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    assert server.port is not None
    raw.connect(("127.0.0.1", server.port))
    request = "GET /viewer HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    request += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    raw.sendall(request.format(server.port).encode())
    assert raw.recv(12) == b"HTTP/1.1 101"
    return raw


def test_stalled_and_vanishing_viewers_harm_nobody_and_take_no_memory(server: Server) -> None:
    good = Viewer(server)
    good.until("timeline", finished=True)
    while good.picture().facts["frame"] < 90:  # round the clip once: what is kept of it is kept now
        pass
    before = server.memory()
    slow = [stalled(server) for _ in range(4)]
    for _ in range(6):
        gone = Viewer(server)
        gone.picture()
        gone.vanish()
    deaf = Viewer(server)  # reads what comes, but never says that it has drawn it
    for _ in range(2):
        while isinstance(deaf.socket.recv(timeout=10), str):
            pass
    with pytest.raises(TimeoutError):
        deaf.socket.recv(timeout=2)
    good.frames.clear()
    started = time.monotonic()
    while time.monotonic() - started < 6:
        good.picture()
    assert len(good.frames) > 6 * 24 * 0.5, "half the rate at least, on a machine that does other things too"
    assert server.memory() - before < FLAT
    for one in slow:
        one.close()
    deaf.close()
    good.close()


def test_ten_viewers_see_it_play_and_take_no_memory(server: Server) -> None:
    first = Viewer(server)
    first.until("timeline", finished=True)
    while first.picture().facts["frame"] < 90:
        pass
    before = server.memory()
    viewers = [first, *(Viewer(server) for _ in range(9))]
    for viewer in viewers:
        viewer.frames.clear()
    started = time.monotonic()
    while time.monotonic() - started < 6:
        for viewer in viewers:
            viewer.picture()
    for viewer in viewers:
        assert len(viewer.frames) > 20
        assert len(set(viewer.frames)) > 20
    assert server.memory() - before < FLAT
    for viewer in viewers:
        viewer.close()


def test_more_viewers_than_there_is_room_for_are_told(server: Server) -> None:
    deadline = time.monotonic() + 10  # those of the tests before are still leaving
    while True:
        viewers = []
        try:
            for _ in range(16):
                viewers.append(Viewer(server))
                viewers[-1].picture()
            break
        except ConnectionClosed:
            assert time.monotonic() < deadline
        finally:
            if len(viewers) < 16:
                for viewer in viewers:
                    viewer.close()
    one_more = Viewer(server)
    with pytest.raises(ConnectionClosed) as closed:
        one_more.hear_all()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "16 viewers are looking already")
    viewers.pop().close()
    time.sleep(0.5)
    again = Viewer(server)
    assert again.picture().jpeg
    for viewer in [*viewers, again]:
        viewer.close()


def test_pictures_come_while_the_analysis_runs(tmp_path: Path) -> None:
    """A minute of 640x360, a map of every frame: it takes many seconds."""
    clip = make_clip(tmp_path / "long.mp4", size="640x360", seconds=60)
    with Server(clip, "--every", 1, "--segments", 7) as server:
        viewer = Viewer(server)
        while not isinstance(heard := viewer.hear(), Picture) or not heard.saliency.size:
            pass
        seen = [viewer.until("timeline")["frames"] for _ in range(3)]
        assert seen == sorted(seen)
        assert viewer.told["timeline"]["finished"] is False
        assert seen[-1] > seen[0]
        while viewer.picture().facts["frame"] < 5:
            pass
        viewer.close()


def test_what_is_wrong_with_the_address(clip: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("preview", clip, "--web", "--port", port)
        assert (done.code, done.errors) == (
            64,
            [f"ERROR: --port {port}: is in use (give another --port, or 0 for one that is free)"],
        )
    for flags, words in (
        (["--port", 70000], "--port 70000: out of range"),
        (["--host", "no.such.name.invalid"], "--host no.such.name.invalid: is no address of this machine"),
        (["--host", "203.0.113.7"], "--host 203.0.113.7"),
    ):
        done = run("preview", clip, "--web", *flags)
        assert (done.code, len(done.errors)) == (64, 1), done.err
        assert words in done.errors[0]


def test_what_is_wrong_with_the_rest(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("preview", tmp_path / "no.mp4", "--web").code == 66
    assert run("preview", clip, "--web", "--saliency-model", tmp_path / "no.onnx").code == 65
    for name in [name for name in sys.modules if name.startswith("gpu_saliency.preview.web")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = run("preview", clip, "--web")
    assert (done.code, len(done.errors)) == (69, 1)
    assert "pip install 'gpu-saliency[preview]'" in done.errors[0]
