"""Pictures that were cut out or off are noticed by the gap in their numbers, where the container does not count them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest
from clips import ffmpeg
from decoded import ffmpeg_frames
from program import Run, leftovers, run

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-bf", 2, "-g", 24, "-pix_fmt", "yuv420p")
X265 = ("-c:v", "libx265", "-preset", "veryfast", "-x265-params", "log-level=none:keyint=24:bframes=3")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", 4, "-bf", 2, "-g", 12)
FIELDS = ("-vf", "setfield=tff", "-flags", "+ildct+ilme")
KINDS: dict[str, tuple[object, ...]] = {
    "x264.h264": (*X264, "-an"),
    "fields.h264": (*X264, *FIELDS, "-x264-params", "tff=1", "-an"),
    "x265.hevc": (*X265, "-an"),
    "mpeg2.m2v": (*MPEG2, "-an"),
    "mpeg1.m1v": ("-c:v", "mpeg1video", "-q:v", 4, "-bf", 2, "-an"),
    "x264.ts": (*X264, "-c:a", "aac"),
    "x265.ts": (*X265, "-c:a", "aac"),
    "mpeg2.ts": (*MPEG2, "-c:a", "mp2"),
    "mpeg2.mpg": (*MPEG2, "-c:a", "mp2"),
    "x264.nut": (*X264, "-c:a", "pcm_s16le"),
    "x264.mxf": (*X264, "-c:a", "pcm_s16le", "-ar", 48000),
    "mpeg2.mxf": (*MPEG2, "-c:a", "pcm_s16le", "-ar", 48000),
}
INTACT: dict[str, tuple[object, ...]] = {
    "open.h264": ("-c:v", "libx264", "-x264-params", "open-gop=1:keyint=20:bframes=4:b-pyramid=2", "-an"),
    "refresh.ts": ("-c:v", "libx264", "-x264-params", "intra-refresh=1:keyint=20", "-an"),
    "baseline.h264": ("-c:v", "libx264", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-an"),
    "slices.hevc": ("-c:v", "libx265", "-x265-params", "log-level=none:slices=4:keyint=20", "-an"),
    "open.hevc": ("-c:v", "libx265", "-x265-params", "open-gop=1:keyint=20:bframes=4:log-level=none", "-an"),
    "layers.hevc": ("-c:v", "libx265", "-x265-params", "temporal-layers=3:log-level=none", "-an"),
    "long.h264": ("-c:v", "libx264", "-x264-params", "keyint=infinite:bframes=3", "-an"),
    "vfr.ts": (*X264, "-vf", "select='mod(n,5)'", "-fps_mode", "vfr", "-an"),
    "main10.ts": ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none", "-an"),
    "fields.m2v": (*MPEG2, *FIELDS, "-an"),
}
"""Ways of numbering pictures, and of leaving numbers out."""
FRAMES = 48


def _make(folder: Path, name: str, arguments: tuple[object, ...]) -> Path:
    """2 s of moving figures with noise at 24 fps, 160x96, with a tone."""
    path = folder / name
    picture = "testsrc2=size=160x96:rate=24:duration=2,noise=alls=12:allf=t"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=duration=2", *arguments, path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("made")
    return {name: _make(folder, name, arguments) for name, arguments in KINDS.items()}


def _starts(path: Path) -> list[int]:
    """Where the packets of the video begin in the file."""
    with av.open(str(path)) as container:
        return [packet.pos for packet in container.demux(container.streams.video[0]) if packet.size and packet.pos is not None]


def _cut_off(data: bytes, starts: list[int]) -> bytes:
    """Ends before the B pictures that are shown before the last P picture."""
    return data[: starts[29]]


def _cut_out(data: bytes, starts: list[int]) -> bytes:
    return data[: starts[15]] + data[starts[18] :]


def _emptied(data: bytes, starts: list[int]) -> bytes:
    return data[: starts[15]] + bytes(starts[18] - starts[15]) + data[starts[18] :]


def _plan(source: Path, *arguments: object) -> Run:
    return run("plan", "--src", source, "--sidecar", source.with_suffix(".npz"), "--overwrite", "--no-cache", "--json", *arguments)


@pytest.mark.parametrize("damage", [_cut_out, _emptied, _cut_off], ids=["cut out", "zeros", "cut off"])
@pytest.mark.parametrize("name", KINDS)
def test_missing_pictures_are_noticed(
    name: str, damage: Callable[[bytes, list[int]], bytes], made: dict[str, Path], tmp_path: Path
) -> None:
    source = tmp_path / name
    source.write_bytes(damage(made[name].read_bytes(), _starts(made[name])))
    frames = ffmpeg_frames(source)
    if frames >= FRAMES - 1 or (damage is _cut_off and name in ("fields.h264", "x265.hevc", "x265.ts")):
        pytest.skip("nothing is missing, or the cut leaves whole groups of pictures")
    done = _plan(source)
    assert done.code == 0, done.err
    assert done.json["frames"] == frames
    assert len(done.json["warnings"]) == 1
    assert f"{frames} were decoded" in done.json["warnings"][0]
    before = {path.name for path in tmp_path.iterdir()}
    output = tmp_path / "o.mkv"
    refused = run("encode", "--src", source, "--output", output, "--preset", "ultrafast", "--no-cache", "--strict")
    assert refused.code == 65
    assert leftovers(tmp_path, before) == set()


@pytest.mark.parametrize("name", [*KINDS, *INTACT])
def test_an_intact_file_gives_no_warning(name: str, made: dict[str, Path], tmp_path: Path) -> None:
    source = made[name] if name in made else _make(tmp_path, name, INTACT[name])
    done = _plan(source, "--strict")
    assert done.code == 0, done.err
    assert done.json["warnings"] == []


@pytest.mark.parametrize("name", ["x264.h264", "x265.hevc", "mpeg2.m2v", "x264.ts", "mpeg2.ts"])
def test_two_recordings_one_after_the_other_give_no_warning(name: str, made: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / name
    source.write_bytes(made[name].read_bytes() * 2)
    done = _plan(source, "--strict")
    assert done.code == 0, done.err
    assert done.json["frames"] == 2 * FRAMES


def _is_key(path: Path) -> list[bool]:
    with av.open(str(path)) as container:
        return [bool(packet.is_keyframe) for packet in container.demux(container.streams.video[0]) if packet.size]


@pytest.mark.parametrize("name", ["x264.h264", "x265.hevc", "x264.ts", "mpeg2.ts"])
def test_a_recording_that_begins_in_the_middle_gives_no_warning(name: str, made: dict[str, Path], tmp_path: Path) -> None:
    """It begins with a later key frame, so its pictures do not begin with the number 0."""
    at = next(number for number, is_key in enumerate(_is_key(made[name])) if is_key and number)
    source = tmp_path / name
    source.write_bytes(made[name].read_bytes()[_starts(made[name])[at] :])
    done = _plan(source, "--strict")
    assert done.code == 0, done.err


@pytest.mark.parametrize("name", ["x264.mxf", "mpeg2.mxf"])
def test_an_mxf_file_that_was_never_finished(name: str, made: dict[str, Path], tmp_path: Path) -> None:
    """A header that declares no duration, and no footer: what a camera leaves when its power fails."""
    source, piped = tmp_path / name, tmp_path / "piped.mxf"
    ffmpeg("-i", made[name], "-map", 0, "-c", "copy", "-f", "mxf", "-", stdout=piped)
    assert _plan(piped, "--strict").code == 0
    data = piped.read_bytes()
    footer = data.rindex(bytes.fromhex("060e2b34020501010d0102010104"))
    source.write_bytes(data[:footer])
    done = _plan(source)
    assert done.code == 0, done.err
    assert "no footer partition" in done.json["warnings"][0]


@pytest.mark.parametrize("rest", [b"\0\0\1", b"\0\0\0\1\x41", b"\0\0\1\0"])
@pytest.mark.parametrize("name", ["x264.h264", "mpeg2.m2v"])
def test_a_bitstream_that_ends_behind_a_start_code(name: str, rest: bytes, made: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / name
    source.write_bytes(made[name].read_bytes() + rest)
    assert "ends inside a unit" in _plan(source).json["warnings"][0]


@pytest.mark.parametrize(("name", "end"), [("x264.h264", b"\0\0\1\x0b"), ("mpeg2.m2v", b"\0\0\1\xb7")])
def test_an_end_mark_is_no_damage(name: str, end: bytes, made: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / name
    source.write_bytes(made[name].read_bytes() + end + b"\0" * 7)
    done = _plan(source, "--strict")
    assert done.code == 0, done.err
    assert done.json["frames"] == FRAMES
