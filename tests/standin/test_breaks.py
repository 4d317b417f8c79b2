"""Deliberate breaks of order, ownership and ranges: each must change the track or be an error, else these tests show nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gpu_standin.control import Driver
from standin_clips import StandinClip, differences

from gpu_saliency.analysis.cuda.decode import nvdec, ranges, setup, upload
from gpu_saliency.analysis.cuda.decode.index import FrameIndex
from gpu_saliency.analysis.cuda.decode.ranges import FrameRange
from gpu_saliency.analysis.cuda.device import CudaRun
from gpu_saliency.analysis.cuda.lane import Lane
from gpu_saliency.analysis.cuda.recorder import DeviceRecorder
from gpu_saliency.analysis.device import AnalysisResult

Patch = pytest.MonkeyPatch


def _nothing(*_: Any) -> None:
    """Takes the place of what a break leaves out."""


class _NeverWaits:
    """A stream that does not wait for events."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> Any:
        return self._stream.__enter__()

    def __exit__(self, *error: Any) -> Any:
        return self._stream.__exit__(*error)

    def wait_event(self, event: Any) -> None:
        pass


@contextlib.contextmanager
def never_waiting(owner: Any, name: str) -> Iterator[None]:
    """Replace the stream ``name`` of ``owner`` by one that does not wait, in the block."""
    stream = getattr(owner, name)
    setattr(owner, name, _NeverWaits(stream))
    try:
        yield
    finally:
        setattr(owner, name, stream)


def model_does_not_wait_for_the_slot(patch: Patch) -> None:
    real = CudaRun.infer

    def infer(self: CudaRun, slot: Any) -> Any:
        with never_waiting(slot.lane.session, "cuda_stream"):
            return real(self, slot)

    patch.setattr(CudaRun, "infer", infer)


def lane_does_not_wait_for_the_model(patch: Patch) -> None:
    real = Lane._take

    def take(self: Lane) -> Any:
        with never_waiting(self, "_cuda_stream"):
            return real(self)

    patch.setattr(Lane, "_take", take)


def decoder_writes_on_another_stream(patch: Patch) -> None:
    """Surfaces are filled, and filled again, without regard to the kernels that read them."""
    real = nvdec.NvdecDecoder.frames

    def frames(self: Any, frame_range: Any, _: Any) -> Iterator[Any]:
        import cupy

        return real(self, frame_range, cupy.cuda.Stream(non_blocking=True))

    patch.setattr(nvdec.NvdecDecoder, "frames", frames)


def surfaces_are_read_too_late(patch: Patch) -> None:
    """Frames are kept while the next ones are fetched, so that the decoder has filled their surfaces again when they are read."""
    real = nvdec.NvdecDecoder.frames

    def frames(self: Any, frame_range: Any, cuda_stream: Any) -> Iterator[Any]:
        earlier: list[Any] = []
        for frame in real(self, frame_range, cuda_stream):
            earlier.append(frame)
            if len(earlier) == 8:
                yield from earlier
                earlier = []
        yield from earlier

    patch.setattr(nvdec.NvdecDecoder, "frames", frames)


def uploads_share_one_buffer_without_waiting(patch: Patch) -> None:
    real = upload._Stage.__init__

    def init(self: Any, size: int) -> None:
        real(self, size)
        self.copied = type("Event", (), {"synchronize": _nothing, "record": _nothing})()

    patch.setattr(upload._Stage, "__init__", init)


def a_range_begins_one_frame_late(patch: Patch) -> None:
    _shift(patch, lambda one: FrameRange(one.start + 1, one.end) if one.start else one)


def a_range_ends_one_frame_early(patch: Patch) -> None:
    _shift(patch, lambda one: FrameRange(one.start, one.end - 1))


def ranges_overlap_by_a_frame(patch: Patch) -> None:
    _shift(patch, lambda one: FrameRange(one.start, min(80, one.end + 1)))


def ranges_are_cut_where_no_key_frame_is(patch: Patch) -> None:
    """As if the index named every frame a key frame, and no seek looked for one."""
    real = ranges._from_key

    def from_key(container: Any, video: Any, key: int | None) -> Iterator[Any]:
        for packet in real(container, video, None):
            if key is None or (packet.pts is not None and packet.pts >= key):
                yield packet

    patch.setattr(ranges, "_from_key", from_key)
    patch.setattr(setup, "checked_ranges", lambda *_: [FrameRange(0, 35), FrameRange(35, 65), FrameRange(65, 80)])


def packets_of_a_range_end_one_early(patch: Patch) -> None:
    real = ranges.range_packets

    def packets(container: Any, video: Any, index: FrameIndex, frame_range: FrameRange) -> Iterator[Any]:
        held = None
        for packet in real(container, video, index, frame_range):
            if held is not None:
                yield held
            held = packet

    patch.setattr(nvdec, "range_packets", packets)


def seams_are_not_computed_again(patch: Patch) -> None:
    real = DeviceRecorder.join

    def join(self: Any, *arguments: Any) -> Any:
        self._add_luma_codes = _nothing
        return real(self, *arguments)

    patch.setattr(DeviceRecorder, "join", join)


def _shift(patch: Patch, change: Callable[[FrameRange], FrameRange]) -> None:
    real = ranges.checked_ranges
    patch.setattr(setup, "checked_ranges", lambda *arguments: [change(one) for one in real(*arguments)])


ORDER = [model_does_not_wait_for_the_slot, lane_does_not_wait_for_the_model]
OWNERSHIP = [decoder_writes_on_another_stream, surfaces_are_read_too_late]
EDGES = [
    a_range_begins_one_frame_late,
    a_range_ends_one_frame_early,
    ranges_overlap_by_a_frame,
    ranges_are_cut_where_no_key_frame_is,
    packets_of_a_range_end_one_early,
    seams_are_not_computed_again,
]


def is_noticed(driver: Driver, clip: StandinClip, model: Path, expected: AnalysisResult, decoders: str = "3") -> bool:
    """Whether the analysis ends with an error, or its track differs with one of a few schedules."""
    for schedule, seed in (("late", 0), ("random", 1), ("random", 2), ("random", 3)):
        driver.schedule(schedule, seed)
        with contextlib.suppress(Exception):
            if not differences(clip.analyse(driver, model, decoders=decoders), expected):
                continue
        return True
    return False


@pytest.mark.parametrize("break_it", [*ORDER, *OWNERSHIP, *EDGES], ids=lambda one: one.__name__)
def test_a_break_is_noticed(
    driver: Driver, h264: StandinClip, model: Path, whole: AnalysisResult, monkeypatch: Patch, break_it: Callable[[Patch], None]
) -> None:
    # One range has more batches than slots, so that these are filled again.
    decoders = "1" if break_it in ORDER else "3"
    break_it(monkeypatch)
    assert is_noticed(driver, h264, model, whole, decoders)


def test_a_break_of_the_upload_is_noticed(driver: Driver, h264: StandinClip, model: Path, monkeypatch: Patch) -> None:
    driver.schedule("eager")
    expected = h264.analyse(driver, model, decoders="cpu")
    uploads_share_one_buffer_without_waiting(monkeypatch)
    assert is_noticed(driver, h264, model, expected, "cpu")
