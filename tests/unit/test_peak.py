"""The limit of the peak rate: its simulation by hand-made packets, its settings, and what each encoder is told."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gpu_saliency import CompareRequest, EncodeJob, EncodeSettings
from gpu_saliency.cli.encode_options import parse_peak
from gpu_saliency.encode.arguments import encoder_arguments
from gpu_saliency.encode.channels.svtav1_map import SvtAv1Map
from gpu_saliency.encode.channels.svtav1_program import PROGRAM_VARIABLE
from gpu_saliency.encode.encoders import ENCODERS
from gpu_saliency.encode.ffmpeg import Ffmpeg
from gpu_saliency.encode.peak import Vbv, peak_rate
from gpu_saliency.encode.run import Encoded
from gpu_saliency.encode.verify import OutputFacts
from gpu_saliency.errors import UsageError, setting, spell_all, spell_python
from gpu_saliency.source.clip import Clip

JOB = EncodeJob(
    clip=Clip(Path("in.mp4"), 320, 192, "yuv420p", Fraction(24), 24),
    encoder="libx264",
    ffmpeg=Ffmpeg("ffmpeg", "asked for", "9.0", (11, 0), frozenset(), frozenset()),
    preset="medium",
    crf=23,
    params={},
    pix_fmt="yuv420p",
    spec=ENCODERS["libx264"],
    audio=False,
)
"""24 frames; the clip need not exist."""


def test_levels_of_a_buffer() -> None:
    """1000 bits, filled by 1000 bits a second: a frame every half second gains 500, and a full buffer stays full."""
    vbv = Vbv(1000, 1000, 0.5)
    assert vbv.levels([100, 100, 100, 1200], [0.0, 0.5, 1.5, 2.0]).tolist() == [400, 800, 900, -200]
    found = vbv.check([100, 100, 100, 1200], [0.0, 0.5, 1.5, 2.0])
    assert (found.least_fullness, found.underflow, found.late_frames, found.is_kept) == (-0.2, 200, 1, False)
    assert "1 frames are late, one by 0.20 s" in found.exceeded()
    assert vbv.check([100, 100, 100, 1000], [0.0, 0.5, 1.5, 2.0]).exceeded() == ""


def test_a_late_frame_makes_the_next_ones_wait() -> None:
    assert Vbv(1000, 1000, 1.0).check([1500, 100, 100, 0], [0.0, 0.1, 0.2, 1.0]).late_frames == 3


def test_a_buffer_goes_on_in_the_next_part() -> None:
    """Two halves, the second from where the first ends, promise no more than the whole; a start at the usual fullness would."""
    rng, vbv = np.random.default_rng(4), Vbv(200_000, 200_000)
    bits = rng.integers(2_000, 14_000, 60).tolist()
    whole = vbv.levels(bits, [i / 25 for i in range(60)])
    second = vbv.after(bits[:30], 1 / 25)
    assert second.fullness < vbv.fullness
    halves = second.levels(bits[30:], [i / 25 for i in range(30)])
    assert (halves <= whole[30:] + 1e-6).all()
    assert (halves > whole[30:] - 9_000).all()
    assert Vbv(200_000, 200_000).after([0, 0], 1 / 25).fullness < 1
    assert Vbv(200_000, 200_000).after([10**6], 1 / 25).fullness == pytest.approx(1 / 25)


def test_a_reserve_stays_in_the_buffer() -> None:
    """An encoder that is told of 50,000 bits less, and overruns by as many, keeps the limit at every frame."""
    real, told = Vbv(200_000, 200_000, 0.8), Vbv(200_000, 200_000, 0.8).with_reserve(50_000)
    assert told == Vbv(200_000, 150_000, 0.7333)
    bits, times = [100_000, 0, 0, 60_000, 8_000, 8_000, 8_000], [i / 25 for i in range(7)]
    lead = real.levels(bits, times) - told.levels(bits, times)
    assert (lead >= 50_000 - 1).all()
    assert Vbv(200_000, 200_000, 0.1).with_reserve(500_000) == Vbv(200_000, 1000, 0.0)


def test_a_lower_rate_for_an_encoder_without_a_buffer() -> None:
    assert Vbv(200_000, 200_000).slower(100_000) == Vbv(133_000, 200_000)
    assert Vbv(2_000, 2_000).slower(10**9).maxrate == 1000


def test_the_peak_is_that_of_the_busiest_second() -> None:
    """10 frames a second of 100 bits, but 1000 in each of the third second's; a shorter video has its mean."""
    bits = [100] * 20 + [1000] * 10 + [100] * 20
    assert peak_rate(bits, [i / 10 for i in range(50)]) == 10_000
    assert peak_rate(bits, [round(i / 10 + 0.0004 * (i % 2), 3) for i in range(50)]) == 10_000
    assert peak_rate([100] * 5, [i / 10 for i in range(5)]) == pytest.approx(1000)
    assert peak_rate([], []) == 0


def test_what_exceeds_the_limit_is_a_warning() -> None:
    facts = OutputFacts("av1", 320, 192, "yuv420p", 0, 3, peak=Vbv(1000, 1000).check([2000, 0, 0], [0, 1, 2]))
    exact = Encoded(facts, 250, 1.0, is_limited=True, peak_is_exact=True)
    text = "exceeds the peak of 1 kbit/s with a buffer of 1 kbit: 2 frames are late, one by 1.10 s"
    assert list(exact.warnings()) == [text]
    assert list(replace(exact, peak_is_exact=False).warnings()) == [f"{text}; this encoder keeps near the rate only"]
    unknown = replace(exact, facts=replace(facts, peak=None))
    assert list(unknown.warnings()) == ["the peak rate could not be checked: its packets have no times"]
    assert not list(replace(unknown, facts=replace(facts, peak=None, verified="none")).warnings())
    assert not list(replace(unknown, is_limited=False).warnings())


def test_settings_are_checked_when_made() -> None:
    assert EncodeSettings(maxrate=4_000_999).vbv == Vbv(4_000_000, 8_001_000)
    assert EncodeSettings(maxrate=4_000_000, bufsize=1_000_000).vbv == Vbv(4_000_000, 1_000_000)
    assert EncodeSettings().vbv is None
    assert EncodeSettings(bitrate=2_000_000, maxrate=2_000_000).vbv is not None
    assert parse_peak("4M", "4000k") == parse_peak("4000k", "4M") == (4_000_000, 4_000_000)
    assert parse_peak("1.5m", None) == (1_500_000, None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bufsize": 10**6}, "bufsize=1000000: has no effect without a highest rate (give maxrate too)"),
        ({"maxrate": 10**6, "bitrate": 2 * 10**6}, "maxrate=1000000: is below bitrate=2000000 (give at least the bit rate)"),
        ({"maxrate": 999}, "maxrate=999: out of range"),
        ({"maxrate": 10**6, "bufsize": 0}, "bufsize=0: out of range"),
        ({"maxrate": 10**6, "encoder": "libkvazaar"}, "libkvazaar has no limit of the peak rate (leave it out, or use libx264,"),
        ({"maxrate": 10**6, "encoder": "libvpx-vp9"}, "libvpx-vp9 has no limit of the peak rate"),
        ({"maxrate": 10**6, "encoder": "libaom-av1"}, "libaom-av1 has no limit of the peak rate"),
        (
            {"maxrate": 10**6, "encoder": "libvvenc", "bitrate": 700_000},
            "maxrate=1000000: is too near to bitrate=700000 for libvvenc (give at least 1050000)",
        ),
        ({"maxrate": 10**6, "encoder": "hevc_vaapi"}, "hevc_vaapi has no limit of the peak rate"),
        ({"maxrate": 10**6, "bitrate": 10**5, "encoder": "libsvtav1"}, "libsvtav1 limits the peak at constant quality only"),
        ({"maxrate": 10**8 + 1, "encoder": "libsvtav1"}, "maxrate=100000001: out of range for libsvtav1 (at most 100000000,"),
        ({"encoder_params": "vbv-maxrate=400"}, "encoder_params=vbv-maxrate: cannot be given (use maxrate)"),
        ({"encoder_params": "vbv-bufsize=400"}, "encoder_params=vbv-bufsize: cannot be given (use bufsize)"),
        ({"encoder_params": "mbr=400", "encoder": "libsvtav1"}, "encoder_params=mbr: cannot be given (use maxrate)"),
    ],
)
def test_settings_that_contradict(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        EncodeSettings(**settings)  # type: ignore[arg-type]
    assert message in caught.value.line(spell_python)


def test_a_comparison_has_the_limit_at_all_rates() -> None:
    request = CompareRequest(JOB.clip, "out", maxrate=10**6, bufsize=10**6)
    ladder = request.ladder("libx264")
    assert {request.settings("libx264", ladder, value).vbv for value in ladder.values} == {Vbv(10**6, 10**6)}
    with pytest.raises(UsageError, match="is below"):
        CompareRequest(JOB.clip, "out", bitrates=(500_000, 2_000_000), maxrate=10**6, pairs=0)
    assert "--maxrate" in spell_all(setting("maxrate"), lambda name, _value: f"--{name}")


def peak_of(encoder: str, **changes: object) -> str:
    job = replace(JOB, encoder=encoder, spec=ENCODERS[encoder], vbv=Vbv(400_000, 800_000), **changes)  # type: ignore[arg-type]
    return " ".join(encoder_arguments(job, job.crf, job.params))


def test_what_each_encoder_is_told() -> None:
    limit = "-maxrate 400000 -bufsize 800000"
    for encoder in ("libx264", "libx265"):
        assert f"-crf 23 {limit} -{encoder[3:]}-params vbv-init=0.9" in peak_of(encoder)
    assert f"-b:v 300000 {limit}" in peak_of("libx264", bitrate=300_000, crf=None)
    assert peak_of("libsvtav1").endswith(" -maxrate 400000")
    assert peak_of("libvvenc").endswith(" -maxrate 400000")
    assert peak_of("hevc_nvenc").endswith(f"-rc vbr -b:v 0 {limit}")


def test_the_program_of_svt_av1_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "SvtAv1EncApp"
    program.write_text("#!/bin/sh\necho SVT-AV1-v2.3.0\n")
    program.chmod(0o755)
    monkeypatch.setenv(PROGRAM_VARIABLE, str(program))
    job = replace(JOB, encoder="libsvtav1", spec=ENCODERS["libsvtav1"], vbv=Vbv(400_000, 800_000))
    assert " --mbr 400" in " ".join(SvtAv1Map().deliver_plain(job, 30.0).program)
