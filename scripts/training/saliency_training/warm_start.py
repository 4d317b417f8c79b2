"""Starts training from a released ONNX file by splitting its folded convolutions into convolution and batch norm.

A frozen batch norm (`frozen_norm`) keeps its values; the convolution before it is divided by its factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from saliency_training.frozen_norm import FrozenNorm
from saliency_training.networks import Network
from saliency_training.packing import weights

_FROZEN_TOLERANCE = 1e-3


def _module_path(node: str) -> str:
    """Module of an ONNX node: ``/net/fuse/fuse.0/Conv`` is ``fuse.0``, since a component that extends the last replaces it."""
    path: list[str] = []
    for component in node.strip("/").split("/")[:-1]:
        if path and component.startswith(path[-1] + "."):
            path.pop()
        path.append(component)
    return ".".join(component for component in path if component != "net")


def _batch_norm_after(net: Network, path: str) -> nn.BatchNorm2d | None:
    """The batch norm that is not frozen after the convolution ``path`` in its Sequential, or ``None``."""
    parent, _, index = path.rpartition(".")
    if not index.isdigit() or _frozen(net, path):
        return None
    follower = dict(net.get_submodule(parent).named_children()).get(str(int(index) + 1))
    return follower if isinstance(follower, nn.BatchNorm2d) else None


def _frozen(net: Network, path: str) -> FrozenNorm | None:
    """The convolution ``path`` with its frozen batch norm, or ``None``."""
    parent, _, index = path.rpartition(".")
    found = net.get_submodule(parent)
    return found if index == "0" and isinstance(found, FrozenNorm) else None


def load_onnx(net: Network, path: Path) -> set[str]:
    """Copy every convolution of an exported file into ``net``, which then computes the same map in evaluation mode.

    Returns the names of the convolutions found. Modules that the file lacks keep their random weights. Raises `ValueError` if
    the file was not trained with the frozen batch norms of ``net``.
    """
    graph = onnx.load(str(path)).graph
    tensors = {name: torch.from_numpy(value.copy()) for name, value in weights(graph).items()}
    names = set()
    with torch.no_grad():
        for node in graph.node:
            if node.op_type != "Conv":
                continue
            name = _module_path(node.name)
            conv = net.get_submodule(name)
            weight, bias = (tensors[key] for key in node.input[1:])
            norm = _batch_norm_after(net, name)
            if frozen := _frozen(net, name):
                if (worst := float((bias - frozen.shift).abs().max())) > _FROZEN_TOLERANCE:
                    raise ValueError(f"{path}: {name} has another batch norm than the pretrained encoder (by {worst:.2g})")
                conv.weight.copy_(weight / frozen.factor)
            elif norm is None:
                conv.weight.copy_(weight)
                conv.bias.copy_(bias)
            else:
                # Batch norm cancels the scale of the weights, but the optimiser's steps depend on it: give every output
                # the norm of a newly initialised layer (He et al., ICCV 2015).
                fresh = math.sqrt(2 / weight[0].numel())
                scale = fresh / weight.pow(2).mean(dim=(1, 2, 3)).sqrt().clamp_min(1e-4 * fresh)
                conv.weight.copy_(weight * scale.view(-1, 1, 1, 1))
                norm.running_mean.zero_()
                norm.running_var.copy_(torch.ones_like(bias) - norm.eps)
                norm.weight.copy_(1 / scale)
                norm.bias.copy_(bias)
            names.add(name)
    return names


def unfold(net: Network, names: set[str], batches: Iterable[Tensor]) -> None:
    """Set the batch norms after the convolutions ``names`` to the statistics of ``batches`` without changing their output.

    The export folded the running statistics away. Without them the batch norms would, in training, no longer compute the
    identity that `load_onnx` sets up.
    """
    norms = {name: norm for name in names if (norm := _batch_norm_after(net, name)) is not None}
    sums: dict[str, list[Tensor]] = {name: [] for name in norms}
    hooks = []
    for name, norm in norms.items():

        def note(_: nn.Module, inputs: tuple[Tensor], name: str = name) -> None:
            x = inputs[0].float()
            sums[name].append(torch.stack((x.mean(dim=(0, 2, 3)), x.pow(2).mean(dim=(0, 2, 3)))))

        hooks.append(norm.register_forward_pre_hook(note))
    net.eval()
    with torch.no_grad():
        for x in batches:
            net(x)
        for hook in hooks:
            hook.remove()
        for name, norm in norms.items():
            mean, square = torch.stack(sums[name]).mean(dim=0)
            variance = (square - mean * mean).clamp_min(1e-6)
            slope = norm.weight.clone()
            norm.weight.copy_(slope * (variance + norm.eps).sqrt())
            norm.bias.add_(slope * mean)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
    net.train()


def mix(net: Network, other: dict[str, Tensor], share: float, names: set[str], batches: Iterable[Tensor]) -> None:
    """Interpolate ``net``'s convolutions ``names`` and their batch norms towards ``other`` by ``share``.

    The running statistics are recomputed from ``batches``. Weights between two trainings with a common start can combine the
    strengths of both (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
    """
    norms = {name: norm for name in names if (norm := _batch_norm_after(net, name)) is not None}
    ids = {id(p) for module in [*norms.values(), *map(net.get_submodule, names)] for p in module.parameters()}
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            if id(parameter) in ids:
                parameter.lerp_(other[key], share)
        # Without a momentum, PyTorch averages over all batches instead of exponentially.
        momentum = {name: norm.momentum for name, norm in norms.items()}
        net.eval()
        for norm in norms.values():
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        for x in batches:
            net(x)
        for name, norm in norms.items():
            norm.momentum = momentum[name]
    net.train()
