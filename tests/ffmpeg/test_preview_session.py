"""The parts that previews share: frames by number, cached pictures, a growing track, planning, the playback clock."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import ffmpeg, make_clip
from numpy.typing import NDArray
from waiting import HANG_SECONDS, wait_until

from gpu_saliency import AnalysisSettings, RoiPolicy, build_roi_plan, load_saliency_sidecar, probe_clip
from gpu_saliency.analysis.track import SaliencyTrack, Samples
from gpu_saliency.errors import ModelError, SourceError, UsageError
from gpu_saliency.preview.dials import Dials
from gpu_saliency.preview.growing import GrowingTrack
from gpu_saliency.preview.playhead import Playhead
from gpu_saliency.preview.session import PreviewSession
from gpu_saliency.preview.web.pictures import FrameStore
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.seek import FrameReader
from gpu_saliency.source.shrink import Shrinker

JPEG_NOISE = 4.0
"""Mean difference in codes between a frame of testsrc2 and its JPEG."""


def luma_samples(frames: list[av.VideoFrame]) -> list[NDArray[np.uint8]]:
    """Every fourth luma pixel of each frame, which identifies it."""
    return [np.asarray(frame.to_ndarray(format="gray"), np.uint8)[::4, ::4] for frame in frames]


@pytest.fixture(scope="module", params=["h264.mp4", "open-gop.mkv", "mpeg2.ts", "raw.yuv", "vfr.mkv"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of 96x64 with key frames two seconds apart; ``vfr`` lacks every third frame of the first half."""
    folder = tmp_path_factory.mktemp("source")
    name: str = request.param
    path = folder / name
    if path.suffix == ".yuv":
        return make_clip(path, size="96x64", seconds=6, extra=("-pix_fmt", "yuv420p"))
    plain = make_clip(folder / "plain.mkv", size="96x64", seconds=6)
    codings: dict[str, list[object]] = {
        "h264.mp4": ["-c:v", "libx264", "-g", 48],
        "open-gop.mkv": ["-c:v", "libx264", "-x264-params", "open-gop=1:keyint=48:bframes=3"],
        "mpeg2.ts": ["-c:v", "mpeg2video", "-g", 48, "-bf", 2, "-q:v", 4],
        "vfr.mkv": ["-vf", "select=gt(n\\,72)+mod(n\\,3)", "-fps_mode", "passthrough", "-c:v", "libx264", "-g", 48],
    }
    ffmpeg("-i", plain, *codings[name], path)
    return path


@pytest.mark.parametrize("stamps", [True, False])
def test_frame_reader_returns_the_frame_of_any_number(source: Path, stamps: bool) -> None:
    """In any order, with and without time stamps: each frame equals that of a complete decode, bit for bit."""
    clip = probe_clip(source, width=96, height=64)
    tally = DecodeTally()
    wanted = luma_samples(list(decode_frames(clip, tally)))
    pts = tally.stamps()[0] if stamps else None
    reader = FrameReader(clip)
    last = len(wanted) - 1
    for number in [0, 1, 7, 100, 101, 3, 95, 96, 97, last, 0, *np.random.default_rng(1).integers(0, last, 12).tolist()]:
        assert np.array_equal(luma_samples([reader.read(number, pts)])[0], wanted[number]), number
    with pytest.raises(SourceError, match="has no frame"):
        reader.read(last + 1, pts)
    assert np.array_equal(luma_samples([reader.read(5, pts)])[0], wanted[5])
    reader.close()


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of 320x180 with a key frame every second."""
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mp4", size="320x180", seconds=4, extra=("-g", 24))


def read_jpeg(data: bytes) -> NDArray[np.uint8]:
    with av.open(io.BytesIO(data), "r") as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)


@pytest.mark.parametrize("turn", [0, 90])
def test_a_picture_is_the_jpeg_of_its_frame(clip_path: Path, tmp_path: Path, turn: int) -> None:
    path = clip_path
    if turn:
        path = tmp_path / "turned.mp4"
        ffmpeg("-display_rotation", turn, "-i", clip_path, "-c", "copy", path)
    clip = probe_clip(path)
    store = FrameStore(clip)
    assert store.size == ((320, 180) if turn == 0 else (180, 320))
    frames = list(decode_frames(clip, DecodeTally()))
    shrink = Shrinker(store.size, clip.orientation)
    for number in (1, 50, 94):
        picture = read_jpeg(store.jpeg(number, None)).astype(int)
        errors = [float(np.abs(picture - shrink(frames[at])).mean()) for at in (number - 1, number, number + 1)]
        assert errors[1] == min(errors) < JPEG_NOISE
    store.close()


def test_stepping_back_seeks_once_for_several_frames(clip_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = probe_clip(clip_path)
    tally = DecodeTally()
    frames = list(decode_frames(clip, tally))
    store = FrameStore(clip)
    store.jpeg(95, tally.stamps()[0])
    reads: list[int] = []
    read = FrameReader.read

    def counted(self: FrameReader, number: int, *more: Any) -> av.VideoFrame:
        reads.append(number)
        return read(self, number, *more)

    monkeypatch.setattr(FrameReader, "read", counted)
    shrink = Shrinker(store.size)
    for number in range(94, 60, -1):
        picture = read_jpeg(store.jpeg(number, tally.stamps()[0])).astype(int)
        errors = [float(np.abs(picture - shrink(frames[at])).mean()) for at in (number - 1, number, number + 1)]
        assert errors[1] == min(errors)
    assert len(reads) <= 34 / 9 + 2
    store.close()


def test_many_viewers_share_three_decoders_and_a_bounded_cache(clip_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = probe_clip(clip_path)
    tally = DecodeTally()
    assert len(list(decode_frames(clip, tally))) == 96
    monkeypatch.setattr("gpu_saliency.preview.web.pictures._CACHE_BYTES", 100_000)
    store = FrameStore(clip)
    numbers = np.random.default_rng(2).integers(0, 96, (8, 20))
    failures: list[BaseException] = []

    def view(frames: NDArray[np.int64]) -> None:
        try:
            for number in frames:
                assert store.jpeg(int(number), tally.stamps()[0])[:2] == b"\xff\xd8"
        except BaseException as error:  # raised again by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=view, args=(frames,)) for frames in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(store._readers) <= 3
    assert store._cache_bytes <= 100_000
    assert store._cache_bytes == sum(map(len, store._cache.values()))
    store.close()


def test_a_growing_track_is_a_prefix_of_the_complete_track(clip_path: Path) -> None:
    """After every batch: maps, activity, motion, sample numbers and time stamps."""
    growing, grown = GrowingTrack(), []

    def add(samples: object, tally: object) -> None:
        growing.add(samples, tally)  # type: ignore[arg-type]
        grown.append(growing.track())

    sidecar, _ = load_saliency_sidecar(probe_clip(clip_path), on_samples=add)
    whole = sidecar.track
    assert [len(track.sample_frame) for track in grown if track] == [4, 8, 12, 16]
    for track in grown:
        assert isinstance(track, SaliencyTrack)
        count = len(track.sample_frame)
        assert track.attention == whole.attention is not None
        for name in ("saliency", "gaze", "activity", "motion", "sample_frame"):
            assert np.array_equal(getattr(track, name), getattr(whole, name)[:count]), name
        assert whole.frame_pts is not None
        assert track.frame_pts is not None
        assert np.array_equal(track.frame_pts, whole.frame_pts[: track.frame_count])


def test_a_growing_track_restarts_with_the_analysis(clip_path: Path) -> None:
    growing = GrowingTrack()
    batches: list[tuple[Samples, DecodeTally | None]] = []
    sidecar, _ = load_saliency_sidecar(probe_clip(clip_path), on_samples=lambda *batch: batches.append(batch))
    for samples, tally in [*batches[:3], *batches]:
        growing.add(samples, tally)
    track = growing.track()
    assert track is not None
    assert np.array_equal(track.sample_frame, sidecar.track.sample_frame)
    assert np.array_equal(track.saliency, sidecar.track.saliency)
    assert track.gaze is not None
    assert sidecar.track.gaze is not None
    assert np.array_equal(track.gaze, sidecar.track.gaze)


def wait_until_finished(session: PreviewSession) -> None:
    wait_until(lambda: session.view().finished, "the end of the analysis", alive=lambda: session.view().error is None)


def test_a_session_makes_the_plans_of_encode_without_decoding_again(clip_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar, _ = load_saliency_sidecar(probe_clip(clip_path))
    with PreviewSession(probe_clip(clip_path), AnalysisSettings()) as session:
        wait_until_finished(session)
        view = session.view()
        monkeypatch.setattr("gpu_saliency.source.decode.open_clip", lambda *_: pytest.fail("decoded again"))
        for policy in (RoiPolicy(), RoiPolicy(-6, "symmetric"), RoiPolicy(aggregator="ema", ema_alpha=0.2, segments="3")):
            planned, expected = session.planner.plan(view, Dials(policy)), build_roi_plan(sidecar, policy)
            assert np.array_equal(planned.plan.qp_offset, expected.qp_offset)
            assert np.array_equal(planned.plan.segment_start, expected.segment_start)
            assert session.planner.plan(view, Dials(policy)) is planned
        with pytest.raises(UsageError, match=r"segments[= ]99"):
            session.planner.plan(view, Dials(RoiPolicy(segments="99")))


def test_a_session_writes_and_reuses_a_sidecar(clip_path: Path, tmp_path: Path) -> None:
    clip, kept = probe_clip(clip_path), tmp_path / "kept.npz"
    with PreviewSession(clip, AnalysisSettings(), kept) as session:
        wait_until_finished(session)
    assert load_saliency_sidecar(clip, path=kept)[1]
    with PreviewSession(clip, AnalysisSettings(), kept) as session:
        wait_until_finished(session)
        track = session.view().track
        assert track is not None
        assert track.frame_count == 96


def test_a_session_that_is_closed_early_leaves_no_thread(clip_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The analysis is held after its first batch until the session has been closed."""
    add = GrowingTrack.add

    def add_and_wait(self: GrowingTrack, samples: Samples, tally: DecodeTally | None) -> None:
        add(self, samples, tally)
        session._closing.wait(HANG_SECONDS)

    monkeypatch.setattr(GrowingTrack, "add", add_and_wait)
    with PreviewSession(probe_clip(clip_path), AnalysisSettings(every=1)) as session:
        wait_until(lambda: session.view().track is not None, "the first maps")
        assert not session.view().finished
        dials = Dials(RoiPolicy(segments="500"))
        assert len(session.planner.plan(session.view(), dials).plan.segment_start) <= 500
    assert not any(thread.name in ("analysis", "prefetch") for thread in threading.enumerate())


def test_a_session_reports_the_error_of_its_analysis(clip_path: Path, tmp_path: Path) -> None:
    with PreviewSession(probe_clip(clip_path), AnalysisSettings(model=tmp_path / "no.onnx")) as session:
        wait_until(lambda: session.view().error is not None, "the error")
        assert isinstance(session.view().error, ModelError)
        assert session.view().track is None


def test_the_playhead_follows_the_clips_time_stamps(clip_path: Path) -> None:
    clip = probe_clip(clip_path)
    sidecar, _ = load_saliency_sidecar(clip)
    track = sidecar.track
    head = Playhead(clip)
    assert [head.frame(100 + t, track, finished=True) for t in (0.0, 0.5, 1.0, 3.99)] == [0, 12, 24, 95]
    assert head.frame(104.1, track, finished=True) == 0, "playback restarts"
    head.toggle(105.1)
    assert [head.frame(t, track, finished=True) for t in (105.1, 130.0)] == [24, 24], "paused"
    head.step(130.0, 1)
    assert head.frame(131.0, track, finished=True) == 25
    head.step(131.0, -1)
    head.step(131.0, 99999)
    assert head.frame(131.0, track, finished=True) == 95
    head.toggle(131.0)
    assert head.frame(141.0, track, finished=False) == 95, "the last frame stays while the track grows"
    head.seek(141.0, 30)
    head.step(141.0, 2)
    assert head.frame(141.0, track, finished=False) == 32, "a seek and a step between two frames"
    head.toggle(141.0)
    head.seek(141.0, 48)
    assert [head.frame(t, track, finished=False) for t in (141.0, 142.0)] == [48, 72]
    head.skip(142.0, -1.0)
    assert head.frame(142.0, track, finished=False) == 48
