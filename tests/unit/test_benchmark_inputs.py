"""The inputs of the benchmarks: plans by name, and the gradients on which banding is measured."""

from __future__ import annotations

import cambi
import numpy as np
import pytest
from named_plans import parse_plan

from gpu_saliency.errors import UsageError
from gpu_saliency.plan.policy import RoiPolicy


def test_a_plan_by_name_has_the_defaults_that_it_does_not_name() -> None:
    assert parse_plan("attention:-3").policy == RoiPolicy()
    named = parse_plan("saliency:-4:6,beta=0.4,segments=clip")
    assert named.policy == RoiPolicy(-4, "attention", segments="clip", max_background_offset=6)
    assert (named.curve, named.gaze) == ({"beta": 0.4}, False)


@pytest.mark.parametrize("name", ["median:-3", "attention", "attention:-3:4:5", "attention:-3,gamma=1", "attention:-13"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises((ValueError, UsageError)):
        parse_plan(name)


def test_the_sky_is_the_stated_gradient() -> None:
    """Luma of the leftmost column, where no bird flies: 96 at the top, 192 at the ground after 240 rows, in whole codes."""
    luma = next(iter(cambi.planes("sky")))[0][:240, 0].astype(int)
    assert (luma[0], luma[-1]) == (96, 192)
    assert set(np.diff(luma)) == {0, 1}


def test_dither_keeps_the_mean_and_a_fade_ends_at_a_quarter() -> None:
    dithered = next(iter(cambi.planes("dithered")))[0][:, 500:].astype(float)
    assert dithered[:240].mean(axis=1) == pytest.approx(96 + 96 * np.arange(240) / 240, abs=0.2)
    *_, last = cambi.planes("fade")
    assert last[0][:240, 0] == pytest.approx(16 + (80 + 96 * np.arange(240) / 240) / 4, abs=0.5)
