"""Batches with a teacher's stored maps beside the truths, and the loss against both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from saliency_training.augment import augment
from saliency_training.batches import Sets, draw_gaze
from saliency_training.data import FIXATION_SET, MASK_SET, PSEUDO_VIDEO_SET, CachedSet, draw, stored_set
from saliency_training.losses import gaze_loss, mask_loss
from saliency_training.network import Logits, shrunk
from saliency_training.settings import Phase, Settings

_SEED_OF_VIDEO = 7


@dataclass(frozen=True, slots=True)
class TaughtSet:
    """Pictures, truths and the teacher's maps of both, memory-mapped."""

    pictures: CachedSet
    objects: NDArray[np.uint8]
    """``[count, h, w]``, 0..255."""
    gaze: NDArray[np.float16]
    """``[count, h, w]``, 0..1."""

    @classmethod
    def load(cls, name: str, pictures: CachedSet, teacher: Path, size: tuple[int, int]) -> TaughtSet:
        """``pictures``, the set ``name`` decoded at ``size`` (width, height), and what make_teacher_maps.py wrote of it.

        Raises `ValueError` if the maps are of another number of pictures.
        """
        stem = f"{name}_{size[0]}x{size[1]}_images"
        objects, gaze = (np.load(teacher / f"{stem}_{part}.npy", mmap_mode="r") for part in ("objects", "gaze"))
        if not len(pictures) == len(objects) == len(gaze):
            raise ValueError(
                f"{teacher}: {len(objects)} maps for {len(pictures)} pictures of {name} (run make_teacher_maps.py again)"
            )
        return cls(pictures, objects, gaze)

    def take(self, index: NDArray[np.intp], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Images ``[N, 3, H, W]``; truth, the teacher's objects and its gaze ``[N, 3, H, W]``; at ``size``, in 0..1."""
        images, truths = (shrunk(part, size) for part in self.pictures.take(index))
        objects, gaze = torch.from_numpy(self.objects[index]).float() / 255, torch.from_numpy(self.gaze[index]).float()
        return images, torch.cat((truths, shrunk(torch.stack((objects, gaze), 1), size)), 1)


@dataclass(frozen=True, slots=True)
class TaughtSets:
    """All that batches are drawn from."""

    sets: Sets
    masks: TaughtSet
    fixations: TaughtSet
    videos: TaughtSet | None

    @classmethod
    def load(cls, data: Path, cache: Path, teacher: Path, size: tuple[int, int]) -> TaughtSets:
        """Load the sets, decoded at ``size`` (width, height), with the teacher's maps; pseudo-video if ``cache`` holds some."""
        sets = Sets.load(data, cache, size)
        masks = TaughtSet.load(MASK_SET, sets.masks, teacher, size)
        fixations = TaughtSet.load(FIXATION_SET, sets.fixations, teacher, size)
        made = stored_set(cache, PSEUDO_VIDEO_SET, size)
        videos = None if made is None else TaughtSet.load(PSEUDO_VIDEO_SET, made, teacher, size)
        return cls(sets, masks, fixations, videos)


class TaughtBatch(NamedTuple):
    """Masks, frames of pseudo-video, then fixation images."""

    images: Tensor
    """``[N, 3, H, W]``, normalised."""
    truths: Tensor
    """``[N, 3, H, W]``: mask or density, the teacher's objects, its gaze."""
    whole: Tensor
    """``[N]``: whether the teacher's gaze holds, which a crop changes."""
    masks: int
    """How many of the first samples have a mask."""


def taught_batch(step: int, phase: Phase, sets: TaughtSets, seed: int, settings: Settings) -> TaughtBatch:
    """Draw and augment the batch of ``step``. Raises `ValueError` without the pseudo-video that ``phase`` asks for."""
    rng = torch.Generator().manual_seed(seed * 1_000_003 + step)
    parts = [(sets.masks, draw(phase.masks, len(sets.masks.pictures), step, seed))]
    if phase.pseudo_video:
        if sets.videos is None:
            raise ValueError("no pseudo-video in the cache (run make_pseudo_video.py and make_teacher_maps.py)")
        parts.append((sets.videos, draw(phase.pseudo_video, len(sets.videos.pictures), step, seed + _SEED_OF_VIDEO)))
    gaze = draw_gaze(step, phase, sets.sets, seed)
    parts.append((sets.fixations, gaze))
    images, truths = (torch.cat(part) for part in zip(*(s.take(i, settings.trained_size) for s, i in parts), strict=True))
    size = phase.sizes[step % len(phase.sizes)]
    found = augment(images, truths, size, rng, len(gaze), settings.augmentation, phase.whole_frames)
    whole = found.whole.clone()
    whole[len(whole) - len(gaze) :] = True  # they stay almost whole
    return TaughtBatch(found.images, found.truths, whole, len(images) - len(gaze))


def stored_loss(logits: Logits, batch: TaughtBatch, settings: Settings, weight: float) -> Tensor:
    """Masks mixed with the teacher's objects by ``weight``, densities, and the teacher's gaze on whole frames."""
    truth, objects, gaze = batch.truths[:, :1], batch.truths[:, 1:2], batch.truths[:, 2:]
    n = batch.masks
    mixed = truth[:n] * (1 - weight) + objects[:n] * weight
    loss = mask_loss(logits.objects[:n], logits.auxiliary[:n], mixed, settings.auxiliary_weight)
    assert logits.gaze is not None
    if len(truth) > n:
        share = weight * (len(truth) - n) / n
        loss = loss + share * F.binary_cross_entropy_with_logits(logits.objects[n:].float(), objects[n:])
        loss = loss + settings.gaze_weight * gaze_loss(logits.gaze[n:], truth[n:])
    if batch.whole.any():
        loss = loss + weight * settings.gaze_weight * gaze_loss(logits.gaze[batch.whole], gaze[batch.whole])
    return loss
