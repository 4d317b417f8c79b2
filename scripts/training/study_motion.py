"""Studies whether motion improves the image model: fuses its maps with a motion cue and scores both on the DAVIS clips.

    python scripts/training/study_motion.py --clips DIR [--size 256x144] MODEL.onnx

No network is trained, because the only videos with masks at hand are those scored here. The cue is the motion of 8x8 blocks
(`saliency_training.flicker.match`) minus an affine camera motion fitted to all blocks, in pixels of the model's input. All
strengths are scored on the same clips, so the best one's figures are an upper bound. Frame by frame: IoU at 0.5 with the
frame's mask. Aggregated: IoU of the aggregated map of every half second with the mask of each of its frames.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from saliency_training.flicker import LUMA, Motion, match
from saliency_training.metrics import iou
from saliency_training.predictors import OnnxPredictor, resize_map
from scipy import ndimage

from gpu_saliency.analysis.aggregate import AGGREGATORS, aggregate
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.shrink import Shrinker

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from davis import davis_clips, masks_of

Maps = NDArray[np.float32]
"""``[frames, H, W]`` in 0..1."""

FULL_MOTION = 2.0
"""Motion against the camera, in pixels of the model's input, from which on the cue is 1."""
_SMOOTH = 4.0
_ROUNDS = 6
WINDOW = 0.5
"""Seconds per aggregated map."""
_STRENGTHS = (0.5, 1.0, 2.0, 4.0)


def against_camera(motion: Motion) -> NDArray[np.float64]:
    """Motion of each block ``[rows, cols]``, in pixels, relative to the affine motion that most blocks share."""
    rows, cols = motion.dy.shape
    y, x = (axis.ravel() for axis in np.mgrid[:rows, :cols].astype(np.float64))
    basis = np.stack((np.ones_like(x), x, y), axis=1)
    vectors = np.stack((motion.dy.ravel(), motion.dx.ravel()), axis=1).astype(np.float64)
    weight = motion.followed.ravel().astype(np.float64) + 1e-3
    residual = np.zeros(len(x))
    for _ in range(_ROUNDS):
        # Iteratively reweighted least squares with Cauchy weights (Holland and Welsch, 1977).
        root = np.sqrt(weight / (1 + residual**2))[:, None]
        camera, *_ = np.linalg.lstsq(basis * root, vectors * root, rcond=None)
        residual = np.linalg.norm(vectors - basis @ camera, axis=1)
    return residual.reshape(rows, cols)


def cue(motion: Motion, size: tuple[int, int]) -> Maps:
    """Motion cue ``[H, W]``: 0 where a place moves with the camera, 1 from `FULL_MOTION` against it."""
    moving = np.minimum(1, against_camera(motion) / FULL_MOTION).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(resize_map(moving, size), _SMOOTH), np.float32)


def shifted(maps: Maps, cues: Maps, strength: float) -> Maps:
    """Raise the odds where blocks move and lower them elsewhere, by up to ``strength`` in the logit."""
    odds = np.log(np.clip(maps, 1e-4, 1 - 1e-4) / np.clip(1 - maps, 1e-4, 1 - 1e-4))
    return np.asarray(1 / (1 + np.exp(-(odds + strength * (2 * cues - 1)))), np.float32)


def raised(maps: Maps, cues: Maps, strength: float) -> Maps:
    """Raise the odds where blocks move, by up to ``strength`` in the logit."""
    odds = np.log(np.clip(maps, 1e-4, 1 - 1e-4) / np.clip(1 - maps, 1e-4, 1 - 1e-4))
    return np.asarray(1 / (1 + np.exp(-(odds + strength * cues))), np.float32)


def control(maps: Maps, cues: Maps, strength: float) -> Maps:
    """Apply `shifted` with the cue's mean everywhere, which isolates the effect of the map's level."""
    return shifted(maps, np.full_like(cues, cues.mean()), strength)


_FUSIONS: dict[str, Callable[[Maps, Maps, float], Maps]] = {"odds up and down": shifted, "odds up": raised, "control": control}


def variants(maps: Maps, cues: Maps) -> dict[str, Maps]:
    """Maps by name: the image model's, the cue alone, and every fusion at every strength."""
    found = {"image model": maps, "motion alone": cues}
    for name, fuse in _FUSIONS.items():
        found |= {f"{name}, {strength:g}": fuse(maps, cues, strength) for strength in _STRENGTHS}
    return found


def scores(maps: Maps, masks: list[NDArray[np.bool_]], lumas: Maps, fps: float) -> dict[str, float]:
    """Mean IoU frame by frame and with each aggregator."""

    def score(saliency: Maps, mask: NDArray[np.bool_]) -> float:
        return iou(resize_map(saliency, mask.shape[::-1]), mask)

    found = {"each frame": float(np.mean([score(m, mask) for m, mask in zip(maps, masks, strict=True)]))}
    moved = [0.0, *(float(np.abs(b - a).mean()) / 255 for a, b in pairwise(lumas))]
    step = max(1, round(WINDOW * fps))
    for name in AGGREGATORS:
        all_scores = []
        for start in range(0, len(maps), step):
            part = range(start, min(start + step, len(maps)))
            reduced = aggregate(name, [maps[i] for i in part], [moved[i] for i in part])
            all_scores += [score(reduced, masks[i]) for i in part]
        found[name] = float(np.mean(all_scores))
    return found


def study(clip: Path, model: OnnxPredictor, size: tuple[int, int]) -> dict[str, dict[str, float]]:
    """Scores of one clip, by variant and aggregator."""
    probed, shrink = probe_clip(clip), Shrinker(size)
    frames = [shrink(frame) for frame in decode_frames(probed, DecodeTally())]
    lumas = np.stack([frame.astype(np.float32) @ LUMA for frame in frames])
    maps = np.stack([model(Image.fromarray(frame), size) for frame in frames])
    motion = [cue(match(a, b), size) for a, b in pairwise(lumas)]
    cues = np.stack([motion[0], *motion])  # the first frame takes the second's cue
    fps = float(probed.frame_rate)
    return {name: scores(found, masks_of(clip), lumas, fps) for name, found in variants(maps, cues).items()}


def main() -> None:
    """Parse the arguments, score all clips, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--clips", type=Path, required=True, help="the DAVIS clips and masks (benchmarks/davis.py)")
    parser.add_argument("--size", default="256x144")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    clips = davis_clips(args.clips)
    if not clips:
        parser.error(f"--clips {args.clips}: no davis_*.mp4 found (give the folder that benchmarks/davis.py describes)")
    model = OnnxPredictor(args.model)
    found = {clip.stem: study(clip, model, (width, height)) for clip in clips}
    names = list(found[clips[0].stem])
    table = Table("maps", *(f"{clip.stem.removeprefix('davis_')}" for clip in clips), "each frame", *AGGREGATORS)
    for name in names:
        by_clip = [found[clip.stem][name]["each frame"] for clip in clips]
        means = [np.mean([found[clip.stem][name][how] for clip in clips]) for how in ("each frame", *AGGREGATORS)]
        table.add_row(name, *(f"{value:.3f}" for value in [*by_clip, *means]))
    console = Console()
    Console(width=max(console.width, 140)).print(table)
    if args.json:
        args.json.write_text(json.dumps({"model": args.model.stem, "size": args.size, "clips": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
