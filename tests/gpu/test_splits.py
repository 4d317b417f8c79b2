"""Ranges cut at key frames decode to the exact frames of the whole clip, in real encodes and containers."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import InputContainer
from clips import ffmpeg

from gpu_saliency.analysis.cuda.decode import ranges
from gpu_saliency.analysis.cuda.decode.index import FrameIndex, IrregularStreamError, PacketFacts, index_clip, make_index
from gpu_saliency.analysis.cuda.decode.ranges import FrameRange, checked_ranges, decode_range, range_packets, split_ranges
from gpu_saliency.source.clip import Clip, open_clip, video_stream_of
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.probe import probe_clip

FRAMES = 90
SOURCE = ("-f", "lavfi", "-i", f"testsrc2=size=160x96:rate=30000/1001,trim=end_frame={FRAMES}")
X264 = ("-c:v", "libx264", "-preset", "fast", "-pix_fmt", "yuv420p", "-g", 20, "-bf", 4)
X265 = ("-c:v", "libx265", "-preset", "fast", "-pix_fmt", "yuv420p")
ENCODES = {
    "x264-closed": (*X264, "-x264-params", "b-pyramid=normal"),
    "x264-open": (*X264, "-x264-params", "open-gop=1:b-pyramid=normal"),
    "x265-closed": (*X265, "-x265-params", "log-level=none:keyint=20:bframes=4:open-gop=0"),
    "x265-open": (*X265, "-x265-params", "log-level=none:keyint=20:bframes=4:open-gop=1"),
    "mpeg4": ("-c:v", "mpeg4", "-g", 12, "-bf", 2, "-q:v", 4),
    "mpeg2": ("-c:v", "mpeg2video", "-g", 12, "-bf", 2, "-q:v", 4),
}


def digest(frame: av.VideoFrame) -> str:
    return hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("encode", ENCODES)
def test_ranges_decode_to_the_frames_of_the_whole_clip(tmp_path: Path, encode: str, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    ffmpeg(*SOURCE, *ENCODES[encode], path)
    clip = probe_clip(path)
    tally = DecodeTally()
    whole = [(frame.pts, digest(frame)) for frame in decode_frames(clip, tally)]
    index = index_clip(clip)
    assert len(whole) == FRAMES
    assert index.pts.tolist() == [pts for pts, _ in whole]
    assert len(index.keys) >= FRAMES // 20
    assert index.is_variable(clip.frame_rate) == tally.variable_frame_rate
    ranges = checked_ranges(clip, index, split_ranges(index, 4))
    assert ranges == split_ranges(index, 4)
    assert len(ranges) == 4
    found = {}
    for part in ranges:
        with open_clip(clip) as container:
            for number, frame in decode_range(container, video_stream_of(container, 0), index, part):
                found[number] = (frame.pts, digest(frame))
    assert [found[number] for number in range(FRAMES)] == whole


def test_the_open_gop_clips_have_leading_pictures(tmp_path: Path) -> None:
    """Packets after a key frame are shown before it, which makes splitting hard."""
    for encode in ("x264-open", "x265-open"):
        path = tmp_path / f"{encode}.mp4"
        ffmpeg(*SOURCE, *ENCODES[encode], path)
        with av.open(str(path)) as container:
            demuxed = [(p.pts or 0, p.is_keyframe) for p in container.demux(video_stream_of(container, 0)) if p.size]
        keys = [i for i, (_, is_key) in enumerate(demuxed) if is_key]
        assert any(later < demuxed[i][0] for i in keys[1:] for later, _ in demuxed[i + 1 : i + 6]), encode


@pytest.mark.parametrize("encode", ["x264-open", "x265-open", "mpeg2"])
def test_a_range_has_no_leading_pictures_of_its_key_frame(tmp_path: Path, encode: str) -> None:
    """They are in the range before: NVDEC would give the key frame the time stamp of one of them."""
    path = tmp_path / "clip.mp4"
    ffmpeg(*SOURCE, *ENCODES[encode], path)
    clip = probe_clip(path)
    index = index_clip(clip)
    stamps = []
    for part in split_ranges(index, 3):
        with open_clip(clip) as container:
            stamps.append([p.pts or 0 for p in range_packets(container, video_stream_of(container, 0), index, part)])
    assert all(min(part) == part[0] for part in stamps)
    assert {*stamps[0], *stamps[1], *stamps[2]} == {*index.pts.tolist()}


def test_no_cut_in_a_stream_with_intra_refresh(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    ffmpeg(*SOURCE, *X264, "-x264-params", "intra-refresh=1", path)
    clip = probe_clip(path)
    index = index_clip(clip)
    assert len(split_ranges(index, 3)) == 3, "its flagged key frames are taken for starts"
    assert checked_ranges(clip, index, split_ranges(index, 3)) == [FrameRange(0, FRAMES)]


@pytest.mark.parametrize(("encode", "suffix"), [("x264-closed", ".mp4"), ("x265-open", ".mkv"), ("x264-closed", ".ts")])
def test_pictures_whose_type_says_enough_are_not_opened_to_check_them(
    tmp_path: Path, encode: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except in containers without an index, where the seek is checked."""
    path = tmp_path / f"clip{suffix}"
    ffmpeg(*SOURCE, *ENCODES[encode], path)
    clip = probe_clip(path)
    index = index_clip(clip)
    assert index.certain == set(index.keys.tolist())
    opened = []

    def open_counted(one: Clip) -> AbstractContextManager[InputContainer]:
        opened.append(one)
        return open_clip(one)

    monkeypatch.setattr(ranges, "open_clip", open_counted)
    assert checked_ranges(clip, index, split_ranges(index, 3)) == split_ranges(index, 3)
    assert len(opened) == (2 if suffix == ".ts" else 0)


def test_key_frames_of_open_gops_in_h264_are_not_certain(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    ffmpeg(*SOURCE, *ENCODES["x264-open"], path)
    index = index_clip(probe_clip(path))
    assert index.certain == {0} < set(index.keys.tolist())


def test_a_duration_hides_what_comes_after(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    ffmpeg(*SOURCE, *X264, path)
    clip = probe_clip(path, duration=1.5)
    tally = DecodeTally()
    whole = [digest(frame) for frame in decode_frames(clip, tally)]
    index = index_clip(clip)
    assert index.frame_count == len(whole) == 45
    with open_clip(clip) as container:
        ranges = split_ranges(index, 2)
        found = [digest(frame) for _, frame in decode_range(container, video_stream_of(container, 0), index, ranges[-1])]
    assert found == whole[ranges[-1].start :]


def test_an_edit_list_hides_what_it_cuts_off(tmp_path: Path) -> None:
    """A stream copy that starts between key frames keeps the packets from the key frame on; an edit list hides them."""
    ffmpeg(*SOURCE, *X264, tmp_path / "whole.mp4")
    path = tmp_path / "cut.mp4"
    ffmpeg("-ss", 1.0, "-i", tmp_path / "whole.mp4", "-c", "copy", path)
    clip = probe_clip(path)
    whole = [frame.pts for frame in decode_frames(clip, DecodeTally())]
    index = index_clip(clip)
    assert index.hidden
    assert index.pts.tolist() == whole
    with open_clip(clip) as container:
        part = FrameRange(0, index.frame_count)
        assert [n for n, _ in decode_range(container, video_stream_of(container, 0), index, part)] == list(range(len(whole)))


def packets(text: str) -> list[PacketFacts]:
    """``"0k 3 1 2"``: time stamps in order of decoding, k for a key frame, d for a frame that is not shown."""
    return [PacketFacts(int(word.rstrip("kd")), "k" in word, "d" in word) for word in text.split()]


def test_where_decoding_can_begin() -> None:
    second = Fraction(1)
    assert make_index(packets("0k 3 1 2 4k 6 5"), second).keys.tolist() == [0, 4]
    # Open GOP: 5 and 6 are decoded after key frame 7 and shown before it; they belong to the range before.
    assert make_index(packets("0k 3 1 2 7k 5 6 9 8"), second).keys.tolist() == [0, 6]
    assert make_index(packets("0k 3 1 2 7k 5 6 9 8"), second).pts.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    # Decoding cannot begin at a key frame that is shown before a frame decoded earlier.
    assert make_index(packets("0k 3 2k 1 4k"), second).keys.tolist() == [0, 4]
    assert make_index(packets("0kd 1d 2 3 4k"), second).keys.tolist() == [0, 2]


@pytest.mark.parametrize(("text", "reason"), [("0 1k", "begin"), ("0k 1 1", "same"), ("2k 0 1 3", "refer"), ("0kd 1d", "shown")])
def test_streams_whose_packets_do_not_identify_the_frames(text: str, reason: str) -> None:
    with pytest.raises(IrregularStreamError, match=reason):
        make_index(packets(text), Fraction(1))
    with pytest.raises(IrregularStreamError, match="no time stamp"):
        make_index([PacketFacts(0, True), PacketFacts(None, False)], Fraction(1))


def index_of(frames: int, keys: list[int]) -> FrameIndex:
    return FrameIndex(np.arange(frames), np.array(keys))


def test_ranges_are_even_and_complete() -> None:
    ranges = split_ranges(index_of(1000, list(range(0, 1000, 10))), 7)
    assert [part.start for part in ranges[1:]] == [part.end for part in ranges[:-1]]
    assert (ranges[0].start, ranges[-1].end, len(ranges)) == (0, 1000, 7)
    assert max(part.end - part.start for part in ranges) - min(part.end - part.start for part in ranges) <= 10
    assert split_ranges(index_of(50, [0]), 4) == [FrameRange(0, 50)]
    assert split_ranges(index_of(50, [0, 49]), 9) == [FrameRange(0, 49), FrameRange(49, 50)]


def test_frames_are_identified_by_their_time_stamps() -> None:
    index = make_index(packets("0k 3 1 2 4kd"), Fraction(1))
    assert [index.number_of(pts) for pts in (0, 1, 3, 4)] == [0, 1, 3, None]
    with pytest.raises(KeyError):
        index.number_of(5)
