"""The data that each channel delivers, and the encodes that its encoder makes from it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ffmpeg, make_clip
from packets import audio_bytes, video_times
from plans import assert_swapped, half_grid, make_plan, swapping_plan, with_time_stamps
from program import run

from gpu_saliency import EncodeSettings, RoiPolicy, prepare_encode, probe_clip, run_saliency_encode
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.encode.channels import addroi
from gpu_saliency.encode.channels.addroi_graph import MAX_CHAIN, MAX_CHAIN_LARGE, Scale, addroi_graph, coarsen
from gpu_saliency.encode.channels.kvazaar_roi import write_roi
from gpu_saliency.encode.channels.rate_guide import wanted_rates
from gpu_saliency.encode.channels.rates import estimate_rates, quantiser_step
from gpu_saliency.encode.encoders import ENCODERS, encoder_spec
from gpu_saliency.encode.encoders.libvpx import LIBVPX_VP9
from gpu_saliency.encode.parts import Part, split_by_cost
from gpu_saliency.errors import UnsupportedEncoderError, UsageError
from gpu_saliency.grid import pool_blocks
from gpu_saliency.proof import prove_encode


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libkvazaar"])
def test_a_plan_that_changes_is_followed_in_time(cut_path: Path, tmp_path: Path, encoder: str) -> None:
    """The better half swaps at the cut: over the clip both are alike, and only the right half at the right time is better."""
    job = with_time_stamps(prepare_encode(probe_clip(cut_path), EncodeSettings(encoder, "veryfast")))
    plan = swapping_plan(48, 320, 192, 24)
    assert run_saliency_encode(job, plan, tmp_path / "out.mp4").parts == 1
    assert video_times(tmp_path / "out.mp4") == pytest.approx(video_times(cut_path), abs=1e-6)
    assert_swapped(prove_encode(job, plan, tmp_path / "out.mp4", max_frames=None))


def test_a_plan_that_changes_often_is_followed_in_qp(grain_path: Path, tmp_path: Path) -> None:
    """Every 12 frames, without a cut: frames are predicted from each other, so the QP follows at once and the error does not."""
    job = with_time_stamps(prepare_encode(probe_clip(grain_path), EncodeSettings("libx264", "veryfast")))
    plan = swapping_plan(48, 320, 192, 12)
    run_saliency_encode(job, plan, tmp_path / "out.mp4")
    proof = prove_encode(job, plan, tmp_path / "out.mp4", max_frames=None)
    assert proof.unit == "QP"
    assert proof.correlation is not None
    assert proof.correlation > 0.9, proof.summary()


def test_an_offset_on_other_scales() -> None:
    """10 bit H.264 has 63 QP; VP9's wrapper would truncate seven tenths of a step to 0."""
    assert Scale(63).qoffset(-2.555) == "-256/6300"
    vp9 = LIBVPX_VP9.channels[0]
    assert isinstance(vp9, addroi.AddRoi)
    assert [vp9.scale(8).qoffset(qp) for qp in (-2.55, -0.3, 0.6, 12)] == ["-3/63", "0/63", "1/63", "14/63"]


def test_graph_of_several_segments() -> None:
    graph = addroi_graph(swapping_plan(48, 64, 32, 24), Scale(51)).splitlines()
    assert graph[0] == "split=2[in0][in1];"
    assert graph[1] == "[in0]trim=start_frame=0:end_frame=24,setpts=PTS-STARTPTS,"
    assert graph[-1] == "[out0][out1]concat=n=2"


def test_a_fine_plan_is_made_coarser_rather_than_slow() -> None:
    """Each block of a checkerboard is a rectangle; 60 x 60 of them are too many for one chain, 15 x 15 are not."""
    grid = np.indices((60, 60)).sum(axis=0) % 2 * 4 - 4
    plan = make_plan([grid], [0], 1, 960, 960)
    assert addroi_graph(plan, Scale(51)).count("addroi=") <= MAX_CHAIN + 1
    large = make_plan([np.random.default_rng(3).integers(-6, 6, (68, 120))], [0], 1, 1920, 1080)
    assert addroi_graph(large, Scale(51)).count("addroi=") <= MAX_CHAIN_LARGE + 1
    rough = np.random.default_rng(2).integers(-6, 6, (60, 60))
    coarse = coarsen(rough.astype(np.int8), 4)
    np.testing.assert_allclose(coarse[::4, ::4], pool_blocks(rough, 4, "mean"), atol=0.5)


def test_parts_stay_within_the_limit_and_prefer_cuts() -> None:
    plan = make_plan([np.zeros((2, 4), int)] * 6, [0, 10, 20, 30, 40, 50], 60, 64, 32, cuts=(30,))
    assert split_by_cost(plan, [100] * 6, 1000) == [Part(0, 60)]
    assert split_by_cost(plan, [100] * 6, 400) == [Part(0, 30), Part(30, 60)]
    assert split_by_cost(replace(plan, cuts=()), [100] * 6, 400) == [Part(0, 40), Part(40, 60)]
    assert split_by_cost(plan, [900] * 6, 400) == [Part(i, i + 10) for i in range(0, 60, 10)]


@pytest.mark.parametrize(
    ("encoder", "params"),
    [("libx264", "bframes=3:open-gop=1:keyint=12"), ("libx265", "bframes=4:open-gop=1:keyint=15"), ("libx264", "bframes=0")],
)
def test_parts_are_joined_without_a_seam(
    grain_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str, params: str
) -> None:
    job = with_time_stamps(prepare_encode(probe_clip(grain_path), EncodeSettings(encoder, "veryfast", encoder_params=params)))
    plan = swapping_plan(48, 320, 192, 7)
    monkeypatch.setattr(addroi, "MAX_FILTERS", 15)
    assert run_saliency_encode(job, plan, tmp_path / "many.mp4").parts == 3
    times = video_times(grain_path)
    assert len(times) == 48
    assert video_times(tmp_path / "many.mp4") == pytest.approx(times, abs=1e-6)
    assert audio_bytes(tmp_path / "many.mp4") == audio_bytes(grain_path)
    errors = luma_errors(grain_path, tmp_path / "many.mp4")
    assert len(errors) == 48
    # A frame in its neighbour's place would have an error as large as the drift.
    assert max(errors) < min(drift_errors(grain_path)) / 3
    assert prove_encode(job, plan, tmp_path / "many.mp4", max_frames=None).moved is True


def drift_errors(path: Path) -> list[float]:
    """Mean squared luma difference of each frame to the one before."""
    with av.open(str(path)) as container:
        lumas = [frame.to_ndarray(format="gray").astype(float) for frame in container.decode(video=0)]
    return [float(((x - y) ** 2).mean()) for x, y in pairwise(lumas)]


def luma_errors(one: Path, other: Path) -> list[float]:
    """Mean squared luma error of each frame."""
    with av.open(str(one)) as a, av.open(str(other)) as b:
        pairs = zip(a.decode(video=0), b.decode(video=0), strict=True)
        lumas = ((x.to_ndarray(format="gray").astype(float), y.to_ndarray(format="gray").astype(float)) for x, y in pairs)
        return [float(((x - y) ** 2).mean()) for x, y in lumas]


def test_a_source_without_an_index_is_decoded_from_its_start_for_each_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grain_path: Path
) -> None:
    """Raw H.264 has no index and no time stamps: each part is reached by counting frames."""
    source = tmp_path / "in.h264"
    ffmpeg("-i", grain_path, "-c", "copy", "-an", source)
    monkeypatch.setattr(addroi, "MAX_FILTERS", 15)
    job = prepare_encode(probe_clip(source), EncodeSettings("libx264", "veryfast"))
    encoded = run_saliency_encode(job, swapping_plan(48, 320, 192, 12), tmp_path / "out.mp4")
    assert (encoded.parts, encoded.facts.frames) == (2, 48)
    assert max(luma_errors(source, tmp_path / "out.mp4")) < 40


@pytest.mark.parametrize("channel", ["prefilter", "addroi"])
def test_an_encode_on_a_full_disk(tmp_path: Path, channel: str) -> None:
    """A file system of 64 KiB is too small for the encode: the error says so, and nothing is left there."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small file system here: {mounted.stderr.strip()}")
    try:
        source = make_clip(tmp_path / "in.mp4", size="640x368", seconds=1)
        wanted = ("--preset", "ultrafast", "--crf", 5, "--roi-channel", channel, "--sidecar", tmp_path / "s.npz")
        done = run("encode", "--src", source, "--output", disk / "out.mp4", *wanted)
        assert done.code == 73, done.err
        assert len(done.errors) == 1
        assert f"{disk}: No space left on device (free" in done.errors[0]
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_plan_of_another_clip(grain_path: Path, tmp_path: Path) -> None:
    job = with_time_stamps(prepare_encode(probe_clip(grain_path), EncodeSettings()))
    with pytest.raises(UsageError, match="is 320x192, the plan is for 320x208"):
        run_saliency_encode(job, swapping_plan(48, 320, 208, 12), tmp_path / "out.mp4")
    with pytest.raises(UsageError, match="has 48 frames, the plan has 40"):
        run_saliency_encode(job, swapping_plan(40, 320, 192, 12), tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_kvazaar_file(tmp_path: Path) -> None:
    """A grid for each frame; each 64x64 unit gets the rounded mean of its blocks inside the picture."""
    grid = np.zeros((5, 6), int)
    grid[:4, :4], grid[4:, 4:] = -4, 3
    write_roi(tmp_path / "roi", make_plan([grid, grid * 0], [0, 2], 3, 96, 80))
    assert (tmp_path / "roi").read_text().split("\n") == ["2 2", "-4 0", "0 3"] * 2 + ["2 2", "0 0", "0 0", ""]


def test_estimated_rates_follow_the_texture(tmp_path: Path) -> None:
    """Left flat, right noise: a flat 16x16 block takes four bits, one for each 8x8; blocks at the edge count their part inside."""
    picture = "color=gray:size=72x40:rate=24,geq=lum='if(lt(X,32),128,random(1)*255)':cb=128:cr=128"
    ffmpeg("-f", "lavfi", "-i", picture, "-frames:v", 3, "-pix_fmt", "yuv420p", tmp_path / "in.y4m")
    rates = estimate_rates(probe_clip(tmp_path / "in.y4m"), Part(0, 3), quantiser_step(32))
    assert rates.shape == (3, 5)
    assert rates[:2, :2].tolist() == [[4, 4], [4, 4]]
    assert rates[:2, 2:4].min() > 400
    assert rates[2, 0] == 2
    assert rates[0, 3] / 3 < rates[0, 4] < rates[0, 3]


def test_wanted_rates_keep_the_sum() -> None:
    """libaom scales by the sums: the missing sum goes to the corner."""
    plan = make_plan([half_grid(160, 96, "left", -3, 1)], [0], 4, 160, 96)
    estimate = np.random.default_rng(1).uniform(10, 100, (6, 10))
    wanted = wanted_rates(estimate, plan)
    np.testing.assert_allclose(wanted[:, :5], 2 * estimate[:, :5])
    np.testing.assert_allclose(wanted[:4, 5:], 0.6 * estimate[:4, 5:])
    gentle = wanted_rates(estimate, make_plan([half_grid(160, 96, "left", 1, 1)], [0], 4, 160, 96))
    assert gentle.sum() == pytest.approx(estimate.sum())


def test_channels_that_an_encoder_does_not_have(grain_path: Path) -> None:
    clip = probe_clip(grain_path)
    with pytest.raises(UsageError, match="addroi: does not work with libvvenc"):
        prepare_encode(clip, EncodeSettings("libvvenc", roi_channel="addroi"))
    with pytest.raises(UsageError, match="roi_channel=nonsense: unknown"):
        prepare_encode(clip, EncodeSettings("libx264", roi_channel="nonsense"))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("x265", "unknown encoder, did you mean libx265?"),
        ("svtav1", "unknown encoder, did you mean libsvtav1?"),
        ("HEVC", "unknown encoder, did you mean libx265?"),
        ("nvenc", "unknown encoder, did you mean h264_nvenc?"),
        ("?", "unknown encoder"),
    ],
)
def test_an_unknown_encoder_is_reported_with_its_nearest_name(name: str, problem: str) -> None:
    with pytest.raises(UnsupportedEncoderError) as caught:
        encoder_spec(name)
    error = caught.value
    assert error.message == f"encoder={name}: {problem}"
    assert error.line(spell_flag).startswith(f"--encoder {name}: {problem} (")
    assert "--roi-channel prefilter, or --saliency-fallback-plain for a plain encode" in error.line(spell_flag)
    assert error.to_json()["supported_encoders"] == list(ENCODERS)


def test_refused_parameters_name_the_setting_to_use_in_each_spelling() -> None:
    """In Python as keywords, on the command line as flags."""
    for params, python, flags in (
        ({"qp": "20"}, "encoder_params=qp: cannot be given (use crf: constant", "--encoder-params qp: cannot be given (use --crf:"),
        ({"bitrate": "9"}, "encoder_params=bitrate: cannot be given (use bitrate)", "cannot be given (use --bitrate)"),
    ):
        with pytest.raises(UsageError) as caught:
            ENCODERS["libx264"].check("medium", 23, params)
        assert python in str(caught.value)
        assert flags in caught.value.line(spell_flag)
    with pytest.raises(UsageError, match=r"^crf=99: out of range for libx264 \(0 to 51\)$"):
        ENCODERS["libx264"].check("medium", 99.0, {})


def test_each_refused_parameter_has_a_cure() -> None:
    """The cure is an imperative: it begins with a verb."""
    cures = {cure for spec in ENCODERS.values() for cure in spec.owned_params.values()}
    assert {cure.split()[0] for cure in cures} == {"use", "leave", "give"}


def test_an_encoder_outside_the_table_takes_the_prefilter(grain_path: Path, tmp_path: Path) -> None:
    settings = EncodeSettings("mpeg4", roi_channel="prefilter", bitrate=900_000)
    job = with_time_stamps(prepare_encode(probe_clip(grain_path), settings))
    plan = replace(swapping_plan(48, 320, 192, 24), policy=RoiPolicy(-8))
    encoded = run_saliency_encode(job, plan, tmp_path / "out.mp4")
    assert (encoded.facts.codec, encoded.facts.frames) == ("mpeg4", 48)
