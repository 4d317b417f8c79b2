"""FFmpeg 5.1, the oldest tested: no ``-/filter``, and other encoders and option names than the bundled one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from clips import ffmpeg, make_clip
from packets import audio_bytes, video_times
from program import run

FFMPEG5 = Path(os.environ.get("GPU_SALIENCY_FFMPEG5", Path(__file__).parents[2] / ".ffmpeg5" / "bin" / "ffmpeg"))
NAMES = ("libx264", "libx265", "libaom-av1", "libsvtav1", "libvpx-vp9")

pytestmark = pytest.mark.skipif(not FFMPEG5.exists(), reason="no FFmpeg 5.1; scripts/install-ffmpeg5")


@pytest.fixture(scope="module", autouse=True)
def _no_app() -> Iterator[None]:
    """Hides SvtAv1EncApp, so that ffmpeg encodes libsvtav1 here."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("GPU_SALIENCY_SVTAV1ENCAPP", "/no/such/app")
        yield


@pytest.fixture(scope="module")
def encoders(_no_app: None) -> dict[str, dict[str, Any]]:
    """``doctor``'s result for each encoder of FFmpeg 5.1."""
    found: dict[str, dict[str, Any]] = run("doctor", "--ffmpeg-bin", FFMPEG5, "--json").json["encoders"]
    return found


def test_every_encoder_of_it_moves_bits(encoders: dict[str, dict[str, Any]]) -> None:
    """In ``doctor``'s test: the plan's left half is better than the right one in the encode."""
    moved = {name: (encoders[name]["moved"], encoders[name]["error"]) for name in NAMES}
    assert moved == dict.fromkeys(NAMES, (True, None))
    assert {encoders[name]["ffmpeg"] for name in NAMES} == {str(FFMPEG5)}


def test_encoders_that_it_lacks_are_reported_missing(encoders: dict[str, dict[str, Any]]) -> None:
    for name in ("libvvenc", "libkvazaar"):
        assert encoders[name]["moved"] is None
        assert re.search(rf"ffmpeg 5\.1\.\S+ has no {name}", encoders[name]["error"])


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libsvtav1"])
def test_an_encode_keeps_frames_times_and_audio(tmp_path: Path, encoder: str) -> None:
    """With several segments in one graph file."""
    source = make_clip(tmp_path / "in.mp4", size="320x192", seconds=2, audio=True, extra=("-bf", 2, "-c:a", "aac"))
    preset = "10" if encoder == "libsvtav1" else "veryfast"
    wanted = ("--encoder", encoder, "--preset", preset, "--segments", 3, "--ffmpeg-bin", FFMPEG5, "--prove", "none", "--json")
    done = run("encode", "--src", source, "--output", tmp_path / "out.mp4", *wanted)
    assert done.code == 0, done.err
    assert done.json["ffmpeg"]["version"].startswith("5.1")
    assert done.json["roi"]["segments"] == 3
    assert video_times(tmp_path / "out.mp4") == pytest.approx(video_times(source), abs=1e-6)
    assert audio_bytes(tmp_path / "out.mp4") == audio_bytes(source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 48


def test_full_range_stays_full(tmp_path: Path) -> None:
    """A white full-range picture, in 10 bits and another size: FFmpeg 5 makes limited range of it if it is not told not to."""
    source, out = tmp_path / "in.mp4", tmp_path / "o.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=white:size=160x96:duration=0.5,format=yuvj420p", "-c:v", "libx264", "-crf", 1, source)
    shape = ("--scale", "128:-2", "--fps", "12", "--output-pix-fmt", "yuv420p10le", "--crf", "1")
    fast = ("--preset", "ultrafast", "--no-equal-size", "--prove", "none", "--ffmpeg-bin", FFMPEG5)
    done = run("encode", "--src", source, "--output", out, *shape, *fast)
    assert done.code == 0, done.err
    with av.open(str(out)) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == "yuv420p10le"
    assert frame.to_ndarray()[: frame.height].mean() == pytest.approx(1023, abs=6)
