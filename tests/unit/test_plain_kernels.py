"""Convolutions without cuDNN, resizing by products and frozen batch norms compute what PyTorch's modules do, in both directions."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch, which the extra `train` brings")

from saliency_training.frozen_norm import FrozenNorm, freeze_norms  # noqa: E402
from saliency_training.network import resize_like as expected_resize  # noqa: E402
from saliency_training.plain_kernels import Pointwise, Spread, resize_like, without_cudnn  # noqa: E402
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


@pytest.mark.parametrize("sizes", [((4, 6), (8, 12)), ((5, 7), (9, 14)), ((8, 8), (3, 20))])
def test_resizing_by_products(sizes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    x, reference = torch.randn(2, 3, *sizes[0]), torch.zeros(1, 1, *sizes[1])
    assert torch.allclose(resize_like(x, reference), expected_resize(x, reference), atol=1e-5)


@pytest.mark.parametrize("plain", [False, True])
def test_frozen_norms_are_those_of_evaluation_and_do_not_move(plain: bool) -> None:
    """In training mode too; their values move neither by the statistics of a batch nor by an optimiser."""
    torch.manual_seed(0)
    net = PretrainedSaliencyNet((96, 64, 48, 32, 16), (48, 48, 32, 16), 2, 0.5, 1.0)
    for module in net.encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    x = torch.randn(2, 3, 48, 80)
    expected = [level.detach() for level in net.eval().encoder(x)]
    if plain:
        without_cudnn(net)
    freeze_norms(net.encoder)
    before = {key: value.clone() for key, value in net.encoder.state_dict().items()}
    assert any(isinstance(module, FrozenNorm) for module in net.encoder.modules())
    found = net.train().encoder(x)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4 * float(theirs.abs().max()))
    optimiser = torch.optim.SGD([parameter for parameter in net.parameters() if parameter.requires_grad], lr=0.1)
    found[-1].square().mean().backward()
    optimiser.step()
    moved = {key for key, value in net.encoder.state_dict().items() if not torch.equal(value, before[key])}
    assert "stages.5.3.project.0.weight" in moved
    assert all(key.endswith("0.weight") and not key.startswith(("stem", "stages.0", "stages.1")) for key in moved)
