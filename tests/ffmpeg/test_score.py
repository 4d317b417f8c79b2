"""``score``: equal to ffmpeg's own filters, weighted as computed by hand, and honest about what it lacks."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from clips import FFMPEG, ffmpeg, make_clip
from program import run

from gpu_saliency import GpuSaliencyError, Observer, Progress, Score, probe_clip, score_encode
from gpu_saliency.draw.canvas import png_bytes
from gpu_saliency.score import tools
from gpu_saliency.score.graph import VMAF_FORMAT
from gpu_saliency.score.pair import make_pair
from gpu_saliency.score.weighted import weigh
from gpu_saliency.score.whole import mask_planes

FFMPEG5 = Path(os.environ.get("GPU_SALIENCY_FFMPEG5", Path(__file__).parents[2] / ".ffmpeg5" / "bin" / "ffmpeg"))
FRAMES, WIDTH, HEIGHT = 6, 320, 192
NUMBER = r"([\d.]+|inf)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ref.mkv`` and an encode of it, ``dist.mp4``, whose left half has the greater error."""
    folder = tmp_path_factory.mktemp("score")
    make_clip(folder / "ref.mkv", size=f"{WIDTH}x{HEIGHT}", seconds=FRAMES / 24, extra=("-crf", 12))
    noise = "split[a][b];[a]crop=160:192:0:0,noise=c0s=40:c0_seed=7[c];[b]crop=160:192:160:0[d];[c][d]hstack"
    ffmpeg("-i", folder / "ref.mkv", "-vf", noise, "-crf", 30, folder / "dist.mp4")
    return folder


@pytest.fixture(scope="module")
def everywhere(folder: Path) -> Score:
    """The whole frame, and all of it as the region too."""
    return score_encode(folder / "ref.mkv", folder / "dist.mp4", masks=white(folder / "all.png", 255))


@pytest.fixture
def no_vmaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the slow metrics out."""
    monkeypatch.setattr(tools, "_accepts", lambda _path, _option: False)


def white(path: Path, value: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """A picture of one grey."""
    path.write_bytes(png_bytes(np.full((size[1], size[0], 3), value, np.uint8)))
    return path


def asked(folder: Path, graph: str) -> str:
    """What ffmpeg's filters report of the encode (``[d]``) and the reference (``[r]``)."""
    inputs = ("-i", str(folder / "dist.mp4"), "-i", str(folder / "ref.mkv"))
    graph = f"[0:v]settb=1/24,setpts=N[d];[1:v]settb=1/24,setpts=N[r];{graph}"
    command = [FFMPEG, "-hide_banner", *inputs, "-filter_complex", graph, "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stderr


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("psnr", rf"PSNR y:{NUMBER} u:{NUMBER} v:{NUMBER}"),
        ("ssim", rf"SSIM Y:{NUMBER} \S+ U:{NUMBER} \S+ V:{NUMBER} \S+"),
        ("xpsnr", rf"XPSNR  y: {NUMBER}  u: {NUMBER}  v: {NUMBER}"),
    ],
)
def test_planes_equal_ffmpegs_own_filters(folder: Path, everywhere: Score, name: str, pattern: str) -> None:
    found = re.search(pattern, asked(folder, f"[d][r]{name}"))
    assert found is not None
    ours = [everywhere.metrics[f"{name}_{plane}"].pooled for plane in "yuv"]
    assert ours == pytest.approx(list(map(float, found.groups())), abs=5e-4)


def test_ssim_of_all_planes_equals_ffmpegs(folder: Path, everywhere: Score) -> None:
    found = re.search(rf"All:{NUMBER}", asked(folder, "[d][r]ssim"))
    assert found is not None
    assert everywhere.metrics["ssim"].pooled == pytest.approx(float(found[1]), abs=5e-4)


@pytest.mark.parametrize(
    ("metric", "model", "scale"),
    [
        ("vmaf", "vmaf_v1.0.16_3d0h", "null"),
        ("vmaf_neg", "vmaf_v0.6.1neg", "null"),
        ("vmaf_scaled", "vmaf_v1.0.16_3d0h", "scale=1920:-2:flags=bicubic"),
        ("vmaf_neg_scaled", "vmaf_v0.6.1neg", "scale=1920:-2:flags=bicubic"),
        ("vmaf_far", "vmaf_v1.0.16_5d0h", "scale=1920:-2:flags=bicubic"),
    ],
)
def test_vmaf_equals_ffmpegs_own_filter(folder: Path, everywhere: Score, metric: str, model: str, scale: str) -> None:
    prepare = f"format=yuv420p10le,{scale}"
    said = asked(folder, f"[d]{prepare}[dd];[r]{prepare}[rr];[dd][rr]libvmaf=model=version={model}:n_threads=2")
    found = re.search(rf"VMAF score: {NUMBER}", said)
    assert found is not None
    assert everywhere.metrics[metric].mean == pytest.approx(float(found[1]), abs=5e-4)
    assert everywhere.models[metric] == model
    assert len(everywhere.metrics[metric].frames) == FRAMES


def test_pools(everywhere: Score) -> None:
    metric = everywhere.metrics["vmaf"]
    assert metric.harmonic_mean == pytest.approx(1 / np.mean(1 / (metric.frames + 1)) - 1)
    assert metric.percentile(0) == metric.frames.min()
    assert everywhere.metrics["psnr"].pooled == pytest.approx(
        (6 * everywhere.metrics["psnr_y"].pooled + everywhere.metrics["psnr_u"].pooled + everywhere.metrics["psnr_v"].pooled) / 8
    )


def test_a_region_of_everything_equals_the_whole_frame(everywhere: Score) -> None:
    inside = everywhere.region("inside")
    assert inside is not None
    assert inside.share == 1
    for name in ("vmaf", "vmaf_scaled"):
        np.testing.assert_array_equal(inside.metrics[name].frames, everywhere.metrics[name].frames)
    # ffmpeg prints the error of a frame with 6 digits after the point.
    assert inside.metrics["psnr_y"].pooled == pytest.approx(everywhere.metrics["psnr_y"].pooled, abs=5e-4)
    np.testing.assert_allclose(inside.metrics["psnr_y"].frames, everywhere.metrics["psnr_y"].frames, atol=5e-4)
    outside = everywhere.region("outside")
    assert outside is not None
    assert (outside.frames, outside.share, outside.metrics) == (0, 0, {})
    assert everywhere.unavailable["outside.psnr_y"] == "no frame has any weight there"


def test_a_region_of_nothing_equals_the_reference_against_itself(folder: Path) -> None:
    nothing = score_encode(folder / "ref.mkv", folder / "dist.mp4", masks=white(folder / "none.png", 0)).region("inside")
    itself = score_encode(folder / "ref.mkv", folder / "ref.mkv")
    assert nothing is not None
    for name in ("vmaf", "vmaf_scaled"):
        np.testing.assert_array_equal(nothing.metrics[name].frames, itself.metrics[name].frames)
    assert itself.metrics["psnr_y"].pooled == float("inf")
    assert itself.to_json()["metrics"]["psnr_y"]["frames"] == [None] * FRAMES


def test_masks_part_the_frame(folder: Path) -> None:
    """The left half has the noise; the mask is a small picture that is scaled by area."""
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[:, :2] = 255
    (folder / "left.png").write_bytes(png_bytes(picture))
    found = score_encode(folder / "ref.mkv", folder / "dist.mp4", masks=folder / "left.png")
    whole, inside, outside = (found.region(name) for name in ("whole", "inside", "outside"))
    assert whole is not None
    assert inside is not None
    assert outside is not None
    assert (inside.share, outside.share) == (0.5, 0.5)
    psnr = {region.name: region.metrics["psnr_y"].pooled for region in (whole, inside, outside)}
    assert psnr["inside"] < psnr["whole"] < psnr["outside"]
    errors = {name: 10 ** (-value / 10) for name, value in psnr.items()}
    assert errors["inside"] + errors["outside"] == pytest.approx(2 * errors["whole"], rel=1e-5)
    assert inside.metrics["ssim_y"].pooled < outside.metrics["ssim_y"].pooled
    assert "vmaf" not in outside.names


def test_pixels_outside_the_mask_are_replaced_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    """The same substitution in numpy, scored as a clip of its own, has the same VMAF."""
    planes = []
    for name in ("ref.mkv", "dist.mp4"):
        ffmpeg("-i", folder / name, "-frames:v", 3, "-pix_fmt", VMAF_FORMAT, "-f", "rawvideo", tmp_path / f"{name}.yuv")
        planes.append(np.fromfile(tmp_path / f"{name}.yuv", "<u2").reshape(3, -1))
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[37:151, 33:200] = True
    (tmp_path / "mask.png").write_bytes(png_bytes(np.where(mask[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2)))
    inside = np.frombuffer(mask_planes(mask), np.uint8) > 0
    np.where(inside, planes[1], planes[0]).astype("<u2").tofile(tmp_path / "mixed.yuv")
    mixed, clean = (
        probe_clip(tmp_path / f"{name}.yuv", width=WIDTH, height=HEIGHT, pix_fmt=VMAF_FORMAT) for name in ("mixed", "ref.mkv")
    )
    expected = score_encode(clean, mixed)
    region = score_encode(folder / "ref.mkv", folder / "dist.mp4", masks=tmp_path / "mask.png", frames=3).region("inside")
    assert region is not None
    assert expected.metrics["vmaf"].pooled < 100
    for name in ("vmaf", "vmaf_scaled"):
        np.testing.assert_array_equal(region.metrics[name].frames, expected.metrics[name].frames)


def raw(path: Path, luma: np.ndarray) -> Path:
    """Raw 4:2:0 frames ``[frames, h, w]`` of that luma and grey chroma."""
    height, width = luma.shape[1:]
    grey = np.full(height * width // 2, 128, np.uint8).tobytes()
    path.write_bytes(b"".join(frame.astype(np.uint8).tobytes() + grey for frame in luma))
    return path


@pytest.mark.usefixtures("no_vmaf")
def test_weighted_psnr_equals_a_case_computed_by_hand(tmp_path: Path) -> None:
    """Errors of 2 left and 10 right, weighted 3 to 1: (3 * 4 + 1 * 100) / 4 = 28. Then errors of 0 and 6: 9; together 18.5."""
    reference = np.full((2, 16, 32), 100)
    encode = reference.copy()
    encode[0, :, :16] += 2
    encode[0, :, 16:] += 10
    encode[1, :, 16:] += 6
    clips = [
        probe_clip(raw(tmp_path / f"{name}.yuv", luma), width=32, height=16)
        for name, luma in (("ref", reference), ("dist", encode))
    ]
    np.savez(tmp_path / "gaze.npz", maps=np.array([[[300.0, 100.0]]]))
    found = score_encode(*clips, gaze=tmp_path / "gaze.npz").region("gaze")
    assert found is not None
    psnr = found.metrics["psnr_y"]
    assert psnr.frames == pytest.approx(10 * np.log10(255**2 / np.array([28, 9])), abs=1e-6)
    assert psnr.pooled == pytest.approx(10 * np.log10(255**2 / 18.5), abs=1e-6)


def test_ssim_of_equal_pictures_is_one_and_of_weights_of_one_is_the_mean_of_the_map(folder: Path) -> None:
    pair = make_pair(probe_clip(folder / "ref.mkv"), probe_clip(folder / "ref.mkv"))
    ones = np.ones((HEIGHT, WIDTH), np.float32)
    sums = weigh(pair, iter([{"whole": ones}] * FRAMES), FRAMES, lambda _done, _total: None)["whole"]
    assert sums.metrics(WIDTH * HEIGHT)["ssim_y"].frames == pytest.approx([1] * FRAMES)


@pytest.mark.usefixtures("no_vmaf")
def test_the_plans_own_map_is_labelled_circular(folder: Path) -> None:
    assert run("plan", "--src", folder / "ref.mkv", "--sidecar", folder / "ref.npz", "--quiet").code == 0
    files = ("score", "--ref", folder / "ref.mkv", "--dist", folder / "dist.mp4", "--frames", 2)
    arguments = (*files, "--sidecar", folder / "ref.npz")
    plan = run(*arguments, "--json").json["regions"][-1]
    assert (plan["name"], plan["circular"], plan["map"], plan["metrics"]["psnr_y"]["unit"]) == ("plan", True, "gaze", "dB")
    assert "PSNR Y plan" in (text := run(*arguments).out)
    assert "CIRCULAR" in text
    assert "CIRCULAR" not in run(*files).out
    other = run("score", "--ref", folder / "dist.mp4", "--dist", folder / "dist.mp4", "--sidecar", folder / "ref.npz")
    assert (other.code, "ref.npz: was made for" in other.errors[0]) == (65, True)


def test_time_stamps_do_not_matter(folder: Path, everywhere: Score) -> None:
    """Frames are paired by number: the encode starts later and has uneven time stamps."""
    stamped = folder / "stamped.mkv"
    ffmpeg("-i", folder / "dist.mp4", "-c", "copy", "-bsf:v", "setts=ts=TS+4000+mod(N\\,2)*100", stamped)
    found = score_encode(folder / "ref.mkv", stamped)
    assert found.metrics["vmaf"].pooled == everywhere.metrics["vmaf"].pooled
    assert found.metrics["psnr_y"].pooled == everywhere.metrics["psnr_y"].pooled


def test_greater_depth_decides(folder: Path, tmp_path: Path) -> None:
    ffmpeg("-i", folder / "ref.mkv", "-frames:v", 2, "-c:v", "ffv1", "-pix_fmt", "yuv420p10le", tmp_path / "deep.mkv")
    found = score_encode(folder / "ref.mkv", tmp_path / "deep.mkv", frames=2, masks=white(tmp_path / "all.png", 255))
    whole = found.region("whole")
    assert whole is not None
    assert found.pix_fmt == "yuv420p10le"
    assert {found.metrics["psnr"].pooled, whole.metrics["psnr_y"].pooled} == {float("inf")}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("-frames:v", 4), "has 4 frames, "),
        (("-vf", "scale=160:96"), "is 160x96, "),
        (("-r", 30), "has 30 frames a second, "),
        (("-vf", "scale=out_range=pc", "-color_range", "pc"), "has full range, "),
    ],
)
def test_files_that_do_not_fit_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: tuple[object, ...], message: str
) -> None:
    ffmpeg("-i", folder / "ref.mkv", *extra, tmp_path / "other.mp4")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    done = run("score", "--ref", folder / "ref.mkv", "--dist", tmp_path / "other.mp4", "--plot", tmp_path / "plot.png", "--json")
    assert (done.code, done.json["error"]["kind"]) == (65, "source")
    assert message in done.errors[0]
    assert "(" in done.errors[0], "a cure is named"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["other.mp4", "temporary"]


@pytest.mark.usefixtures("no_vmaf")
def test_the_first_frames_of_unequal_files_can_be_compared(folder: Path, tmp_path: Path) -> None:
    ffmpeg("-i", folder / "ref.mkv", "-frames:v", 4, tmp_path / "short.mp4")
    assert score_encode(folder / "ref.mkv", tmp_path / "short.mp4", frames=4).frames == 4
    with pytest.raises(GpuSaliencyError, match=r"has 4 frames, .* has 5 of those asked for .*frames=4"):
        score_encode(folder / "ref.mkv", tmp_path / "short.mp4", frames=5)


@pytest.mark.usefixtures("no_vmaf")
def test_masks_and_maps_must_be_one_a_frame_or_one(folder: Path, tmp_path: Path) -> None:
    def score(**given: object) -> Score:
        return score_encode(folder / "ref.mkv", folder / "dist.mp4", **given)  # type: ignore[arg-type]

    (tmp_path / "masks").mkdir()
    for number in range(FRAMES - 1):
        white(tmp_path / "masks" / f"{number:05}.png", 255, (16, 10))
    with pytest.raises(GpuSaliencyError, match=rf"masks=.* has {FRAMES - 1} maps for {FRAMES} frames"):
        score(masks=tmp_path / "masks")
    assert score(masks=tmp_path / "masks", frames=3).frames == 3
    np.save(tmp_path / "gaze.npy", np.ones((FRAMES + 1, 3, 5)))
    with pytest.raises(GpuSaliencyError, match=rf"gaze=.* has {FRAMES + 1} maps for {FRAMES} frames"):
        score(gaze=tmp_path / "gaze.npy")
    np.save(tmp_path / "gaze.npy", -np.ones((3, 5)))
    with pytest.raises(GpuSaliencyError, match="negative"):
        score(gaze=tmp_path / "gaze.npy")
    make_clip(tmp_path / "masks.mp4", seconds=(FRAMES + 2) / 24)
    with pytest.raises(GpuSaliencyError, match=rf"has {FRAMES + 2} maps for {FRAMES} frames"):
        score(masks=tmp_path / "masks.mp4")


@pytest.mark.usefixtures("no_vmaf")
def test_gaze_from_every_kind_of_file_is_the_same(folder: Path, tmp_path: Path) -> None:
    ramp = np.tile(np.arange(16, dtype=np.uint8) * 17, (10, 1))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "arrays").mkdir()
    for number in range(2):
        (tmp_path / "pictures" / f"{number}.png").write_bytes(png_bytes(np.repeat(ramp[..., None], 3, axis=2)))
        np.save(tmp_path / "arrays" / f"{number}.npy", ramp / 3)
    np.savez(tmp_path / "gaze.npz", anything=np.stack([ramp, ramp]))
    ffmpeg("-framerate", 24, "-i", tmp_path / "pictures" / "%d.png", "-c:v", "ffv1", "-pix_fmt", "gray", tmp_path / "gaze.mkv")
    scores = [
        score_encode(folder / "ref.mkv", folder / "dist.mp4", gaze=tmp_path / name, frames=2).region("gaze")
        for name in ("pictures", "arrays", "gaze.npz", "gaze.mkv")
    ]
    values = [score.metrics["psnr_y"].pooled for score in scores if score is not None]
    assert values == pytest.approx([values[0]] * 4, abs=1e-4)


@pytest.mark.usefixtures("no_vmaf")
def test_masks_lie_on_the_upright_picture(folder: Path, tmp_path: Path) -> None:
    """The noisy left half of the coded picture is the lower half of what a player shows after a quarter turn to the left."""
    for name in ("ref.mkv", "dist.mp4"):
        turned = tmp_path / f"{Path(name).stem}.mp4"
        ffmpeg("-display_rotation", 90, "-i", folder / name, "-c", "copy", turned)
    assert probe_clip(tmp_path / "ref.mp4").rotation == 90
    picture = np.zeros((WIDTH, HEIGHT, 3), np.uint8)
    picture[WIDTH // 2 :] = 255
    (tmp_path / "mask.png").write_bytes(png_bytes(picture))
    found = score_encode(tmp_path / "ref.mp4", tmp_path / "dist.mp4", masks=tmp_path / "mask.png", frames=2)
    inside, outside = found.region("inside"), found.region("outside")
    assert inside is not None
    assert outside is not None
    assert inside.metrics["psnr_y"].pooled < outside.metrics["psnr_y"].pooled - 3


def test_an_ffmpeg_without_a_model_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_accepts", lambda _path, option: "v1.0.16" not in option)
    done = run("score", "--ref", folder / "ref.mkv", "--dist", folder / "dist.mp4", "--frames", 2, "--json").json
    assert done["metrics"]["vmaf"] is None
    assert "has no VMAF model vmaf_v1.0.16_3d0h" in done["unavailable"]["vmaf"]
    assert done["metrics"]["vmaf_neg"]["mean"] > 0


@pytest.mark.skipif(not FFMPEG5.exists(), reason="no FFmpeg 5.1; scripts/install-ffmpeg5")
def test_an_old_ffmpeg_measures_what_it_can(folder: Path, everywhere: Score) -> None:
    found = score_encode(folder / "ref.mkv", folder / "dist.mp4", ffmpeg_bin=str(FFMPEG5), masks=folder / "all.png")
    assert {"xpsnr_y", "vmaf", "vmaf_neg", "vmaf_far", "cambi", "inside.vmaf"} <= found.unavailable.keys()
    assert re.fullmatch(r"ffmpeg 5\.1\.\S+ has no filter xpsnr", found.unavailable["xpsnr_y"])
    for name in ("psnr_y", "psnr_u", "ssim"):
        assert found.metrics[name].pooled == pytest.approx(everywhere.metrics[name].pooled, abs=5e-4)


@pytest.mark.usefixtures("no_vmaf")
def test_the_plot_is_a_picture_and_needs_overwrite(folder: Path, tmp_path: Path) -> None:
    arguments = (
        "score",
        "--ref",
        folder / "ref.mkv",
        "--dist",
        folder / "dist.mp4",
        "--frames",
        2,
        "--plot",
        tmp_path / "plot.png",
    )
    assert run(*arguments, "--json").json["plot"] == str(tmp_path / "plot.png")
    with av.open(str(tmp_path / "plot.png")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert picture.shape[1] == 1200
    assert (picture == (0, 114, 178)).all(axis=2).sum() > 1000, "a curve is drawn"
    assert run(*arguments).code == 73
    assert run(*arguments, "--overwrite").code == 0


@pytest.mark.usefixtures("no_vmaf")
def test_progress_is_reported_and_cancelling_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cancel, seen = threading.Event(), set[str]()

    def on_progress(progress: Progress) -> None:
        seen.add(progress.stage)
        if progress.stage == "weighting" and progress.done == 1:
            cancel.set()

    with pytest.raises(GpuSaliencyError, match="cancelled"):
        score_encode(
            folder / "ref.mkv", folder / "dist.mp4", masks=folder / "all.png", observer=Observer(on_progress, cancel=cancel)
        )
    assert seen == {"comparing", "weighting"}
    assert list(tmp_path.iterdir()) == []
