"""Batch norm with the statistics and weights of the pretraining: multiplied into the convolutions before it, it costs no pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FrozenNorm(nn.Sequential):  # type: ignore[misc]  # torch is not followed by mypy
    """Convolution, frozen batch norm and, if there is one, an activation."""

    def fold(self) -> None:
        """Compute the factors and the bias of the batch norm; to be called again after its values change."""
        norm = self[1]
        norm.requires_grad_(False)
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.factor, self.shift = factor.view(-1, 1, 1, 1), norm.bias - norm.running_mean * factor

    def forward(self, x: Tensor) -> Tensor:
        """The same as in evaluation mode."""
        y = self[0]._conv_forward(x, self[0].weight * self.factor, self.shift)
        return self[2](y) if len(self) > 2 else y


def freeze_norms(net: nn.Module) -> None:
    """Freeze, in place, all batch norms of ``net`` that follow a convolution in a `Sequential`; weights and their names stay."""
    for module in net.modules():
        if type(module) is nn.Sequential and len(module) > 1 and isinstance(module[1], nn.BatchNorm2d):
            module.__class__ = FrozenNorm
        if isinstance(module, FrozenNorm):
            module.fold()
