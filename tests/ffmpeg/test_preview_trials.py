"""Trial encodes that the pages of ``preview --web`` request from its server: estimates, comparisons, and their end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from bad_input import endless_ffmpeg
from numpy.typing import NDArray
from preview_server import POLICY, Server, Viewer
from waiting import wait_until

from gpu_saliency import EncodeSettings, RoiPolicy, load_saliency_sidecar, probe_clip
from gpu_saliency.estimate import ClipEstimator
from gpu_saliency.progress import Observer


@pytest.fixture(scope="module")
def encodes(grain_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server whose encoder is fast, and the folder of its temporary files."""
    temporary = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        with Server(grain_path, "--preset", "veryfast", "--crf", 35) as server:
            yield server, temporary
    assert list(temporary.iterdir()) == []


def test_trial_encodes_for_the_page(encodes: tuple[Server, Path], grain_path: Path) -> None:
    """Progress, then sizes and VMAF, which are those of the library; then the strength."""
    server, temporary = encodes
    viewer = Viewer(server)
    hello = viewer.until("hello")
    assert (hello["quality"]["name"], hello["quality"]["crf"], hello["auto"]) == ("libx264 veryfast", 35, False)
    viewer.until("timeline", finished=True)
    viewer.send(type="measure", what="clip")
    assert viewer.until("measurement", state="running")["what"] == "clip"
    found = viewer.until("measurement", state="done")["estimate"]
    clip = probe_clip(grain_path)
    sidecar = load_saliency_sidecar(clip)[0]
    estimator = ClipEstimator(clip, EncodeSettings(preset="veryfast", crf=35))
    expected = estimator.estimate(sidecar, RoiPolicy(), None, None, Observer()).to_json()
    assert {**found, "seconds": 0} == {**expected, "seconds": 0}
    assert found["policy"] == RoiPolicy().to_json() == viewer.last["plan"]["policy"]
    viewer.send(type="measure", what="auto")
    strength = viewer.until("measurement", state="done")["strength"]
    assert strength["offset"] == estimator.find_strength(sidecar, RoiPolicy(), None, Observer()).offset
    assert list(temporary.iterdir()) == []
    viewer.close()


def test_a_moved_dial_cancels_trial_encodes(grain_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an ffmpeg that would encode for ever."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with Server(grain_path, "--ffmpeg-bin", endless_ffmpeg(tmp_path)) as server:
        viewer = Viewer(server)
        viewer.until("timeline", finished=True)
        viewer.until("plan")
        for offset, stop in ((-8, POLICY | {"offset": -9}), (-7, {"type": "cancel"}), (-6, POLICY | {"offset": -6, "crf": 20})):
            viewer.send(**POLICY | {"offset": offset})
            viewer.send(type="measure", what="clip")
            while viewer.until("measurement", state="running")["progress"] is None:
                pass
            viewer.send(**stop)
            assert viewer.until("measurement", state="cancelled")["estimate"] is None
        wait_until(lambda: list(temporary.iterdir()) == [], "the end of the trial encodes")
        viewer.send(**POLICY | {"crf": 99})
        assert "--crf 99: out of range for libx264" in viewer.until("error")["message"]
        viewer.close()


def test_a_viewer_that_leaves_cancels_its_trial_encodes(encodes: tuple[Server, Path]) -> None:
    server, temporary = encodes
    viewer = Viewer(server)
    viewer.until("timeline", finished=True)
    viewer.until("plan")
    viewer.send(**POLICY | {"offset": -11, "crf": 5})
    viewer.send(type="measure", what="clip")
    wait_until(lambda: list(temporary.iterdir()) != [], "a trial encode")
    viewer.vanish()
    wait_until(lambda: list(temporary.iterdir()) == [], "the end of the trial encodes")


def test_the_server_ends_during_trial_encodes(grain_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Server(grain_path, "--crf", 5) as server:
        viewer = Viewer(server)
        viewer.until("timeline", finished=True)
        viewer.send(type="measure", what="clip")
        wait_until(lambda: list(tmp_path.iterdir()) != [], "a trial encode")
    assert list(tmp_path.iterdir()) == []
    viewer.close()


def luma(jpeg: bytes) -> NDArray[np.float64]:
    frame = next(iter(av.CodecContext.create("mjpeg", "r").decode(av.Packet(jpeg))))
    assert isinstance(frame, av.VideoFrame)
    return frame.to_ndarray(format="gray").astype(float)


def test_a_comparison_for_the_page(encodes: tuple[Server, Path]) -> None:
    """The frames of the second around the shown one, of both encodes, near the source's; the sizes are those of the encodes."""
    server, temporary = encodes
    viewer = Viewer(server)
    viewer.until("timeline", finished=True)
    viewer.until("plan")
    shown = viewer.pause_at(30)
    viewer.send(type="measure", what="compare")
    found = viewer.until("measurement", state="done")["comparison"]
    assert (found["first"], found["frames"], found["policy"]) == (18, 24, RoiPolicy().to_json())
    assert abs(found["size_change"]) < 0.3  # one second of a small clip, without the size correction
    assert found["size_change"] == pytest.approx(found["planned_bytes"] / found["plain_bytes"] - 1)
    pairs = [viewer.until("pair") for _ in range(24)]
    assert [pair["frame"] for pair in pairs] == list(range(18, 42))
    body, at = pairs[12]["body"], pairs[12]["plain"]
    plain, planned, source = luma(body[:at]), luma(body[at:]), luma(shown.jpeg)
    assert plain.shape == planned.shape == source.shape
    assert not np.array_equal(plain, planned)
    for other in (plain, planned):
        assert 0.5 < np.abs(other - source).mean() < 12
    assert list(temporary.iterdir()) == []
    for _ in range(10):  # on a fast machine it may be done before the page moves on
        viewer.send(type="measure", what="compare")
        state = viewer.until("measurement")["state"]
        viewer.send(type="seek", number=5)  # who has moved on wants no comparison
        while state in ("waiting", "running"):
            state = viewer.until("measurement")["state"]
        if state == "cancelled":
            break
    assert state == "cancelled"
    wait_until(lambda: list(temporary.iterdir()) == [], "the end of the trial encodes")
    viewer.close()
