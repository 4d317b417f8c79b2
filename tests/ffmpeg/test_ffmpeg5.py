"""FFmpeg 5.1, the oldest tested, beside the bundled 9: no ``-/filter``, other encoders, other names of options."""

from __future__ import annotations

import os
import re
from pathlib import Path

import av
import pytest
from support import audio_bytes, make_clip, run, video_times

FFMPEG5 = Path(os.environ.get("GPU_SALIENCY_FFMPEG5", Path(__file__).parents[2] / ".ffmpeg5" / "bin" / "ffmpeg"))
NAMES = ("libx264", "libx265", "libaom-av1", "libsvtav1", "libvpx-vp9")

pytestmark = pytest.mark.skipif(not FFMPEG5.exists(), reason="no FFmpeg 5.1; scripts/install-ffmpeg5")


@pytest.fixture(autouse=True)
def _no_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """SvtAv1EncApp would encode by itself what ffmpeg is to encode here."""
    monkeypatch.setenv("GPU_SALIENCY_SVTAV1ENCAPP", "/no/such/app")


def test_every_encoder_that_it_has_moves_bits() -> None:
    """By the doctor's own test: the plan's left half comes out better than the right one. Missing encoders are named."""
    found = run("doctor", "--ffmpeg-bin", FFMPEG5, "--json").json["encoders"]
    assert {name: (found[name]["moved"], found[name]["error"]) for name in NAMES} == dict.fromkeys(NAMES, (True, None))
    assert {found[name]["ffmpeg"] for name in NAMES} == {str(FFMPEG5)}
    for name in ("libvvenc", "libkvazaar"):
        assert found[name]["moved"] is None
        assert re.search(rf"ffmpeg 5\.1\.\S+ has no {name}", found[name]["error"])


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libsvtav1"])
def test_the_main_job(tmp_path: Path, encoder: str) -> None:
    """Frames, time stamps and audio of the source, and several segments in one graph file."""
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
