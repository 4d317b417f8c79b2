"""Convolutions without cuDNN, for training on a GPU: matrix products, and PyTorch's own kernels where channels are separate.

cuDNN compiles a kernel at run time for each shape of a depthwise convolution and for its two gradients (NVIDIA/cudnn-frontend issue
1066: about 1.5 s each). A network of dozens of such layers at several sizes then spends minutes before its first step.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Pointwise(nn.Conv2d):  # type: ignore[misc]  # torch is not followed by mypy
    """A 1x1 convolution as one matrix product a sample."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """``[N, C, H, W]`` to ``[N, D, H, W]``."""
        return _product(weight.flatten(1), x.flatten(2), bias, (x.shape[2], x.shape[3]))


class Spread(nn.Conv2d):  # type: ignore[misc]  # torch is not followed by mypy
    """A convolution over all channels: the shifted copies of the input are stacked, and multiplied by the kernel at once."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """``[N, C, H, W]`` to ``[N, D, ceil(H / stride), ceil(W / stride)]``."""
        (rows, columns), (down, across), (above, left) = self.kernel_size, self.stride, self.padding
        height, width = ((x.shape[2 + i] + 2 * self.padding[i] - self.kernel_size[i]) // self.stride[i] + 1 for i in range(2))
        x = F.pad(x, (left, left, above, above))
        copies = [
            x[:, :, i : i + down * (height - 1) + 1 : down, j : j + across * (width - 1) + 1 : across]
            for i in range(rows)
            for j in range(columns)
        ]
        kernel = weight.permute(0, 2, 3, 1).flatten(1)
        return _product(kernel, torch.cat(copies, 1).flatten(2), bias, (height, width))


def _product(kernel: Tensor, x: Tensor, bias: Tensor | None, size: tuple[int, int]) -> Tensor:
    """``[D, C]`` times each sample of ``[N, C, height x width]``, plus ``bias``, as ``[N, D, height, width]``."""
    # matmul would transpose the samples to make one product of them, which leaves its result transposed.
    kernels = kernel.expand(len(x), -1, -1)
    y = torch.bmm(kernels, x) if bias is None else torch.baddbmm(bias.to(kernels.dtype).view(1, -1, 1), kernels, x)
    return y.unflatten(2, size)


def resize_like(x: Tensor, reference: Tensor) -> Tensor:
    """`network.resize_like` as two matrix products, which are faster than PyTorch's kernel for many channels."""
    rows, columns = (_bilinear(a, b, x.device, x.dtype) for a, b in zip(x.shape[2:], reference.shape[2:], strict=True))
    wide = torch.matmul(x, columns.T).flatten(0, 1)
    return torch.bmm(rows.expand(len(wide), -1, -1), wide).unflatten(0, x.shape[:2])


@lru_cache(maxsize=256)
def _bilinear(before: int, after: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """``[after, before]``: the weights of the samples of a line that is resized bilinearly."""
    unit = torch.eye(before)[None]
    return F.interpolate(unit, size=after, mode="linear", align_corners=False)[0].T.contiguous().to(device, dtype)


def without_cudnn(net: nn.Module) -> None:
    """Make the convolutions of ``net`` independent of cuDNN, in place; weights and their names stay.

    Depthwise convolutions stay as they are: set ``torch.backends.cudnn.enabled`` to ``False`` for them. All must be undilated.
    """
    for module in net.modules():
        if type(module) is nn.Conv2d and module.groups == 1:
            module.__class__ = Pointwise if module.kernel_size == (1, 1) and module.stride == (1, 1) else Spread
        if hasattr(module, "resize"):
            module.resize = resize_like
