"""The model files that ship with the package: each keeps the contract, and half precision says what single precision says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")

from gpu_saliency.model import onnx as models
from gpu_saliency.model.shipped import DEFAULT_MODEL

_FOLDER = DEFAULT_MODEL.parent
_FILES = sorted(_FOLDER.glob("*.onnx"))


def _disc() -> NDArray[np.float32]:
    """A bright red disc, 90 pixels across, on dark green noise; a little left of the centre. ``[1, 3, 144, 256]``."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(20, 60, (1, 144, 256, 3), np.uint8)
    rgb[..., 1] += 40
    y, x = np.mgrid[:144, :256]
    rgb[0, (y - 72) ** 2 + (x - 110) ** 2 < 45**2] = (230, 40, 30)
    return models.normalise(rgb, (256, 144))


def test_each_ships_with_a_card() -> None:
    both = {name + end for name in ("saliency_student_v2", "saliency_fast_v1", "saliency_best_v1") for end in ("", "_fp16")}
    assert {path.stem for path in _FILES} == {"saliency_student_v1"} | both
    assert all((_FOLDER / f"{path.stem.removesuffix('_fp16')}.md").is_file() for path in _FILES)


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_a_shipped_model_finds_a_disc(path: Path) -> None:
    model = models.SaliencyModel(path)
    assert model.input_size(16 / 9).padded == ((320, 176) if "best" in path.stem else (256, 144))
    found = model(_disc())[0]
    assert found[52:92, 90:130].mean() > 0.6
    assert found[:, 200:].mean() < 0.2


@pytest.mark.parametrize("name", ["saliency_student_v2", "saliency_fast_v1", "saliency_best_v1"])
def test_half_precision_agrees(name: str) -> None:
    """At most a hundredth apart; bits in the eleventh place, through thirty to fifty layers."""
    single, half = (models.SaliencyModel(_FOLDER / f"{name}{end}.onnx")(_disc()) for end in ("", "_fp16"))
    assert 0 < np.abs(single - half).max() < 0.01
