"""Encodes of every kind of source: the output has the source's frames, geometry, times, colours and audio."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from clips import ffmpeg, make_clip
from packets import audio_bytes, video_times
from program import run

from gpu_saliency import (
    AnalysisSettings,
    EncodeSettings,
    RoiPolicy,
    build_roi_plan,
    load_saliency_sidecar,
    prepare_encode,
    probe_clip,
    run_saliency_encode,
)
from gpu_saliency.choices import AGGREGATORS, AggregatorName
from gpu_saliency.errors import GpuSaliencyError, UsageError
from gpu_saliency.source.clip import ColorTags
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.frame_rate import parse_frame_rate
from gpu_saliency.source.raw import RAW_PIX_FMTS, raw_frame_bytes
from gpu_saliency.source.shrink import Shrinker

FAST = ("--preset", "ultrafast", "--prove", "none", "--quiet", "--json")


def encode(source: Path, output: Path, *arguments: object) -> dict[str, Any]:
    done = run("encode", "--src", source, "--output", output, *FAST, *arguments)
    assert done.code == 0, done.err
    return done.json


def assert_same_picture(source: Path, output: Path, tolerance: float = 0.0006) -> None:
    """Compare frames, times (Matroska's are rounded to milliseconds), geometry and colour tags."""
    before, after = probe_clip(source), probe_clip(output)
    assert (after.width, after.height, after.rotation) == (before.width, before.height, before.rotation)
    assert after.sample_aspect_ratio == before.sample_aspect_ratio
    for key in ("colorspace", "color_primaries", "color_trc"):
        assert getattr(after.color, key) == getattr(before.color, key), key
    assert max(after.color.color_range, 1) == max(before.color.color_range, 1)
    times = video_times(source)
    np.testing.assert_allclose(video_times(output), times, atol=tolerance)


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
@pytest.mark.parametrize("pix_fmt", RAW_PIX_FMTS)
def test_raw(tmp_path: Path, pix_fmt: str, encoder: str) -> None:
    """18 frames of 161x97: both sides are odd, so the source's chroma planes are rounded up and the last blocks are partial.

    Neither codec supports odd sizes with subsampled chroma; the size is kept, the chroma becomes 4:4:4, and the result states it.
    """
    source = make_clip(tmp_path / "in.yuv", size="161x97", seconds=0.75, extra=("-pix_fmt", pix_fmt))
    assert source.stat().st_size == 18 * raw_frame_bytes(161, 97, pix_fmt)
    output = tmp_path / "out.mkv"
    result = encode(source, output, "--width", 161, "--height", 97, "--pix-fmt", pix_fmt, "--encoder", encoder)
    found = probe_clip(output)
    kept = pix_fmt.replace("420", "444").replace("422", "444")
    assert (found.width, found.height, found.pix_fmt, len(video_times(output))) == (161, 97, kept, 18)
    assert result["pix_fmt"] == kept
    assert (result["roi"]["rows"], result["roi"]["cols"]) == (7, 11)


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
@pytest.mark.parametrize("pix_fmt", RAW_PIX_FMTS)
def test_raw_of_even_size_keeps_its_pixel_format(tmp_path: Path, pix_fmt: str, encoder: str) -> None:
    source = make_clip(tmp_path / "in.yuv", size="162x98", seconds=0.25, extra=("-pix_fmt", pix_fmt))
    encode(source, tmp_path / "out.mkv", "--width", 162, "--height", 98, "--pix-fmt", pix_fmt, "--encoder", encoder)
    assert probe_clip(tmp_path / "out.mkv").pix_fmt == pix_fmt


@pytest.mark.parametrize("name", AGGREGATORS)
@pytest.mark.parametrize("suffix", [".mp4", ".y4m"])
def test_aggregators_through_the_api(tmp_path: Path, name: AggregatorName, suffix: str) -> None:
    """A 641x361 clip through the separate steps of the Python API."""
    source = make_clip(tmp_path / f"in{suffix}", size="641x361", seconds=0.5, extra=("-pix_fmt", "yuv444p"))
    clip = probe_clip(source)
    sidecar, reused = load_saliency_sidecar(clip, AnalysisSettings(every=3))
    assert not reused
    assert sidecar.analysis.sampled_frames == 4
    plan = build_roi_plan(sidecar, RoiPolicy(-4, "symmetric", aggregator=name, segments="clip"))
    assert plan.qp_offset.shape == (1, 23, 41)
    job = prepare_encode(clip, EncodeSettings("libx264", "ultrafast"))
    encoded = run_saliency_encode(job, plan, tmp_path / "out.mp4")
    assert encoded.facts.frames == 12
    assert_same_picture(source, tmp_path / "out.mp4")


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_container_with_everything(tmp_path: Path, suffix: str, encoder: str) -> None:
    """B-frames, BT.709 tags and AAC audio are kept, the audio byte for byte."""
    tags = ("-vf", "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv")
    source = make_clip(tmp_path / f"in{suffix}", audio=True, extra=("-c:a", "aac", "-bf", 2, "-preset", "fast", *tags))
    output = tmp_path / f"out{suffix}"
    result = encode(source, output, "--encoder", encoder)
    assert_same_picture(source, output)
    assert probe_clip(output).color == ColorTags(1, 1, 1, 1)
    assert audio_bytes(output) == audio_bytes(source)
    assert result["output"]["size_bytes"] == output.stat().st_size


@pytest.mark.parametrize(("matrix", "color_range"), [("bt709", "pc"), ("smpte170m", "tv"), ("bt2020nc", "tv"), ("bt470bg", "pc")])
def test_color_tags(tmp_path: Path, matrix: str, color_range: str) -> None:
    source = make_clip(tmp_path / "in.mp4", seconds=0.25, extra=("-colorspace", matrix, "-color_range", color_range))
    encode(source, tmp_path / "out.mp4")
    assert_same_picture(source, tmp_path / "out.mp4")
    assert probe_clip(tmp_path / "out.mp4").color.color_range == probe_clip(source).color.color_range


def test_two_audio_streams_and_subtitles_are_kept(tmp_path: Path) -> None:
    subtitles = tmp_path / "words.srt"
    subtitles.write_text("1\n00:00:00,000 --> 00:00:00,500\nhello\n")
    source = tmp_path / "in.mkv"
    base = make_clip(tmp_path / "base.mkv", audio=True, extra=("-c:a", "aac"))
    maps = ("-map", "0:v", "-map", "0:a", "-map", "0:a", "-map", 1)
    ffmpeg("-i", base, "-i", subtitles, *maps, "-c:v", "copy", "-c:a", "copy", source)
    result = encode(source, tmp_path / "out.mkv")
    assert result["output"]["audio_streams"] == 2
    assert result["source"]["left_out"] == []
    assert [stream["kind"] for stream in result["output"]["streams"]] == ["audio", "audio", "subtitle"]
    assert audio_bytes(tmp_path / "out.mkv", 1) == audio_bytes(source, 1)


def test_no_audio(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", audio=True)
    result = encode(source, tmp_path / "out.mp4", "--no-audio")
    assert probe_clip(tmp_path / "out.mp4").audio_codecs == ()
    assert [stream["kind"] for stream in result["source"]["left_out"]] == ["audio"]


def test_cover_art_is_ignored(tmp_path: Path) -> None:
    """An mp4 whose attached picture is larger than its video."""
    base = make_clip(tmp_path / "base.mp4")
    ffmpeg("-i", base, "-vf", "scale=320:240", "-frames:v", 1, tmp_path / "cover.png")
    source = tmp_path / "in.mp4"
    ffmpeg("-i", tmp_path / "cover.png", "-i", base, "-map", 0, "-map", 1, "-c", "copy", "-disposition:v:0", "attached_pic", source)
    result = encode(source, tmp_path / "out.mp4")
    assert (result["output"]["width"], result["output"]["frames"]) == (160, 24)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation(tmp_path: Path, turn: int) -> None:
    """A red square in the top left corner of the upright picture stays there in the model's input at every coded rotation."""
    base = tmp_path / "base.mp4"
    box = "color=gray:size=160x96:rate=24:duration=0.25,drawbox=x=0:y=0:w=32:h=32:color=red:t=fill"
    ffmpeg("-f", "lavfi", "-i", box, "-c:v", "libx264", "-pix_fmt", "yuv420p", base)
    source = tmp_path / "in.mp4"
    ffmpeg("-display_rotation", turn, "-i", base, "-c", "copy", source)
    clip = probe_clip(source)
    assert clip.rotation == turn
    size = (160, 96) if turn == 180 else (96, 160)
    picture = Shrinker(size, clip.orientation)(next(decode_frames(clip, DecodeTally())))
    ffmpeg("-i", source, "-frames:v", 1, "-f", "rawvideo", "-pix_fmt", "rgb24", tmp_path / "upright.rgb")
    truth = np.fromfile(tmp_path / "upright.rgb", np.uint8).reshape(size[1], size[0], 3)
    assert np.abs(picture.astype(int) - truth).mean() < 2
    encode(source, tmp_path / "out.mp4")
    assert_same_picture(source, tmp_path / "out.mp4")


def test_variable_frame_rate(tmp_path: Path) -> None:
    """Frames 33 ms apart, shifted by up to 33 ms in a pattern of six: two coincide, and the second is moved on by a tick."""
    wobble = ("-vf", "settb=1/1000,setpts='PTS+13*mod(N,3)+7*mod(N,2)'", "-enc_time_base", "1:1000", "-fps_mode", "passthrough")
    source = make_clip(tmp_path / "in.mkv", rate=30, extra=wobble)
    assert len(set(np.diff(video_times(source)).round(3))) > 3
    for suffix in (".mkv", ".mp4"):
        encode(source, tmp_path / f"out{suffix}")
        assert_same_picture(source, tmp_path / f"out{suffix}", tolerance=0.0016)


@pytest.mark.parametrize(("rate", "frames"), [("24", 12), ("25", 13), ("30000/1001", 15)])
def test_duration(tmp_path: Path, rate: str, frames: int) -> None:
    """``--duration 0.5`` keeps the frames with times before 0.5 s, of containers and of raw video."""
    source = make_clip(tmp_path / "in.mp4", rate=rate, seconds=1, audio=True)
    result = encode(source, tmp_path / "out.mp4", "--duration", 0.5)
    assert result["output"]["frames"] == frames
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert float(container.duration or 0) / av.time_base == pytest.approx(0.5, abs=0.06)
    raw = make_clip(tmp_path / "in.yuv", rate=rate, seconds=1, extra=("-pix_fmt", "yuv420p"))
    geometry = ("--width", 160, "--height", 96, "--framerate", rate)
    result = encode(raw, tmp_path / "raw.mp4", "--duration", 0.5, *geometry)
    assert result["output"]["frames"] == frames


@pytest.mark.parametrize("size", ["96x160", "17x9", "2x2", "1000x30"])
def test_unusual_shapes(tmp_path: Path, size: str) -> None:
    source = make_clip(tmp_path / "in.y4m", size=size, seconds=0.25)
    encode(source, tmp_path / "out.mkv", "--encoder", "libx264")
    assert_same_picture(source, tmp_path / "out.mkv")


def test_one_frame(tmp_path: Path) -> None:
    """A clip shorter than the first sampling interval: its only frame is the sample."""
    source = make_clip(tmp_path / "in.mp4", extra=("-frames:v", 1))
    result = encode(source, tmp_path / "out.mp4")
    assert result["analysis"]["sampled_frames"] == 1
    assert len(video_times(tmp_path / "out.mp4")) == 1


def test_an_unsupported_pixel_format_is_converted_and_reported(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x96:duration=0.25", "-c:v", "ffv1", "-pix_fmt", "bgr0", source)
    result = encode(source, tmp_path / "out.mkv")
    assert (result["source"]["pix_fmt"], result["pix_fmt"]) == ("bgr0", "yuv444p")
    found = probe_clip(tmp_path / "out.mkv")
    assert (found.pix_fmt, found.color.colorspace) == ("yuv444p", 1)
    pictures = []
    for path in (source, tmp_path / "out.mkv"):
        ffmpeg("-i", path, "-frames:v", 1, "-f", "rawvideo", "-pix_fmt", "rgb24", tmp_path / "rgb")
        pictures.append(np.fromfile(tmp_path / "rgb", np.uint8).astype(int))
    assert np.abs(pictures[0] - pictures[1]).mean() < 4, "the colours changed"


@pytest.mark.parametrize("name", ["a b.mp4", "ü-日本.mp4", "-dash.mp4", "a:b.mp4", "100%d.mp4", "it's [1],2.mp4"])
def test_awkward_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "plain.mp4", seconds=0.25).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    done = run("encode", f"--src={name}", f"--output=out {name}", *FAST)
    assert done.code == 0, done.err
    assert len(video_times(tmp_path / f"out {name}")) == 6


def _yuv(rgb: tuple[float, float, float], kr: float, kb: float, full: bool, bits: int) -> tuple[int, int, int]:
    """Convert R'G'B' 0..1 to code values by the formulas of ITU-R BT.601 and BT.709."""
    r, g, b = rgb
    y = kr * r + (1 - kr - kb) * g + kb * b
    u, v = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    scale = 1 << (bits - 8)
    if full:
        top = (256 * scale) - 1
        return round(y * top), min(top, round(u * top + 128 * scale)), min(top, round(v * top + 128 * scale))
    return round((16 + 219 * y) * scale), round((128 + 224 * u) * scale), round((128 + 224 * v) * scale)


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("matrix", "kr", "kb"), [(Colorspace.ITU709, 0.2126, 0.0722), (Colorspace.ITU601, 0.299, 0.114)])
@pytest.mark.parametrize("rgb", [(1.0, 0.0, 0.0), (0.2, 0.6, 0.4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)])
def test_shrinking_uses_matrix_and_range_of_the_frame(
    rgb: tuple[float, float, float], matrix: Colorspace, kr: float, kb: float, full: bool, bits: int
) -> None:
    """A frame of one colour is shrunk to that colour within 3 code values (4:2:0, 8-bit rounding)."""
    frame = av.VideoFrame(64, 48, "yuv420p" if bits == 8 else "yuv420p10le")
    for plane, value in zip(frame.planes, _yuv(rgb, kr, kb, full, bits), strict=True):
        kind = np.uint8 if bits == 8 else np.uint16
        plane.update(np.full(plane.buffer_size // np.dtype(kind).itemsize, value, kind).tobytes())
    frame.colorspace = int(matrix)
    frame.color_range = int(ColorRange.JPEG if full else ColorRange.MPEG)
    picture = Shrinker((16, 16))(frame)
    np.testing.assert_allclose(picture, np.broadcast_to(np.array(rgb) * 255, picture.shape), atol=3)


def test_frame_rates() -> None:
    assert parse_frame_rate("23.976") == Fraction(24000, 1001)
    assert parse_frame_rate("30000/1001") == Fraction(30000, 1001)
    assert parse_frame_rate("24.0") == 24
    for text in ("abc", "0", "-24", "1/0", "1e9", "nan"):
        with pytest.raises(UsageError, match="frame_rate="):
            parse_frame_rate(text)


def test_every_error_of_an_unusable_source_has_a_cure(tmp_path: Path) -> None:
    """A missing file, a folder, an empty file, text, and raw video without its size."""
    (tmp_path / "empty.mp4").touch()
    for name in ("text.mp4", "raw.yuv"):
        (tmp_path / name).write_text("text")
    for name in ("missing.mp4", ".", "empty.mp4", "text.mp4", "raw.yuv"):
        with pytest.raises(GpuSaliencyError) as caught:
            probe_clip(str(tmp_path / name))
        assert caught.value.cure, name


@pytest.mark.parametrize(
    ("encoder", "channel", "suffix"),
    [("libsvtav1", "prefilter", ".mkv"), ("libsvtav1", "prefilter", ".mp4"), ("libvpx-vp9", "addroi", ".webm")],
)
def test_sample_aspect_ratio_of_av1_and_vp9(encoder: str, channel: str, suffix: str, tmp_path: Path) -> None:
    """AV1 and VP9 do not store the sample aspect ratio, so the container must; time stamps stay unchanged."""
    source = make_clip(tmp_path / "source.mp4", size="192x96", seconds=1, audio=suffix == ".mp4", extra=("-vf", "setsar=4/3"))
    output = tmp_path / f"out{suffix}"
    arguments = ("--encoder", encoder, "--preset", "8", "--prove", "none", "--roi-channel", channel, "--quiet")
    done = run("encode", "--src", source, "--output", output, *arguments)
    assert done.code == 0, done.err
    assert_same_picture(source, output)
    assert probe_clip(output).sample_aspect_ratio == Fraction(4, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, output.name, f"{output.name}.saliency.npz"])
