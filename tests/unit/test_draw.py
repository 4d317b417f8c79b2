"""Text, scales and pictures of the package's own drawings."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_saliency.draw.canvas import DARK, LIGHT, SCALE, blank, draw_scale, write_text
from gpu_saliency.draw.text import LARGE, SIZE, shortened, text_mask, text_width, wrapped
from gpu_saliency.errors import UsageError
from gpu_saliency.preview.overlay.sheet import CUTS, DEFAULT_FRAMES, parse_frames


def test_letters_have_smooth_edges_and_different_forms() -> None:
    mask = text_mask("O")
    assert 0.0 <= mask.min() < mask.max() <= 1.0
    assert ((mask > 0.1) & (mask < 0.9)).sum() > 10
    assert mask.shape[1] == text_width("O")
    assert not np.array_equal(text_mask("0"), text_mask("O"))
    assert text_width("mmm", LARGE) > text_width("mmm") > text_width("iii")


def test_text_is_cut_off_at_the_canvas() -> None:
    canvas = blank(20, 20)
    write_text(canvas, "a long line", 4, 8)
    assert canvas[8:, 4:].min() < 100
    assert canvas[:8].min() == 255
    write_text(canvas, "outside", 40, 40)


@pytest.mark.parametrize("width", [60, 150, 400])
def test_lines_fit(width: int) -> None:
    text = "Bits moved as planned over 96 frames and more words"
    lines = wrapped(text, width)
    assert " ".join(lines) == text
    assert all(text_width(line) <= width or " " not in line for line in lines)
    assert text_width(shortened(text, width)) <= width
    assert shortened("ab", width) == "ab"


def test_words_of_a_scale_stay_within_it() -> None:
    for inks in (LIGHT, DARK):
        canvas = blank(400, SCALE, inks)
        draw_scale(canvas, np.zeros((300, 3)), 50, 0, ("-4 better", "0 QP", "+4 worse"), inks)
        changed = np.abs(canvas.astype(int) - inks.ground).max(axis=(0, 2)) > 0
        assert not changed[:50].any()
        assert not changed[350:].any()
        below = np.abs(canvas[-SIZE:].astype(int) - inks.ground).max(axis=(0, 2)) > 60
        assert below[50:62].any()
        assert below[338:350].any()


def test_the_frames_of_a_sheet() -> None:
    assert parse_frames(None) == DEFAULT_FRAMES
    assert parse_frames("3") == 3
    assert parse_frames(CUTS) == CUTS
    for wrong in ("0", "-1", "121", "x", "1.5", "9" * 5000, "\u0663"):
        with pytest.raises(UsageError, match="no number of frames"):
            parse_frames(wrong)
