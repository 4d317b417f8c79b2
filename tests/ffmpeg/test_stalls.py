"""The stall limit ends programs and reads that make no progress; only regular files are read where files are expected."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from bad_input import stub_ffmpeg
from clips import ffmpeg, make_clip
from kills import processes_with, strays
from program import leftovers, run
from waiting import HANG_SECONDS, wait_until

from gpu_saliency.encode.ffmpeg import run_ffmpeg
from gpu_saliency.encode.piped import run_piped
from gpu_saliency.errors import EncodeError, UsageError
from gpu_saliency.process.stalls import DEFAULT_SECONDS, StallWatch, set_stall_timeout, stall_timeout


@pytest.fixture(autouse=True)
def _default_limit() -> object:
    yield
    set_stall_timeout(DEFAULT_SECONDS)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mkv", size="64x48")


_ENCODES = "if '-c:v' in a and a[-1].endswith(('.mkv', '.mp4')):\n"
_STALLS = {
    "sleeps": _ENCODES + "    import time; time.sleep(1000)\nreal()",
    "is stopped": _ENCODES + "    import signal; os.kill(os.getpid(), signal.SIGSTOP)\nreal()",
    "ignores SIGTERM": _ENCODES + "    import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)\nreal()",
    "has a child that sleeps": _ENCODES + "    import subprocess; subprocess.run(['sleep', '1000'])\nreal()",
    "repeats its report": _ENCODES
    + "    import time\n    while True: print('frame=1\\nprogress=continue', flush=True); time.sleep(0.2)\nreal()",
    "computes without end": _ENCODES + "    while True: pass\nreal()",
}


@pytest.mark.parametrize("stall", _STALLS)
def test_an_ffmpeg_that_stalls(tmp_path: Path, clip: Path, stall: str) -> None:
    stub = stub_ffmpeg(tmp_path, _STALLS[stall])
    before = {path.name for path in tmp_path.iterdir()}
    done = run("encode", "--src", clip, "--output", tmp_path / "out.mkv", "--ffmpeg-bin", stub, "--stall-timeout", 2)
    assert done.code == 74, done.err
    assert "made no progress" in done.errors[0]
    assert "--stall-timeout" in done.errors[0]
    assert leftovers(tmp_path, before) == set()
    wait_until(lambda: not processes_with(str(stub)), "ffmpeg ends")


def test_a_slow_ffmpeg_is_not_ended(tmp_path: Path, clip: Path) -> None:
    """Its start takes twice the limit, but it computes."""
    busy = "    import time; end = time.process_time() + 4\n    while time.process_time() < end: pass\n"
    stub = stub_ffmpeg(tmp_path, _ENCODES + busy + "real()")
    arguments = ["encode", "--src", clip, "--output", tmp_path / "out.mkv", "--prove", "none", "--no-equal-size"]
    done = run(*arguments, "--ffmpeg-bin", stub, "--stall-timeout", 2)
    assert done.code == 0, done.err


@pytest.mark.parametrize("stalls", ["ffmpeg", "program"])
def test_a_pipe_that_stalls(tmp_path: Path, stalls: str) -> None:
    sleeper = tmp_path / "sleeper"
    sleeper.write_text(f"#!{sys.executable}\nimport sys, time\nsys.stdin.buffer.read(10)\ntime.sleep({HANG_SECONDS})\n")
    sleeper.chmod(0o755)
    set_stall_timeout(1)
    source = ["sh", "-c", "sleep 1000"] if stalls == "ffmpeg" else ["sh", "-c", "head -c 100000000 /dev/zero >&${0#pipe:}"]
    program = ["cat"] if stalls == "ffmpeg" else [str(sleeper)]
    with pytest.raises(EncodeError, match="made no progress"):
        run_piped(source, program)


def test_the_watch_follows_notes() -> None:
    set_stall_timeout(0.5)
    stalled = threading.Event()
    with StallWatch(stalled.set) as watch:
        for i in range(20):
            watch.note("frame", str(i))
            threading.Event().wait(0.1)
        assert not stalled.is_set() or watch.stalled_seconds is not None
    set_stall_timeout(0)
    assert stall_timeout() is None
    with StallWatch(stalled.set):
        pass


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_limits_out_of_range(value: float) -> None:
    with pytest.raises(UsageError, match="stall_timeout"):
        set_stall_timeout(value)


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "9" * 400, "x"])
def test_flags_out_of_range(clip: Path, tmp_path: Path, value: str) -> None:
    done = run("encode", "--src", clip, "--output", tmp_path / "out.mkv", "--stall-timeout", value)
    assert done.code == 64
    assert len(done.errors) == 1


def test_a_run_without_output_is_no_stall() -> None:
    """ffmpeg that succeeds at once, watched or not."""
    for seconds in (0.0, 5.0):
        set_stall_timeout(seconds)
        run_ffmpeg(["true"])


def test_a_source_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    """A second of H.264, then a hole of 4 TiB: no packet comes for longer than the limit."""
    source = make_clip(tmp_path / "in.mp4", size="64x48")
    sparse = tmp_path / "sparse.h264"
    ffmpeg("-i", source, "-c", "copy", "-bsf:v", "h264_mp4toannexb", sparse)
    try:
        os.truncate(sparse, 1 << 42)
    except OSError as error:
        pytest.skip(f"no sparse file of 4 TiB here: {error.strerror}")
    done = run("encode", "--src", sparse, "--output", tmp_path / "out.mkv", "--stall-timeout", 2)
    assert done.code == 65, done.err
    assert "nothing could be read for 2 s" in done.errors[0]
    assert strays(tmp_path) == []


def _fifo(folder: Path) -> Path:
    path = folder / "fifo.npz"
    os.mkfifo(path)
    return path


_ODD: dict[str, Callable[[Path], Path]] = {
    "a FIFO": _fifo,
    "zeros": lambda _folder: Path("/dev/zero"),
    "a terminal": lambda _folder: Path("/dev/ptmx"),
    "nothing": lambda _folder: Path("/dev/null"),
    "a folder": lambda folder: folder,
}


_ROLES = ["--src", "--sidecar", "--saliency-model", "--maps", "--ref", "--mask", "--live", "FILE"]


# Devices differ from each other only for code that reads them, which each role shares.
@pytest.mark.parametrize(
    ("role", "odd"),
    [(role, odd) for role in _ROLES for odd in _ODD if odd in ("a FIFO", "zeros", "a folder") or role in ("--src", "--maps")],
)
def test_only_regular_files_are_read(tmp_path: Path, clip: Path, role: str, odd: str) -> None:
    """At once, in one line. The program runs by itself, so that a read without end would show as such."""
    if (role, odd) == ("--maps", "a folder"):
        pytest.skip("a folder of maps is allowed")
    path = _ODD[odd](tmp_path)
    encode: list[object] = ["encode", "--output", tmp_path / "out.mkv"]
    arguments: dict[str, list[object]] = {
        "--ref": ["score", "--dist", clip, "--ref", path],
        "--mask": ["score", "--dist", clip, "--ref", clip, "--maps", path],
        "--live": ["preview", path, "--live", "--web"],
        "--src": [*encode, "--src", path],
        "FILE": ["inspect", path],
    }
    given = arguments.get(role, [*encode, "--src", clip, role, path])
    command = [sys.executable, "-m", "gpu_saliency", *map(str, given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    assert done.returncode in (64, 65, 66, 73), done.stderr
    assert len(errors) == 1
    assert "Traceback" not in done.stderr
    assert strays(tmp_path) == []


def test_pictures_that_are_no_files(tmp_path: Path, clip: Path) -> None:
    """A folder of maps with a FIFO among them."""
    folder = tmp_path / "maps"
    folder.mkdir()
    os.mkfifo(folder / "0.png")
    done = run("encode", "--src", clip, "--output", tmp_path / "out.mkv", "--maps", folder)
    assert done.code == 65, done.err


def test_an_interrupted_read_is_named() -> None:
    from gpu_saliency.source.clip import libav_reason

    set_stall_timeout(7)
    assert libav_reason(av.error.ExitError(0, "x")) == "nothing could be read for 7 s"
