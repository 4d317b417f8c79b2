"""The student network: a residual encoder to 1/16 with a global context branch, and one or two light decoders.

The decoder for objects ends at half resolution, the optional one for gaze at quarter resolution. Every resize takes its target
size from the tensor that it is added to. So an input whose sides are multiples of 16 gives a map of exactly that size, in
PyTorch and in the exported graph.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE_MULTIPLE = 16
_GAZE_DROPOUT = 0.1
_GAZE_GAIN = 2.0
"""Gaze of 0.5 counts as certain, because viewers look at different things."""


def conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm and ReLU; only ``stride`` changes the size."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def resize_like(x: Tensor, reference: Tensor) -> Tensor:
    """Resize ``x`` to the height and width of ``reference``, bilinear."""
    return F.interpolate(x, size=reference.shape[-2:], mode="bilinear", align_corners=False)


def shrunk(x: Tensor, size: tuple[int, int]) -> Tensor:
    """``[N, C, H, W]`` at ``size`` (width, height), averaging areas."""
    return F.interpolate(x, size=size[::-1], mode="bilinear", antialias=True)


class Residual(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Two 3x3 convolutions and a skip (He et al., CVPR 2016); the shape stays."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = conv(channels, channels, dilation=dilation)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, dilation, dilation, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        return F.relu(x + self.second(self.first(x)))


class GazeDecoder(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Predicts fixation density from the fused deepest level and two laterals, at quarter resolution.

    Quarter resolution is enough: fixation densities are blurred by about 3 % of the frame width.
    """

    def __init__(self, eighth: int, quarter: int) -> None:
        super().__init__()
        self.deep = Residual(eighth, dilation=2)
        # Dropping whole channels keeps the branch from relying on single features; there are few fixation images.
        self.drop = nn.Dropout2d(_GAZE_DROPOUT)
        self.lateral_eighth = conv(eighth, eighth, kernel=1)
        self.decode_eighth = conv(eighth, quarter)
        self.lateral_quarter = conv(quarter, quarter, kernel=1)
        self.decode_quarter = conv(quarter, 16)
        self.head = nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, deep: Tensor, eighth: Tensor, quarter: Tensor) -> Tensor:
        """``[N, C, H/16, W/16]``, 1/8 and 1/4 to logits ``[N, 1, H/4, W/4]``."""
        up = self.drop(self.deep(deep))
        up = self.decode_eighth(resize_like(up, eighth) + self.lateral_eighth(eighth))
        return self.head(self.decode_quarter(resize_like(up, quarter) + self.lateral_quarter(quarter)))


class Logits(NamedTuple):
    """Output of the network for ``[N, 3, H, W]``."""

    objects: Tensor
    """``[N, 1, H, W]``."""
    auxiliary: Tensor
    """``[N, 1, H/16, W/16]``: objects as predicted from the deepest level alone, used in training only."""
    gaze: Tensor | None
    """``[N, 1, H, W]``; ``None`` without a gaze decoder."""


def combine(logits: Logits, gaze_ceiling: float, gaze_inside: float = 1.0) -> Tensor:
    """Combine objects and gaze to the map ``[N, 1, H, W]`` in 0..1: the maximum of objects and ``gaze_ceiling`` x gaze.

    The part of an object above 0.5 is scaled down to ``gaze_inside`` of itself where gaze is 0; with 1 objects stay as they
    are. With a ceiling of at most 0.5, gaze alone never exceeds a threshold of 0.5.
    """
    objects = torch.sigmoid(logits.objects)
    if logits.gaze is None:
        return objects
    gaze = torch.sigmoid(logits.gaze)
    if gaze_inside < 1:
        seen = torch.clamp(_GAZE_GAIN * gaze, max=1.0)
        objects = objects - F.relu(objects - 0.5) * (1 - gaze_inside) * (1 - seen)
    return torch.maximum(objects, gaze_ceiling * gaze)


class SaliencyNet(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Maps ``[N, 3, H, W]`` (ImageNet-normalised R'G'B') to logits ``[N, 1, H, W]``; H, W multiples of `SIZE_MULTIPLE`.

    With ``gaze_ceiling`` 0 there is no gaze decoder. `combine` describes the ceiling and ``gaze_inside``.
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int] = (16, 32, 64, 96),
        dilations: tuple[int, ...] = (1, 2, 4),
        gaze_ceiling: float = 0.0,
        gaze_inside: float = 1.0,
    ) -> None:
        super().__init__()
        self.gaze_inside = gaze_inside
        self.gaze_ceiling = gaze_ceiling
        half, quarter, eighth, deep = widths
        self.stage_half = conv(3, half, stride=2)
        self.stage_quarter = nn.Sequential(conv(half, quarter, stride=2), Residual(quarter))
        self.stage_eighth = nn.Sequential(conv(quarter, eighth, stride=2), Residual(eighth), Residual(eighth))
        self.stage_deep = nn.Sequential(conv(eighth, deep, stride=2), *(Residual(deep, d) for d in dilations))
        # The mean over the whole frame gives global context (ParseNet, Liu et al., 2015). No batch norm here: a batch of global
        # means is too small a sample.
        self.context = nn.Sequential(nn.Conv2d(deep, eighth, 1), nn.ReLU(inplace=True))
        self.fuse = conv(deep + eighth, eighth, kernel=1)
        self.auxiliary_head = nn.Conv2d(eighth, 1, 1)
        self.lateral_eighth = conv(eighth, eighth, kernel=1)
        self.decode_eighth = conv(eighth, quarter)
        self.lateral_quarter = conv(quarter, quarter, kernel=1)
        self.decode_quarter = conv(quarter, quarter)
        self.decode_half = conv(quarter + half, 16)
        self.head = nn.Conv2d(16, 1, 3, padding=1)
        self.gaze = GazeDecoder(eighth, quarter) if gaze_ceiling else None

    def logits(self, x: Tensor) -> Logits:
        """All outputs that the losses use."""
        half = self.stage_half(x)
        quarter = self.stage_quarter(half)
        eighth = self.stage_eighth(quarter)
        deep = self.stage_deep(eighth)
        context = self.context(deep.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, deep.shape[2], deep.shape[3])
        deep = self.fuse(torch.cat((deep, context), dim=1))
        up = self.decode_eighth(resize_like(deep, eighth) + self.lateral_eighth(eighth))
        up = self.decode_quarter(resize_like(up, quarter) + self.lateral_quarter(quarter))
        up = self.decode_half(torch.cat((resize_like(up, half), half), dim=1))
        gaze = None if self.gaze is None else resize_like(self.gaze(deep, eighth, quarter), x)
        return Logits(resize_like(self.head(up), x), self.auxiliary_head(deep), gaze)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` to the map ``[N, 1, H, W]`` in 0..1; the exported graph."""
        return combine(self.logits(x), self.gaze_ceiling, self.gaze_inside)


def parameter_count(net: nn.Module) -> int:
    """Number of parameters, batch norm's scale and shift included."""
    return sum(p.numel() for p in net.parameters())
