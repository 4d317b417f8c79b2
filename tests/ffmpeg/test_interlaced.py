"""Interlaced sources are encoded with ROI, and keep their field order."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from clips import ffmpeg
from program import run

from gpu_saliency.source.fields import Fields, fields_of, order_of
from gpu_saliency.source.h264_sps import is_always_progressive
from gpu_saliency.source.probe import probe_clip

TOP = "tinterlace=interleave_top"
BOTTOM = "tinterlace=interleave_bottom,setfield=bff"
FLAGS = ("-flags", "+ildct+ilme")
MPEG2 = ("-c:v", "mpeg2video", "-b:v", "3M", *FLAGS)
X264 = ("-c:v", "libx264", "-preset", "veryfast")


def make(path: Path, *codec: object, filters: str = TOP, rate: object = 50, seconds: float = 1.2) -> Path:
    """testsrc2 with noise; ``filters`` make fields of its frames."""
    picture = f"testsrc2=size=320x192:rate={rate}:duration={seconds},noise=alls=8:allf=t"
    ffmpeg("-f", "lavfi", "-i", ",".join(filter(None, (picture, filters))), *codec, path)
    return path


SOURCES = {
    "h264 tff": (".mp4", (*X264, "-x264-params", "tff=1", *FLAGS), TOP, "tff"),
    "h264 bff": (".mkv", (*X264, "-x264-params", "bff=1", *FLAGS), BOTTOM, "bff"),
    "mpeg2 tff": (".ts", MPEG2, TOP, "tff"),
    "mpeg2 bff": (".mpg", MPEG2, BOTTOM, "bff"),
    "telecine": (".mkv", MPEG2, "telecine,setfield=tff", "tff"),
    "container only": (".mkv", X264, TOP, "tff"),
    "intra": (".mov", ("-c:v", "prores_ks", *FLAGS), TOP, "tff"),
    "lossless": (".mkv", ("-c:v", "ffv1"), BOTTOM, "bff"),
}


def source(folder: Path, name: str) -> tuple[Path, str]:
    suffix, codec, filters, order = SOURCES[name]
    rate = "24000/1001" if name == "telecine" else 50
    return make(folder / f"source{suffix}", *codec, filters=filters, rate=rate), order


def stated_order(path: Path) -> str | None:
    with av.open(str(path)) as container:
        return order_of(container.streams.video[0].codec_context.field_order)


def flags(path: Path) -> list[bool]:
    """Whether each frame is flagged as interlaced."""
    with av.open(str(path)) as container:
        return [frame.interlaced_frame for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", SOURCES)
def test_libx264_codes_fields_with_roi(name: str, tmp_path: Path) -> None:
    path, order = source(tmp_path, name)
    output = tmp_path / ("out.mkv" if name in ("h264 tff", "telecine") else "out.mp4")
    done = run("encode", "--src", path, "--output", output, "--preset", "veryfast", "--saliency-offset", -6, "--json")
    assert done.code == 0, done.err
    assert done.json["proof"]["moved"] is True
    assert done.json["source"]["field_order"] == done.json["output"]["field_order"] == order
    assert done.json["output"]["lost"] == []
    assert "is interlaced" in done.err
    assert stated_order(output) == order
    assert all(flags(output))
    assert len(flags(output)) == len(flags(path))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("name", ["h264 tff", "mpeg2 bff", "container only"])
def test_libx265_keeps_the_order_in_the_container(name: str, suffix: str, tmp_path: Path) -> None:
    path, order = source(tmp_path, name)
    output = tmp_path / f"out{suffix}"
    done = run("encode", "--src", path, "--output", output, "--encoder", "libx265", "--preset", "ultrafast", "--json")
    assert done.code == 0, done.err
    assert done.json["proof"]["moved"] is not False
    assert stated_order(output) == order == done.json["output"]["field_order"]


def test_an_order_that_the_container_cannot_store_is_reported(tmp_path: Path) -> None:
    path, _ = source(tmp_path, "mpeg2 bff")
    output = tmp_path / "out.ivf"
    done = run("encode", "--src", path, "--output", output, "--encoder", "libvpx-vp9", "--preset", "8", "--prove", "none", "--json")
    assert done.code == 0, done.err
    assert len(done.json["output"]["lost"]) == 1
    assert "WARNING" in done.err
    assert "field order" in done.err


@pytest.mark.parametrize("interlaced_first", [False, True])
@pytest.mark.parametrize("codec", ["h264", "mpeg2"])
def test_a_clip_that_changes_has_roi_throughout(codec: str, interlaced_first: bool, tmp_path: Path) -> None:
    """Progressive, then interlaced video in one MPEG-TS, or the reverse."""
    fields = (*X264, "-x264-params", "tff=1", *FLAGS) if codec == "h264" else MPEG2
    frames = X264 if codec == "h264" else ("-c:v", "mpeg2video", "-b:v", "3M")
    names = [make(tmp_path / "a.ts", *frames, filters="", rate=25, seconds=2), make(tmp_path / "b.ts", *fields, seconds=2)]
    names = names[::-1] if interlaced_first else names
    path, output = tmp_path / "both.ts", tmp_path / "out.mp4"
    (tmp_path / "list").write_text("".join(f"file '{name}'\n" for name in names))
    ffmpeg("-f", "concat", "-safe", 0, "-i", tmp_path / "list", "-c", "copy", path)
    done = run("encode", "--src", path, "--output", output, "--preset", "veryfast", "--prove", "full", "--json")
    assert done.code == 0, done.err
    assert done.json["source"]["field_order"] == "tff"
    assert done.json["output"]["frames"] == 100
    plain = tmp_path / "plain.mp4"
    weaker = run("encode", "--src", path, "--output", plain, "--preset", "veryfast", "--saliency-offset", 0, "--prove", "none")
    assert weaker.code == 0
    assert second_half_differs(output, plain)


def second_half_differs(a: Path, b: Path) -> bool:
    """Whether the pictures of the second half of two encodes differ in most frames."""
    with av.open(str(a)) as left, av.open(str(b)) as right:
        pairs = list(zip(left.decode(video=0), right.decode(video=0), strict=True))[60:]
        return sum(bool((p.to_ndarray() != q.to_ndarray()).any()) for p, q in pairs) > 30


def test_progressive_sources_are_recognised(tmp_path: Path) -> None:
    """Progressive H.264 in .mp4 is known by its headers; .ts and MPEG-2 by their frames."""
    for name, codec in (("a.mp4", X264), ("a.ts", X264), ("m.mpg", ("-c:v", "mpeg2video")), ("f.mkv", ("-c:v", "ffv1"))):
        path = make(tmp_path / name, *codec, filters="", rate=25)
        assert fields_of(probe_clip(path)) is None, name
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert is_always_progressive("h264", container.streams.video[0].codec_context.extradata)
    assert not is_always_progressive("h264", b"\1" + bytes(8))
    assert not is_always_progressive("h264", b"\1d\0\x1e\xff\xe1\0\4\x67d")


def test_a_height_without_whole_fields_is_coded_in_frames(tmp_path: Path) -> None:
    path = make(tmp_path / "odd.mkv", "-c:v", "ffv1", filters=TOP + ",crop=320:190")
    assert fields_of(probe_clip(path)) == Fields("tff", True, 4)
    done = run("encode", "--src", path, "--output", tmp_path / "out.mkv", "--preset", "veryfast", "--json")
    assert done.code == 0, done.err
    assert "in whole frames" in done.err
    assert done.json["output"]["field_order"] == "tff"
