"""Training losses on logits; each averages over the batch and is computed in float32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_EPS = 1e-7
_EMPTY_SHARE = 0.003


def soft_iou_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """1 - soft intersection over union; ``[N, 1, H, W]`` each, masks in 0..1.

    Rahman and Wang, "Optimizing intersection-over-union in deep neural networks" (ISVC 2016). Masks that are
    almost empty have no useful IoU and are left out.
    """
    predicted = torch.sigmoid(logits.float())
    intersection = (predicted * masks).sum(dim=(1, 2, 3))
    union = (predicted + masks - predicted * masks).sum(dim=(1, 2, 3))
    used = (masks.mean(dim=(1, 2, 3)) > _EMPTY_SHARE).float()
    return ((1 - intersection / (union + _EPS)) * used).mean()


def mask_loss(logits: Tensor, auxiliary: Tensor, masks: Tensor, auxiliary_weight: float = 0.4) -> Tensor:
    """BCE + (1 - soft IoU) + ``auxiliary_weight`` x BCE of the deepest level's logits, resized to the masks' size."""
    main = F.binary_cross_entropy_with_logits(logits.float(), masks)
    small = F.adaptive_avg_pool2d(masks, auxiliary.shape[-2:])
    deep = F.binary_cross_entropy_with_logits(auxiliary.float(), small)
    return main + soft_iou_loss(logits, masks) + auxiliary_weight * deep


def fixation_loss(predicted: Tensor, density: Tensor) -> Tensor:
    """0.5 KL(density || map) + 1 - CC, over maps ``[N, 1, H, W]`` in 0..1; both made to sum to 1 for the KL.

    The two metrics as in Bylinskii et al., "What do different evaluation metrics tell us about saliency models?" (PAMI
    2019). Both ignore the scale of the map.
    """
    predicted, target = predicted.float().flatten(1), density.flatten(1)
    p = predicted / (predicted.sum(1, keepdim=True) + _EPS)
    q = target / (target.sum(1, keepdim=True) + _EPS)
    kl = (q * torch.log(_EPS + q / (p + _EPS))).sum(1)
    a = predicted - predicted.mean(1, keepdim=True)
    b = target - target.mean(1, keepdim=True)
    cc = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + _EPS)
    return (0.5 * kl + 1 - cc).mean()


def gaze_loss(logits: Tensor, density: Tensor) -> Tensor:
    """`fixation_loss` plus BCE; the optimum of BCE is the expected density, which sets the scale of the gaze map."""
    logits = logits.float()
    return fixation_loss(torch.sigmoid(logits), density) + F.binary_cross_entropy_with_logits(logits, density)
