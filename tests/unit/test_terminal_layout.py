"""The layout and the colours of ``preview --terminal``."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.color import Color, ColorSystem

from gpu_saliency.preview.terminal import few_colours, text
from gpu_saliency.preview.terminal.half_blocks import arrange


def clip(width: int, height: int) -> Any:
    return SimpleNamespace(width=width, height=height, sample_aspect_ratio=Fraction(1), rotation=0)


@pytest.mark.parametrize(
    ("size", "pictures", "window", "panel", "stacked"),
    [
        ((1920, 1080), 2, (80, 13), (39, 22), False),
        ((1920, 1080), 2, (120, 27), (59, 34), False),
        ((1920, 1080), 2, (60, 45), (60, 34), True),
        ((1080, 1920), 2, (120, 27), (29, 52), False),
        ((2560, 640), 3, (90, 39), (90, 22), True),
    ],
)
def test_pictures_are_placed_so_that_they_are_large(
    size: tuple[int, int], pictures: int, window: tuple[int, int], panel: tuple[int, int], stacked: bool
) -> None:
    found = arrange(clip(*size), pictures, *window)
    assert (found.panel, found.stacked) == (panel, stacked)
    assert found.lines(pictures) <= window[1]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
@pytest.mark.parametrize("live", [False, True])
def test_scales_and_keys_fit_the_terminal(width: int, live: bool) -> None:
    keys = text.keys(live=live, width=width)
    assert len(keys.plain) <= width
    assert "q end" in keys.plain
    if width >= 60:
        scales = text.scales(6.0, width)
        assert len(scales.plain) <= width
        assert scales.plain.endswith("+6 worse")
    status = text.flow(["frame 17  0:00.71", "map 3 of 10  segment 3 of 9", "mean saliency 0.14  QP -4.0 to +4.0"], width)
    assert max(map(len, status.plain.split("\n"))) <= max(width, 50)


def lightness(picks: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Luma of the colours that a terminal of 256 colours shows for ``picks``."""
    shown = [Color.from_rgb(*pick).downgrade(ColorSystem.EIGHT_BIT).get_truecolor() for pick in picks.tolist()]
    return np.asarray(np.array(shown, np.float64) @ np.array([0.2126, 0.7152, 0.0722]))


def test_the_ramps_of_256_colours_are_monotone() -> None:
    """As shown: saliency rises in lightness, offsets rise to the middle from both ends; no pick becomes another one."""
    heat, plan = lightness(few_colours.HEAT), lightness(few_colours.PLAN)
    middle = len(plan) // 2
    assert (np.diff(heat) > 5).all()
    assert (np.diff(plan[:middle]) > 5).all()
    assert (np.diff(plan[middle + 1 :]) < -5).all()
    assert (np.diff(lightness(few_colours.GREYS)) > 5).all()
