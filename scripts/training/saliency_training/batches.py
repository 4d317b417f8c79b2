"""Draws the batches of a training: images with masks, composites, images with fixation densities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saliency_training.augment import augment
from saliency_training.composites import paste
from saliency_training.data import FIXATION_SET, MASK_SET, CachedSet, cached_set, draw, sources
from saliency_training.settings import Phase, Settings

_CROWDS = "EyeCrowd"


@dataclass(frozen=True, slots=True)
class Sets:
    """The image sets that batches are drawn from."""

    masks: CachedSet
    fixations: CachedSet
    crowds: NDArray[np.bool_]
    """``[count]``: whether a fixation image shows a crowd."""

    @classmethod
    def load(cls, data: Path, cache: Path, size: tuple[int, int], device: torch.device | None = None) -> Sets:
        """Load the tars or folders in ``data``, decoded once at ``size`` (width, height) into ``cache``.

        With a ``device`` the sets are copied to its memory as a whole.
        """
        crowds = np.char.startswith(sources(data, FIXATION_SET), _CROWDS)
        masks, fixations = (cached_set(data, name, cache, size).on(device) for name in (MASK_SET, FIXATION_SET))
        return cls(masks, fixations, crowds)


def draw_gaze(step: int, phase: Phase, sets: Sets, seed: int) -> NDArray[np.intp]:
    """Indices of the step's fixation images: of any source, then everyday scenes, then crowds."""
    pools = ((phase.everyday, np.flatnonzero(~sets.crowds)), (phase.crowds, np.flatnonzero(sets.crowds)))
    drawn = [pool[draw(count, len(pool), step, seed + 2 + i)] for i, (count, pool) in enumerate(pools) if count]
    return np.concatenate(
        [draw(phase.fixations + phase.composites, len(sets.fixations), step, seed + 1)[: phase.fixations], *drawn]
    )


def batch(step: int, phase: Phase, sets: Sets, seed: int, settings: Settings) -> tuple[Tensor, Tensor]:
    """Images ``[N, 3, H, W]``, normalised, and truths ``[N, 1, H, W]`` of a step: masks, composites, then fixations.

    They are on the device of the sets.
    """
    masks, fixations = sets.masks, sets.fixations
    rng = torch.Generator(masks.device).manual_seed(seed * 1_000_003 + step)
    index = draw(phase.masks + phase.composites, len(masks), step, seed)
    scenes = draw(phase.fixations + phase.composites, len(fixations), step, seed + 1)[phase.fixations :]
    images, truths = masks.take(index)
    if phase.composites:
        pasted = slice(phase.masks, None)
        images[pasted], truths[pasted] = paste(images[pasted], truths[pasted], fixations.take(scenes)[0], rng, settings.composites)
    gaze = draw_gaze(step, phase, sets, seed)
    if len(gaze):
        looked_at, densities = fixations.take(gaze)
        images, truths = torch.cat((images, looked_at)), torch.cat((truths, densities))
    size = phase.sizes[step % len(phase.sizes)]
    return augment(images, truths, size, rng, len(gaze), settings.augmentation, phase.whole_frames)[:2]
