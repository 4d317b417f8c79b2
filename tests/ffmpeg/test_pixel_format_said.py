"""The result states the pixel format that the file has, and a warning names what a conversion loses."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from clips import ffmpeg
from program import run


def source(folder: Path, pix_fmt: str, size: str) -> Path:
    path = folder / "in.mkv"
    width, height = map(int, size.split("x"))
    picture = f"testsrc2=size=200x120:rate=24:duration=0.5,format={pix_fmt},crop={width}:{height}:0:0:exact=1"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "ffv1", path)
    return path


@pytest.mark.parametrize(
    ("encoder", "pix_fmt", "size", "wanted", "lost"),
    [
        ("libsvtav1", "yuv444p", "161x97", "yuv420p", "chroma resolution"),
        ("libsvtav1", "yuv444p", "160x96", "yuv420p", "chroma resolution"),
        ("libsvtav1", "yuv420p", "160x96", "yuv420p", ""),
        ("libsvtav1", "yuv422p10le", "161x96", "yuv420p10le", "chroma resolution"),
        ("libx264", "yuv444p", "161x97", "yuv444p", ""),
        ("libx264", "yuv422p12le", "160x96", "yuv422p10le", "bit depth"),
        ("libx265", "yuv444p12le", "161x97", "yuv444p12le", ""),
        ("libvpx-vp9", "yuv422p", "161x97", "yuv422p", ""),
        ("libx264", "yuva420p", "160x96", "yuv420p", "transparency"),
    ],
)
def test_the_real_format_is_stated(encoder: str, pix_fmt: str, size: str, wanted: str, lost: str, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    arguments = ("--src", source(tmp_path, pix_fmt, size), "--output", output, "--encoder", encoder, "--prove", "none", "--json")
    done = run("encode", *arguments)
    assert done.code == 0, done.err
    with av.open(str(output)) as container:
        assert next(container.decode(video=0)).format.name == wanted
    assert done.json["output"]["pix_fmt"] == done.json["pix_fmt"] == wanted
    assert (lost in done.err and "WARNING" in done.err) if lost else "WARNING" not in done.err
