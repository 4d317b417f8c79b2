"""Network with a pretrained encoder, a decoder for objects and a lighter one for gaze.

The decoders end at half and at quarter resolution. As in `saliency_training.network`, every resize takes its target size from
the tensor that it is added to.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from saliency_training.efficientnet_lite import EfficientNetLite
from saliency_training.network import Logits, combine, conv, resize_like

_GAZE_DROPOUT = 0.1


class TopDown(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Decodes a deep level to finer ones (Lin et al., "Feature pyramid networks", CVPR 2017).

    Each step enlarges, adds a 1x1 lateral and applies a 3x3 convolution. ``levels``: channels of the finer levels, deepest
    first. ``widths``: channels of the deep level, then of each step's result.
    """

    resize = staticmethod(resize_like)

    def __init__(self, levels: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(conv(level, width, kernel=1) for level, width in zip(levels, widths, strict=False))
        self.steps = nn.ModuleList(conv(a, b) for a, b in pairwise(widths))
        self.head = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, deep: Tensor, levels: list[Tensor]) -> Tensor:
        """``[N, C, h, w]`` and the finer levels, deepest first, to logits at the last one's size."""
        for level, lateral, step in zip(levels, self.laterals, self.steps, strict=True):
            deep = step(self.resize(deep, level) + lateral(level))
        return self.head(deep)


class PretrainedSaliencyNet(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Maps ``[N, 3, H, W]`` (ImageNet-normalised R'G'B') to logits ``[N, 1, H, W]``; H, W multiples of 16.

    ``objects`` and ``gaze``: `TopDown`'s widths over strides 32, 16, 8, 4, 2 and 32, 16, 8, 4. ``encoder`` is a key of
    `efficientnet_lite.VARIANTS`. `combine` describes ``gaze_ceiling`` and ``gaze_inside``.
    """

    resize = staticmethod(resize_like)

    def __init__(
        self,
        objects: tuple[int, ...],
        gaze: tuple[int, ...],
        frozen: int,
        gaze_ceiling: float,
        gaze_inside: float,
        encoder: str = "lite0",
    ) -> None:
        super().__init__()
        self.gaze_ceiling, self.gaze_inside = gaze_ceiling, gaze_inside
        self.encoder = EfficientNetLite(encoder, frozen)
        half, quarter, eighth, sixteenth, deep = self.encoder.channels
        # The mean over the whole frame gives global context (ParseNet, Liu et al., 2015).
        self.context = nn.Sequential(nn.Conv2d(deep, objects[0], 1), nn.ReLU(inplace=True))
        self.fuse = conv(deep + objects[0], objects[0], kernel=1)
        self.auxiliary_head = nn.Conv2d(objects[0], 1, 1)
        self.objects = TopDown((sixteenth, eighth, quarter, half), objects)
        # Dropping whole channels keeps the branch from relying on single features; there are few fixation images.
        self.enter_gaze = nn.Sequential(conv(objects[0], gaze[0]), nn.Dropout2d(_GAZE_DROPOUT))
        self.gaze = TopDown((sixteenth, eighth, quarter), gaze)

    def logits(self, x: Tensor) -> Logits:
        """All outputs that the losses use."""
        *finer, deep = self.encoder(x)
        finer = finer[::-1]
        context = self.context(deep.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, deep.shape[2], deep.shape[3])
        deep = self.fuse(torch.cat((deep, context), dim=1))
        gaze = self.gaze(self.enter_gaze(deep), finer[:-1])
        return Logits(self.resize(self.objects(deep, finer), x), self.auxiliary_head(deep), self.resize(gaze, x))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` to the map ``[N, 1, H, W]`` in 0..1; the exported graph."""
        return combine(self.logits(x), self.gaze_ceiling, self.gaze_inside)
