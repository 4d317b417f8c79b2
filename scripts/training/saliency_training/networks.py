"""Builds the network that the settings describe."""

from __future__ import annotations

from saliency_training.network import SaliencyNet
from saliency_training.pretrained_network import PretrainedSaliencyNet
from saliency_training.settings import Settings, StudentShape

Network = SaliencyNet | PretrainedSaliencyNet


def build_network(settings: Settings) -> Network:
    """Build it with random weights; `EfficientNetLite.load_pretrained` loads those of a pretrained encoder."""
    shape = settings.shape
    if isinstance(shape, StudentShape):
        return SaliencyNet(shape.widths, shape.dilations, settings.gaze_ceiling, settings.gaze_inside)
    levels = (shape.objects, shape.gaze, shape.frozen)
    return PretrainedSaliencyNet(*levels, settings.gaze_ceiling, settings.gaze_inside, shape.encoder)
