"""Convolutions without cuDNN compute what PyTorch's do, in both directions."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch, which the extra `train` brings")

from saliency_training.plain_kernels import Pointwise, Spread, without_cudnn  # noqa: E402
from saliency_training.pretrained_network import PretrainedSaliencyNet  # noqa: E402


@pytest.mark.parametrize(
    ("kernel", "stride", "bias"), [(1, 1, False), (1, 1, True), (3, 1, True), (3, 2, False), (5, 2, True), (1, 2, False)]
)
@pytest.mark.parametrize("size", [(8, 12), (7, 9)])
def test_same_results_and_gradients(kernel: int, stride: int, bias: bool, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ours = torch.nn.Conv2d(3, 5, kernel, stride, kernel // 2, bias=bias).double()
    theirs = copy.deepcopy(ours)
    without_cudnn(ours)
    assert type(ours) is (Pointwise if (kernel, stride) == (1, 1) else Spread)
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    found = []
    for net in (ours, theirs):
        source = x.clone().requires_grad_()
        y = net(source)
        y.square().sum().backward()
        found.append((y.detach(), source.grad, *(parameter.grad for parameter in net.parameters())))
    for mine, expected in zip(*found, strict=True):
        assert torch.allclose(mine, expected, rtol=1e-10, atol=1e-10)


def test_a_whole_network_keeps_its_names_and_its_maps() -> None:
    torch.manual_seed(0)
    net = PretrainedSaliencyNet((96, 64, 48, 32, 16), (48, 48, 32, 16), 0, 0.5, 1.0).eval()
    other = copy.deepcopy(net)
    without_cudnn(other)
    assert list(net.state_dict()) == list(other.state_dict())
    x = torch.randn(2, 3, 48, 80)
    with torch.inference_mode():
        assert torch.allclose(net(x), other(x), atol=1e-4)
