"""Unusual but intact sources: clocks, several video streams, palettes, metadata that is not UTF-8, sizes that change."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import FFMPEG, ffmpeg, make_clip
from decoded import decode, ffmpeg_frames
from numpy.typing import NDArray
from packets import video_times
from program import run

from gpu_saliency.errors import SourceError
from gpu_saliency.preview.live.reader import LiveReader
from gpu_saliency.source.probe import probe_clip

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p")
GAP_TOLERANCE = 0.0011
"""Seconds; containers round time stamps to milliseconds."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 s of moving figures, 160x96 at 24 fps, H.264 with B frames, and a tone."""
    path = tmp_path_factory.mktemp("base") / "base.mp4"
    picture, tone = "testsrc2=size=160x96:rate=24:duration=2", "sine=duration=2"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, *X264, "-c:a", "aac", path)
    return path


def encode(source: Path, output: Path, *arguments: object) -> dict[str, Any]:
    """Encode ``source`` and return the result; it must succeed."""
    done = run("encode", "--src", source, "--output", output, "--preset", "ultrafast", "--json", *arguments)
    assert done.code == 0, done.err
    return done.json


def stamps(path: Path, kind: str) -> list[float]:
    """Times of the packets of the first stream of ``kind``, seconds, sorted."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return sorted(float(p.pts * p.time_base) for p in container.demux(stream) if p.size and p.pts is not None and p.time_base)


def is_even(times: list[float], seconds: float) -> bool:
    return bool(np.all(np.abs(np.diff(times) - seconds) <= GAP_TOLERANCE))


# --- clocks


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpeg"])
@pytest.mark.parametrize("ticks", [600, 96, 1000])
def test_avi_whose_header_counts_ticks_keeps_its_speed(codec: str, ticks: int, base: Path, tmp_path: Path) -> None:
    coded, path = tmp_path / "coded.mov", tmp_path / "ticks.avi"
    ffmpeg("-i", base, "-an", "-c:v", codec, "-pix_fmt", "yuv420p", "-video_track_timescale", ticks, coded)
    ffmpeg("-i", coded, "-c", "copy", path)
    found = decode(path)
    assert (found.frames, found.shortfall) == (48, None)
    assert found.rate == pytest.approx(24, rel=0.01)
    encode(path, tmp_path / "o.mp4")
    times = video_times(tmp_path / "o.mp4")
    assert times[-1] - times[0] == pytest.approx(47 / 24, abs=0.05)


def test_h264_with_b_frames_in_avi_has_24_frames_per_second(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.avi"
    ffmpeg("-i", base, "-c", "copy", path)  # the header says 600 frames per second
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 600
    result = encode(path, tmp_path / "o.mp4")
    assert result["source"]["frame_rate"] == "24"
    assert result["analysis"]["clock"] == "sorted"
    assert result["warnings"] == []
    assert is_even(video_times(tmp_path / "o.mp4"), 1 / 24)


@pytest.mark.parametrize("suffix", [".h264", ".hevc", ".m4v", ".m2v", ".mjpeg", ".obu"])
def test_bare_bitstreams_take_a_frame_rate(suffix: str, base: Path, tmp_path: Path) -> None:
    path = tmp_path / f"bare{suffix}"
    codecs = {".h264": "libx264", ".hevc": "libx265", ".m4v": "mpeg4", ".m2v": "mpeg2video", ".mjpeg": "mjpeg", ".obu": "libsvtav1"}
    ffmpeg("-i", base, "-an", "-t", 1, "-c:v", codecs[suffix], *(("-f", "m4v") if suffix == ".m4v" else ()), path)
    result = encode(path, tmp_path / "o.mp4", "--framerate", 50)
    assert result["source"]["frame_rate"] == "50"
    times = video_times(tmp_path / "o.mp4")
    assert len(times) == 24
    assert is_even(times, 1 / 50)


def test_a_bare_bitstream_without_a_rate_takes_that_of_its_headers_and_says_so(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "bare.h264"
    ffmpeg("-i", base, "-an", "-c:v", "copy", path)
    done = run("encode", "--src", path, "--output", tmp_path / "o.mp4", "--preset", "ultrafast")
    assert done.code == 0
    assert "its frames are counted at 24 frames per second (--framerate sets another rate)" in done.err.replace("\n", "")
    assert is_even(video_times(tmp_path / "o.mp4"), 1 / 24)


@pytest.mark.parametrize("rate", [25, 23.976])
def test_the_rate_of_a_container_is_not_changed(rate: float, base: Path, tmp_path: Path) -> None:
    assert run("plan", "--src", base, "--sidecar", tmp_path / "s.npz", "--framerate", rate).code == (64 if rate == 25 else 0)


@pytest.mark.parametrize("times", [2, 3])
def test_a_clock_that_restarts_goes_on_in_video_and_audio(times: int, base: Path, tmp_path: Path) -> None:
    part, path = tmp_path / "part.ts", tmp_path / "joined.ts"
    ffmpeg("-i", base, "-c", "copy", part)
    path.write_bytes(part.read_bytes() * times)
    result = encode(path, tmp_path / "o.mp4")
    assert result["analysis"]["clock"] == "continued"
    assert result["warnings"] == []
    picture, sound = stamps(tmp_path / "o.mp4", "video"), stamps(tmp_path / "o.mp4", "audio")
    assert len(picture) == 48 * times
    assert is_even(picture, 1 / 24)
    assert sound[-1] == pytest.approx(2 * times, abs=0.15)
    assert np.diff(sound).max() < 0.03  # an AAC frame at 44.1 kHz lasts 23 ms
    ffmpeg("-i", path, "-c", "copy", tmp_path / "ffmpeg.mp4")
    assert picture[-1] == pytest.approx(stamps(tmp_path / "ffmpeg.mp4", "video")[-1], abs=0.1)


@pytest.mark.parametrize("offset", [-50, 1000])
def test_a_clock_that_jumps_goes_on(offset: int, base: Path, tmp_path: Path) -> None:
    first, second, path = tmp_path / "a.ts", tmp_path / "b.ts", tmp_path / "joined.ts"
    ffmpeg("-i", base, "-c", "copy", "-output_ts_offset", 100, first)
    ffmpeg("-i", base, "-c", "copy", "-output_ts_offset", 100 + offset, second)
    path.write_bytes(first.read_bytes() + second.read_bytes())
    encode(path, tmp_path / "o.mkv")
    picture, sound = stamps(tmp_path / "o.mkv", "video"), stamps(tmp_path / "o.mkv", "audio")
    assert len(picture) == 96
    assert is_even(picture, 1 / 24)
    assert sound[-1] == pytest.approx(4, abs=0.15)


def test_a_program_stream_that_restarts_goes_on(base: Path, tmp_path: Path) -> None:
    part, path = tmp_path / "part.mpg", tmp_path / "joined.mpg"
    ffmpeg("-i", base, "-c:v", "mpeg2video", "-q:v", 4, "-c:a", "mp2", part)
    path.write_bytes(part.read_bytes() * 2)
    found = decode(path)
    assert (found.frames, found.clock) == (96, "continued")
    assert found.seconds is not None
    assert found.seconds[-1] - found.seconds[0] == pytest.approx(95 / 24, abs=0.1)


# --- the choice of the stream


@pytest.fixture(scope="module")
def two(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Matroska file with two videos, 64x48 first and 160x96 second, of which neither is marked as default."""
    path = tmp_path_factory.mktemp("two") / "two.mkv"
    ffmpeg(
        *("-i", base, "-filter_complex", "[0:v]scale=64:48[t]", "-map", "[t]", "-map", "0:v", "-map", "0:a"),
        *(*X264, "-disposition:v:0", 0, "-disposition:v:1", 0, "-default_mode", "passthrough", path),
    )
    return path


@pytest.mark.parametrize(("default", "expected"), [(None, (160, 96)), (0, (64, 48)), (1, (160, 96))])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_the_default_stream_is_chosen_and_then_the_largest(
    suffix: str, default: int | None, expected: tuple[int, int], two: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"in{suffix}"
    marks = [word for i in (0, 1) for word in (f"-disposition:v:{i}", "default" if i == default else "0")]
    mode = ("-default_mode", "passthrough") if suffix == ".mkv" else ()
    ffmpeg("-i", two, "-map", 0, "-c", "copy", *marks, *mode, path)
    if suffix == ".mp4" and default is None:
        return  # the track flags of MP4 cannot say it
    result = encode(path, tmp_path / "o.mp4")
    assert (result["output"]["width"], result["output"]["height"]) == expected


@pytest.mark.parametrize(("number", "size"), [(0, (64, 48)), (1, (160, 96))])
def test_a_flag_chooses_the_stream(number: int, size: tuple[int, int], two: Path, tmp_path: Path) -> None:
    result = encode(two, tmp_path / "o.mp4", "--video-stream", number)
    assert (result["output"]["width"], result["output"]["height"]) == size
    seen = run("preview", two, "--video-stream", number, "--output", tmp_path / "p.png", "--json")
    assert seen.code == 0
    other = ("--video-stream", 1 - number, "--sidecar", tmp_path / "o.mp4.saliency.npz")
    stale = run("encode", "--src", two, "--output", tmp_path / "q.mp4", *other)
    assert stale.code == 65
    assert f"was made for video stream {number}, not for {1 - number}" in stale.err.replace("\n", " ")


def test_a_stream_that_does_not_exist_is_refused_with_the_choices(two: Path, tmp_path: Path) -> None:
    done = run("encode", "--src", two, "--output", tmp_path / "o.mp4", "--video-stream", 2)
    assert done.code == 64
    assert "one of 0: 64x48, 1: 160x96" in done.err.replace("\n", " ")


def test_a_cover_picture_is_no_video_stream(base: Path, tmp_path: Path) -> None:
    cover, path = tmp_path / "cover.png", tmp_path / "in.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=red:size=640x480", "-frames:v", 1, cover)
    ffmpeg("-i", cover, "-i", base, *("-map", 0, "-map", 1, "-c", "copy", "-disposition:v:0", "attached_pic"), path)
    clip = probe_clip(path)
    assert (clip.width, clip.height, clip.stream) == (160, 96, 0)
    assert encode(path, tmp_path / "o.mp4")["output"]["frames"] == 48


# --- colours


def pixels(path: Path) -> NDArray[np.float64]:
    """The first frames as R'G'B' by ffmpeg, as bytes in one row."""
    command: list[str] = [FFMPEG, "-v", "error", "-i", str(path), "-frames:v", "4", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8).astype(float)


def psnr(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.square(a - b).mean())))


LEAST_PSNR = 33.0
"""dB, of an encode at crf 4 against ffmpeg's lossless conversion to the same pixel format; wrong colours give less than 20."""
COLOURS: dict[str, tuple[object, ...]] = {
    "pal8.mkv": ("-c:v", "png", "-pix_fmt", "pal8"),
    "pal8.avi": ("-c:v", "rawvideo", "-pix_fmt", "pal8"),
    "pal8.mov": ("-c:v", "qtrle", "-pix_fmt", "rgb24"),
    "palette.gif": (),
    "gray.mkv": ("-c:v", "png", "-pix_fmt", "gray"),
    "gray16.mkv": ("-c:v", "png", "-pix_fmt", "gray16be"),
    "grayalpha.mkv": ("-c:v", "png", "-pix_fmt", "ya8"),
    "bits.mkv": ("-c:v", "png", "-pix_fmt", "monob"),
    "rgb.mkv": ("-c:v", "png", "-pix_fmt", "rgb24"),
    "rgb48.mkv": ("-c:v", "png", "-pix_fmt", "rgb48be"),
    "rgb555.avi": ("-c:v", "rawvideo", "-pix_fmt", "rgb555le"),
    "gbr.avi": ("-c:v", "utvideo", "-pix_fmt", "gbrp"),
    "gbr.mkv": ("-c:v", "libx264rgb", "-crf", 4),
    "bgra.mkv": ("-c:v", "ffv1", "-pix_fmt", "bgra"),
}


@pytest.mark.parametrize("encoder", ["libx264", "libsvtav1"])
@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_those_that_ffmpeg_shows(name: str, encoder: str, tmp_path: Path) -> None:
    path, output = tmp_path / name, tmp_path / "o.mkv"
    still = "color=0x3060C0:size=160x96:rate=12:duration=0.5,drawbox=x=40:y=20:w=60:h=50:color=0xE08020:t=fill"
    ffmpeg("-f", "lavfi", "-i", still, *COLOURS[name], path)
    arguments = ("--encoder", encoder, "--crf", 4, "--prove", "none", "--no-equal-size", "--saliency-offset", -0.01)
    done = run("encode", "--src", path, "--output", output, *arguments, "--json")
    assert done.code == 0, done.err
    reference = tmp_path / "reference.mkv"
    ffmpeg("-i", path, "-c:v", "ffv1", "-pix_fmt", done.json["pix_fmt"], reference)
    assert psnr(pixels(reference), pixels(output)) > LEAST_PSNR


# --- metadata


@pytest.mark.parametrize(
    ("suffix", "key", "text"),
    [
        (".avi", "title", "Käfér"),
        (".avi", "title", "\x80\x9f\xff"),
        (".avi", "artist", "naïve ñandú"),
        (".flv", "title", "Käfér"),
        (".nut", "title", "\x80\x9f\xff"),
        (".nut", "title", "naïve ñandú"),
        (".ts", "service_name", "Käfér"),
    ],
)
def test_metadata_that_is_not_utf8(suffix: str, key: str, text: str, base: Path, tmp_path: Path) -> None:
    ascii_path, path = tmp_path / f"ascii{suffix}", tmp_path / f"latin{suffix}"
    marker = "Q" * len(text)
    codecs = ("-c:v", "mpeg4", "-c:a", "mp2") if suffix == ".avi" else ("-c", "copy")
    ffmpeg("-i", base, *codecs, "-metadata", f"{key}={marker}", ascii_path)
    data = ascii_path.read_bytes()
    assert marker.encode() in data or suffix == ".ts"
    path.write_bytes(data.replace(marker.encode(), text.encode("latin-1")))
    for output in ("o.mp4", "o.mkv"):
        assert encode(path, tmp_path / output)["output"]["frames"] == 48
    assert run("preview", path, "--output", tmp_path / "p.mp4", "--json").code == 0


def test_a_live_source_with_such_metadata_is_read(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "live.avi"
    ffmpeg("-i", base, "-c:v", "mpeg4", "-an", "-metadata", "title=QQQQQ", path)
    path.write_bytes(path.read_bytes().replace(b"QQQQQ", "Käfér".encode("latin-1")))
    with LiveReader(str(path)) as reader:
        assert reader.latest().frame.width == 160


# --- sizes


@pytest.mark.parametrize("joined", ["same codec", "larger first", "bare", "after 10 frames", "other pixel format"])
def test_a_size_that_changes_is_scaled_to_the_first(joined: str, tmp_path: Path) -> None:
    suffix = ".h264" if joined == "bare" else ".ts"
    sizes = ["320x192", "160x96"] if joined == "larger first" else ["160x96", "320x192"]
    seconds = [10 / 24 if joined == "after 10 frames" else 1, 1]
    formats = ["yuv420p", "yuv444p" if joined == "other pixel format" else "yuv420p"]
    data = b""
    for size, length, pix_fmt in zip(sizes, seconds, formats, strict=True):
        part = make_clip(tmp_path / f"part{suffix}", size=size, seconds=length, extra=("-c:v", "libx264", "-pix_fmt", pix_fmt))
        data += part.read_bytes()
    path = tmp_path / f"changes{suffix}"
    path.write_bytes(data)
    result = encode(path, tmp_path / "o.mp4")
    frames = round(24 * sum(seconds))
    width, height = map(int, sizes[0].split("x"))
    assert result["output"]["frames"] == frames == ffmpeg_frames(path)
    assert (result["output"]["width"], result["output"]["height"]) == (width, height)
    assert len(result["analysis"]["frame_formats"]) == 2
    [warning] = result["warnings"]
    assert f"all are scaled to {sizes[0]}" in warning
    # The second part shows the same figures, scaled.
    after = pixels_at(tmp_path / "o.mp4", frames - 1)
    other = pixels_at(path, frames - 1, f"scale={width}:{height}")
    assert psnr(after, other) > 20


def pixels_at(path: Path, number: int, scale: str = "null") -> NDArray[np.float64]:
    """Frame ``number`` of ``path`` as R'G'B'."""
    filters = f"{scale},select=eq(n\\,{number})"
    command: list[str] = [FFMPEG, "-v", "error", "-reinit_filter", "0", "-i", str(path), "-vf", filters, "-frames:v", "1"]
    command += ["-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8).astype(float)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_codec_that_nobody_knows_is_refused_in_one_line(suffix: str, base: Path, tmp_path: Path) -> None:
    """The code that names the codec of the only video is replaced."""
    known, unknown = {"mp4": (b"avc1", b"zzzz"), "mkv": (b"V_MPEG4/ISO/AVC", b"V_ZZZZ4/ISO/AVC")}[suffix]
    ffmpeg("-i", base, "-map", "0:v", "-c", "copy", "-brand", "isom", tmp_path / f"known.{suffix}")
    data = (tmp_path / f"known.{suffix}").read_bytes()
    assert known in data
    path = tmp_path / f"in.{suffix}"
    path.write_bytes(data.replace(known, unknown))
    for command in (["plan", "--src", path], ["preview", path, "--output", tmp_path / "out.png"]):
        done = run(*command)
        assert (done.code, len(done.errors)) == (65, 1), done.err
        assert str(path) in done.err
    assert [one.name for one in tmp_path.iterdir() if one.suffix in (".npz", ".png")] == []
    with pytest.raises(SourceError, match="the codec of its video is not known"), LiveReader(str(path)) as reader:
        reader.latest()
