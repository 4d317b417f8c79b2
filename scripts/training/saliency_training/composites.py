"""Makes composites: objects cut out by their masks, moved by an own motion, on a scene that the camera moves.

In video, subjects are smaller, stand in front of crowds and walls more often than in photographs, and either they or the
background are blurred by motion. The method: Ghiasi et al., "Simple copy-paste", CVPR 2021; with the two motions as in the
pretraining of video object networks on still pictures (Cheng et al., "STCN", NeurIPS 2021).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from saliency_training.augment import chance, uniform
from saliency_training.settings import Composites

_TAPS = 5
"""Positions along a motion that are averaged."""
_BLUR = 0.06
"""Longest motion during one exposure, as a share of half the frame."""
_LIGHT = (0.75, 1.3)


def paste(images: Tensor, masks: Tensor, scenes: Tensor, rng: torch.Generator, how: Composites) -> tuple[Tensor, Tensor]:
    """Cut the objects of ``images`` ``[N, 3, h, w]`` out by ``masks`` ``[N, 1, h, w]``, shrink them, paste them on ``scenes``.

    Returns the images and the new masks, all in 0..1. An object that the frame's edge cuts stays at that edge.
    """
    count = len(images)
    scale = how.least * (how.most / how.least) ** torch.rand(count, generator=rng, device=rng.device)
    offset_x = _place(masks.amax(dim=(1, 2)) > 0.5, scale, rng)
    offset_y = _place(masks.amax(dim=(1, 3)) > 0.5, scale, rng)
    # A soft edge, so that the network cannot learn to detect the seam.
    alpha = F.avg_pool2d(masks, 3, 1, 1, count_include_pad=False)
    gain = uniform(count, *_LIGHT, rng).view(-1, 1, 1, 1)
    light = torch.where(chance(count, how.relit, rng), gain, torch.ones_like(gain))
    objects = torch.cat(((images * light).clamp(0, 1) * alpha, alpha, masks), 1)
    # Halved copies of the object for small scales: bilinear sampling alone would alias.
    halved = F.interpolate(objects, scale_factor=0.5, mode="bilinear", antialias=True)
    own, camera = (_motion(count, how.blurred, rng) for _ in range(2))
    pasted = torch.zeros_like(objects)
    scene = torch.zeros_like(scenes)
    for tap in range(_TAPS):
        step = tap / (_TAPS - 1) - 0.5
        matrix = _matrix(scale, offset_x + own[0] * step, offset_y + own[1] * step)
        grid = F.affine_grid(matrix, list(objects.shape), align_corners=False)
        found = (F.grid_sample(source, grid, mode="bilinear", align_corners=False) for source in (objects, halved))
        pasted += torch.where((scale < 0.6).view(-1, 1, 1, 1), *reversed(list(found))) / _TAPS
        matrix = _matrix(torch.ones_like(scale), camera[0] * step, camera[1] * step)
        grid = F.affine_grid(matrix, list(scenes.shape), align_corners=False)
        scene += F.grid_sample(scenes, grid, mode="bilinear", padding_mode="reflection", align_corners=False) / _TAPS
    return pasted[:, :3] + (1 - pasted[:, 3:4]) * scene, pasted[:, 4:]


def _place(occupied: Tensor, scale: Tensor, rng: torch.Generator) -> Tensor:
    """``[N]``: centres, in -1..1, of shrunken axes on which ``occupied`` ``[N, side]`` says where the object is."""
    room = (1 - scale).clamp(min=0)
    free = (torch.rand(len(scale), generator=rng, device=rng.device) * 2 - 1) * room
    first, last = occupied[:, 0], occupied[:, -1]
    return torch.where(first == last, free, torch.where(last, room, -room))


def _motion(count: int, share: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Motions during the exposure, ``[N]`` each, in halves of the frame; a ``share`` of the samples moves."""
    moves = chance(count, share, rng).flatten()
    return tuple(uniform(count, -_BLUR, _BLUR, rng) * moves for _ in range(2))


def _matrix(scale: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``[N, 2, 3]`` for `affine_grid`: the source, shrunk by ``scale`` and centred at (``x``, ``y``)."""
    zero = torch.zeros_like(scale)
    return torch.stack((1 / scale, zero, -x / scale, zero, 1 / scale, -y / scale), 1).view(-1, 2, 3)
