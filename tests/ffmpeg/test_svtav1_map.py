"""The ROI map for SVT-AV1, and encodes by its program and by the library that comes with PyAV."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip
from packets import audio_bytes, video_times
from plans import assert_swapped, half_grid, make_plan, swapping_plan, with_time_stamps

from gpu_saliency import EncodeSettings, prepare_encode, probe_clip, run_saliency_encode
from gpu_saliency.encode.channels.svtav1_library import find_library
from gpu_saliency.encode.channels.svtav1_map import MAX_LEVELS, best_offset, deltas, few_levels, map_text, mean_delta, unit_blocks
from gpu_saliency.encode.channels.svtav1_program import PROGRAM_VARIABLE, find_program
from gpu_saliency.errors import ToolMissingError, UsageError
from gpu_saliency.proof import prove_encode
from gpu_saliency.source.static_hdr import static_hdr

SVT = Path(os.environ.get(PROGRAM_VARIABLE, Path(__file__).parents[2] / ".svtav1" / "bin" / "SvtAv1EncApp"))


def test_svt_map_has_few_levels_and_none_below_zero() -> None:
    rng = np.random.default_rng(5)
    plan = make_plan([rng.integers(-6, 7, (30, 54)) for _ in range(3)], [0, 5, 9], 12, 854, 480)
    for segment in range(3):
        found = deltas(plan, segment, best_offset(plan))
        assert found.shape == (8, 14)
        assert found.min() >= 0
        assert found.max() <= 255
        assert len(np.unique(found)) <= MAX_LEVELS
    lines = [list(map(int, line.split())) for line in map_text(plan, best_offset(plan), least=2).splitlines()]
    assert [line[0] for line in lines] == [0, 5, 9, 12]
    assert min(min(line[1:]) for line in lines[:-1]) == 2
    assert set(lines[-1][1:]) == {0}
    assert {len(line) for line in lines} == {1 + 8 * 14}


def test_svt_map_gives_a_superblock_its_best_offset() -> None:
    """One 16x16 block of -3 in a picture of +1: the 64x64 block around it gets 0, all others the largest offset."""
    grid = np.ones((8, 8), int)
    grid[5, 2] = -3
    plan = make_plan([grid], [0], 1, 128, 128)
    found = deltas(plan, 0, best_offset(plan))
    assert found.tolist() == [[28, 28], [0, 28]]
    assert mean_delta(plan) == 21
    # A superblock of 128x128 takes the worst of its four values, so slow presets get the best one four times.
    assert deltas(plan, 0, best_offset(plan), unit_blocks("4")).tolist() == [[0, 0], [0, 0]]
    assert unit_blocks("8") == 4


def test_svt_map_keeps_the_level_of_segments_with_a_weak_plan() -> None:
    """The best block of the second segment is 2 QP above that of the first: 14 steps of the quantiser index."""
    plan = make_plan([np.full((4, 4), -3), np.full((4, 4), -1)], [0, 6], 12, 64, 64)
    assert map_text(plan, best_offset(plan)) == "0 0\n6 14\n12 0\n"
    assert map_text(plan.between(6, 12), best_offset(plan)) == "0 14\n6 0\n"


def test_svt_map_limits_offsets() -> None:
    """Offsets of -7, -3, 0 and 4 at a strength of 3: limited to -3 and 2."""
    grid = np.repeat(np.repeat([[-7, -3], [0, 4]], 4, axis=0), 4, axis=1)
    plan = make_plan([grid], [0], 1, 128, 128)
    assert deltas(plan, 0, best_offset(plan)).tolist() == [[0, 0], [21, 35]]


def test_few_levels_groups_values_with_the_least_error() -> None:
    """Ten values: the two closest pairs are merged, each weighted by its counts."""
    values = np.array([0, 8, 16, 16, 16, 17, 40, 48, 56, 58, 72, 80])
    assert few_levels(values).tolist() == [0, 8, 16, 16, 16, 16, 40, 48, 57, 57, 72, 80]
    assert few_levels(values[:6]).tolist() == values[:6].tolist()


@pytest.mark.parametrize("text", ["1.4.1", "0.9"])
def test_an_app_that_is_too_old_is_passed_over_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, grain_path: Path
) -> None:
    app = tmp_path / "SvtAv1EncApp"
    app.write_text(f"#!/bin/sh\necho 'SVT-AV1 v{text} (release)'\n")
    app.chmod(0o755)
    monkeypatch.setenv(PROGRAM_VARIABLE, str(app))
    job = prepare_encode(probe_clip(grain_path), EncodeSettings("libsvtav1"))
    assert job.channel is not None
    assert job.channel.name == "prefilter"
    assert job.passed_over == (("svtav1-map", f"{app}: version {text} cannot read ROI maps"),)
    with pytest.raises(ToolMissingError, match="cannot read ROI maps"):
        prepare_encode(probe_clip(grain_path), EncodeSettings("libsvtav1", roi_channel="svtav1-map"))


@pytest.mark.parametrize(
    ("script", "problem"),
    [(None, "no such program"), ("echo hello", "is not SvtAv1EncApp"), ("#!/no/such/shell", "cannot be run")],
)
def test_an_app_that_cannot_serve_is_an_error_with_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, problem: str
) -> None:
    app = tmp_path / "app"
    if script is not None:
        app.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
        app.chmod(0o755)
    monkeypatch.setenv(PROGRAM_VARIABLE, str(app))
    with pytest.raises(ToolMissingError, match=problem) as caught:
        find_program()
    assert caught.value.cure


class TestEncodes:
    """Encodes by the library, which every wheel of PyAV has, and by the program."""

    @pytest.fixture(autouse=True, params=["library", "program"])
    def _encoder(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(PROGRAM_VARIABLE, raising=False)
        if request.param == "program":
            if not SVT.exists():
                pytest.skip("no SvtAv1EncApp; scripts/install-svtav1")
            monkeypatch.setenv(PROGRAM_VARIABLE, str(SVT))
        elif find_library() is None:
            pytest.skip("this PyAV brought no library of SVT-AV1 4.1 or 4.2")

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_the_map_moves_bits_and_keeps_times_and_audio(self, cut_path: Path, tmp_path: Path, suffix: str) -> None:
        job = with_time_stamps(prepare_encode(probe_clip(cut_path), EncodeSettings("libsvtav1", "10")))
        assert job.channel is not None
        assert job.channel.name == "svtav1-map"
        plan = swapping_plan(48, 320, 192, 24)
        run_saliency_encode(job, plan, tmp_path / f"out{suffix}")
        # Matroska has no negative time stamps: the file begins with the audio's priming, 23 ms before the picture.
        times = np.array(video_times(tmp_path / f"out{suffix}"))
        np.testing.assert_allclose(times - times[0], video_times(cut_path), atol=1.1e-3)
        assert audio_bytes(tmp_path / f"out{suffix}") == audio_bytes(cut_path)
        assert_swapped(prove_encode(job, plan, tmp_path / f"out{suffix}", max_frames=None))

    def test_ten_bit_colour_tags_and_static_hdr(self, tmp_path: Path) -> None:
        tags = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084:range=tv"
        display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
        params = ("-x265-params", f"log-level=0:hdr10=1:master-display={display}:max-cll=1000,400")
        codec = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", *params)
        source = make_clip(tmp_path / "in.mp4", size="150x90", extra=(*codec, "-vf", tags))
        job = with_time_stamps(prepare_encode(probe_clip(source), EncodeSettings("libsvtav1", "10")))
        run_saliency_encode(job, make_plan([half_grid(150, 90, "left")], [0], 24, 150, 90), tmp_path / "out.mkv")
        found = probe_clip(tmp_path / "out.mkv")
        assert (found.pix_fmt, found.color) == ("yuv420p10le", job.clip.color)
        hdr = static_hdr(found)
        assert hdr.light == (1000, 400)
        np.testing.assert_allclose(hdr.display, (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329, 0.005, 1000), rtol=1e-2)

    def test_a_parameter_that_it_does_not_know_is_named(self, grain_path: Path, tmp_path: Path) -> None:
        settings = EncodeSettings("libsvtav1", "10", encoder_params="no-such-option=1")
        job = with_time_stamps(prepare_encode(probe_clip(grain_path), settings))
        with pytest.raises(UsageError, match="no-such-option"):
            run_saliency_encode(job, swapping_plan(48, 320, 192, 12), tmp_path / "out.mkv")
        assert list(tmp_path.iterdir()) == []
