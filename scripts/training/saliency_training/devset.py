"""Loads the evaluation set `dev_eval_pack` (DUTS and DAVIS masks, OSIE fixations) and scores predictors on it."""

from __future__ import annotations

import io
import math
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saliency_training.data import Pair, read_pairs
from saliency_training.metrics import mean_gaze_scores, mean_object_scores
from saliency_training.predictors import Predictor, resize_map

DEV_SET = "dev_eval_pack"
_GAZE = "OSIE"
_GROUPS = ("DUTS", "DAVIS", _GAZE)


@dataclass(frozen=True, slots=True)
class DevSet:
    """All pairs by group, and the raw fixations by image name."""

    pairs: dict[str, list[Pair]]
    points: dict[str, NDArray[np.float32]]
    """``[K, 2]``: x, y in pixels of the stored size, 1-based."""


def load_dev_set(data: Path) -> DevSet:
    """Load ``data/dev_eval_pack/`` or ``data/dev_eval.tar``."""
    folder, archive = data / DEV_SET, data / "dev_eval.tar"
    if folder.is_dir():
        raw = (folder / "fixation_points.npz").read_bytes()
    else:
        with tarfile.open(archive) as tar:
            handle = tar.extractfile(f"{DEV_SET}/fixation_points.npz")
            assert handle is not None
            raw = handle.read()
    with np.load(io.BytesIO(raw)) as stored:
        points = {name: np.asarray(stored[name], np.float32) for name in stored.files}
    pairs: dict[str, list[Pair]] = {group: [] for group in _GROUPS}
    for pair in read_pairs(data, DEV_SET, archive):
        pairs[next(group for group in _GROUPS if pair.source.startswith(group))].append(pair)
    return DevSet(pairs, points)


FIT_PIXELS, FIT_MULTIPLE = 256 * 144, 16


def fit(width: int, height: int) -> tuple[int, int]:
    """A model input of about `FIT_PIXELS` in the frame's aspect, sides multiples of `FIT_MULTIPLE`, as for a clip."""
    scale = math.sqrt(FIT_PIXELS / (width * height)) / FIT_MULTIPLE
    return max(1, round(width * scale)) * FIT_MULTIPLE, max(1, round(height * scale)) * FIT_MULTIPLE


def evaluate(predictor: Predictor, dev: DevSet, size: tuple[int, int] | None) -> dict[str, dict[str, float]]:
    """Score ``predictor`` by group: frames are scaled to ``size`` (``None``: `fit`), maps are scored at the truth's size."""
    scores: dict[str, dict[str, float]] = {}
    for group, pairs in dev.pairs.items():
        found = []
        for pair in pairs:
            with Image.open(io.BytesIO(pair.image)) as image, Image.open(io.BytesIO(pair.truth)) as truth:
                density = np.asarray(truth.convert("L"))
                found.append((resize_map(predictor(image, size or fit(*image.size)), truth.size), density, pair.name))
        if group == _GAZE:
            scores[group] = mean_gaze_scores([(p, d.astype(np.float64), dev.points[name]) for p, d, name in found])
        else:
            scores[group] = mean_object_scores([(p, d > 127) for p, d, _ in found])
    return scores
