"""An output is compared with what was asked: `--verify quick`, `full` and `none`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ffmpeg, make_clip
from program import run

from gpu_saliency.encode.streams import Streams, choose_streams
from gpu_saliency.encode.verify import VERIFY, Expected, verify_output
from gpu_saliency.errors import EncodeError
from gpu_saliency.source.orientation import Orientation
from gpu_saliency.source.probe import probe_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mp4", audio=True, extra=("-bf", 2, "-g", 8, "-c:a", "aac"))


def expected(path: Path) -> Expected:
    """What the file itself has."""
    clip = probe_clip(path)
    streams = choose_streams(clip, path)
    return Expected(clip=clip, codec="h264", frames=24, pix_fmt="yuv420p", seconds=np.arange(24) / 24, streams=streams)


def damaged(path: Path, folder: Path) -> Path:
    """The 12th video packet of ``path`` overwritten."""
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(container.streams.video[0]) if p.size][12]
        assert packet.pos is not None
        at, size = packet.pos, packet.size
    bad = folder / "bad.mp4"
    data = bytearray(path.read_bytes())
    data[at : at + size] = bytes(size)
    bad.write_bytes(data)
    return bad


@pytest.mark.parametrize("level", VERIFY)
def test_each_level_accepts_an_intact_encode(level: str, clip: Path, tmp_path: Path) -> None:
    done = run("encode", "--src", clip, "--output", tmp_path / "out.mp4", "--preset", "veryfast", "--verify", level, "--json")
    assert done.code == 0, done.err
    assert done.json["output"]["verified"] == level
    assert done.json["output"]["frames"] == 24
    assert done.json["output"]["lost"] == []


def test_an_unknown_level_is_refused(clip: Path, tmp_path: Path) -> None:
    done = run("encode", "--src", clip, "--output", tmp_path / "out.mp4", "--verify", "half")
    assert done.code == 64
    assert "quick, full, none" in done.errors[0]


def test_full_finds_a_damaged_frame(clip: Path, tmp_path: Path) -> None:
    bad = damaged(clip, tmp_path)
    assert verify_output(bad, expected(clip)).frames == 24
    with pytest.raises(EncodeError):
        verify_output(bad, expected(clip), "full")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"frames": 23}, "frames 24"),
        ({"codec": "hevc"}, "codec h264"),
        ({"seconds": np.arange(24) / 25}, "from its time"),
        ({"seconds": np.r_[np.arange(23), 23.5] / 24}, "frame 23"),
    ],
)
@pytest.mark.parametrize("level", ["quick", "full"])
def test_differences_are_errors(level: str, change: dict[str, object], problem: str, clip: Path) -> None:
    wanted = replace(expected(clip), **change)  # type: ignore[arg-type]
    with pytest.raises(EncodeError, match=problem):
        verify_output(clip, wanted, level)


def test_a_size_that_changes_in_the_file_is_an_error(clip: Path, tmp_path: Path) -> None:
    ffmpeg("-i", clip, "-vf", "scale=96:64", "-an", "-c:v", "libx264", tmp_path / "small.ts")
    ffmpeg("-i", clip, "-an", "-c:v", "copy", tmp_path / "large.ts")
    both = tmp_path / "both.ts"
    both.write_bytes((tmp_path / "large.ts").read_bytes() + (tmp_path / "small.ts").read_bytes())
    wanted = replace(expected(clip), frames=None, seconds=None, streams=Streams())
    with pytest.raises(EncodeError, match="96x64"):
        verify_output(both, wanted, "full")


def test_what_a_container_cannot_state_is_named(clip: Path) -> None:
    turned = replace(expected(clip), clip=replace(probe_clip(clip), rotation=90), pix_fmt="yuv422p")
    assert Orientation() == probe_clip(clip).orientation
    lost = verify_output(clip, turned).lost
    assert len(lost) == 2
    assert "turn" in lost[0]
    assert "yuv422p" in lost[1]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".mov"])
@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_variable_frame_rates_are_in_time(encoder: str, suffix: str, tmp_path: Path) -> None:
    source, output = tmp_path / "vfr.mkv", tmp_path / f"out{suffix}"
    base = make_clip(tmp_path / "base.mkv", seconds=2)
    ffmpeg(
        "-i",
        base,
        "-vf",
        "select='not(between(n,10,14))+lt(n,10)',setpts=PTS+gt(N\\,20)*0.013/TB",
        "-fps_mode",
        "passthrough",
        source,
    )
    done = run(
        "encode", "--src", source, "--output", output, "--encoder", encoder, "--preset", "veryfast", "--verify", "full", "--json"
    )
    assert done.code == 0, done.err
    assert done.json["output"]["lost"] == []


def test_avi_names_the_times_that_it_cannot_hold(tmp_path: Path) -> None:
    source = tmp_path / "vfr.mkv"
    base = make_clip(tmp_path / "base.mkv", seconds=2)
    ffmpeg("-i", base, "-vf", "setpts=PTS+gt(N\\,20)*0.3/TB", "-fps_mode", "passthrough", source)
    done = run("encode", "--src", source, "--output", tmp_path / "out.avi", "--preset", "veryfast", "--json")
    assert done.code == 0, done.err
    assert "constant frame rate" in done.json["output"]["lost"][0]


@pytest.mark.parametrize("rate", ["2500", "999999999"])
def test_frames_that_share_a_time_in_the_container_are_named(rate: str, tmp_path: Path) -> None:
    """24 frames of YUV4MPEG2 at more frames per second than Matroska has milliseconds."""
    source = tmp_path / "fast.y4m"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=24:duration=1", "-pix_fmt", "yuv420p", source)
    source.write_bytes(source.read_bytes().replace(b" F24:1 ", f" F{rate}:1 ".encode(), 1))
    done = run("encode", "--src", source, "--output", tmp_path / "out.mkv", "--preset", "ultrafast", "--json")
    assert done.code == 0, done.err
    [warning] = [text for text in done.json["warnings"] if "have the time of another one" in text]
    with av.open(str(tmp_path / "out.mkv")) as container:
        times = [packet.pts for packet in container.demux(container.streams.video[0]) if packet.size]
    assert f"{24 - len(set(times))} frames have" in warning
    done = run("encode", "--src", source, "--output", tmp_path / "out.mp4", "--preset", "ultrafast", "--json")
    assert done.json["output"]["lost"] == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        stamps = [frame.time for frame in container.decode(video=0)]
    assert stamps == pytest.approx([number / int(rate) for number in range(24)], rel=1e-6)
