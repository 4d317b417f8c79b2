"""Augments a batch: geometry (of image and truth), then light, then camera and codec artefacts."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
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
_PASTE_RANGE = (0.5, 1.0)
_GREY = 0.15
_SOFT, _NOISE, _BLOCKY = 0.15, 0.15, 0.15
_GAZE_WHOLE = 0.6
_GAZE_ZOOM_RANGE = (0.75, 1.0)
_GAZE_ASPECT = 0.1
_DIM_RANGE, _DIM_NOISE = (0.12, 0.45), 0.02
_BAR_RANGE = (0.04, 0.14)
_PLAIN = Augmentation()


def _uniform(count: int, low: float, high: float, rng: torch.Generator) -> Tensor:
    return torch.rand(count, generator=rng) * (high - low) + low


def _centre(centroid: Tensor, half: Tensor, rng: torch.Generator) -> Tensor:
    """Crop centres along one axis of -1..1 that keep ``centroid`` inside a crop of half-length ``half``."""
    room = (1 - half).abs()
    low = torch.maximum(-room, torch.minimum(centroid - 0.9 * half, room))
    high = torch.minimum(room, torch.maximum(centroid + 0.9 * half, -room))
    return low + (high - low) * torch.rand(len(half), generator=rng)


def _geometry(truths: Tensor, rng: torch.Generator, whole_frames: float, whole_gaze: int) -> Tensor:
    """Draw affine matrices ``[N, 2, 3]``: whole frame, zoom-in on a part that holds the truth's centroid, or zoom-out.

    A share ``whole_frames`` of the samples stays whole frames. The last ``whole_gaze`` samples stay whole more often and are
    never zoomed out.
    """
    count, _, height, width = truths.shape
    kind = torch.rand(count, generator=rng)
    zoom = _uniform(count, *_ZOOM_IN_RANGE, rng)
    zoom = torch.where(kind < _ZOOM_OUT, _uniform(count, *_ZOOM_OUT_RANGE, rng), zoom)
    aspect = torch.exp(_uniform(count, -_ASPECT, _ASPECT, rng))
    whole = kind > 1 - whole_frames
    if whole_gaze:
        gaze = slice(count - whole_gaze, None)
        zoom[gaze] = _uniform(whole_gaze, *_GAZE_ZOOM_RANGE, rng)
        aspect[gaze] = torch.exp(_uniform(whole_gaze, -_GAZE_ASPECT, _GAZE_ASPECT, rng))
        whole[gaze] = kind[gaze] > 1 - _GAZE_WHOLE
    sx = torch.where(whole, torch.ones(count), zoom * aspect)
    sy = torch.where(whole, torch.ones(count), zoom / aspect)
    mass = truths.sum(dim=(1, 2, 3)) + 1e-6
    cx = (truths.sum(dim=(1, 2)) * torch.linspace(-1, 1, width)).sum(1) / mass
    cy = (truths.sum(dim=(1, 3)) * torch.linspace(-1, 1, height)).sum(1) / mass
    flip = torch.where(torch.rand(count, generator=rng) < 0.5, -1.0, 1.0)
    zero = torch.zeros(count)
    rows = (sx * flip, zero, _centre(cx, sx, rng), zero, sy, _centre(cy, sy, rng))
    return torch.stack(rows, dim=1).view(count, 2, 3)


def _light(x: Tensor, rng: torch.Generator) -> Tensor:
    """Vary gamma, contrast, brightness, saturation and colour cast of ``[N, 3, H, W]`` in 0..1."""
    count = len(x)

    def each(low: float, high: float) -> Tensor:
        return _uniform(count, low, high, rng).view(-1, 1, 1, 1)

    x = x.clamp(1e-3, 1) ** torch.exp(each(-0.35, 0.35))
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - mean) * each(0.6, 1.4) + mean + each(-0.15, 0.15)
    grey = (x * _LUMA).sum(1, keepdim=True)
    saturation = each(0.5, 1.5) * (torch.rand(count, generator=rng).view(-1, 1, 1, 1) > _GREY)
    x = (x - grey) * saturation + grey
    cast = torch.exp(_uniform(count * 3, -0.08, 0.08, rng)).view(-1, 3, 1, 1)
    return (x * torch.where(saturation > 0, cast, torch.ones_like(cast))).clamp(0, 1)


def _dct_matrix() -> Tensor:
    """The orthonormal DCT-II of 8 samples, as in JPEG (ITU-T T.81, A.3.3)."""
    k, n = np.meshgrid(np.arange(_BLOCK), np.arange(_BLOCK), indexing="ij")
    matrix = np.sqrt(2 / _BLOCK) * np.cos((2 * n + 1) * k * math.pi / (2 * _BLOCK))
    matrix[0] /= math.sqrt(2)
    return torch.tensor(matrix, dtype=torch.float32)


_DCT = _dct_matrix()
_FREQUENCY = torch.arange(_BLOCK).view(-1, 1) + torch.arange(_BLOCK).view(1, -1)


def _blocky(x: Tensor, strength: float) -> Tensor:
    """Quantise 8x8 DCT blocks, coarser at high frequencies, as a block codec does; ``strength`` about 0.02..0.1."""
    count, channels, height, width = x.shape
    blocks = x.view(count, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(3, 4)
    step = strength * (1 + _FREQUENCY.float())
    coded = torch.round(_DCT @ blocks @ _DCT.T / step) * step
    return (_DCT.T @ coded @ _DCT).transpose(3, 4).reshape(x.shape)


def _degrade(x: Tensor, rng: torch.Generator) -> Tensor:
    """Lower the resolution of some samples, add noise to some, quantise some in blocks."""
    x = x.clone()
    for i, (soft, noise, blocky, amount) in enumerate(torch.rand(len(x), 4, generator=rng).tolist()):
        sample = x[i : i + 1]
        if soft < _SOFT:
            small = F.interpolate(sample, scale_factor=1 / (1.3 + 1.7 * amount), mode="bilinear", antialias=True)
            sample = F.interpolate(small, size=x.shape[-2:], mode="bilinear")
        if noise < _NOISE:
            sample = sample + torch.randn(sample.shape, generator=rng) * (0.01 + 0.05 * amount)
        if blocky < _BLOCKY:
            sample = _blocky(sample, 0.02 + 0.08 * amount)
        x[i : i + 1] = sample
    return x.clamp(0, 1)


def _place(mask: NDArray[np.bool_], room: int, rng: torch.Generator) -> int:
    """Draw the offset, 0..``room``, of a shrunken axis; an object that the frame's edge cuts stays at that edge."""
    if mask[0] != mask[-1]:
        return room if mask[-1] else 0
    return int(torch.randint(0, room + 1, (1,), generator=rng))


def paste(
    images: NDArray[np.uint8], masks: NDArray[np.uint8], scenes: NDArray[np.uint8], rng: torch.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cut the objects ``[N, h, w, 3]`` out by ``masks`` ``[N, h, w]``, shrink them and paste them on ``scenes``.

    Returns the images and the new masks. In video, subjects stand in front of crowds and walls more often than in photos. The
    method: Ghiasi et al., "Simple copy-paste", CVPR 2021.
    """
    height, width = masks.shape[1:]
    results, truths = scenes.copy(), np.zeros_like(masks)
    for i, scale in enumerate(_uniform(len(images), *_PASTE_RANGE, rng).tolist()):
        cut = np.concatenate((images[i], masks[i][..., None]), axis=2)
        size = (round(height * scale), round(width * scale))
        x = torch.from_numpy(cut).permute(2, 0, 1)[None].float()
        small = F.interpolate(x, size=size, mode="bilinear", antialias=True)[0]
        top = _place((masks[i] > 127).any(axis=1), height - size[0], rng)
        left = _place((masks[i] > 127).any(axis=0), width - size[1], rng)
        where = (i, slice(top, top + size[0]), slice(left, left + size[1]))
        # A soft edge, so that the network cannot learn to detect the seam.
        alpha = F.avg_pool2d(small[None, 3:], 3, 1, 1, count_include_pad=False)[0] / 255
        scene = torch.from_numpy(results[where]).permute(2, 0, 1)
        results[where] = (alpha * small[:3] + (1 - alpha) * scene).round().byte().permute(1, 2, 0).numpy()
        truths[where] = small[3].round().byte().numpy()
    return results, truths


def _dim(x: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Darken a ``share`` of the samples and add sensor noise."""
    x = x.clone()
    for i in torch.nonzero(torch.rand(len(x), generator=rng) < share).flatten().tolist():
        level = float(_uniform(1, *_DIM_RANGE, rng))
        x[i] = x[i] * level + torch.randn(x[i].shape, generator=rng) * _DIM_NOISE * level
    return x.clamp(0, 1)


def _letterbox(x: Tensor, y: Tensor, share: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Add black bars, at top and bottom or (less often) at the sides, to a ``share`` of the samples; bars are not salient."""
    x, y = x.clone(), y.clone()
    for i in torch.nonzero(torch.rand(len(x), generator=rng) < share).flatten().tolist():
        axis = -2 if torch.rand(1, generator=rng) < 0.7 else -1
        bar = round(float(_uniform(1, *_BAR_RANGE, rng)) * x.shape[axis])
        for plane in (x[i], y[i]):
            plane.narrow(axis, 0, bar).zero_()
            plane.narrow(axis, plane.shape[axis] - bar, bar).zero_()
    return x, y


def augment(
    images: NDArray[np.uint8],
    truths: NDArray[np.uint8],
    size: tuple[int, int],
    rng: torch.Generator,
    fixations: int = 0,
    more: Augmentation = _PLAIN,
    whole_frames: float = 0.3,
) -> tuple[Tensor, Tensor]:
    """Augment images ``[N, h, w, 3]`` and truths ``[N, h, w]``.

    Returns normalised images ``[N, 3, H, W]`` and truths ``[N, 1, H, W]`` in 0..1. ``size`` is (width, height). Zooming out
    mirrors the image and its mask at the edges, so that subjects become small and leave the centre, as in video. The last
    ``fixations`` truths are densities.
    """
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(truths).unsqueeze(1).float() / 255
    grid = F.affine_grid(
        _geometry(y, rng, whole_frames, fixations if more.whole_gaze else 0), [len(x), 4, size[1], size[0]], align_corners=False
    )
    both = F.grid_sample(torch.cat((x, y), 1), grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    x, y = both[:, :3], both[:, 3:].clamp(0, 1)
    x = _light(x, rng)
    if more.dark:
        x = _dim(x, more.dark, rng)
    if more.letterbox:
        x, y = _letterbox(x, y, more.letterbox, rng)
    return (_degrade(x, rng) - IMAGENET_MEAN) / IMAGENET_STD, y
