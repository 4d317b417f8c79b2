"""The prefilter: its mask, the protected blocks, and the blur elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ffmpeg, make_clip
from plans import half_grid, make_plan, swapping_plan, with_time_stamps

from gpu_saliency import EncodeSettings, RoiPolicy, prepare_encode, probe_clip, run_saliency_encode
from gpu_saliency.encode.channels.background import background
from gpu_saliency.encode.channels.escape import escape_filter_value
from gpu_saliency.encode.channels.mask import filtered_share, mask_frames, protection, write_mask
from gpu_saliency.encode.channels.prefilter import prefilter_graph
from gpu_saliency.encode.channels.strengths import Strength, qp_step, strength_of
from gpu_saliency.errors import OutputError, UsageError
from gpu_saliency.grid import grid_shape
from gpu_saliency.proof import prove_encode
from gpu_saliency.source.clip import ColorTags

FORMATS = ["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv444p12le"]


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("size", [(160, 96), (150, 90)])
@pytest.mark.parametrize("color", [ColorTags(), ColorTags(2, 1, 1, 1), ColorTags(1, 9, 9, 16)])
@pytest.mark.parametrize(("encoder", "kind"), [("libsvtav1", "fast"), ("libsvtav1", "best"), ("libvvenc", "fast")])
def test_protected_blocks_pass_bit_for_bit(
    tmp_path: Path, pix_fmt: str, size: tuple[int, int], color: ColorTags, encoder: str, kind: str
) -> None:
    """The left half is protected in all planes; the right half is filtered from half a block beyond the border on."""
    width, height = size
    plan = replace(make_plan([half_grid(width, height, "left")], [0], 4, width, height), policy=RoiPolicy(-5))
    folder = tmp_path / "a:b [c],d;e'f\\g%h"
    folder.mkdir()
    behind = background(kind, strength_of(encoder), -5, 30, pix_fmt)
    write_mask(folder / "mask.nut", plan, Fraction(24), behind.level)
    graph = prefilter_graph(folder / "mask.nut", plan, behind.filters, pix_fmt, Fraction(24), color.filter())
    (folder / "graph").write_text("settb=1/24,setpts=N," + graph)
    tags = "," + color.filter() if color.filter() else ""
    source = ("-f", "lavfi", "-i", f"mandelbrot=size={width}x{height}:rate=24,format={pix_fmt}{tags}", "-frames:v", 4)
    filtered = ("-/filter:v", folder / "graph", "-pix_fmt", pix_fmt)
    ffmpeg(*source, "-f", "rawvideo", tmp_path / "before.yuv", *filtered, "-frames:v", 4, "-f", "rawvideo", tmp_path / "after.yuv")
    form = av.VideoFormat(pix_fmt, width, height)
    sample = np.uint8 if form.components[0].bits == 8 else np.uint16
    before, after = (np.fromfile(tmp_path / name, sample).reshape(4, -1) for name in ("before.yuv", "after.yuv"))
    border = grid_shape(width, height)[1] // 2 * 16
    at = 0
    for component in form.components:
        shape = (4, component.height, component.width)
        a, b = (x[:, at : at + shape[1] * shape[2]].reshape(shape) for x in (before, after))
        at += shape[1] * shape[2]
        inside = border * component.width // width
        np.testing.assert_array_equal(a[:, :, :inside], b[:, :, :inside])
        beyond = inside + 16 * component.width // width
        assert (a[:, :, beyond:] != b[:, :, beyond:]).any()
    assert at == before.shape[1]


def test_the_mask_follows_the_plan_and_fades_over_changes_but_not_over_cuts() -> None:
    """Left until 12, right until 24 (a cut), left again; protection reaches six frames over the change and none over the cut."""
    grids = [half_grid(320, 64, side) for side in ("left", "right", "left")]
    plan = make_plan(grids, [0, 12, 24], 36, 320, 64, cuts=(24,))
    masks = np.stack(list(mask_frames(plan)))
    assert masks.shape == (36, 4, 20)
    left, right = masks[:, 0, 0], masks[:, 0, -1]
    assert left[:12].tolist() == [0] * 12
    assert right[12:24].tolist() == [0] * 12
    assert right[:6].min() == left[18:24].min() == right[24:].min() == 255
    # Steps of three frames.
    assert right[6:12].tolist() == [128, 128, 128, 0, 0, 0]
    assert left[12:18].tolist() == [0, 0, 0, 128, 128, 128]
    assert left[24:].tolist() == [0] * 12
    assert masks[0, 0, 9:12].tolist() == [0, 255, 255]
    assert np.stack(list(mask_frames(plan, 0.5))).max() == 128


def test_the_mask_has_a_picture_for_each_change(tmp_path: Path) -> None:
    """A change at frame 24 of 48 in steps of three frames; the time stamps are numbers of frames."""
    plan = swapping_plan(48, 320, 192, 24)
    write_mask(tmp_path / "mask.nut", plan, Fraction(24000, 1001))
    with av.open(str(tmp_path / "mask.nut")) as container:
        frames = list(container.decode(video=0))
    assert [round(frame.time * 24000 / 1001, 6) for frame in frames if frame.time is not None] == [0, 18, 21, 27, 30]
    # Four pixels of the mask per block, and one more protected.
    assert frames[0].to_ndarray()[0, 36:46].tolist() == [0] * 5 + [255] * 5


def test_a_positive_offset_filters_the_salient_blocks() -> None:
    plan = make_plan([half_grid(320, 64, "left", inside=3, outside=-1)], [0], 4, 320, 64)
    assert protection(plan, 0)[0].tolist() == [0.0] * 10 + [1.0] * 10
    assert filtered_share(plan) == pytest.approx(10 / 20)


def test_no_shift_crosses_a_barrier() -> None:
    strength = Strength(steps=2.0, power=1.0, full_at=26, fade=0.1, barrier=32)
    assert strength.shift(26, 1.0, 0.5) == -1
    assert strength.shift(31, 2.0, 0.5) == pytest.approx(-1)
    assert strength.shift(32, 2.0, 0.5) == 0
    assert strength.shift(33, 8.0, 0.5) == -1
    assert Strength(0.5).amount(-3) == 1.5


def test_the_limit_follows_the_quantiser_and_the_depth() -> None:
    """The step of H.264 is 16 at QP 28; the kernel needs 8 bits, and the level makes up for limits in whole numbers."""
    strength = Strength(0.5, qp_step)
    assert [round(strength.change(-3, quality), 2) for quality in (None, 28, 34)] == [1.5, 0.92, 1.85]
    fast = background("fast", strength, -3, 34, "yuv420p")
    assert fast.filters.endswith("maskedclamp=undershoot=2:overshoot=2")
    assert "removegrain" in fast.filters
    assert fast.level == pytest.approx(0.92, abs=0.01)
    deep = background("fast", strength, -3, 34, "yuv420p10le")
    assert deep.filters.endswith("maskedclamp=undershoot=8:overshoot=8")
    assert "gblur=sigma=0.7071" in deep.filters
    assert "fftdnoiz=sigma=2.769:prev=1:next=1,gblur" in background("best", strength, -3, 34, "yuv420p10le").filters


def test_the_proof_finds_the_protected_half_better(grain_path: Path, tmp_path: Path) -> None:
    plan = replace(swapping_plan(48, 320, 192, 24), policy=RoiPolicy(-6))
    job = with_time_stamps(prepare_encode(probe_clip(grain_path), EncodeSettings("libsvtav1", "12", roi_channel="prefilter")))
    run_saliency_encode(job, plan, tmp_path / "out.mp4")
    proof = prove_encode(job, plan, tmp_path / "out.mp4", max_frames=None)
    assert proof.moved is True, proof.summary()


@pytest.mark.parametrize("text", ["/a/b", "/a:b/c", "/it's", "/a[1],b;c", "/a\\b", "/%d"])
def test_a_path_with_special_characters_is_read_by_the_graph(tmp_path: Path, text: str) -> None:
    folder = tmp_path / text[1:]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    ffmpeg("-f", "lavfi", "-i", "color=size=32x32:rate=24:duration=0.1", folder / "m.nut")
    (tmp_path / "graph").write_text(f"null[a];movie=filename={escape_filter_value(str(folder / 'm.nut'))}[m];[a][m]hstack")
    ffmpeg("-f", "lavfi", "-i", "color=size=32x32:rate=24:duration=0.1", "-/filter:v", tmp_path / "graph", tmp_path / "out.nut")


def test_mask_on_a_full_disk(tmp_path: Path) -> None:
    """/dev/full fails each write as a full disk does."""
    plan = swapping_plan(48, 320, 192, 12)
    (tmp_path / "mask.nut").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=rf"^{re.escape(str(tmp_path))}: No space left on device"):
        write_mask(tmp_path / "mask.nut", plan, Fraction(24))
    with pytest.raises(OutputError, match=r"mask\.nut: cannot be written: No such file"):
        write_mask(Path("/no/such/folder/mask.nut"), plan, Fraction(24))


@pytest.mark.parametrize(("encoder", "preset"), [("libaom-av1", "8"), ("libvvenc", "faster"), ("libsvtav1", "12")])
def test_the_prefilter_keeps_colour_tags(tmp_path: Path, encoder: str, preset: str) -> None:
    tags = "setparams=colorspace=smpte170m:color_primaries=bt470bg:color_trc=bt709:range=tv"
    source = make_clip(tmp_path / "in.mp4", seconds=0.5, extra=("-vf", tags))
    job = with_time_stamps(prepare_encode(probe_clip(source), EncodeSettings(encoder, preset, roi_channel="prefilter")))
    run_saliency_encode(job, make_plan([half_grid(160, 96, "left")], [0], 12, 160, 96), tmp_path / "out.mp4")
    assert probe_clip(tmp_path / "out.mp4").color == job.clip.color


def test_the_background_follows_the_preset_and_needs_the_prefilter(grain_path: Path) -> None:
    clip = probe_clip(grain_path)

    def used(preset: str | None, background: str | None) -> str | None:
        return prepare_encode(clip, EncodeSettings("libaom-av1", preset, background=background)).used_background

    assert [used(None, None), used("2", None), used(None, "best"), used("2", "fast")] == ["fast", "best", "best", "fast"]
    assert prepare_encode(clip, EncodeSettings("libx264")).used_background is None
    with pytest.raises(UsageError, match="no effect with addroi"):
        prepare_encode(clip, EncodeSettings("libx264", background="best"))
    with pytest.raises(UsageError, match="unknown"):
        EncodeSettings("libaom-av1", background="better")


def test_quarter_steps_reach_the_encoder(grain_path: Path, tmp_path: Path) -> None:
    """A quarter step of CRF changes the file of the bundled libsvtav1 by less than a whole step."""
    job = with_time_stamps(prepare_encode(probe_clip(grain_path), EncodeSettings("libsvtav1", "12", roi_channel="prefilter")))
    assert job.fine_quality
    sizes = []
    for correction in (0.0, 0.25, 1.0):
        run_saliency_encode(job.corrected(correction), swapping_plan(48, 320, 192, 24), tmp_path / "out.mp4")
        sizes.append((tmp_path / "out.mp4").stat().st_size)
    assert sizes[0] > sizes[1] > sizes[2]
