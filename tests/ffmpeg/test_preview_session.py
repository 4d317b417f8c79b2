"""The parts that live previews share: frames by number, pictures for many, a track while it grows, the clock."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from support import ffmpeg, make_clip

from gpu_saliency import AnalysisSettings, RoiPolicy, build_roi_plan, load_saliency_sidecar, probe_clip
from gpu_saliency.analysis.track import SaliencyTrack, Samples
from gpu_saliency.errors import ModelError, SourceError, UsageError
from gpu_saliency.preview.growing import GrowingTrack
from gpu_saliency.preview.playhead import Playhead
from gpu_saliency.preview.session import PreviewSession
from gpu_saliency.preview.web.pictures import FrameStore
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.seek import FrameReader
from gpu_saliency.source.shrink import Shrinker

JPEG_NOISE = 4.0
"""Mean difference in codes that a JPEG of this quality leaves on testsrc2."""


def marks(frames: list[av.VideoFrame]) -> list[NDArray[np.uint8]]:
    return [np.asarray(frame.to_ndarray(format="gray"), np.uint8)[::4, ::4] for frame in frames]


@pytest.fixture(scope="module", params=["h264.mp4", "open-gop.mkv", "mpeg2.ts", "raw.yuv", "vfr.mkv"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of 96x64, with key frames two seconds apart; of the last, every third frame of the first half is gone."""
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
def test_any_frame_is_found_by_its_number(source: Path, stamps: bool) -> None:
    """In any order, with time stamps and without; the pictures are those of the whole decode, bit for bit."""
    clip = probe_clip(source, width=96, height=64)
    tally = DecodeTally()
    wanted = marks(list(decode_frames(clip, tally)))
    pts = tally.frame_pts() if stamps else None
    reader = FrameReader(clip)
    last = len(wanted) - 1
    for number in [0, 1, 7, 100, 101, 3, 95, 96, 97, last, 0, *np.random.default_rng(1).integers(0, last, 12).tolist()]:
        assert np.array_equal(marks([reader.read(number, pts)])[0], wanted[number]), number
    with pytest.raises(SourceError, match="has no frame"):
        reader.read(last + 1, pts)
    assert np.array_equal(marks([reader.read(5, pts)])[0], wanted[5])
    reader.close()


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of 320x180, with key frames every second."""
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mp4", size="320x180", seconds=4, extra=("-g", 24))


def read_jpeg(data: bytes) -> NDArray[np.uint8]:
    with av.open(io.BytesIO(data), "r") as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)


@pytest.mark.parametrize("turn", [0, 90])
def test_pictures_are_those_of_the_clip(clip_path: Path, tmp_path: Path, turn: int) -> None:
    path = clip_path
    if turn:
        path = tmp_path / "turned.mp4"
        ffmpeg("-display_rotation", turn, "-i", clip_path, "-c", "copy", path)
    clip = probe_clip(path)
    store = FrameStore(clip)
    assert store.size == ((320, 180) if turn == 0 else (180, 320))
    frames = list(decode_frames(clip, DecodeTally()))
    shrink = Shrinker(store.size, clip.rotation)
    for number in (1, 50, 94):
        picture = read_jpeg(store.jpeg(number, None)).astype(int)
        errors = [float(np.abs(picture - shrink(frames[at])).mean()) for at in (number - 1, number, number + 1)]
        assert errors[1] == min(errors) < JPEG_NOISE
    store.close()


def test_going_back_frame_by_frame_jumps_seldom(clip_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = probe_clip(clip_path)
    tally = DecodeTally()
    frames = list(decode_frames(clip, tally))
    store = FrameStore(clip)
    store.jpeg(95, tally.frame_pts())
    reads: list[int] = []
    read = FrameReader.read

    def counted(self: FrameReader, number: int, *more: Any) -> av.VideoFrame:
        reads.append(number)
        return read(self, number, *more)

    monkeypatch.setattr(FrameReader, "read", counted)
    shrink = Shrinker(store.size)
    for number in range(94, 60, -1):
        picture = read_jpeg(store.jpeg(number, tally.frame_pts())).astype(int)
        errors = [float(np.abs(picture - shrink(frames[at])).mean()) for at in (number - 1, number, number + 1)]
        assert errors[1] == min(errors)
    assert len(reads) <= 34 / 9 + 2
    store.close()


def test_viewers_at_many_places_share_few_decoders(clip_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = probe_clip(clip_path)
    tally = DecodeTally()
    assert len(list(decode_frames(clip, tally))) == 96
    monkeypatch.setattr("gpu_saliency.preview.web.pictures._CACHE_BYTES", 100_000)
    store = FrameStore(clip)
    numbers = np.random.default_rng(2).integers(0, 96, (8, 20))
    failures: list[BaseException] = []

    def look(mine: NDArray[np.int64]) -> None:
        try:
            for number in mine:
                assert store.jpeg(int(number), tally.frame_pts())[:2] == b"\xff\xd8"
        except BaseException as error:  # pytest must see it
            failures.append(error)

    threads = [threading.Thread(target=look, args=(mine,)) for mine in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(store._readers) <= 3
    assert store._kept_bytes <= 100_000
    assert store._kept_bytes == sum(map(len, store._kept.values()))
    store.close()


def test_a_growing_track_is_the_beginning_of_the_whole(clip_path: Path) -> None:
    """Maps, motion, times and cuts, at every batch."""
    live, grown = GrowingTrack(), []

    def add(samples: object, tally: object) -> None:
        live.add(samples, tally)  # type: ignore[arg-type]
        grown.append(live.track())

    sidecar, _ = load_saliency_sidecar(probe_clip(clip_path), on_samples=add)
    whole = sidecar.track
    assert [len(track.sample_frame) for track in grown if track] == [4, 8, 12, 16]
    for track in grown:
        assert isinstance(track, SaliencyTrack)
        count = len(track.sample_frame)
        for name in ("saliency", "activity", "motion", "sample_frame"):
            assert np.array_equal(getattr(track, name), getattr(whole, name)[:count]), name
        assert whole.frame_pts is not None
        assert track.frame_pts is not None
        assert np.array_equal(track.frame_pts, whole.frame_pts[: track.frame_count])


def test_an_analysis_that_begins_anew_is_followed(clip_path: Path) -> None:
    live = GrowingTrack()
    batches: list[tuple[Samples, DecodeTally | None]] = []
    sidecar, _ = load_saliency_sidecar(probe_clip(clip_path), on_samples=lambda *batch: batches.append(batch))
    for samples, tally in [*batches[:3], *batches]:
        live.add(samples, tally)
    track = live.track()
    assert track is not None
    assert np.array_equal(track.sample_frame, sidecar.track.sample_frame)
    assert np.array_equal(track.saliency, sidecar.track.saliency)


def finished(session: PreviewSession) -> None:
    deadline = time.monotonic() + 60
    while not session.view().finished:
        assert session.view().error is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_session_plans_what_encode_plans_and_decodes_nothing_again(clip_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar, _ = load_saliency_sidecar(probe_clip(clip_path))
    with PreviewSession(probe_clip(clip_path), AnalysisSettings()) as session:
        finished(session)
        view = session.view()
        monkeypatch.setattr("gpu_saliency.source.decode.open_clip", lambda *_: pytest.fail("it decoded again"))
        for policy in (RoiPolicy(), RoiPolicy(-6, "symmetric"), RoiPolicy(aggregator="ema", ema_alpha=0.2, segments="3")):
            mine, encodes = session.planner.plan(view, policy), build_roi_plan(sidecar, policy)
            assert np.array_equal(mine.qp_offset, encodes.qp_offset)
            assert np.array_equal(mine.segment_start, encodes.segment_start)
            assert session.planner.plan(view, policy) is mine
        with pytest.raises(UsageError, match="--segments 99"):
            session.planner.plan(view, RoiPolicy(segments="99"))


def test_a_session_takes_a_sidecar_and_writes_one(clip_path: Path, tmp_path: Path) -> None:
    clip, kept = probe_clip(clip_path), tmp_path / "kept.npz"
    with PreviewSession(clip, AnalysisSettings(), kept) as session:
        finished(session)
    assert load_saliency_sidecar(clip, path=kept)[1]
    with PreviewSession(clip, AnalysisSettings(), kept) as session:
        finished(session)
        assert session.frames_known == 96


def test_a_session_that_ends_early_leaves_no_thread(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "long.mkv", size="640x360", seconds=30)
    with PreviewSession(probe_clip(clip), AnalysisSettings(every=1)) as session:
        while session.view().track is None:
            time.sleep(0.01)
        assert not session.view().finished
        policy = RoiPolicy(segments="500")
        assert len(session.planner.plan(session.view(), policy).segment_start) <= 500
    assert not any(thread.name in ("analysis", "prefetch") for thread in threading.enumerate())


def test_a_session_tells_why_its_analysis_ended(clip_path: Path, tmp_path: Path) -> None:
    with PreviewSession(probe_clip(clip_path), AnalysisSettings(model=tmp_path / "no.onnx")) as session:
        deadline = time.monotonic() + 30
        while session.view().error is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert isinstance(session.view().error, ModelError)
        assert session.view().track is None


def test_the_playhead_keeps_the_clips_own_times(clip_path: Path) -> None:
    clip = probe_clip(clip_path)
    sidecar, _ = load_saliency_sidecar(clip)
    track = sidecar.track
    head = Playhead(clip)
    assert [head.frame(100 + t, track, finished=True) for t in (0.0, 0.5, 1.0, 3.99)] == [0, 12, 24, 95]
    assert head.frame(104.1, track, finished=True) == 0, "it begins again"
    head.toggle(105.1)
    assert [head.frame(t, track, finished=True) for t in (105.1, 130.0)] == [24, 24], "it is paused"
    head.step(130.0, 1)
    assert head.frame(131.0, track, finished=True) == 25
    head.step(131.0, -1)
    head.step(131.0, 99999)
    assert head.frame(131.0, track, finished=True) == 95
    head.toggle(131.0)
    assert head.frame(141.0, track, finished=False) == 95, "there may be more"
    head.seek(141.0, 30)
    head.step(141.0, 2)
    assert head.frame(141.0, track, finished=False) == 32, "two that come at once"
    head.toggle(141.0)
    head.seek(141.0, 48)
    assert [head.frame(t, track, finished=False) for t in (141.0, 142.0)] == [48, 72]
    head.skip(142.0, -1.0)
    assert head.frame(142.0, track, finished=False) == 48
