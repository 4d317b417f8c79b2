"""What each channel writes, as data, and what its encoder makes of it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from support import audio_bytes, ffmpeg, make_clip, run, video_times

from gpu_saliency import EncodeSettings, RoiPlan, RoiPolicy, prepare_encode, probe_clip, run_saliency_encode
from gpu_saliency.blocks import grid_shape, pool_blocks
from gpu_saliency.channels import addroi
from gpu_saliency.channels.addroi import Scale, addroi_graph
from gpu_saliency.channels.kvazaar_roi import write_roi
from gpu_saliency.channels.prefilter import (
    Strength,
    blurred_share,
    escape_filter_value,
    mask_format,
    mask_frames,
    prefilter_graph,
    protection,
    write_mask,
)
from gpu_saliency.channels.rate_guide import estimate_rates, quantiser_step, wanted_rates
from gpu_saliency.channels.svtav1_map import MAX_LEVELS, PROGRAM_VARIABLE, deltas, map_text
from gpu_saliency.clip import ColorTags
from gpu_saliency.doctor import make_test_clip
from gpu_saliency.encoders.libvpx import LIBVPX_VP9
from gpu_saliency.errors import OutputError, ToolMissingError, UsageError
from gpu_saliency.job import EncodeJob
from gpu_saliency.parts import Part, split_by_cost
from gpu_saliency.proof import Proof, prove_encode

SVT = Path(os.environ.get(PROGRAM_VARIABLE, Path(__file__).parents[1] / ".svtav1" / "bin" / "SvtAv1EncApp"))


def plan_of(grids: list[NDArray[np.int_]], starts: list[int], frames: int, width: int, height: int, **more: object) -> RoiPlan:
    return RoiPlan(
        np.stack(grids).astype(np.int8),
        np.zeros(len(grids), np.float32),
        np.array(starts),
        frames,
        width,
        height,
        RoiPolicy(),
        **more,  # type: ignore[arg-type]
    )


def half(width: int, height: int, side: str, inside: int = -3, outside: int = 1) -> NDArray[np.int_]:
    grid = np.full(grid_shape(width, height), outside)
    middle = grid.shape[1] // 2
    grid[:, slice(0, middle) if side == "left" else slice(middle, None)] = inside
    return grid


def swapping_plan(frames: int, width: int, height: int, every: int) -> RoiPlan:
    """The better half is the left one, then the right one, and so on, each for ``every`` frames."""
    starts = list(range(0, frames, every))
    sides = [half(width, height, ("left", "right")[i % 2], -4, 2) for i in range(len(starts))]
    return plan_of(sides, starts, frames, width, height)


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, 320x192, of a texture under grain, with a tone."""
    folder = tmp_path_factory.mktemp("clip")
    make_test_clip(folder / "raw.yuv")
    raw = ("-f", "rawvideo", "-video_size", "320x192", "-framerate", 24, "-i", folder / "raw.yuv")
    ffmpeg(*raw, "-f", "lavfi", "-i", "sine=duration=2", "-crf", 8, "-c:a", "aac", folder / "in.mp4")
    return folder / "in.mp4"


@pytest.fixture(scope="module")
def cut_path(clip_path: Path) -> Path:
    """The same, but from frame 24 on upside down and negative: a cut, after which nothing of before can be predicted from."""
    path = clip_path.with_name("cut.mp4")
    filters = "split[a][b];[a]trim=end_frame=24[c];[b]trim=start_frame=24,negate,vflip[d];[c][d]concat"
    ffmpeg("-i", clip_path, "-vf", filters, "-crf", 8, "-c:a", "copy", path)
    return path


def timed(job: EncodeJob) -> EncodeJob:
    """``job`` with the time stamps of its source, as the analysis would find them."""
    with av.open(str(job.clip.path)) as container:
        video = container.streams.video[0]
        stamps = sorted(packet.pts for packet in container.demux(video) if packet.pts is not None)
        assert video.time_base is not None
        return replace(job, frame_pts=np.array(stamps), time_base=video.time_base)


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libkvazaar"])
def test_a_plan_that_changes_is_followed_in_time(cut_path: Path, tmp_path: Path, encoder: str) -> None:
    """The better half swaps at the cut: over the clip both are alike, and only the right half at the right time is better."""
    job = timed(prepare_encode(probe_clip(cut_path), EncodeSettings(encoder, "veryfast")))
    plan = swapping_plan(48, 320, 192, 24)
    run_saliency_encode(job, plan, tmp_path / "out.mp4")
    assert_swapped(prove_encode(job, plan, tmp_path / "out.mp4", max_frames=None))


def assert_swapped(proof: Proof) -> None:
    """The left half gained in the first segment, the right half in the second."""
    assert proof.moved is True, proof.summary()
    left, right = (np.nanmean(proof.change[:, :, half], axis=(1, 2)) for half in (slice(0, 10), slice(10, None)))
    assert left[0] < right[0]
    assert right[1] < left[1]


def test_a_plan_that_changes_often_is_followed_in_qp(clip_path: Path, tmp_path: Path) -> None:
    """Every 12 frames, without a cut: the error cannot follow where frames are predicted from each other, the QP does."""
    job = timed(prepare_encode(probe_clip(clip_path), EncodeSettings("libx264", "veryfast")))
    plan = swapping_plan(48, 320, 192, 12)
    run_saliency_encode(job, plan, tmp_path / "out.mp4")
    proof = prove_encode(job, plan, tmp_path / "out.mp4", max_frames=None)
    assert proof.unit == "QP"
    assert proof.correlation is not None
    assert proof.correlation > 0.9, proof.summary()


def test_an_offset_on_other_scales() -> None:
    """10 bit H.264 has 63 QP; VP9's wrapper would make 0 of seven tenths of a step."""
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
    """Every block of a checkerboard is a rectangle; 60 x 60 of them are too many for one chain, 15 x 15 are not."""
    grid = np.indices((60, 60)).sum(axis=0) % 2 * 4 - 4
    plan = plan_of([grid], [0], 1, 960, 960)
    assert addroi_graph(plan, Scale(51)).count("addroi=") <= addroi.MAX_CHAIN + 1
    rough = np.random.default_rng(2).integers(-6, 6, (60, 60))
    coarse = addroi._pooled(rough.astype(np.int8), 4)
    np.testing.assert_allclose(coarse[::4, ::4], pool_blocks(rough, 4, "mean"), atol=0.5)


def test_parts_keep_to_the_limit_and_prefer_cuts() -> None:
    plan = plan_of([np.zeros((2, 4), int)] * 6, [0, 10, 20, 30, 40, 50], 60, 64, 32, cuts=(30,))
    assert split_by_cost(plan, [100] * 6, 1000) == [Part(0, 60)]
    assert split_by_cost(plan, [100] * 6, 400) == [Part(0, 30), Part(30, 60)]
    assert split_by_cost(replace(plan, cuts=()), [100] * 6, 400) == [Part(0, 40), Part(40, 60)]
    assert split_by_cost(plan, [900] * 6, 400) == [Part(i, i + 10) for i in range(0, 60, 10)]


@pytest.mark.parametrize(
    ("encoder", "params"),
    [("libx264", "bframes=3:open-gop=1:keyint=12"), ("libx265", "bframes=4:open-gop=1:keyint=15"), ("libx264", "bframes=0")],
)
def test_parts_are_joined_without_a_seam(
    clip_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str, params: str
) -> None:
    job = timed(prepare_encode(probe_clip(clip_path), EncodeSettings(encoder, "veryfast", encoder_params=params)))
    plan = swapping_plan(48, 320, 192, 7)
    one = run_saliency_encode(job, plan, tmp_path / "one.mp4")
    monkeypatch.setattr(addroi, "MAX_FILTERS", 15)
    many = run_saliency_encode(job, plan, tmp_path / "many.mp4")
    assert (one.parts, many.parts) == (1, 3)
    times = video_times(clip_path)
    assert len(times) == 48
    assert video_times(tmp_path / "one.mp4") == video_times(tmp_path / "many.mp4") == pytest.approx(times, abs=1e-6)
    assert audio_bytes(tmp_path / "many.mp4") == audio_bytes(clip_path)
    errors = luma_errors(clip_path, tmp_path / "many.mp4")
    assert len(errors) == 48
    # A frame in its neighbour's place would be off by the drift.
    assert max(errors) < min(drift_errors(clip_path)) / 3
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


def test_a_source_that_cannot_be_entered_midway_is_decoded_from_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip_path: Path
) -> None:
    """Raw H.264 has no index and no time stamps: each part is reached by counting frames."""
    source = tmp_path / "in.h264"
    ffmpeg("-i", clip_path, "-c", "copy", "-an", source)
    monkeypatch.setattr(addroi, "MAX_FILTERS", 15)
    job = prepare_encode(probe_clip(source), EncodeSettings("libx264", "veryfast"))
    encoded = run_saliency_encode(job, swapping_plan(48, 320, 192, 12), tmp_path / "out.mp4")
    assert (encoded.parts, encoded.facts["frames"]) == (2, 48)
    assert max(luma_errors(source, tmp_path / "out.mp4")) < 40


FORMATS = ["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv444p12le"]


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("size", [(160, 96), (150, 90)])
@pytest.mark.parametrize("color", [ColorTags(), ColorTags(2, 1, 1, 1), ColorTags(1, 9, 9, 16)])
def test_what_the_plan_protects_passes_bit_for_bit(tmp_path: Path, pix_fmt: str, size: tuple[int, int], color: ColorTags) -> None:
    """The left half is protected, all planes of it; the right half is blurred from a block beyond the border on."""
    width, height = size
    plan = replace(plan_of([half(width, height, "left")], [0], 4, width, height), policy=RoiPolicy(-5))
    folder = tmp_path / "a:b [c],d;e'f\\g%h"
    folder.mkdir()
    write_mask(folder / "mask.nut", plan, Fraction(24), mask_format(pix_fmt))
    graph = prefilter_graph(folder / "mask.nut", plan, 1.0, pix_fmt, Fraction(24), color.filter())
    (folder / "graph").write_text("settb=1/24,setpts=N," + graph)
    tags = "," + color.filter() if color.filter() else ""
    source = ("-f", "lavfi", "-i", f"mandelbrot=size={width}x{height}:rate=24,format={pix_fmt}{tags}", "-frames:v", 4)
    ffmpeg(*source, "-f", "rawvideo", tmp_path / "before.yuv")
    ffmpeg(*source, "-/filter:v", folder / "graph", "-pix_fmt", pix_fmt, "-f", "rawvideo", tmp_path / "after.yuv")
    form = av.VideoFormat(pix_fmt, width, height)
    kind = np.uint8 if form.components[0].bits == 8 else np.uint16
    before, after = (np.fromfile(tmp_path / name, kind).reshape(4, -1) for name in ("before.yuv", "after.yuv"))
    border = grid_shape(width, height)[1] // 2 * 16
    at = 0
    for component in form.components:
        shape = (4, component.height, component.width)
        a, b = (x[:, at : at + shape[1] * shape[2]].reshape(shape) for x in (before, after))
        at += shape[1] * shape[2]
        inside = border * component.width // width
        np.testing.assert_array_equal(a[:, :, :inside], b[:, :, :inside])
        assert (a[:, :, inside + 32 * component.width // width :] != b[:, :, inside + 32 * component.width // width :]).any()
    assert at == before.shape[1]


def test_a_mask_moves_with_the_plan_and_reaches_over_changes_but_not_over_cuts() -> None:
    """Left until 12, right until 24 (a cut), left again; protection reaches six frames over the change, none over the cut."""
    grids = [half(320, 64, side) for side in ("left", "right", "left")]
    plan = plan_of(grids, [0, 12, 24], 36, 320, 64, cuts=(24,))
    masks = np.stack(list(mask_frames(plan)))
    assert masks.shape == (36, 4, 20)
    left, right = masks[:, 0, 0], masks[:, 0, -1]
    assert left[:12].tolist() == [255] * 12
    assert right[12:24].tolist() == [255] * 12
    assert right[:6].max() == left[18:24].max() == right[24:].max() == 0
    assert np.all(np.diff(right[6:12].astype(int)) > 0)
    assert np.all(np.diff(left[12:18].astype(int)) < 0)
    assert left[24:].tolist() == [255] * 12
    # One block of margin: the plan protects columns 0 to 9, the mask 10 as well.
    assert masks[0, 0, 9:12].tolist() == [255, 255, 0]


def test_a_positive_offset_blurs_what_is_salient() -> None:
    plan = plan_of([half(320, 64, "left", inside=3, outside=-1)], [0], 4, 320, 64)
    assert protection(plan, 0)[0].tolist() == [0.0] * 9 + [1.0] * 11
    assert blurred_share(plan) == pytest.approx(9 / 20)


def test_a_stronger_quantiser_takes_a_stronger_blur_and_no_shift_crosses_a_barrier() -> None:
    strength = Strength(0.25, 2.0, 1.0, full_at=26, fade=0.1, doubles_in=6, barrier=32)
    assert [strength.sigma(-4, quality) for quality in (None, 20, 26, 32, 38)] == [1, 1, 1, 2, 4]
    assert strength.shift(26, 1.0, 0.5) == -1
    assert strength.shift(31, 2.0, 0.5) == pytest.approx(-1)
    assert strength.shift(32, 2.0, 0.5) == 0
    assert strength.shift(33, 8.0, 0.5) == -1
    assert Strength(0.2, 5.0, 1.2).sigma(3, 60) == pytest.approx(0.6)


def test_the_prefilter_protects_and_proves_it(clip_path: Path, tmp_path: Path) -> None:
    plan = replace(swapping_plan(48, 320, 192, 24), policy=RoiPolicy(-6))
    job = timed(prepare_encode(probe_clip(clip_path), EncodeSettings("libsvtav1", "12", roi_channel="prefilter")))
    run_saliency_encode(job, plan, tmp_path / "out.mp4")
    proof = prove_encode(job, plan, tmp_path / "out.mp4", max_frames=None)
    assert proof.moved is True, proof.summary()


@pytest.mark.parametrize("text", ["/a/b", "/a:b/c", "/it's", "/a[1],b;c", "/a\\b", "/%d"])
def test_paths_survive_the_graph(tmp_path: Path, text: str) -> None:
    folder = tmp_path / text[1:]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    ffmpeg("-f", "lavfi", "-i", "color=size=32x32:rate=24:duration=0.1", folder / "m.nut")
    (tmp_path / "graph").write_text(f"movie=filename={escape_filter_value(str(folder / 'm.nut'))}[m];[m]hstack", encoding="utf-8")
    (tmp_path / "graph").write_text(f"null[a];movie=filename={escape_filter_value(str(folder / 'm.nut'))}[m];[a][m]hstack")
    ffmpeg("-f", "lavfi", "-i", "color=size=32x32:rate=24:duration=0.1", "-/filter:v", tmp_path / "graph", tmp_path / "out.nut")


def test_mask_on_a_full_disk(tmp_path: Path) -> None:
    """A device that the kernel answers for as a full disk."""
    plan = swapping_plan(48, 320, 192, 12)
    (tmp_path / "mask.nut").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="the mask cannot be written: No space left on device"):
        write_mask(tmp_path / "mask.nut", plan, Fraction(24))
    with pytest.raises(OutputError, match="the mask cannot be written: No such file"):
        write_mask(Path("/no/such/folder/mask.nut"), plan, Fraction(24))


@pytest.mark.parametrize("channel", ["prefilter", "addroi"])
def test_an_encode_on_a_full_disk(tmp_path: Path, channel: str) -> None:
    """A file system of 64 KiB, which the encode does not fit into: said so, and left as it was."""
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


def test_a_plan_of_another_clip(clip_path: Path, tmp_path: Path) -> None:
    job = timed(prepare_encode(probe_clip(clip_path), EncodeSettings()))
    with pytest.raises(UsageError, match="is 320x192, the plan is of 320x208"):
        run_saliency_encode(job, swapping_plan(48, 320, 208, 12), tmp_path / "out.mp4")
    with pytest.raises(UsageError, match="has 48 frames, the plan 40"):
        run_saliency_encode(job, swapping_plan(40, 320, 192, 12), tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_svt_map_has_few_levels_and_none_below_zero() -> None:
    rng = np.random.default_rng(5)
    plan = plan_of([rng.integers(-6, 7, (30, 54)) for _ in range(3)], [0, 5, 9], 12, 854, 480)
    for segment in range(3):
        found = deltas(plan, segment)
        assert found.shape == (8, 14)
        assert found.min() == 0
        assert found.max() <= 255
        assert len(np.unique(found)) <= MAX_LEVELS
    lines = [list(map(int, line.split())) for line in map_text(plan).splitlines()]
    assert [line[0] for line in lines] == [0, 5, 9]
    assert {len(line) for line in lines} == {1 + 8 * 14}


def test_svt_map_gives_a_subject_its_whole_superblock() -> None:
    """One 16x16 block of -3 in a picture of +1: the 64x64 block around it gets 0, all others the most."""
    grid = np.ones((8, 8), int)
    grid[5, 2] = -3
    found = deltas(plan_of([grid], [0], 1, 128, 128), 0)
    assert found[1, 0] == 0
    assert found[0].tolist() == [found.max()] * 2
    assert found.max() > 0


def test_kvazaar_file(tmp_path: Path) -> None:
    """A grid for each frame; 64x64 units get the rounded mean of their blocks, at the edges of those that exist."""
    grid = np.zeros((5, 6), int)
    grid[:4, :4], grid[4:, 4:] = -4, 3
    write_roi(tmp_path / "roi", plan_of([grid, grid * 0], [0, 2], 3, 96, 80))
    assert (tmp_path / "roi").read_text().split("\n") == ["2 2", "-4 0", "0 3"] * 2 + ["2 2", "0 0", "0 0", ""]


@pytest.mark.parametrize(("encoder", "preset"), [("libaom-av1", "8"), ("libvvenc", "faster"), ("libsvtav1", "12")])
def test_the_prefilter_keeps_colour_tags(tmp_path: Path, encoder: str, preset: str) -> None:
    tags = "setparams=colorspace=smpte170m:color_primaries=bt470bg:color_trc=bt709:range=tv"
    source = make_clip(tmp_path / "in.mp4", seconds=0.5, extra=("-vf", tags))
    job = timed(prepare_encode(probe_clip(source), EncodeSettings(encoder, preset, roi_channel="prefilter")))
    run_saliency_encode(job, plan_of([half(160, 96, "left")], [0], 12, 160, 96), tmp_path / "out.mp4")
    assert probe_clip(tmp_path / "out.mp4").color == job.clip.color


def test_estimated_rates_follow_the_texture(tmp_path: Path) -> None:
    """Left flat, right noise: a flat 16x16 block takes four bits, one for each 8x8; at the edge what is in the picture counts."""
    picture = "color=gray:size=72x40:rate=24,geq=lum='if(lt(X,32),128,random(1)*255)':cb=128:cr=128"
    ffmpeg("-f", "lavfi", "-i", picture, "-frames:v", 3, "-pix_fmt", "yuv420p", tmp_path / "in.y4m")
    rates = estimate_rates(probe_clip(tmp_path / "in.y4m"), Part(0, 3), quantiser_step(32))
    assert rates.shape == (3, 5)
    assert rates[:2, :2].tolist() == [[4, 4], [4, 4]]
    assert rates[:2, 2:4].min() > 400
    assert rates[2, 0] == 2
    assert rates[0, 3] / 3 < rates[0, 4] < rates[0, 3]


def test_wanted_rates_keep_the_sum() -> None:
    """libaom scales by the sums: what is not asked for goes to the corner."""
    plan = plan_of([half(160, 96, "left", -3, 1)], [0], 4, 160, 96)
    estimate = np.random.default_rng(1).uniform(10, 100, (6, 10))
    wanted = wanted_rates(estimate, plan)
    np.testing.assert_allclose(wanted[:, :5], 2 * estimate[:, :5])
    np.testing.assert_allclose(wanted[:4, 5:], 0.6 * estimate[:4, 5:])
    gentle = wanted_rates(estimate, plan_of([half(160, 96, "left", 1, 1)], [0], 4, 160, 96))
    assert gentle.sum() == pytest.approx(estimate.sum())


@pytest.mark.parametrize("text", ["1.4.1", "0.9"])
def test_an_app_too_old_is_passed_over_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, clip_path: Path
) -> None:
    app = tmp_path / "SvtAv1EncApp"
    app.write_text(f"#!/bin/sh\necho 'SVT-AV1 v{text} (release)'\n")
    app.chmod(0o755)
    monkeypatch.setenv(PROGRAM_VARIABLE, str(app))
    job = prepare_encode(probe_clip(clip_path), EncodeSettings("libsvtav1"))
    assert job.channel is not None
    assert job.channel.name == "prefilter"
    assert job.passed_over == (("svtav1-map", f"{app}: is version {text}, which reads no ROI map"),)
    with pytest.raises(ToolMissingError, match="reads no ROI map"):
        prepare_encode(probe_clip(clip_path), EncodeSettings("libsvtav1", roi_channel="svtav1-map"))


def test_channels_that_an_encoder_has_not(clip_path: Path) -> None:
    clip = probe_clip(clip_path)
    with pytest.raises(UsageError, match="addroi: does not reach libvvenc"):
        prepare_encode(clip, EncodeSettings("libvvenc", roi_channel="addroi"))
    with pytest.raises(UsageError, match="--roi-channel nonsense: unknown"):
        prepare_encode(clip, EncodeSettings("libx264", roi_channel="nonsense"))


def test_an_encoder_of_which_nothing_is_known_takes_the_prefilter(clip_path: Path, tmp_path: Path) -> None:
    job = timed(prepare_encode(probe_clip(clip_path), EncodeSettings("mpeg4", roi_channel="prefilter", bitrate=900_000)))
    plan = replace(swapping_plan(48, 320, 192, 24), policy=RoiPolicy(-8))
    encoded = run_saliency_encode(job, plan, tmp_path / "out.mp4")
    assert (encoded.facts["codec"], encoded.facts["frames"]) == ("mpeg4", 48)


@pytest.mark.skipif(not SVT.exists(), reason="no SvtAv1EncApp; scripts/install-svtav1")
class TestSvtAv1EncApp:
    """With the real program."""

    @pytest.fixture(autouse=True)
    def _program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(PROGRAM_VARIABLE, str(SVT))

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_the_map_moves_bits_and_nothing_is_lost(self, cut_path: Path, tmp_path: Path, suffix: str) -> None:
        job = timed(prepare_encode(probe_clip(cut_path), EncodeSettings("libsvtav1", "10")))
        assert job.channel is not None
        assert job.channel.name == "svtav1-map"
        plan = swapping_plan(48, 320, 192, 24)
        run_saliency_encode(job, plan, tmp_path / f"out{suffix}")
        # Matroska knows no negative time: it begins with the audio's priming, 23 ms before the picture.
        times = np.array(video_times(tmp_path / f"out{suffix}"))
        np.testing.assert_allclose(times - times[0], video_times(cut_path), atol=1.1e-3)
        assert audio_bytes(tmp_path / f"out{suffix}") == audio_bytes(cut_path)
        assert_swapped(prove_encode(job, plan, tmp_path / f"out{suffix}", max_frames=None))

    def test_ten_bit_and_colour_tags(self, tmp_path: Path) -> None:
        tags = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084:range=tv"
        source = make_clip(tmp_path / "in.mkv", size="150x90", extra=("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-vf", tags))
        job = timed(prepare_encode(probe_clip(source), EncodeSettings("libsvtav1", "10")))
        run_saliency_encode(job, plan_of([half(150, 90, "left")], [0], 24, 150, 90), tmp_path / "out.mkv")
        found = probe_clip(tmp_path / "out.mkv")
        assert (found.pix_fmt, found.color) == ("yuv420p10le", job.clip.color)

    def test_its_own_words_when_it_fails(self, clip_path: Path, tmp_path: Path) -> None:
        job = timed(prepare_encode(probe_clip(clip_path), EncodeSettings("libsvtav1", "10", encoder_params="no-such-option=1")))
        with pytest.raises(Exception, match="SvtAv1EncApp failed") as caught:
            run_saliency_encode(job, swapping_plan(48, 320, 192, 12), tmp_path / "out.mkv")
        assert "no-such-option" in str(caught.value)
        assert list(tmp_path.iterdir()) == []
