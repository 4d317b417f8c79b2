"""The sample that corrects the size: which frames it takes, and what it concludes from their sizes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from waiting import HANG_SECONDS

from gpu_saliency.encode.encoders import ENCODERS
from gpu_saliency.encode.sample import (
    FIRST_FRAMES,
    FURTHER_FRAMES,
    SMALL_FRAMES,
    estimated_size,
    further_windows,
    key_frame_excess,
    sample_weight,
)
from gpu_saliency.encode.workers import OnFrame, Processes, Workers


@pytest.mark.parametrize(("frames", "windows"), [(24, 0), (96, 0), (97, 3), (300, 3), (301, 1), (1999, 1), (4000, 4), (10**6, 8)])
def test_the_windows_of_a_clip(frames: int, windows: int) -> None:
    """They follow the first window without overlap, inside the clip, one in the middle of each interval after the first."""
    found = further_windows(frames, FIRST_FRAMES)
    assert len(found) == windows
    end = FIRST_FRAMES
    for number, window in enumerate(found, 1):
        assert window.frames == (2 * FURTHER_FRAMES if frames <= SMALL_FRAMES else FURTHER_FRAMES)
        assert end <= window.start
        interval = frames / (windows + 1)
        assert window.start + window.frames / 2 == pytest.approx((number + 0.5) * interval, abs=1)
        end = window.end
    assert end <= max(frames, FIRST_FRAMES)


def test_the_size_from_windows() -> None:
    """Key frames of 1000 and 600 bytes, others of 10 and 30: with 3 key frames in 100, 3 * 800 + 97 * 20."""
    assert estimated_size([[1000, 10, 10], [600, 30, 30, 30]], 100, 3) == 3 * 800 + 97 * 20
    assert estimated_size([[1000, 10, 10]], 3, 1) == 1020, "a window of the whole clip has its size"
    assert estimated_size([[1000]], 3, 1) == 1000, "a window without other frames says nothing about them"


def test_the_weight_of_a_sample() -> None:
    assert sample_weight(1, 1) == 1, "the whole clip is no estimate"
    assert sample_weight(0, 1) == pytest.approx(1 / 2)
    assert sample_weight(0, 2) == pytest.approx(2 / 3)
    assert sample_weight(0.5, 2) == pytest.approx(4 / 5)


def test_the_excess_of_key_frames() -> None:
    assert key_frame_excess([[1000, 100, 100], [600, 100]]) == pytest.approx(1 - 100 / 800)
    assert key_frame_excess([[100, 120]]) == 0, "noise: every frame is as large as a key frame"
    assert key_frame_excess([[100]]) == 0


def test_the_usual_size_rises_with_crf() -> None:
    for name in ("libx264", "libx265"):
        quality = ENCODERS[name].quality
        assert quality is not None
        assert quality.usual_octaves(quality.same_size) == 0
        assert quality.usual_octaves(quality.low) < 0 < quality.usual_octaves(quality.high)


class _StoppedError(Exception):
    pass


@pytest.mark.parametrize("obeys", [True, False])
def test_an_exception_ends_the_programs_of_other_threads(tmp_path: Path, obeys: bool) -> None:
    """Also a program that ignores SIGTERM, and work that waits in the queue never starts."""
    ready = tmp_path / "ready"
    ignore = "" if obeys else "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    code = f"import pathlib, signal, time; {ignore}pathlib.Path({str(ready)!r}).touch(); time.sleep({HANG_SECONDS})"
    started: list[subprocess.Popen[bytes]] = []

    def work(_on_frame: OnFrame, processes: Processes) -> int:
        process = subprocess.Popen([sys.executable, "-c", code])
        started.append(process)
        with processes.holding(process):
            return process.wait()

    def stop_when_ready(_frames: int) -> None:
        if ready.exists():
            raise _StoppedError

    with pytest.raises(_StoppedError), Workers(1) as workers:
        workers.results([workers.start(work), workers.start(work)], stop_when_ready)
    assert len(started) == 1
    assert started[0].returncode < 0


def test_the_exception_of_a_thread_is_passed_on() -> None:
    def fail(_on_frame: OnFrame, _processes: Processes) -> int:
        raise _StoppedError

    def last(on_frame: OnFrame, _processes: Processes) -> int:
        on_frame(7)
        return 5

    frames: list[int] = []
    with Workers(2) as workers:
        assert workers.results([workers.start(last), workers.start(last)], frames.append) == [5, 5]
        assert frames[-1] == 14
        with pytest.raises(_StoppedError):
            workers.results([workers.start(last), workers.start(fail)])
