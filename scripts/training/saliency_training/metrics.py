"""Saliency metrics of single maps, ``[H, W]`` floats in 0..1.

Objects: MAE, F-beta and IoU as in Borji et al., "Salient object detection: a benchmark" (TIP 2015).
Fixations: CC, NSS, KL and SIM as in Bylinskii et al.,
"What do different evaluation metrics tell us about saliency models?" (PAMI 2019).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.grid import BLOCK_SIZE, pool_blocks

BETA_SQUARED = 0.3
THRESHOLDS = 255
_EPS = float(np.finfo(np.float32).eps)

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]


def mae(predicted: Map, mask: Mask) -> float:
    """Mean absolute error."""
    return float(np.abs(predicted - mask).mean())


def iou(predicted: Map, mask: Mask, threshold: float = 0.5) -> float:
    """Intersection over union of ``predicted >= threshold`` and the mask; 1 where both are empty."""
    chosen = predicted >= threshold
    union = np.count_nonzero(chosen | mask)
    return np.count_nonzero(chosen & mask) / union if union else 1.0


def block_iou(predicted: Map, mask: Mask) -> float:
    """`iou` on the means of 16x16 pixel blocks, the resolution at which an encoder changes its QP; edge blocks may be partial.

    A block belongs to the object if the mask covers at least half of it, and is chosen if the map's mean is at least 0.5.
    """
    return iou(pool_blocks(predicted, BLOCK_SIZE, "mean"), pool_blocks(mask, BLOCK_SIZE, "mean") >= 0.5)


def excess(predicted: Map, mask: Mask) -> float:
    """Mean of the map minus the object's share of the frame: above 0 if the map marks too much."""
    return float(predicted.mean()) - float(mask.mean())


def precision_recall(predicted: Map, mask: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall at the thresholds k / 255 for k = 1..255 (``predicted >= threshold``), each ``[255]``."""
    levels = np.clip(np.floor(predicted * THRESHOLDS + 1e-6), 0, THRESHOLDS).astype(np.intp)
    chosen = np.bincount(levels.ravel(), minlength=THRESHOLDS + 1)[::-1].cumsum()[::-1][1:]
    right = np.bincount(levels[mask], minlength=THRESHOLDS + 1)[::-1].cumsum()[::-1][1:]
    precision = right / np.maximum(chosen, 1)
    return precision, right / max(1, np.count_nonzero(mask))


def f_beta(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> NDArray[np.float64]:
    """(1 + b2) P R / (b2 P + R) with b2 = 0.3 (Achanta et al., CVPR 2009); 0 where both are 0."""
    return (1 + BETA_SQUARED) * precision * recall / np.maximum(BETA_SQUARED * precision + recall, _EPS)


def cc(predicted: Map, density: Map) -> float:
    """Pearson correlation of the two maps; 0 if either is constant."""
    a, b = predicted - predicted.mean(), density - density.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


def nss(predicted: Map, points: NDArray[np.floating]) -> float:
    """Normalised scanpath saliency: mean of the standardised map at the fixations ``points [K, 2]`` (x, y in pixels, 1-based)."""
    deviation = float(predicted.std())
    if deviation == 0:
        return 0.0
    height, width = predicted.shape
    x = np.clip(np.round(points[:, 0]).astype(np.intp) - 1, 0, width - 1)
    y = np.clip(np.round(points[:, 1]).astype(np.intp) - 1, 0, height - 1)
    return float(((predicted - predicted.mean()) / deviation)[y, x].mean())


def _distribution(values: Map) -> NDArray[np.float64]:
    total = float(values.sum())
    return np.asarray(values / total if total > 0 else np.full(values.shape, 1 / values.size), np.float64)


def kl(predicted: Map, density: Map) -> float:
    """KL(density || predicted), both normalised to sum 1: sum Q log(eps + Q / (eps + P))."""
    p, q = _distribution(predicted), _distribution(density)
    return float((q * np.log(_EPS + q / (p + _EPS))).sum())


def sim(predicted: Map, density: Map) -> float:
    """Similarity: sum over pixels of the smaller of the two distributions, 0..1."""
    return float(np.minimum(_distribution(predicted), _distribution(density)).sum())


def mean_object_scores(pairs: list[tuple[Map, Mask]]) -> dict[str, float]:
    """Average the object metrics over a set.

    ``max_f`` is the maximum over thresholds of the F-beta of the mean precision and recall. For calibration: the mean map, the
    mean share of object, and ``excess_abs``, the mean over images of their absolute difference.
    """
    curves = [precision_recall(predicted, mask) for predicted, mask in pairs]
    precision, recall = (np.mean([curve[i] for curve in curves], axis=0) for i in (0, 1))
    return {
        "mae": float(np.mean([mae(p, m) for p, m in pairs])),
        "max_f": float(f_beta(precision, recall).max()),
        "iou": float(np.mean([iou(p, m) for p, m in pairs])),
        "block_iou": float(np.mean([block_iou(p, m) for p, m in pairs])),
        "mean_map": float(np.mean([p.mean() for p, _ in pairs])),
        "object_share": float(np.mean([m.mean() for _, m in pairs])),
        "excess_abs": float(np.mean([abs(excess(p, m)) for p, m in pairs])),
    }


def mean_gaze_scores(triples: list[tuple[Map, Map, NDArray[np.floating]]]) -> dict[str, float]:
    """Means of CC, NSS, KL, SIM and of the map itself over a set of (map, density, points)."""
    return {
        "cc": float(np.mean([cc(p, d) for p, d, _ in triples])),
        "nss": float(np.mean([nss(p, points) for p, _, points in triples])),
        "kl": float(np.mean([kl(p, d) for p, d, _ in triples])),
        "sim": float(np.mean([sim(p, d) for p, d, _ in triples])),
        "mean_map": float(np.mean([p.mean() for p, _, _ in triples])),
    }
