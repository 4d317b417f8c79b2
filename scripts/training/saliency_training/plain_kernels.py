"""Convolutions without cuDNN, for training on a GPU: matrix products, and PyTorch's own kernels where channels are separate.

cuDNN compiles a kernel at run time for each shape of a depthwise convolution and for its two gradients (NVIDIA/cudnn-frontend issue
1066: about 1.5 s each). A network of dozens of such layers at several sizes then spends minutes before its first step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Pointwise(nn.Conv2d):  # type: ignore[misc]  # torch is not followed by mypy
    """A 1x1 convolution as one matrix product a sample."""

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, D, H, W]``."""
        return _product(self.weight.flatten(1), x.flatten(2), self.bias, (x.shape[2], x.shape[3]))


class Spread(nn.Conv2d):  # type: ignore[misc]  # torch is not followed by mypy
    """A convolution over all channels: the shifted copies of the input are stacked, and multiplied by the kernel at once."""

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, D, ceil(H / stride), ceil(W / stride)]``."""
        (rows, columns), (down, across), (above, left) = self.kernel_size, self.stride, self.padding
        height, width = ((x.shape[2 + i] + 2 * self.padding[i] - self.kernel_size[i]) // self.stride[i] + 1 for i in range(2))
        x = F.pad(x, (left, left, above, above))
        copies = [
            x[:, :, i : i + down * (height - 1) + 1 : down, j : j + across * (width - 1) + 1 : across]
            for i in range(rows)
            for j in range(columns)
        ]
        kernel = self.weight.permute(0, 2, 3, 1).flatten(1)
        return _product(kernel, torch.cat(copies, 1).flatten(2), self.bias, (height, width))


def _product(kernel: Tensor, x: Tensor, bias: Tensor | None, size: tuple[int, int]) -> Tensor:
    """``[D, C]`` times each sample of ``[N, C, height x width]``, plus ``bias``, as ``[N, D, height, width]``."""
    # matmul would transpose the samples to make one product of them, which leaves its result transposed.
    y = torch.bmm(kernel.expand(len(x), -1, -1), x).unflatten(2, size)
    return y if bias is None else y + bias.to(y.dtype).view(-1, 1, 1)


def without_cudnn(net: nn.Module) -> None:
    """Make the convolutions of ``net`` independent of cuDNN, in place; weights and their names stay.

    Depthwise convolutions stay as they are: set ``torch.backends.cudnn.enabled`` to ``False`` for them. All must be undilated.
    """
    for module in net.modules():
        if type(module) is nn.Conv2d and module.groups == 1:
            module.__class__ = Pointwise if module.kernel_size == (1, 1) and module.stride == (1, 1) else Spread
