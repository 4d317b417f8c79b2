"""Which frame the picture of a proof shows, and what it says first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from plans import half_grid, make_plan

from gpu_saliency.proof.picture import _best_frame, headline
from gpu_saliency.proof.verdict import Proof


def proof(measured: list[int], *, frames: int = 96, **facts: object) -> Proof:
    """A proof with this many measured blocks in each segment."""
    change = np.full((len(measured), 6, 10), np.nan)
    for segment, count in enumerate(measured):
        change[segment].flat[:count] = -1
    default = {"unit": "QP", "moved": True, "inside_change": -2.57, "outside_change": 1.8, "size_ratio": 0.989}
    return cast(Proof, SimpleNamespace(change=change, frames=frames, **default | facts))


@pytest.mark.parametrize(
    ("measured", "frames", "frame"),
    [([3, 20, 5], 96, 48), ([20, 3, 5], 96, 16), ([3, 5, 20], 40, 36), ([4, 4, 4], 96, 48), ([0, 0, 0], 96, 48)],
)
def test_the_frame_has_the_most_measured_blocks(measured: list[int], frames: int, frame: int) -> None:
    """Of the compared ones, in the middle of its segment; of equal segments that in the middle."""
    plan = make_plan([half_grid(160, 96, "left", -4, 3)] * 3, [0, 32, 64], 96, 160, 96)
    assert _best_frame(plan, proof(measured, frames=frames)) == frame


def test_the_result_in_words() -> None:
    good = "Bits moved as planned: subject 2.6 QP better, the rest 1.8 QP worse, size -1.1 %"
    assert headline(proof([9])) == good
    assert headline(proof([9], moved=False, size_ratio=None)).startswith("Bits did not move as planned: subject 2.6 QP better")
    assert "dB of error" in headline(proof([9], unit="dB"))
    assert headline(proof([9], moved=None)).startswith("Undecided")
