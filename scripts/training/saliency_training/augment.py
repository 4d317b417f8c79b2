"""Augments a batch: geometry (of image and truth), then light, then camera and codec artefacts.

Everything is computed for the whole batch on the device of the tensors, without a wait of the host for the device. ``rng`` is a
generator of that device.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gpu_saliency.model import contract
from saliency_training.settings import Augmentation

IMAGENET_MEAN, IMAGENET_STD = (
    torch.from_numpy(values).view(1, 3, 1, 1) for values in (contract.IMAGENET_MEAN, contract.IMAGENET_STD)
)
_LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
_BLOCK = 8

# Probabilities and ranges of the augmentations.
_ZOOM_OUT = 0.2
_ZOOM_IN_RANGE = (0.5, 1.05)
_ZOOM_OUT_RANGE = (1.1, 2.2)
_ASPECT = 0.22
_GREY = 0.15
_SOFT, _NOISE, _BLOCKY = 0.15, 0.15, 0.15
_SOFT_FACTORS = (1.5, 2.5)
_GAZE_WHOLE = 0.6
_GAZE_ZOOM_RANGE = (0.75, 1.0)
_GAZE_ASPECT = 0.1
_DIM_RANGE, _DIM_NOISE = (0.12, 0.45), 0.02
_BAR_RANGE = (0.04, 0.14)
_PLAIN = Augmentation()


def uniform(count: int, low: float, high: float, rng: torch.Generator) -> Tensor:
    """``[count]`` samples of a uniform distribution, on the device of ``rng``."""
    return torch.rand(count, generator=rng, device=rng.device) * (high - low) + low


def chance(count: int, share: float, rng: torch.Generator) -> Tensor:
    """``[count, 1, 1, 1]`` booleans, true with the probability ``share``."""
    return (torch.rand(count, generator=rng, device=rng.device) < share).view(-1, 1, 1, 1)


def _centre(centroid: Tensor, half: Tensor, rng: torch.Generator) -> Tensor:
    """Crop centres along one axis of -1..1 that keep ``centroid`` inside a crop of half-length ``half``."""
    room = (1 - half).abs()
    low = torch.maximum(-room, torch.minimum(centroid - 0.9 * half, room))
    high = torch.minimum(room, torch.maximum(centroid + 0.9 * half, -room))
    return low + (high - low) * torch.rand(len(half), generator=rng, device=rng.device)


def _geometry(truths: Tensor, rng: torch.Generator, whole_frames: float, whole_gaze: int) -> tuple[Tensor, Tensor]:
    """Draw affine matrices ``[N, 2, 3]``: whole frame, zoom-in on a part that holds the truth's centroid, or zoom-out.

    Returns them and ``[N]``, which says of which samples the whole frame is kept.

    A share ``whole_frames`` of the samples stays whole frames. The last ``whole_gaze`` samples stay whole more often and are
    never zoomed out.
    """
    count, _, height, width = truths.shape
    kind = torch.rand(count, generator=rng, device=rng.device)
    zoom = uniform(count, *_ZOOM_IN_RANGE, rng)
    zoom = torch.where(kind < _ZOOM_OUT, uniform(count, *_ZOOM_OUT_RANGE, rng), zoom)
    aspect = torch.exp(uniform(count, -_ASPECT, _ASPECT, rng))
    whole = kind > 1 - whole_frames
    if whole_gaze:
        gaze = slice(count - whole_gaze, None)
        zoom[gaze] = uniform(whole_gaze, *_GAZE_ZOOM_RANGE, rng)
        aspect[gaze] = torch.exp(uniform(whole_gaze, -_GAZE_ASPECT, _GAZE_ASPECT, rng))
        whole[gaze] = kind[gaze] > 1 - _GAZE_WHOLE
    one = torch.ones_like(zoom)
    sx = torch.where(whole, one, zoom * aspect)
    sy = torch.where(whole, one, zoom / aspect)
    mass = truths.sum(dim=(1, 2, 3)) + 1e-6
    cx = (truths.sum(dim=(1, 2)) * torch.linspace(-1, 1, width, device=rng.device)).sum(1) / mass
    cy = (truths.sum(dim=(1, 3)) * torch.linspace(-1, 1, height, device=rng.device)).sum(1) / mass
    flip = torch.where(torch.rand(count, generator=rng, device=rng.device) < 0.5, -1.0, 1.0)
    zero = torch.zeros_like(zoom)
    rows = (sx * flip, zero, _centre(cx, sx, rng), zero, sy, _centre(cy, sy, rng))
    return torch.stack(rows, dim=1).view(count, 2, 3), whole


def _light(x: Tensor, rng: torch.Generator) -> Tensor:
    """Vary gamma, contrast, brightness, saturation and colour cast of ``[N, 3, H, W]`` in 0..1."""
    count = len(x)

    def each(low: float, high: float) -> Tensor:
        return uniform(count, low, high, rng).view(-1, 1, 1, 1)

    x = x.clamp(1e-3, 1) ** torch.exp(each(-0.35, 0.35))
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - mean) * each(0.6, 1.4) + mean + each(-0.15, 0.15)
    grey = (x * _LUMA.to(x.device)).sum(1, keepdim=True)
    saturation = each(0.5, 1.5) * ~chance(count, _GREY, rng)
    x = (x - grey) * saturation + grey
    cast = torch.exp(uniform(count * 3, -0.08, 0.08, rng)).view(-1, 3, 1, 1)
    return (x * torch.where(saturation > 0, cast, torch.ones_like(cast))).clamp(0, 1)


def _dct_matrix() -> Tensor:
    """The orthonormal DCT-II of 8 samples, as in JPEG (ITU-T T.81, A.3.3)."""
    k, n = np.meshgrid(np.arange(_BLOCK), np.arange(_BLOCK), indexing="ij")
    matrix = np.sqrt(2 / _BLOCK) * np.cos((2 * n + 1) * k * math.pi / (2 * _BLOCK))
    matrix[0] /= math.sqrt(2)
    return torch.tensor(matrix, dtype=torch.float32)


_DCT = _dct_matrix()
_FREQUENCY = torch.arange(_BLOCK).view(-1, 1) + torch.arange(_BLOCK).view(1, -1)


def _blocky(x: Tensor, strength: Tensor) -> Tensor:
    """Quantise 8x8 DCT blocks, coarser at high frequencies, as a block codec does; ``strength`` ``[N, 1, 1, 1]``, 0.02..0.1."""
    count, channels, height, width = x.shape
    dct, frequency = _DCT.to(x.device), _FREQUENCY.to(x.device)
    blocks = x.view(count, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(3, 4)
    step = strength.view(-1, 1, 1, 1, 1, 1) * (1 + frequency.float())
    coded = torch.round(dct @ blocks @ dct.T / step) * step
    return (dct.T @ coded @ dct).transpose(3, 4).reshape(x.shape)


def _soft(x: Tensor, factor: float) -> Tensor:
    """Shrink by ``factor`` with area averaging and enlarge again."""
    small = F.interpolate(x, scale_factor=1 / factor, mode="bilinear", antialias=True)
    return F.interpolate(small, size=x.shape[-2:], mode="bilinear")


def _degrade(x: Tensor, rng: torch.Generator) -> Tensor:
    """Lower the resolution of some samples, add noise to some, quantise some in blocks."""
    count = len(x)
    for factor in _SOFT_FACTORS:
        x = torch.where(chance(count, _SOFT / len(_SOFT_FACTORS), rng), _soft(x, factor), x)
    amount = uniform(count, 0.01, 0.06, rng).view(-1, 1, 1, 1) * chance(count, _NOISE, rng)
    x = x + torch.randn(x.shape, generator=rng, device=x.device) * amount
    x = torch.where(chance(count, _BLOCKY, rng), _blocky(x, uniform(count, 0.02, 0.1, rng)), x)
    return x.clamp(0, 1)


def _dim(x: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Darken a ``share`` of the samples and add sensor noise."""
    level = uniform(len(x), *_DIM_RANGE, rng).view(-1, 1, 1, 1)
    noise = torch.randn(x.shape, generator=rng, device=x.device) * _DIM_NOISE * level
    return torch.where(chance(len(x), share, rng), x * level + noise, x).clamp(0, 1)


def _letterbox(x: Tensor, y: Tensor, share: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Add black bars, at top and bottom or (less often) at the sides, to a ``share`` of the samples; bars are not salient."""
    count = len(x)
    bar = uniform(count, *_BAR_RANGE, rng).view(-1, 1, 1, 1)
    wide = chance(count, 0.7, rng)

    def bars(axis: int) -> Tensor:
        side = x.shape[axis]
        place = torch.arange(side, device=x.device).view([-1 if i == axis % 4 else 1 for i in range(4)])
        width = torch.round(bar * side)
        return (place < width) | (place >= side - width)

    black = torch.where(wide, bars(-2), bars(-1)) & chance(count, share, rng)
    return x.masked_fill(black, 0), y.masked_fill(black, 0)


class Augmented(NamedTuple):
    """Samples of a batch."""

    images: Tensor
    """``[N, 3, H, W]``, ImageNet-normalised R'G'B'."""
    truths: Tensor
    """``[N, C, H, W]``, in 0..1."""
    whole: Tensor
    """``[N]``: whether the sample shows the whole frame, mirrored or not."""


def augment(
    images: Tensor,
    truths: Tensor,
    size: tuple[int, int],
    rng: torch.Generator,
    fixations: int = 0,
    more: Augmentation = _PLAIN,
    whole_frames: float = 0.3,
) -> Augmented:
    """Augment images ``[N, 3, h, w]`` and truths ``[N, C, h, w]``, both in 0..1.

    ``size`` is (width, height). The first channel of the truths is a mask or, of the last ``fixations`` samples, a density; it
    alone decides where a sample is cropped. Zooming out mirrors the image and its truths at the edges, so that subjects become
    small and leave the centre, as in video.
    """
    matrices, whole = _geometry(truths[:, :1], rng, whole_frames, fixations if more.whole_gaze else 0)
    grid = F.affine_grid(matrices, [len(images), 4, size[1], size[0]], align_corners=False)
    both = F.grid_sample(torch.cat((images, truths), 1), grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    x, y = both[:, :3], both[:, 3:].clamp(0, 1)
    x = _light(x, rng)
    if more.dark:
        x = _dim(x, more.dark, rng)
    if more.letterbox:
        x, y = _letterbox(x, y, more.letterbox, rng)
    return Augmented(normalised(_degrade(x, rng)), y, whole)


def normalised(x: Tensor) -> Tensor:
    """R'G'B' in 0..1, ``[N, 3, H, W]``, with ImageNet's mean and deviation (docs/model-contract.md)."""
    return (x - IMAGENET_MEAN.to(x.device)) / IMAGENET_STD.to(x.device)
