"""All eight orientations of a picture."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_saliency.source.orientation import Orientation

PICTURE = np.arange(12).reshape(3, 4)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_coded_undoes_upright(turns: int, mirrored: bool) -> None:
    orientation = Orientation(turns, mirrored)
    assert (orientation.coded(orientation.upright(PICTURE)) == PICTURE).all()
    stack = np.stack([PICTURE, PICTURE + 100])
    assert (orientation.upright(stack, (-2, -1))[1] == orientation.upright(PICTURE + 100)).all()


def test_the_mirror_follows_the_turn() -> None:
    assert (Orientation(0, True).upright(PICTURE) == np.fliplr(PICTURE)).all()
    assert (Orientation(2, True).upright(PICTURE) == np.flipud(PICTURE)).all()
    assert (Orientation(1, True).upright(PICTURE) == np.fliplr(np.rot90(PICTURE))).all()
