"""Live sources of ``preview``: what came last is shown, and nothing is kept waiting; a source that is lost is tried again."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from browser import Page, chromium
from preview_server import Server, Viewer
from support import FFMPEG, ffmpeg, make_clip, run
from terminal import Terminal

from gpu_saliency.errors import SourceError
from gpu_saliency.preview.live.feed import LiveFeed, _Pace
from gpu_saliency.preview.live.sources import is_live, name_of, reconnects

RATE = 24
FLAT = 24 << 20


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of 320x180 as MPEG-TS, with a key frame every half second."""
    folder = tmp_path_factory.mktemp("stream")
    clip = make_clip(folder / "clip.mkv", size="320x180", seconds=20)
    ffmpeg("-i", clip, "-c:v", "libx264", "-preset", "ultrafast", "-g", 12, "-bf", 0, folder / "stream.ts")
    return folder / "stream.ts"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextlib.contextmanager
def sending(stream: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """An ffmpeg that sends the stream at its own pace, over and over."""
    command = [FFMPEG, "-v", "error", "-re", "-stream_loop", "-1", "-i", str(stream), "-c", "copy", "-f", "mpegts", url]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until_words(viewer: Viewer, words: str, seconds: float = 30) -> str:
    """The state of the source once it has ``words``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        viewer.hear()
        state = viewer.told.get("timeline", {}).get("live") or ""
        if words in state:
            return str(state)
    raise AssertionError(viewer.told["timeline"]["live"])


def test_what_is_live() -> None:
    assert [is_live(source) for source in ("-", "udp://host:1", "rtsp://host/x", "clip.mp4", "/a:b/c.mkv")] == [True] * 3 + [
        False
    ] * 2
    assert name_of("rtsp://me:secret@host/x@y") == "rtsp://host/x@y"
    assert name_of("-") == "stdin"
    assert reconnects("srt://host:1")
    assert not reconnects("-")
    assert not reconnects("growing.ts")


def test_a_growing_file_is_followed(stream: Path, tmp_path: Path) -> None:
    """It grows by a tenth of a second of its 20 s at a time; frames come as they are written, and not before."""
    data, path = stream.read_bytes(), tmp_path / "growing.ts"
    path.write_bytes(data[: len(data) // 20])
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            for tenth in range(10, 200):
                if stop.wait(0.1):
                    return
                file.write(data[tenth * len(data) // 200 : (tenth + 1) * len(data) // 200])

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with Server(path, "--live") as server:
            viewer = Viewer(server)
            assert viewer.until("hello")["live"] is True
            began = time.monotonic()
            while time.monotonic() - began < 8:
                shown = viewer.picture()
            assert viewer.frames == sorted(viewer.frames)
            assert 4 * RATE < viewer.frames[-1] < 20 * RATE
            assert shown.saliency.shape == (12, 20)
            assert shown.facts["age_ms"] < 1000
            assert viewer.told["timeline"]["live"] == "live"
            # Of the past, what plans are made from is ten seconds at most.
            assert viewer.told["timeline"]["maps"] <= 40
            viewer.say(type="policy", offset=-7, mapping="symmetric", aggregator="max", ema_alpha=0.6, segments="clip")
            assert viewer.until("plan", segments=1)["policy"]["offset"] == -7
            viewer.say(type="toggle")
            while viewer.picture().facts["playing"]:
                pass
            held = {viewer.picture().facts["frame"] for _ in range(3)}  # drawn again with each new plan, and it stays
            assert len(held) == 1
            stop.set()
            until_words(viewer, "no frame has come")
            viewer.close()
    finally:
        stop.set()
        writer.join()


def test_stdin_is_played_at_its_own_pace_to_its_end(stream: Path, tmp_path: Path) -> None:
    """All of it is in the pipe at once; it is not read faster than it is shown."""
    short = tmp_path / "short.ts"
    ffmpeg("-i", stream, "-t", 5, "-c", "copy", short)
    command = [sys.executable, "-m", "gpu_saliency", "preview", "-", "--web"]
    with short.open("rb") as file:
        process = subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    server = Server.__new__(Server)
    server.process, server.url = process, process.stdout.readline().strip()
    viewer = Viewer(server)
    first = viewer.picture().facts["frame"]
    began = time.monotonic()
    while (last := viewer.picture().facts["frame"]) < first + 2 * RATE:
        pass
    taken = time.monotonic() - began
    assert abs((last - first) / RATE - taken) < 0.8, (first, last, taken)
    assert until_words(viewer, "ended") == "ended: it has ended"
    assert max(viewer.frames) >= 5 * RATE - 3
    viewer.close()
    code, said = server.end()
    assert (code, "Traceback" in said) == (0, False)


def test_a_url_that_dies_midway_is_said_and_tried_again(stream: Path) -> None:
    url = f"udp://127.0.0.1:{free_port()}"
    with contextlib.ExitStack() as stack:
        sender = stack.enter_context(sending(stream, url + "?pkt_size=1316"))
        server = stack.enter_context(Server(url))
        viewer = Viewer(server)
        while not viewer.picture().saliency.size:
            pass
        before = viewer.picture().facts["frame"]
        assert viewer.told["timeline"]["live"] == "live"
        sender.kill()
        assert "it says nothing" in until_words(viewer, "lost")
        stack.enter_context(sending(stream, url + "?pkt_size=1316"))
        until_words(viewer, "live")
        while (after := viewer.picture().facts["frame"]) <= before + 10:
            pass
        assert after > before
        viewer.close()


def test_viewers_of_a_live_source_that_stall_take_no_memory(stream: Path) -> None:
    url = f"udp://127.0.0.1:{free_port()}"
    with sending(stream, url + "?pkt_size=1316"), Server(url) as server:
        good = Viewer(server)
        while not good.picture().saliency.size:
            pass
        deaf = [Viewer(server) for _ in range(5)]  # they read a little, and never say that they have drawn it
        before = server.memory()
        began = time.monotonic()
        good.frames.clear()
        while time.monotonic() - began < 6:
            good.picture()
        assert len(good.frames) > 6 * RATE * 0.5
        assert server.memory() - before < FLAT
        good.close()
        for viewer in deaf:
            viewer.vanish()


def test_a_source_of_another_size_ends_it(stream: Path, tmp_path: Path) -> None:
    """Two streams in one pipe, of two sizes."""
    other = make_clip(tmp_path / "other.mkv", size="160x96", seconds=2)
    ffmpeg("-i", other, "-c:v", "libx264", "-g", 12, tmp_path / "other.ts")
    ffmpeg("-i", stream, "-t", 2, "-c", "copy", tmp_path / "first.ts")
    both = tmp_path / "both.ts"
    both.write_bytes((tmp_path / "first.ts").read_bytes() + (tmp_path / "other.ts").read_bytes())
    with LiveFeed(str(both)) as feed:
        deadline = time.monotonic() + 30
        while not feed.words().startswith("ended") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert feed.words() == "ended: its size has changed to 160x96; start anew"
        assert (feed.newest().frame.width, feed.clip.width) == (320, 320)


def test_a_live_source_in_the_terminal(stream: Path) -> None:
    terminal = Terminal(stream, "--live")
    terminal.until(lambda text: "  live" in text and len(set(re.findall(r"frame (\d+)", text))) > 3)
    terminal.press(b" ")
    terminal.until(lambda text: "paused" in text)
    terminal.press(b"q")
    assert terminal.end() == 0
    assert b"Traceback" not in terminal.written


def test_a_live_source_in_the_browser(stream: Path, tmp_path: Path) -> None:
    url = f"udp://127.0.0.1:{free_port()}"
    with contextlib.ExitStack() as stack:
        sender = stack.enter_context(sending(stream, url + "?pkt_size=1316"))
        server = stack.enter_context(Server(url))
        page = Page(stack.enter_context(chromium(tmp_path / "profile")), server.url)
        page.wait(lambda: page.data().get("state") == "live" and "policy" in page.data())
        assert page.text("state") == "Live"
        assert page.text("name") == url
        for name in ("seek", "first", "back", "forward", "command"):
            assert not page.element(name).is_displayed()
        page.set("heat", 0)
        page.set("grid", 100)
        before = page.picture()
        page.wait(lambda: int(page.data()["frame"]) > RATE and not np.array_equal(page.picture(), before))
        page.element("play").click()
        page.wait(lambda: page.data()["playing"] == "false")
        before = page.picture()
        page.set("offset", 9)
        page.wait(lambda: '"offset": 9' in page.data()["policy"] or '"offset":9' in page.data()["policy"])
        page.wait(lambda: not np.array_equal(page.picture(), before))
        sender.kill()
        page.wait(lambda: page.text("state").startswith("Lost (it says nothing)"))
        assert page.console() == []
        page.chrome.get("about:blank")


def test_the_clock_of_a_file() -> None:
    pace = _Pace()
    assert pace.due_in(10.0, 1000, 0) == 0.0
    assert 0.4 < pace.due_in(10.5, 1500, 0) <= 0.5
    assert pace.due_in(11.0, 2000, 50_000) == 0.0, "it is far behind"
    assert 0.9 < pace.due_in(12.0, 3000, 0) <= 1.0
    assert pace.due_in(500.0, 4000, 0) == 0.0, "its clock has jumped"


def refused(*arguments: object, code: int, words: str) -> None:
    done = run("preview", *arguments)
    assert (done.code, len(done.errors)) == (code, 1), done.err
    assert words in done.errors[0]


def test_bad_sources(tmp_path: Path, stream: Path) -> None:
    refused(tmp_path / "no.ts", "--live", "--web", code=66, words="no.ts: no such file")
    refused(tmp_path, "--live", "--web", code=65, words="is not a regular file")
    url = f"tcp://127.0.0.1:{free_port()}"
    refused(url, "--web", code=65, words=f"{url}: cannot be opened: Connection refused")
    refused("gopher://host/x", "--web", code=65, words="gopher is no live source")
    refused("file:///etc/passwd", "--web", code=65, words="file is no live source")
    refused(url, "--output", tmp_path / "o.mp4", code=64, words="--output: does not apply to a live source")
    refused(stream, "--live", "--web", "--sidecar", tmp_path / "s.npz", code=64, words="--sidecar: does not apply to a live source")
    refused(
        stream, "--live", "--web", "--device", "cuda", code=64, words="--device cuda: live sources are analysed on the CPU only"
    )
    refused(stream, "--live", "--web", "--analysis-fps", 0, code=64, words="--analysis-fps 0: out of range")


def test_srt_comes_through_another_ffmpeg(stream: Path) -> None:
    """A sender that listens; when it goes the page says so, and when another comes it goes on."""
    port = free_port()

    def send() -> subprocess.Popen[bytes]:
        command = [FFMPEG, "-v", "error", "-re", "-i", str(stream), "-c", "copy", "-f", "mpegts"]
        return subprocess.Popen([*command, f"srt://127.0.0.1:{port}?mode=listener"], stdin=subprocess.DEVNULL)

    sender = send()
    try:
        with Server(f"srt://127.0.0.1:{port}") as server:
            viewer = Viewer(server)
            assert viewer.until("hello")["live"] is True
            while not viewer.picture().saliency.size:
                pass
            until_words(viewer, "live")
            sender.kill()
            sender.wait()
            until_words(viewer, "trying again")
            sender = send()
            until_words(viewer, "live")
            viewer.close()
    finally:
        sender.kill()
        sender.wait()
    refused(f"srt://me:secret@127.0.0.1:{free_port()}", "--web", code=65, words="cannot be opened: ")


def test_a_protocol_that_pyav_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever that is in this build: libavformat's own words are what counts."""

    def lacking(source: str, *_: object, **__: object) -> None:
        raise av.error.ProtocolNotFoundError(-1330794744, "Protocol not found", source)

    monkeypatch.setattr(av, "open", lacking)
    refused(
        "rtmp://me:secret@host:1", "--web", code=65, words="ffmpeg -i rtmp://host:1 -c copy -f mpegts - | gpu-saliency preview -"
    )


def test_a_pipe_with_no_video_in_it(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", tmp_path / "sound.mkv")
    command = [sys.executable, "-m", "gpu_saliency", "preview", "-", "--web"]
    (tmp_path / "text.ts").write_text("hello " * 99)
    for name, words in (("sound.mkv", "has no video stream"), ("text.ts", "stdin: cannot be opened: ")):
        with (tmp_path / name).open("rb") as file:
            done = subprocess.run(command, stdin=file, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (65, False), done.stderr
        assert words in done.stderr


def test_a_file_of_junk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "junk.ts").write_bytes(b"junk" * 1000)
    feed = LiveFeed(str(tmp_path / "junk.ts"))
    threading.Timer(3, feed._closing.set).start()  # it may still become a video: it would wait for that
    with pytest.raises(SourceError, match="cannot be opened"):
        feed.__enter__()
