"""The student network: a residual encoder to 1/16, a global context branch, a light decoder at half resolution for objects
and, if asked for, a lighter one at quarter resolution for gaze.

Every resize takes its target from the tensor it is added to, so any input whose sides are multiples of 16 gives a map
of exactly that size, in PyTorch and in the exported graph.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE_MULTIPLE = 16
_GAZE_DROPOUT = 0.1
_GAZE_GAIN = 2.0
"""An expected density of a half is as sure as gaze gets: people look at different things."""


def conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1, kernel: int = 3) -> nn.Sequential:
    """A convolution that keeps the size but for ``stride``, batch norm, ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def resize_like(x: Tensor, reference: Tensor) -> Tensor:
    """Bilinear, to the height and width of ``reference``."""
    return F.interpolate(x, size=reference.shape[-2:], mode="bilinear", align_corners=False)


class Residual(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Two 3x3 convolutions and a skip (He et al., CVPR 2016); channels, height and width stay."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = conv(channels, channels, dilation=dilation)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, dilation, dilation, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        return F.relu(x + self.second(self.first(x)))


class GazeDecoder(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Where eyes land: from the fused deepest level and two laterals to logits at quarter resolution.

    A density of fixations is smooth (its blur is some 3 % of the frame's width), so quarter resolution is enough.
    """

    def __init__(self, eighth: int, quarter: int) -> None:
        super().__init__()
        self.deep = Residual(eighth, dilation=2)
        # Fixation images are few; whole channels are dropped so that the branch does not lean on single features.
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
    """What the network says of ``[N, 3, H, W]``."""

    objects: Tensor
    """``[N, 1, H, W]``."""
    auxiliary: Tensor
    """``[N, 1, H/16, W/16]``: the deepest level's own idea of the objects, for training."""
    gaze: Tensor | None
    """``[N, 1, H, W]``, of a network that has a gaze decoder."""


def combine(logits: Logits, gaze_ceiling: float, gaze_inside: float = 1.0) -> Tensor:
    """The map ``[N, 1, H, W]`` in 0..1: objects, and below ``gaze_ceiling`` where eyes go besides.

    What an object has above 0.5 shrinks to ``gaze_inside`` of it where nobody looks; 1 leaves objects as they are. With a
    ceiling of at most 0.5 every decision at 0.5 is left to the objects, whatever the gaze.
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
    """``[N, 3, H, W]`` (ImageNet-normalised R'G'B') to logits ``[N, 1, H, W]``; H, W multiples of `SIZE_MULTIPLE`.

    ``gaze_ceiling`` 0: objects only. The ceiling and ``gaze_inside`` are those of `combine`.
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
        # The mean over the whole frame: what the picture is about (ParseNet, Liu et al., 2015). No batch norm here: a
        # batch of global means is too small a sample.
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
        """All that is trained on."""
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
        """``[N, 3, H, W]`` to the map ``[N, 1, H, W]`` in 0..1: what is exported."""
        return combine(self.logits(x), self.gaze_ceiling, self.gaze_inside)


def parameter_count(net: nn.Module) -> int:
    """Parameters, batch norm's scale and shift included."""
    return sum(p.numel() for p in net.parameters())
