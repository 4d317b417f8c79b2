"""The sound of a clip in pieces, as the page of the preview requests it."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from clips import ffmpeg
from numpy.typing import NDArray
from preview_server import Server, Viewer

from gpu_saliency import probe_clip
from gpu_saliency.preview.web.sound import PIECE_SECONDS, SoundStore

ONSET = 0.03
"""Seconds by which the begin of a tone may differ: frames of AAC have 21 ms, and its encoder smears an onset over two of them."""


def make_tone(folder: Path, *, codec: str = "aac", delay: float = 0.0, suffix: str = ".mp4", rate: int = 48000) -> Path:
    """Twelve seconds of 128x96 with a tone of 440 Hz from 1 s to 11 s, of which the audio begins ``delay`` seconds late."""
    clip = folder / f"tone{suffix}"
    tone = f"aevalsrc=between(t\\,1\\,11)*0.5*sin(880*PI*t):d=12:s={rate}"
    video = ("-f", "lavfi", "-i", "testsrc2=size=128x96:rate=24:duration=12")
    audio = ("-itsoffset", delay, "-f", "lavfi", "-i", tone)
    ffmpeg(*video, *audio, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", codec, clip)
    return clip


def samples(wav: bytes) -> tuple[NDArray[np.int16], int]:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2), file.getframerate()


@pytest.mark.parametrize(
    ("codec", "delay", "suffix", "rate"),
    [("aac", 0.0, ".mp4", 48000), ("libopus", 0.5, ".mkv", 48000), ("pcm_s16le", 0.0, ".mov", 96000)],
)
def test_pieces_are_in_time(tmp_path: Path, codec: str, delay: float, suffix: str, rate: int) -> None:
    store = SoundStore(probe_clip(make_tone(tmp_path, codec=codec, delay=delay, suffix=suffix, rate=rate)))
    parts = []
    for number in range(3):
        part, rate = samples(store.piece(number, 0.0))
        assert rate == 48000
        assert len(part) == PIECE_SECONDS * rate
        parts.append(part)
    whole = np.concatenate(parts).astype(float)[:, 0]
    loud = np.flatnonzero(np.abs(whole) > 2000)
    assert loud[0] / rate == pytest.approx(1 + delay, abs=ONSET)
    assert loud[-1] / rate == pytest.approx(11 + delay, abs=ONSET)
    for border in (PIECE_SECONDS * rate, 2 * PIECE_SECONDS * rate):
        # Across a border the tone goes on: it differs from itself a period before by little.
        around, period = whole[border - 400 : border + 400], whole[border - 400 - 1200 : border + 400 - 1200]
        assert np.abs(around - period).max() < 0.05 * np.abs(whole).max()
    assert not samples(store.piece(4, 0.0))[0].any()
    shifted = samples(store.piece(0, 0.5 + delay))[0]
    assert np.flatnonzero(np.abs(shifted[:, 0].astype(int)) > 2000)[0] / rate == pytest.approx(0.5, abs=ONSET)


def test_the_server_sends_sound(tmp_path: Path) -> None:
    """On request, from the clip's own first frame on, also of a part; a page without sound gets none."""
    clip = make_tone(tmp_path)
    with Server(clip, "--start", 0.5) as server:
        viewer = Viewer(server)
        assert viewer.until("hello")["sound"] == PIECE_SECONDS
        viewer.until("timeline", finished=True)
        viewer.send(type="sound", number=0)
        message = viewer.until("sound")
        assert message["piece"] == 0
        part, rate = samples(message["body"])
        assert np.flatnonzero(np.abs(part[:, 0].astype(int)) > 2000)[0] / rate == pytest.approx(0.5, abs=ONSET)
        viewer.close()
