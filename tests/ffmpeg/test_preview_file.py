"""``preview --output``: the overlay keeps the clip's frames, time stamps and audio; its pictures show the map and the plan."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ffmpeg, make_clip
from numpy.typing import NDArray
from packets import audio_bytes, video_times
from program import leftovers, run

from gpu_saliency import Clip, RoiPlan, RoiPolicy, build_roi_plan, load_saliency_sidecar, probe_clip
from gpu_saliency.draw.canvas import png_bytes
from gpu_saliency.draw.palette import offset_colour, saliency_colour
from gpu_saliency.draw.panel import panel_cells
from gpu_saliency.preview.layers import OPACITY, scale_end
from gpu_saliency.preview.moment import MomentLookup
from gpu_saliency.preview.overlay.painter import STYLES, Painter

CODE = 255


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of 320x180 (the last row of blocks is partial) with audio."""
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mp4", size="320x180", seconds=1, audio=True)


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    ("style", "suffix"), [("heat", ".mp4"), ("plan", ".mkv"), ("side-by-side", ".mp4"), ("side-by-side", ".mkv")]
)
def test_frames_time_stamps_and_audio_equal_the_sources(clip: Path, tmp_path: Path, style: str, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    done = run("preview", clip, "--output", output, "--style", style, "--json")
    assert done.code == 0, done.err
    source, shown = video_times(clip), video_times(output)
    assert done.json["frames"] == len(source) == len(shown) == 24
    assert np.allclose(
        np.subtract(source, source[0]), np.subtract(shown, shown[0]), atol=0.001
    )  # Matroska has time stamps in milliseconds
    assert audio_bytes(output) == audio_bytes(clip)
    assert leftovers(tmp_path, {output.name}) == set()


def test_time_stamps_of_a_variable_frame_rate_are_kept(tmp_path: Path) -> None:
    """Every third frame of the second half is missing."""
    clip = tmp_path / "vfr.mkv"
    even = make_clip(tmp_path / "even.mkv", seconds=1)
    ffmpeg("-i", even, "-vf", "select=lt(n\\,12)+mod(n\\,3)", "-fps_mode", "passthrough", clip)
    assert run("preview", clip, "--output", tmp_path / "o.mkv").code == 0
    source, shown = video_times(clip), video_times(tmp_path / "o.mkv")
    assert len(source) == 20
    assert np.allclose(source, shown, atol=0.001)


def test_duration_and_no_audio(clip: Path, tmp_path: Path) -> None:
    assert run("preview", clip, "--output", tmp_path / "o.mp4", "--duration", 0.5, "--no-audio").code == 0
    assert len(video_times(tmp_path / "o.mp4")) == 12
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert not container.streams.audio


def test_raw_and_rotated_sources(clip: Path, tmp_path: Path) -> None:
    raw = make_clip(tmp_path / "raw.yuv", size="64x48", seconds=0.5, extra=("-pix_fmt", "yuv420p"))
    assert run("preview", raw, "--width", 64, "--height", 48, "--output", tmp_path / "raw.mp4", "--style", "heat").code == 0
    assert len(video_times(tmp_path / "raw.mp4")) == 12
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", 90, "-i", clip, "-c", "copy", turned)
    done = run("preview", turned, "--output", tmp_path / "t.mp4", "--style", "heat", "--json")
    assert done.json["height"] > 1280 > done.json["width"]
    assert len(video_times(tmp_path / "t.mp4")) == 24
    assert probe_clip(tmp_path / "t.mp4").rotation == 0


def plan_clip(path: Path) -> tuple[Clip, MomentLookup, RoiPlan]:
    clip = probe_clip(path)
    sidecar, _ = load_saliency_sidecar(clip)
    plan = build_roi_plan(sidecar, RoiPolicy(offset=-6))
    return clip, MomentLookup(sidecar.track, plan, clip.frame_rate), plan


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_the_colours_follow_from_the_values(clip: Path, tmp_path: Path, turn: int) -> None:
    """Over a uniform grey picture, each pixel's colour depends only on the values of its block."""
    path = clip
    if turn:
        path = tmp_path / "turned.mp4"
        ffmpeg("-display_rotation", turn, "-i", clip, "-c", "copy", path)
    found, lookup, plan = plan_clip(path)
    assert found.rotation == turn
    moment = lookup.at(15)
    for style, grid in (("heat", moment.saliency / CODE), ("plan", moment.effective)):
        painter = Painter(found, plan, style, 320)
        width, height = painter.panel
        grey = np.full((height, width, 3), 100, np.uint8)
        top, left = painter.origin
        painted = painter.paint(moment, grey)[top : top + height, left : left + width].astype(float)
        rows, cols = panel_cells(found, width, height)
        colour = saliency_colour(grid) if style == "heat" else offset_colour(grid, scale_end(plan))
        expected = (1 - OPACITY) * 100 + OPACITY * colour[rows, cols]
        if style == "plan":
            assert np.abs(painted - expected).max() <= 2  # rounding of the opacity to 1/256
        else:
            # The heat map is interpolated between the centres of blocks; at a centre it has the block's value.
            y, x = np.mgrid[8:176:16, 8:312:16]
            coded = np.rot90(painted, -turn // 90), np.rot90(expected, -turn // 90)
            assert np.abs(coded[0][y, x] - coded[1][y, x]).mean() < 4  # the samples are half a pixel off the centre


def test_a_moment_has_its_map_and_segment(clip: Path) -> None:
    _, lookup, plan = plan_clip(clip)
    moment = lookup.at(23)
    assert (moment.sample, moment.samples, moment.segment) == (3, 4, len(plan.segment_start) - 1)
    assert moment.clock() == "0:00.96"
    assert moment.status()[0] == "frame 23  0:00.96"
    assert lookup.at(0).sample == 0


def test_contact_sheet(clip: Path, tmp_path: Path) -> None:
    heights = {}
    for style in STYLES:
        output = tmp_path / f"{style}.png"
        done = run("preview", clip, "--output", output, "--style", style, "--json")
        assert done.code == 0, done.err
        assert done.json["frames"] == 12
        (sheet,) = pictures(output)
        assert sheet.shape == (done.json["height"], done.json["width"], 3)
        heights[style] = sheet
    assert not np.array_equal(heights["heat"], heights["plan"])
    short = make_clip(tmp_path / "short.mkv", seconds=0.125)
    assert run("preview", short, "--output", tmp_path / "s.png", "--json").json["frames"] == 3
    cuts = run("preview", clip, "--output", tmp_path / "cuts.png", "--frames", "cuts", "--json").json
    assert cuts["frames"] == 1 + len(load_saliency_sidecar(probe_clip(clip))[0].track.cuts)
    wrong = run("preview", clip, "--output", tmp_path / "x.mp4", "--frames", 3)
    assert (wrong.code, "--frames 3: applies to a contact sheet" in wrong.err) == (64, True)


def test_strengths_that_are_found(clip: Path, tmp_path: Path, grain_path: Path) -> None:
    """The file has the plan of the strength found, and the result says how it was found."""
    done = run("preview", clip, "--output", tmp_path / "share.png", "--salient-bits", "35%", "--json")
    assert done.code == 0, done.err
    intent, roi = done.json["intent"], done.json["roi"]
    assert (intent["salient_bits"], intent["trials"]) == (0.35, [])
    assert roi["offset"] == intent["offset"] < 0
    assert intent["modelled_share"] == pytest.approx(0.35, abs=0.01)
    assert run("preview", clip, "--output", tmp_path / "plain.png", "--json").json["intent"] is None
    options = ("--saliency-offset", "auto", "--preset", "veryfast", "--crf", 35, "--json")
    done = run("preview", grain_path, "--output", tmp_path / "auto.png", *options)
    assert done.code == 0, done.err
    assert done.json["intent"]["offset_crf"] == 35
    assert len(done.json["intent"]["trials"]) >= 3
    assert done.json["roi"]["offset"] == done.json["intent"]["offset"]
    assert leftovers(tmp_path, {"share.png", "plain.png", "auto.png"}) == set()


def test_given_maps_are_drawn(clip: Path, tmp_path: Path) -> None:
    """The left half is salient: there the heat map is at the end of its scale."""
    mask = np.zeros((180, 320), np.uint8)
    mask[:, :160] = CODE
    (tmp_path / "mask.png").write_bytes(png_bytes(mask))
    done = run("preview", clip, "--output", tmp_path / "o.mp4", "--style", "heat", "--maps", tmp_path / "mask.png")
    assert done.code == 0, done.err
    picture = pictures(tmp_path / "o.mp4")[0].astype(int)
    yellow = picture[..., 0] - picture[..., 2]
    width = picture.shape[1]
    assert yellow[50:, : width // 3].mean() > 60
    assert yellow[50:, 2 * width // 3 :].mean() < 0


def test_colours_rise_in_lightness_and_stay_distinct_with_red_green_blindness() -> None:
    """Relative luminance by IEC 61966-2-1; deuteranopes lack roughly the difference of red and green."""
    colours = saliency_colour(np.linspace(0, 1, 64)) / CODE
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(luminance) > 0)
    assert (luminance[0], luminance[-1]) == (pytest.approx(0.014, abs=0.01), pytest.approx(0.81, abs=0.05))
    ends = offset_colour(np.array([-1.0, 0.0, 1.0]), 1.0)
    yellow_blue = (ends[:, 0] + ends[:, 1]) / 2 - ends[:, 2]
    assert yellow_blue[0] < -100 < 0 == yellow_blue[1] < 100 < yellow_blue[2]


BAD = [
    (["--output", "{dir}/o.mp4", "--style", "rainbow"], 64, "--style rainbow"),
    (["--output", "{dir}/no/o.mp4"], 73, "its folder does not exist"),
    (["--output", "{clip}", "--overwrite"], 73, "is the source itself"),
    (["--output", "{dir}/o.xyz"], 73, "unknown file extension"),
    (["--output", "{dir}/o.webm"], 73, "cannot hold h264"),
    (["--output", "{dir}/o.mp4", "--saliency-offset", "13"], 64, "--saliency-offset 13"),
    (["--output", "{dir}/o.mp4", "--segments", "99"], 64, "--segments 99"),
    ([], 64, "choose exactly one of --web, --terminal or --output"),
    (["--output", "{dir}/o.mp4", "--port", "8000"], 64, "--port: applies to --web only"),
    (["--output", "{dir}/o.mp4", "--open"], 64, "--open: applies to --web only"),
    (["--web", "--style", "heat"], 64, "--style: applies to --output only"),
    (["--terminal", "--overwrite"], 64, "--overwrite: applies to --output only"),
    (["--web", "--json"], 64, "--json: applies to --output only"),
    (["--output", "{dir}/o.mp4", "--sidecar", "{dir}"], 65, "is a folder"),
    (["--output", "{dir}/o.mp4", "--sidecar", "{dir}/no/s.npz"], 73, "its folder does not exist"),
    (["--output", "{dir}/o.mp4", "--crf", "30"], 64, "--crf 30: has no effect without --saliency-offset auto"),
    (["--output", "{dir}/o.mp4", "--preset", "fast"], 64, "--preset fast: has no effect without --saliency-offset auto"),
    (["--output", "{dir}/o.mp4", "--max-vmaf-loss", "1"], 64, "--max-vmaf-loss: applies to --saliency-offset auto only"),
    (["--output", "{dir}/o.mp4", "--salient-bits", "99%"], 64, "--salient-bits 99.0%: cannot be reached"),
    (["--output", "{dir}/o.mp4", "--salient-bits", "much"], 64, "--salient-bits much: is not a share"),
    (["--output", "{dir}/o.mp4", "--salient-bits", "40%", "--saliency-offset", "-5"], 64, "cannot be combined"),
    (["--output", "{dir}/o.mp4", "--salient-bits", "40%", "--saliency-offset", "auto"], 64, "cannot be combined"),
    (["--output", "{dir}/o.mp4", "--encoder", "mpeg4"], 2, "mpeg4"),
    (["--output", "{dir}/o.mp4", "--maps", "{dir}/no"], 66, "/no: no such file or folder"),
    (["--output", "{dir}/o.mp4", "--crf", "99"], 64, "--crf 99: out of range for libx264"),
    (["--output", "{dir}/o.mp4", "--terminal"], 64, "choose exactly one of --web, --terminal or --output"),
]


@pytest.mark.parametrize(("flags", "code", "words"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else None)
def test_bad_input(clip: Path, tmp_path: Path, flags: list[str], code: int, words: str) -> None:
    done = run("preview", clip, *(flag.format(dir=tmp_path, clip=clip) for flag in flags), "--json")
    assert (done.code, len(done.errors)) == (code, 1), done.err
    assert words in done.errors[0]
    assert list(tmp_path.iterdir()) == []


def test_missing_file(tmp_path: Path) -> None:
    assert run("preview", tmp_path / "no.mp4", "--output", tmp_path / "o.mp4").code == 66


@pytest.mark.slow
def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    """Ten times the frames take no more memory, within a quarter; all frames of the long clip would be 2.3 GB."""
    peaks = []
    for seconds in (4, 40):
        clip = make_clip(tmp_path / f"{seconds}.mkv", size="320x180", seconds=seconds)
        code = "import sys, gpu_saliency.cli as c; sys.argv[0] = 'gpu-saliency'; c.main()"
        command = [sys.executable, "-c", code, "preview", str(clip), "--output", str(tmp_path / f"{seconds}.mp4"), "--quiet"]
        measured = f"import resource, subprocess; subprocess.run({command!r}, check=True); "
        measured += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        peaks.append(
            int(subprocess.run([sys.executable, "-c", measured], check=True, capture_output=True, text=True).stdout.split()[-1])
        )
    assert peaks[1] < 1.25 * peaks[0], peaks
