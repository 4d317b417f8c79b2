"""The output's shape: what may be asked for, where a part lies in the coded picture, and how maps and frames are carried over."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_saliency import EncodeSettings
from gpu_saliency.encode.parts import Part, on_grid
from gpu_saliency.encode.readback import ReadFrames, check_key_frames
from gpu_saliency.encode.sample import estimated_size
from gpu_saliency.encode.shape import make_shape, parse_crop, parse_scale, retime
from gpu_saliency.encode.shape.asked import Box
from gpu_saliency.encode.shape.maps import shown_weights
from gpu_saliency.encode.shape.shape import coded_box, shown_box
from gpu_saliency.errors import EncodeError, SourceError, UsageError
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.orientation import Orientation
from gpu_saliency.trial.trial import predicted_bytes
from gpu_saliency.trial.windows import Window

CLIP = Clip(Path("in.mp4"), 640, 384, "yuv420p", Fraction(24), 72)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"crop": "10:10"}, "crop=10:10: is not W:H:X:Y"),
        ({"crop": "8:200:0:0"}, "too small"),
        ({"scale": "1280"}, "scale=1280: is not a size"),
        ({"scale": "-2:-2"}, "is not a size"),
        ({"scale": "-1:720"}, "is not a size .*-2"),
        ({"scale": "20000x720"}, "out of range"),
        ({"fps": "fast"}, "fps=fast: is not a number"),
        ({"fps": "0"}, "fps=0: out of range"),
        ({"keyint": 0}, "keyint=0: out of range"),
        ({"keyint": 48, "encoder": "libvvenc"}, "libvvenc.*libx264"),
        ({"keyint": 48, "encoder_params": "scenecut=40"}, "encoder_params=scenecut: contradicts keyint"),
        ({"audio_codec": "libx264"}, "audio_codec=libx264: encodes video"),
        ({"audio_codec": "opuss"}, "no audio encoder"),
        ({"audio_bitrate": 96000}, "audio_bitrate=96000: has no effect .*audio_codec"),
        ({"audio_codec": "copy", "audio_bitrate": 96000}, "has no effect"),
        ({"audio_codec": "flac", "audio_bitrate": 96000}, "lossless"),
        ({"audio_codec": "aac", "audio_bitrate": 96}, "out of range"),
        ({"audio_codec": "aac", "audio": False}, "cannot be combined"),
        ({"output_pix_fmt": "yuv42p"}, "output_pix_fmt=yuv42p: unknown"),
        ({"output_pix_fmt": "yuvj420p"}, "give yuv420p"),
        ({"output_pix_fmt": "pal8"}, "cannot be the format"),
    ],
)
def test_settings_that_cannot_be_are_refused_when_they_are_made(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        EncodeSettings(**values)


@pytest.mark.parametrize(
    ("crop", "scale", "size"),
    [
        (None, "320x192", (320, 192)),
        (None, "320:-2", (320, 192)),
        (None, "-2:100", (166, 100)),
        ("400:200:0:0", "300:-2", (300, 150)),
        ("crop=400:200:8:4", None, (400, 200)),
    ],
)
def test_size_of_the_output(crop: str | None, scale: str | None, size: tuple[int, int]) -> None:
    shaped = make_shape(CLIP, (crop and parse_crop(crop)) or None, (scale and parse_scale(scale)) or None, None).applied(CLIP)
    assert (shaped.width, shaped.height, shaped.sample_aspect_ratio) == (*size, Fraction(1))


def test_a_turned_clip_is_cut_and_scaled_as_it_is_shown() -> None:
    """640x384 turned by a quarter is shown as 384x640."""
    turned = replace(CLIP, rotation=90)
    shape = make_shape(turned, parse_crop("200:600:16:8"), parse_scale("100:-2"), None)
    assert shape.applied(turned).width == 300
    assert shape.applied(turned).height == 100
    assert shape.record(turned) == {"crop": "200:600:16:8", "scale": "100x300", "fps": None}
    with pytest.raises(UsageError, match=r"crop=600:200:0:0: reaches beyond the picture \(stay within 384x640\)"):
        make_shape(turned, parse_crop("600:200:0:0"), None, None)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_part_of_the_displayed_picture_in_the_coded_one(turns: int, mirrored: bool) -> None:
    picture = np.arange(8 * 12).reshape(8, 12)
    clip = replace(CLIP, width=12, height=8, rotation=90 * turns, mirrored=mirrored)
    upright = Orientation(turns, mirrored).upright(picture)
    shown = Box(3, 4, 2, 1)
    coded = coded_box(shown, clip)
    cut = picture[coded.y : coded.y + coded.height, coded.x : coded.x + coded.width]
    assert np.array_equal(Orientation(turns, mirrored).upright(cut), upright[1:5, 2:5])
    assert shown_box(coded, clip) == shown


def test_pixels_keep_the_shape_of_the_picture() -> None:
    wide = replace(CLIP, width=1440, height=1080, sample_aspect_ratio=Fraction(4, 3))
    assert make_shape(wide, None, parse_scale("1920x1080"), None).applied(wide).sample_aspect_ratio == 1
    assert make_shape(wide, None, parse_scale("720:-2"), None).applied(wide).sample_aspect_ratio == Fraction(4, 3)
    film = replace(CLIP, width=854, height=480)
    assert make_shape(film, None, parse_scale("640:-2"), None).applied(film).sample_aspect_ratio == 1, "within rounding"


def test_a_part_must_not_cut_chroma_samples() -> None:
    with pytest.raises(UsageError, match=r"cuts chroma samples of yuv420p .*multiples of 2"):
        make_shape(CLIP, parse_crop("201:200:0:0"), None, None)
    odd = replace(CLIP, width=641)
    make_shape(odd, parse_crop("201:200:440:0"), None, None)  # up to the picture's own odd edge
    make_shape(replace(CLIP, pix_fmt="yuv444p"), parse_crop("201:201:1:1"), None, None)


def test_blocks_take_what_they_show() -> None:
    """Of 64 pixels the 32 from 16 on become 64: each block of the output shows half a block of the source."""
    assert np.array_equal(shown_weights(64, 16, 32, 64), [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]])
    halves = shown_weights(64, 0, 64, 32)
    assert np.array_equal(halves, [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    partial = shown_weights(40, 0, 40, 40)
    assert np.array_equal(partial, np.eye(3)), "the last block has 8 pixels"


@pytest.mark.parametrize(("rate", "count"), [("30", 90), ("12", 36), ("12.5", 38), ("60000/1001", 180), ("24", 72)])
def test_frames_at_another_rate_follow_the_rule_of_ffmpeg(rate: str, count: int) -> None:
    found = retime(CLIP, Fraction(rate), 72, None, Fraction(1), is_file_time=False)
    assert found.frame_count == count
    ticks = [int(i * Fraction(rate) / 24 + Fraction(1, 2)) for i in range(72)]
    for frame in range(count):
        assert found.source_of(frame) == max(i for i, tick in enumerate(ticks) if tick <= frame)
    assert found.first_of(np.array([0, 10]))[1] == ticks[10]


def test_time_stamps_tell_the_time_where_the_file_has_them() -> None:
    """Frames at 0, 0.1, 0.5 and 0.6 s, in ms; at 10 a second the second is shown for four ticks."""
    clip = replace(CLIP, frame_rate=Fraction(20, 3))
    pts = np.array([40, 140, 540, 640])
    found = retime(clip, Fraction(10), 4, pts, Fraction(1, 1000), is_file_time=True)
    assert [found.source_of(i) for i in range(found.frame_count)] == [0, 1, 1, 1, 1, 2, 3]
    assert found.filters(2, 5).startswith("settb=expr=1/1000,setpts=PTS-40,tpad=stop=1:stop_mode=clone,fps=fps=10,")
    assert found.filters(2, 5).endswith("trim=start_frame=1:end_frame=4")
    with pytest.raises(SourceError, match="frame rate varies"):
        retime(clip, Fraction(10), 4, pts, Fraction(1, 1000), is_file_time=False)


def test_parts_begin_on_the_grid_of_key_frames() -> None:
    assert on_grid([Part(0, 50), Part(50, 90), Part(90, 200)], 48) == [Part(0, 48), Part(48, 200)]
    assert on_grid([Part(0, 10), Part(10, 90)], 48) == [Part(0, 90)]


def test_sizes_are_estimated_with_the_key_frames_that_were_asked_for() -> None:
    """A key frame of 100 bytes at every 4 frames, others have 10."""
    window = [100, 10, 10, 10] * 3
    assert estimated_size([window], 40, 10, 4) == 10 * 100 + 30 * 10
    lead = Window(0, 4, 12, 12)
    assert predicted_bytes([(100, 60)], [lead], 40, 4) == 10 * 100 + 30 * 10


@pytest.mark.parametrize(
    ("keys", "order", "words"),
    [
        ([0, 3], [0, 2, 1, 3, 5, 4], None),
        ([0], [0, 2, 1, 3, 5, 4], "not at every 3 frames"),
        ([0, 3, 4], [0, 2, 1, 3, 5, 4], "not at every 3 frames"),
        ([0, 3], [0, 1, 3, 5, 2, 4], "open groups: frames before the key frame 3"),
        ([0, 3], [], None),
    ],
)
def test_key_frames_are_checked_in_both_orders(keys: list[int], order: list[int], words: str | None) -> None:
    """Six packets, their times in decode order; the last file states no times."""
    read = ReadFrames(False, Fraction(1, 24), packets=6, pts=order, keys=keys)
    if words is None:
        check_key_frames(read, 3)
        return
    with pytest.raises(EncodeError, match=words):
        check_key_frames(read, 3)
