"""The attention curve: it interpolates as documented, and a hostile text ends in a `ValueError`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gpu_saliency.model.attention import AttentionCurve

CURVE = AttentionCurve(((0.01, 0.1), (0.1, 1.0), (1.0, 10.0)), ((0.01, 0.4), (0.16, 1.6)), object=6.0, floor=0.2, beta=0.5)


def test_the_weight_of_a_block() -> None:
    """``w = G * 10`` here, plus 6 for each unit of saliency, and 0.2 at least; outside the points the last value holds."""
    gaze, saliency = np.array([0.0, 0.02, 0.3, 1.0]), np.array([0.0, 0.0, 0.5, 1.0])
    np.testing.assert_allclose(CURVE.weight(gaze, saliency), [0.2, 0.2, 6.0, 16.0])


def test_the_weight_without_gaze() -> None:
    """``w = 4 * sqrt(s)`` between the points."""
    np.testing.assert_allclose(CURVE.weight(None, np.array([0.0, 0.04, 1.0])), [0.4, 0.8 + 0.24, 1.6 + 6.0])


def test_json_is_kept() -> None:
    assert AttentionCurve.parse(json.dumps(CURVE.to_json())) == CURVE


HOSTILE: dict[str, Any] = {
    "a list": [],
    "nothing": {},
    "no saliency": {key: value for key, value in CURVE.to_json().items() if key != "saliency"},
    **{
        f"{key} {value!r}"[:60]: CURVE.to_json() | {key: value}
        for key, values in {
            "gaze": (
                None,
                "text",
                7,
                [],
                [[0.1, 1]],
                [[0.1, 1], [0.1, 2]],
                [[0.2, 1], [0.1, 2]],
                [[0.1, 2], [0.2, 1]],
                [[0.0, 1], [0.1, 2]],
                [[0.1, 1], [1.1, 2]],
                [[0.1, 0], [0.2, 1]],
                [[0.1, 1], [0.2, 1e5]],
                [[0.1, 1, 2], [0.2, 3]],
                [[0.1, "1"], [0.2, 3]],
                [[0.1, True], [0.2, 3]],
                [[0.1, float("nan")], [0.2, 3]],
                [[0.1, 1], [0.2, float("inf")]],
                [[0.1, 1], [0.2, 10**400]],
                [[i / 1000, 1] for i in range(1, 66)],
            ),
            "object": (-1, 1e5, float("nan"), None, "6"),
            "floor": (-0.1, float("inf")),
            "beta": (-0.5, 5, float("nan"), True),
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_curve(name: str) -> None:
    with pytest.raises(ValueError, match=r"gaze|saliency|object|floor|beta|(NaN|Infinity) is not JSON|401 digits"):
        AttentionCurve.parse(json.dumps(HOSTILE[name]))


@pytest.mark.parametrize("text", ["", "{", "[" * 60_000, "7" * 5000, " " * 70_000 + json.dumps(CURVE.to_json())])
def test_a_hostile_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        AttentionCurve.parse(text)
