"""Live sources of ``preview``: the latest frame is shown, slow viewers skip frames, and lost URLs are opened again."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ffmpeg, make_clip
from live_stream import RATE, free_port, make_stream, sending, udp_url, until_status
from preview_server import Server, Viewer
from program import run
from terminal import Terminal
from waiting import HANG_SECONDS, wait_until

from gpu_saliency.analysis.cpu import CpuDevice
from gpu_saliency.analysis.cuda.probe import probe
from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.errors import SourceError
from gpu_saliency.model.onnx import SaliencyModel
from gpu_saliency.preview.live import relay
from gpu_saliency.preview.live import session as live_session
from gpu_saliency.preview.live.pace import Pacer
from gpu_saliency.preview.live.reader import LatestFrame, LiveReader
from gpu_saliency.preview.live.source import is_live, name_of, reconnects

FLAT = 6 << 20
"""Bytes by which a server's memory may grow. Queued pictures would exceed it: 72 of 24 kB for each of 5 viewers are 8.6 MB."""
PICTURES = 72


class FakeClock:
    """A clock that only waiting moves forward."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of 320x180 as MPEG-TS."""
    return make_stream(tmp_path_factory.mktemp("stream"), seconds=4)


def test_names_of_sources() -> None:
    live = ("-", "udp://host:1", "rtsp://host/x")
    assert all(is_live(source) for source in live)
    assert not any(is_live(source) for source in ("clip.mp4", "/a:b/c.mkv"))
    assert name_of("rtsp://me:secret@host/x@y") == "rtsp://host/x@y"
    assert name_of("-") == "stdin"
    assert reconnects("srt://host:1")
    assert not reconnects("-")
    assert not reconnects("growing.ts")


def test_a_growing_file_is_followed(stream: Path, tmp_path: Path) -> None:
    """The file gets its second part after the first part has been shown: each frame is shown after it was written."""
    data, path = stream.read_bytes(), tmp_path / "growing.ts"
    half = len(data) // 2
    path.write_bytes(data[:half])
    with Server(path, "--live") as server:
        viewer = Viewer(server)
        assert viewer.until("hello")["live"] is True
        viewer.picture_from(RATE)
        assert until_status(viewer, "no frame for").startswith("live, but no frame for")
        assert max(viewer.frames) < 3 * RATE, "half of the data holds half of the frames"
        with path.open("ab") as file:
            file.write(data[half:])
        picture = viewer.picture_from(3 * RATE)
        assert viewer.frames == sorted(viewer.frames)
        assert picture.saliency.shape == (12, 20)
        assert picture.facts["age_ms"] >= 0
        viewer.send(type="policy", offset=-7, mapping="symmetric", aggregator="max", ema_alpha=0.6, segments="clip")
        assert viewer.until("plan", segments=1)["policy"]["offset"] == -7
        viewer.send(type="toggle")
        while viewer.picture().facts["playing"]:
            pass
        viewer.send(type="policy", offset=-6, mapping="symmetric", aggregator="max", ema_alpha=0.6, segments="clip")
        held = viewer.frames[-1]
        viewer.until("plan", segments=1)
        assert viewer.picture().facts["frame"] == held, "a new plan redraws the frame of the pause"
        viewer.close()


def test_the_status_of_an_ended_source_and_its_last_frame(stream: Path) -> None:
    with stream.open("rb") as file, Server("-", stdin=file) as server:
        viewer = Viewer(server)
        assert until_status(viewer, "ended") == "ended: end of stream"
        viewer.picture_from(4 * RATE - 3)
        viewer.close()


def test_files_are_read_in_real_time(stream: Path) -> None:
    """On a clock that only waiting moves, each frame arrives at its own time."""
    clock, arrivals = FakeClock(), []
    with LiveReader(str(stream), clock.now, clock.wait) as reader:
        put = reader._put

        def record(frame: av.VideoFrame) -> None:
            arrivals.append((frame.time, clock.seconds))
            put(frame)
            if len(arrivals) == 2 * RATE:
                reader._closing.set()

        reader._put = record  # type: ignore[method-assign]
        wait_until(lambda: len(arrivals) >= 2 * RATE, "two seconds of frames")
    times, seen = np.array(arrivals, np.float64).T
    assert np.allclose(np.diff(times), np.diff(seen), atol=1e-6)
    assert times[-1] - times[0] > 1.5


class NumberedReader(LiveReader):
    """Delivers the first frame of a source twelve times, each time when the analysis asks for it."""

    def wait_for(self, after: int, seconds: float) -> LatestFrame | None:
        if after == 11:
            self._closing.wait(seconds)
            return None
        return LatestFrame(after + 1, self.latest().frame, 0.0)


def test_the_analysis_keeps_the_last_seconds(stream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a window of 0.1 s and at 80 maps per second, eight maps are kept."""
    monkeypatch.setattr(live_session, "WINDOW_SECONDS", Fraction(1, 10))
    model = SaliencyModel(AnalysisSettings().model)
    with NumberedReader(str(stream)) as reader, live_session.LiveSession(reader, CpuDevice(), model, Fraction(80)) as session:
        wait_until(lambda: session.view().first_frame == 4, "the twelfth map")
        view = session.view()
        assert view.track is not None
        assert view.track.sample_frame.tolist() == list(range(8))
        assert view.track.gaze is not None
        assert view.track.gaze.shape == view.track.saliency.shape
        assert view.track.attention == model.attention is not None


def test_a_url_that_stops_sending_is_opened_again(stream: Path) -> None:
    receiver, sender_url = udp_url()
    with contextlib.ExitStack() as stack:
        sender = stack.enter_context(sending(stream, sender_url))
        server = stack.enter_context(Server(receiver))
        viewer = Viewer(server)
        before = viewer.picture_with_map().facts["frame"]
        until_status(viewer, "live")
        sender.kill()
        assert "no data" in until_status(viewer, "lost")
        stack.enter_context(sending(stream, sender_url))
        until_status(viewer, "live")
        assert viewer.picture_from(before + 10)
        viewer.close()


def test_silent_viewers_of_a_live_source_cost_no_memory(stream: Path) -> None:
    receiver, sender_url = udp_url()
    with sending(stream, sender_url), Server(receiver) as server:
        good = Viewer(server)
        good.picture_with_map()
        silent = [Viewer(server) for _ in range(5)]  # they acknowledge nothing
        before = server.memory()
        for _ in range(PICTURES):
            good.picture()
        assert server.memory() - before < FLAT
        good.close()
        for viewer in silent:
            viewer.vanish()


def test_a_change_of_size_ends_the_source(stream: Path, tmp_path: Path) -> None:
    """Two streams of different sizes in one file."""
    other = make_clip(tmp_path / "other.mkv", size="160x96", seconds=1)
    ffmpeg("-i", other, "-c:v", "libx264", "-g", 12, tmp_path / "other.ts")
    ffmpeg("-i", stream, "-t", 1, "-c", "copy", tmp_path / "first.ts")
    both = tmp_path / "both.ts"
    both.write_bytes((tmp_path / "first.ts").read_bytes() + (tmp_path / "other.ts").read_bytes())
    clock = FakeClock()
    with LiveReader(str(both), clock.now, clock.wait) as reader:
        wait_until(lambda: reader.status().startswith("ended"), "the end of the source")
        assert reader.status() == "ended: the size has changed to 160x96; restart the preview"
        assert (reader.latest().frame.width, reader.clip.width) == (320, 320)


def test_a_live_source_in_the_terminal(stream: Path) -> None:
    """The source does not end: of a short one, a slow machine shows only the last frame."""
    receiver, sender_url = udp_url()
    with sending(stream, sender_url), Terminal(receiver) as terminal:
        terminal.until(lambda text: "  live" in text and len(set(re.findall(r"frame (\d+) ", text))) > 3)
        terminal.press(b" ")
        terminal.until(lambda text: "paused" in text)
        terminal.press(b"q")
        assert terminal.end() == 0
        assert b"Traceback" not in terminal.written


def test_the_pacer_restarts_its_clock_when_the_source_jumps() -> None:
    pacer = Pacer(lambda: 0.0)
    assert pacer.due_in(10.0, 1000, 0) == 0.0
    assert pacer.due_in(10.5, 1500, 0) == 0.5
    assert pacer.due_in(11.0, 2000, 50_000) == 0.0, "far behind: more than four seconds are unread"
    assert pacer.due_in(12.0, 3000, 0) == 1.0
    assert pacer.due_in(500.0, 4000, 0) == 0.0, "the time stamps have jumped"


def refused(*arguments: object, code: int, words: str) -> None:
    done = run("preview", *arguments)
    assert (done.code, len(done.errors)) == (code, 1), done.err
    assert words in done.errors[0]


def test_unusable_sources_and_options(tmp_path: Path, stream: Path) -> None:
    refused(tmp_path / "no.ts", "--live", "--web", code=66, words="no.ts: no such file")
    refused(tmp_path, "--live", "--web", code=65, words="is not a regular file")
    url = f"tcp://127.0.0.1:{free_port()}"
    refused(url, "--web", code=65, words=f"{url}: cannot be opened: Connection refused")
    refused("gopher://host/x", "--web", code=65, words="gopher is not a live protocol")
    refused("file:///etc/passwd", "--web", code=65, words="file is not a live protocol")
    refused(url, "--output", tmp_path / "o.mp4", code=64, words="--output: does not apply to a live source")
    refused(stream, "--live", "--web", "--sidecar", tmp_path / "s.npz", code=64, words="--sidecar: does not apply to a live source")
    for flags in (("--crf", 30), ("--encoder", "libx265"), ("--maps", tmp_path), ("--max-vmaf-loss", 1)):
        refused(stream, "--live", "--web", *flags, code=64, words=f"{flags[0]}: does not apply to a live source")
    words = "--saliency-offset auto: needs trial encodes of a file, not of a live source"
    refused(stream, "--live", "--web", "--saliency-offset", "auto", code=64, words=words)
    if probe().driver_error is not None:
        refused(stream, "--live", "--web", "--device", "cuda", code=69, words="--device cuda: there is no NVIDIA driver")
    refused(stream, "--live", "--web", "--analysis-fps", 0, code=64, words="--analysis-fps 0: out of range")


@contextlib.contextmanager
def srt_listener(stream: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    with sending(stream, f"srt://127.0.0.1:{port}?mode=listener") as process:
        yield process


def test_srt_is_read_through_another_ffmpeg(stream: Path) -> None:
    """A sender that listens; after its end the server waits for the next one."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        sender = stack.enter_context(srt_listener(stream, port))
        server = stack.enter_context(Server(f"srt://127.0.0.1:{port}"))
        viewer = Viewer(server)
        assert viewer.until("hello")["live"] is True
        viewer.picture_with_map()
        until_status(viewer, "live")
        sender.kill()
        sender.wait()
        until_status(viewer, "trying again")
        stack.enter_context(srt_listener(stream, port))
        until_status(viewer, "live")
        viewer.close()


def test_an_error_of_another_ffmpeg_hides_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "OPEN_SECONDS", 1.0)
    done = run("preview", f"srt://me:secret@127.0.0.1:{free_port()}", "--web")
    assert (done.code, "secret" in done.err) == (65, False)
    assert "cannot be opened: " in done.errors[0]


def test_a_protocol_that_pyav_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of libavformat for a missing protocol, whichever protocols this build has."""

    def lacking(source: str, *_: object, **__: object) -> None:
        raise av.error.ProtocolNotFoundError(-1330794744, "Protocol not found", source)

    monkeypatch.setattr(av, "open", lacking)
    refused(
        "rtmp://me:secret@host:1", "--web", code=65, words="ffmpeg -i rtmp://host:1 -c copy -f mpegts - | gpu-saliency preview -"
    )


def test_a_pipe_without_video(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", tmp_path / "sound.mkv")
    command = [sys.executable, "-m", "gpu_saliency", "preview", "-", "--web"]
    (tmp_path / "text.ts").write_text("hello " * 99)
    for name, words in (("sound.mkv", "has no video stream"), ("text.ts", "stdin: cannot be opened: ")):
        with (tmp_path / name).open("rb") as file:
            done = subprocess.run(command, stdin=file, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (65, False), done.stderr
        assert words in done.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.ts", b""),
        ("text.txt", b"hello\n"),
        ("note.mp4", b"not a video, only a note of some words"),
        ("picture.bmp", b"BM" + bytes(30)),
        ("zeros.mkv", bytes(5000)),
        ("head.mkv", None),
    ],
)
def test_a_file_without_a_picture_that_does_not_grow_ends_in_one_line(
    stream: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    """After the stall limit, in the terminal and on a page; ``None``: the beginning of a video."""
    if content is None:
        ffmpeg("-i", stream, "-c", "copy", tmp_path / "whole.mkv")
        content = (tmp_path / "whole.mkv").read_bytes()[:600]
    (tmp_path / name).write_bytes(content)
    before = {path.name for path in tmp_path.iterdir()}
    command = [sys.executable, "-m", "gpu_saliency", "preview", name, "--live", "--web", "--stall-timeout", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    assert (done.returncode, len(errors)) == (65, 1), done.stderr
    assert name in errors[0]
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_a_pipe_that_stays_open_and_sends_no_picture_ends_in_one_line(content: bytes) -> None:
    command = [sys.executable, "-m", "gpu_saliency", "preview", "-", "--web", "--stall-timeout", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(content)
        process.stdin.flush()
        assert process.wait(HANG_SECONDS) == 65
        errors = [line for line in process.stderr.read().splitlines() if line.startswith(b"ERROR")]
    assert len(errors) == 1
    assert f"no picture in its {len(content)} bytes, and no further bytes for 1 s".encode() in errors[0]


def test_a_file_that_never_becomes_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader waits for more of the file until it is closed."""
    (tmp_path / "junk.ts").write_bytes(b"junk" * 1000)
    reader = LiveReader(str(tmp_path / "junk.ts"))
    wait = threading.Event.wait

    def close_at_first_wait(event: threading.Event, timeout: float | None = None) -> bool:
        if event is reader._closing:
            event.set()
        return wait(event, timeout)

    monkeypatch.setattr(threading.Event, "wait", close_at_first_wait)
    with pytest.raises(SourceError, match="cannot be opened"):
        reader.__enter__()
