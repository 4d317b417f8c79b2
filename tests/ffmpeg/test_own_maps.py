"""Given maps in place of the model: every form of them, the encode and its proof, the sidecar, and the exported plan."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from bad_maps import grey_picture
from clips import ffmpeg, make_clip
from numpy.typing import NDArray
from program import leftovers, run

from gpu_saliency import AnalysisSettings, Clip, Sidecar, build_roi_plan, export_plan, load_saliency_sidecar, probe_clip
from gpu_saliency.analysis.given import MAX_DENSITY
from gpu_saliency.analysis.sidecar import read_sidecar
from gpu_saliency.analysis.track import decode_gaze
from gpu_saliency.draw.canvas import png_bytes
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.model.contract import shipped_input_size
from gpu_saliency.model.onnx import SaliencyModel
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.plan.export import GREY_AT_0, GREY_PER_QP

FRAMES, WIDTH, HEIGHT = 24, 320, 192
SAMPLES = [3, 9, 15, 21]
"""The frames that an analysis at 4 maps a second takes of a clip of 24 frames a second."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return probe_clip(make_clip(tmp_path_factory.mktemp("maps") / "clip.mkv", size=f"{WIDTH}x{HEIGHT}"))


def moving(size: tuple[int, int] = (WIDTH, HEIGHT)) -> NDArray[np.uint8]:
    """``[frames, h, w]``: a white column a quarter wide that moves to the right."""
    maps = np.zeros((FRAMES, size[1], size[0]), np.uint8)
    for number in range(FRAMES):
        left = size[0] * number // 32
        maps[number, :, left : left + size[0] // 4] = 255
    return maps


def save_pictures(folder: Path, maps: NDArray[np.uint8], numbers: list[int] | None = None) -> Path:
    folder.mkdir()
    for number, one in zip(range(len(maps)) if numbers is None else numbers, maps, strict=True):
        (folder / f"mask_{number}.png").write_bytes(png_bytes(one))
    return folder


def analyse(clip: Clip, maps: Path, **settings: Any) -> Sidecar:
    return load_saliency_sidecar(clip, AnalysisSettings(maps=maps, **settings))[0]


def test_every_form_of_the_same_maps_gives_the_same_track(clip: Clip, tmp_path: Path) -> None:
    maps = moving()
    pictures = save_pictures(tmp_path / "pictures", maps)
    np.savez_compressed(tmp_path / "bytes.npz", saliency=maps)
    np.save(tmp_path / "floats.npy", maps.astype(np.float32) / 255)
    video = tmp_path / "video.mkv"
    ffmpeg("-framerate", 24, "-i", pictures / "mask_%d.png", "-c:v", "ffv1", "-pix_fmt", "gray", video)
    limited = tmp_path / "limited.mp4"
    ffmpeg("-framerate", 24, "-i", pictures / "mask_%d.png", "-pix_fmt", "yuv420p", "-qp", 0, limited)
    spans = [{"frame": n, "x": WIDTH * n // 32, "y": 0, "w": WIDTH // 4, "h": HEIGHT} for n in range(FRAMES)]
    (tmp_path / "boxes.json").write_text(json.dumps(spans))
    names = ("pictures", "bytes.npz", "floats.npy", "video.mkv", "limited.mp4", "boxes.json")
    found = [analyse(clip, tmp_path / name) for name in names]
    # Six frames are nearest to each sample; every other one of them is read.
    expected = maps[1::2].reshape(4, 3, HEIGHT // 16, 16, WIDTH // 16, 16).mean(axis=(1, 3, 5))
    for name, sidecar in zip(names, found, strict=True):
        track = sidecar.track
        assert track.sample_frame.tolist() == SAMPLES, name
        np.testing.assert_allclose(track.saliency, expected, atol=0.51, err_msg=name)
        assert (track.gaze, track.attention, sidecar.model) == (None, None, None)
        assert sidecar.maps is not None
        assert (sidecar.maps.name, sidecar.maps.kind) == (name, "saliency")


def test_cuts_activity_and_times_are_those_of_an_analysis_with_a_model(tmp_path: Path) -> None:
    """Two scenes of one second; the shipped models and given maps use pictures of the same size."""
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=320x192:r=24:d=1", "-f", "lavfi", "-i", "mandelbrot=s=320x192:r=24")
    graph = "[1:v]trim=duration=1,format=yuv420p[b];[0:v]format=yuv420p[a];[a][b]concat=n=2"
    ffmpeg(*inputs, "-filter_complex", graph, "-c:v", "libx264", "-preset", "ultrafast", tmp_path / "two.mkv")
    clip = probe_clip(tmp_path / "two.mkv")
    own = analyse(clip, grey_picture(tmp_path / "all.png", 128, (WIDTH, HEIGHT))).track
    model = load_saliency_sidecar(clip, AnalysisSettings(device="cpu"))[0].track
    assert own.cuts == model.cuts == (24,)
    np.testing.assert_array_equal(own.activity, model.activity)
    np.testing.assert_array_equal(own.motion, model.motion)
    assert own.frame_pts is not None
    np.testing.assert_array_equal(own.frame_pts, model.frame_pts)
    assert set(own.saliency.flat) == {128}


def test_true_masks_move_the_bits_and_need_no_onnx_runtime(clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof measures the change inside the masks; the size stays near a plain encode's."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    masks = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    masks[:, 48:144, 64:176] = 255
    maps, output = save_pictures(tmp_path / "masks", masks), tmp_path / "out.mp4"
    done = run("encode", "--src", clip.path, "--output", output, "--maps", maps, "--prove", "full", "--json").json
    assert (done["analysis"]["model"], done["analysis"]["provider"]) == (None, "none")
    assert (done["analysis"]["maps"]["name"], done["analysis"]["maps"]["kind"]) == ("masks", "saliency")
    assert done["proof"]["moved"] is True
    assert done["proof"]["inside_change"] < -3 < 0 < done["proof"]["outside_change"]
    inside = (slice(48 // 16, 144 // 16), slice(64 // 16, 176 // 16))
    offsets = build_roi_plan(read_sidecar(tmp_path / "out.mp4.saliency.npz")).effective(0)
    assert offsets[inside].max() < -3 < 0 < np.delete(offsets.ravel(), np.flatnonzero(offsets.ravel() < -3)).min()
    checked = run("inspect", output, "--src", clip.path, "--json").json
    assert checked["moved"] is True


def test_maps_that_name_their_frames_are_the_samples(clip: Clip, tmp_path: Path) -> None:
    maps, numbers = moving(), [0, 7, 16]
    pictures = save_pictures(tmp_path / "pictures", maps[numbers], numbers)
    np.savez(tmp_path / "some.npz", saliency=maps[numbers], frames=np.array(numbers))
    boxes = [{"frame": n, "x": WIDTH * n // 32, "y": 0, "w": WIDTH // 4, "h": HEIGHT} for n in numbers]
    (tmp_path / "boxes.json").write_text(json.dumps({"boxes": boxes}))
    tracks = [analyse(clip, path).track for path in (pictures, tmp_path / "some.npz", tmp_path / "boxes.json")]
    for track in tracks:
        assert track.sample_frame.tolist() == numbers
        np.testing.assert_array_equal(track.saliency, tracks[0].saliency)
        assert track.sample_starts().tolist() == [0, 4, 12]
    thinned = analyse(clip, pictures, every=12).track
    assert thinned.sample_frame.tolist() == [7, 16]
    means = [tracks[0].saliency[:2].astype(float).mean(axis=0), tracks[0].saliency[2]]
    np.testing.assert_allclose(thinned.saliency, np.stack(means), atol=1)


def test_a_sample_takes_no_maps_of_another_scene(tmp_path: Path) -> None:
    """A cut at frame 10, between the samples 9 and 15, whose maps meet at frame 12."""
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=160x96:r=24", "-f", "lavfi", "-i", "mandelbrot=s=160x96:r=24")
    graph = "[0:v]trim=end_frame=10,format=yuv420p[a];[1:v]trim=end_frame=14,format=yuv420p[b];[a][b]concat=n=2"
    ffmpeg(*inputs, "-filter_complex", graph, "-c:v", "libx264", "-preset", "ultrafast", tmp_path / "two.mkv")
    maps = np.zeros((24, 96, 160), np.uint8)
    maps[10:] = 255
    np.savez(tmp_path / "m.npz", saliency=maps)
    track = analyse(probe_clip(tmp_path / "two.mkv"), tmp_path / "m.npz").track
    assert track.cuts == (10,)
    assert [set(one.flat) for one in track.saliency] == [{0}, {0}, {255}, {255}]


def test_a_limited_clip_takes_the_first_maps(clip: Clip, tmp_path: Path) -> None:
    pictures = save_pictures(tmp_path / "pictures", moving())
    half = probe_clip(clip.path, duration=0.5)
    assert analyse(half, pictures).track.frame_count == 12
    with pytest.raises(GpuSaliencyError, match="has 4 maps for 12 frames"):
        analyse(half, save_pictures(tmp_path / "few", moving()[:4]))


def test_given_gaze_is_its_density(clip: Clip, tmp_path: Path) -> None:
    """A map of two densities, 3 to 1 in number of blocks: the attention is the density over its mean, and so the offsets."""
    maps = np.ones((1, HEIGHT, WIDTH))
    maps[:, :, : WIDTH // 4] = 9.0
    np.savez(tmp_path / "gaze.npz", gaze=maps)
    sidecar = analyse(clip, tmp_path / "gaze.npz")
    assert sidecar.maps is not None
    assert sidecar.maps.kind == "gaze"
    assert sidecar.track.gaze is not None
    density = decode_gaze(sidecar.track.gaze[0]) * MAX_DENSITY
    np.testing.assert_allclose(density[:, :5], 3.0, rtol=0.04)
    np.testing.assert_allclose(density[:, 5:], 1 / 3, rtol=0.12)
    effective = build_roi_plan(sidecar).effective(0)
    assert effective[:, 5:].mean() - effective[:, :5].mean() == pytest.approx(1.5 * np.log2(9), abs=0.75)
    np.save(tmp_path / "same.npy", maps * 100)
    same = analyse(clip, tmp_path / "same.npy", maps_kind="gaze")
    np.testing.assert_array_equal(same.track.gaze, sidecar.track.gaze)


def test_an_empty_map_of_gaze_is_even(clip: Clip, tmp_path: Path) -> None:
    np.save(tmp_path / "none.npy", np.zeros((HEIGHT, WIDTH)))
    sidecar = analyse(clip, tmp_path / "none.npy", maps_kind="gaze")
    assert sidecar.track.gaze is not None
    assert len(np.unique(sidecar.track.gaze)) == 1
    assert not build_roi_plan(sidecar).qp_offset.any()


def test_maps_lie_on_the_upright_picture(clip: Clip, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", 90, "-i", clip.path, "-c", "copy", turned)
    picture = np.zeros((1, WIDTH, HEIGHT), np.uint8)
    picture[:, WIDTH // 2 :] = 255  # the lower half of what a player shows is the left half as coded
    track = analyse(probe_clip(turned), save_pictures(tmp_path / "mask", picture)).track
    half = track.saliency.shape[2] // 2
    assert (track.saliency[:, :, :half].min(), track.saliency[:, :, half:].max()) == (255, 0)


def test_a_sidecar_belongs_to_its_maps(clip: Clip, tmp_path: Path) -> None:
    first = save_pictures(tmp_path / "first", moving())
    moved = save_pictures(tmp_path / "moved", moving())
    other = save_pictures(tmp_path / "other", moving()[::-1])
    path = tmp_path / "s.npz"
    made, reused = load_saliency_sidecar(clip, AnalysisSettings(maps=first), path)
    assert not reused
    again, reused = load_saliency_sidecar(clip, AnalysisSettings(maps=moved), path)
    assert (reused, again.maps) == (True, made.maps)
    for settings, words in (
        (AnalysisSettings(maps=other), "was made from saliency maps first .*, not from saliency maps other"),
        (AnalysisSettings(maps=first, maps_kind="gaze"), "not from gaze maps first"),
        (AnalysisSettings(), "was made from saliency maps first .*, not from model saliency_fast_v3"),
    ):
        with pytest.raises(GpuSaliencyError, match=words):
            load_saliency_sidecar(clip, settings, path)


def test_an_exported_plan_can_be_given_as_maps(clip: Clip, tmp_path: Path) -> None:
    """With the shipped model: its saliency comes back bit for bit, and its plan to within a QP."""
    planned = run(
        "plan", "--src", clip.path, "--sidecar", tmp_path / "a.npz", "--export", "npz", "--export-to", tmp_path / "p.npz", "--json"
    )
    assert planned.json["exported"] == str(tmp_path / "p.npz")
    first = read_sidecar(tmp_path / "a.npz")
    second = analyse(clip, tmp_path / "p.npz")
    np.testing.assert_array_equal(first.track.saliency, second.track.saliency)
    np.testing.assert_array_equal(first.track.sample_frame, second.track.sample_frame)
    np.testing.assert_array_equal(first.track.activity, second.track.activity)
    assert second.maps is not None
    assert second.maps.kind == "saliency+gaze"
    a, b = build_roi_plan(first), build_roi_plan(second)
    assert a.segment_start.tolist() == b.segment_start.tolist()
    assert np.abs(a.qp_offset.astype(int) - b.qp_offset).max() <= 1
    # From given maps the way there and back is exact.
    export_plan(b, second, "npz", tmp_path / "q.npz")
    third = analyse(clip, tmp_path / "q.npz")
    np.testing.assert_array_equal(third.track.gaze, second.track.gaze)
    np.testing.assert_array_equal(build_roi_plan(third).qp_offset, b.qp_offset)


@pytest.mark.parametrize("least", [0, 1, 2, 3])
def test_the_least_densities_come_back_as_they_were(clip: Clip, tmp_path: Path, least: int) -> None:
    """A track stores ``round(255 * sqrt(density / 64))``; the steps next to 0 are exported and read as themselves."""
    looked_at = np.full((FRAMES, HEIGHT, WIDTH), 64 * (least / 255) ** 2, np.float32)
    share = (1 - float(looked_at[0, 0, 0]) * 0.75) / 0.25
    looked_at[:, :, : WIDTH // 4] = share  # the mean is 1
    np.savez(tmp_path / "in.npz", gaze=looked_at)
    first = analyse(clip, tmp_path / "in.npz")
    assert first.track.gaze is not None
    assert first.track.gaze.min() == least
    export_plan(build_roi_plan(first), first, "npz", tmp_path / "out.npz")
    np.testing.assert_array_equal(analyse(clip, tmp_path / "out.npz").track.gaze, first.track.gaze)


def test_the_exports_agree(clip: Clip, tmp_path: Path) -> None:
    maps = save_pictures(tmp_path / "maps", moving())
    common = ("plan", "--src", clip.path, "--maps", maps, "--sidecar", tmp_path / "s.npz", "--overwrite", "--json")
    for form, name in (("npz", "p.npz"), ("csv", "p.csv"), ("png", "pictures")):
        assert run(*common, "--export", form, "--export-to", tmp_path / name).json["exported"] == str(tmp_path / name)
    with np.load(tmp_path / "p.npz") as arrays:
        plan = {name: arrays[name] for name in arrays.files}
    segments, rows, cols = plan["qp_offset"].shape
    assert segments > 1
    assert (int(plan["block_size"]), int(plan["width"]), int(plan["height"])) == (16, WIDTH, HEIGHT)
    assert plan["segment_end"].tolist() == [*plan["segment_start"].tolist()[1:], FRAMES]
    effective = plan["qp_offset"] + plan["recentre"][:, None, None]
    with (tmp_path / "p.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == segments * rows * cols
    for line in table[:: max(1, len(table) // 50)]:
        place = (int(line["segment"]), int(line["row"]), int(line["col"]))
        assert int(line["offset"]) == plan["qp_offset"][place]
        assert float(line["effective"]) == pytest.approx(effective[place], abs=1e-3)
        assert int(line["start_frame"]) == plan["segment_start"][place[0]]
    pictures = sorted((tmp_path / "pictures").iterdir())
    names = [f"segment_{i:04}_frame_{start:06}.png" for i, start in enumerate(plan["segment_start"])]
    assert [path.name for path in pictures] == names
    for segment, path in enumerate(pictures):
        with av.open(str(path)) as container:
            grey = next(container.decode(video=0)).to_ndarray(format="gray")
        assert grey.shape == (HEIGHT, WIDTH)
        np.testing.assert_allclose((GREY_AT_0 - grey[8::16, 8::16].astype(float)) / GREY_PER_QP, effective[segment], atol=0.051)


def test_exports_replace_only_exports(clip: Clip, tmp_path: Path) -> None:
    maps, folder = grey_picture(tmp_path / "m.png", 200, (WIDTH, HEIGHT)), tmp_path / "out"
    command = (
        "plan",
        "--src",
        clip.path,
        "--maps",
        maps,
        "--sidecar",
        tmp_path / "s.npz",
        "--export",
        "png",
        "--export-to",
        folder,
    )
    assert run(*command).code == 0
    (tmp_path / "s.npz").unlink()
    before = {path.name for path in tmp_path.iterdir()}
    again = run(*command)
    assert (again.code, "out: exists (give --overwrite" in again.errors[0]) == (73, True)
    assert leftovers(tmp_path, before) == set()
    assert run(*command, "--overwrite").code == 0
    (folder / "mine.txt").write_text("keep")
    mine = run(*command, "--overwrite")
    assert (mine.code, "holds other files than an exported plan" in mine.errors[0]) == (73, True)
    assert (folder / "mine.txt").read_text() == "keep"
    for flags, words in (
        (("--export", "gif"), "--export gif: unknown"),
        (("--export-to", "x.npz"), "--export-to x.npz: has no effect without --export"),
    ):
        refused = run("plan", "--src", clip.path, "--maps", maps, "--sidecar", tmp_path / "t.npz", *flags)
        assert (refused.code, words in refused.errors[0]) == (64, True)


def test_exports_lie_beside_the_source_by_default(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mkv", seconds=0.25)
    maps = grey_picture(tmp_path / "m.png", 200, (160, 96))
    for form, name in (("npz", "clip.mkv.plan.npz"), ("csv", "clip.mkv.plan.csv"), ("png", "clip.mkv.plan")):
        done = run("plan", "--src", source, "--maps", maps, "--export", form, "--overwrite")
        assert (done.code, (tmp_path / name).exists()) == (0, True)
        assert done.out.splitlines()[-1] == f"{tmp_path / name}: the plan as {form}"


def test_the_preview_shows_given_maps(clip: Clip, tmp_path: Path) -> None:
    maps = save_pictures(tmp_path / "maps", moving())
    done = run("preview", clip.path, "--maps", maps, "--output", tmp_path / "sheet.png", "--json")
    assert done.json["roi"]["segments"] > 1
    live = run("preview", "-", "--maps", maps, "--terminal")
    assert (live.code, "--maps: does not apply to a live source" in live.errors[0]) == (64, True)


def test_scores_take_the_same_files(clip: Clip, tmp_path: Path) -> None:
    """Boxes as a mask, and the gaze of an NPZ beside its saliency."""
    (tmp_path / "boxes.json").write_text(json.dumps([{"x": 0, "y": 0, "w": WIDTH // 2, "h": HEIGHT}]))
    np.savez(tmp_path / "both.npz", saliency=np.zeros((1, 3, 5)), gaze=np.ones((1, 3, 5)) * 7)
    flags = ("--masks", tmp_path / "boxes.json", "--gaze", tmp_path / "both.npz", "--frames", 2)
    done = run("score", "--ref", clip.path, "--dist", clip.path, *flags, "--json").json
    regions = {one["name"]: one for one in done["regions"]}
    assert (regions["inside"]["share"], regions["gaze"]["frames"]) == (0.5, 2)


def test_the_size_of_pictures_is_that_of_the_default_model(clip: Clip) -> None:
    model = SaliencyModel(DEFAULT_MODEL)
    for aspect in (clip.upright_aspect, 16 / 9, 9 / 16, 2.39, 4 / 3):
        assert shipped_input_size(aspect) == model.input_size(aspect)


def test_no_output_replaces_the_maps(clip: Clip, tmp_path: Path) -> None:
    maps = tmp_path / "maps.mkv"
    ffmpeg("-i", clip.path, "-c", "copy", maps)
    picture = grey_picture(tmp_path / "maps.png", 200, (WIDTH, HEIGHT))
    before = (maps.read_bytes(), picture.read_bytes())
    export = ("--sidecar", tmp_path / "s.npz", "--export", "npz", "--export-to", maps)
    for command in (
        ("encode", "--src", clip.path, "--maps", maps, "--output", maps),
        ("plan", "--src", clip.path, "--maps", maps, "--sidecar", maps),
        ("plan", "--src", clip.path, "--maps", maps, *export),
        ("preview", clip.path, "--maps", picture, "--output", picture),
    ):
        refused = run(*command, "--overwrite")
        assert (refused.code, "is the file of the given maps" in refused.errors[0]) == (73, True)
    assert (maps.read_bytes(), picture.read_bytes()) == before
