"""Training settings, read from a TOML file, and the schedule that they define."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Phase:
    """Composition of the batches from ``start`` of the schedule on."""

    start: float
    """Share of the schedule, 0..1."""
    sizes: tuple[tuple[int, int], ...]
    """(width, height) of the input, one per batch in turn."""
    masks: int
    """Images per batch with a mask, unchanged."""
    composites: int
    """Objects per batch that are cut out by their masks and pasted on a fixation image."""
    fixations: int
    """Images per batch with a fixation density, of any source."""
    everyday: int = 0
    """Fixation images of everyday scenes with several objects (OSIE)."""
    crowds: int = 0
    """Fixation images of crowds (EyeCrowd)."""
    pseudo_video: int = 0
    """Frames of pseudo-video with a mask (`saliency_training.pseudo_video`), for train_taught.py alone."""
    whole_frames: float = 0.3
    """Share of the samples that are neither zoomed nor cropped, 0..1."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Optional augmentations on top of the standard ones; all off by default."""

    letterbox: float = 0.0
    """Share of samples with black bars."""
    dark: float = 0.0
    """Share of samples darkened, with noise."""
    whole_gaze: bool = False
    """Keep fixation images (almost) whole frames, because a crop changes where viewers look."""


@dataclass(frozen=True, slots=True)
class Composites:
    """How composites are made (`saliency_training.composites`)."""

    least: float = 0.5
    """Smallest size of the pasted picture as a share of the frame; drawn on a logarithmic scale."""
    most: float = 1.0
    blurred: float = 0.0
    """Share with motion blur, of the object and of the scene each."""
    relit: float = 0.0
    """Share in which the object is made lighter or darker than the scene."""


@dataclass(frozen=True, slots=True)
class StudentShape:
    """Shape of `saliency_training.network.SaliencyNet`, trained from random weights."""

    widths: tuple[int, int, int, int]
    dilations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PretrainedShape:
    """Shape of `saliency_training.pretrained_network.PretrainedSaliencyNet`, its encoder pretrained on ImageNet."""

    objects: tuple[int, ...]
    """Channels of the decoder for objects, deepest level first."""
    gaze: tuple[int, ...]
    """Channels of the decoder for gaze, deepest level first."""
    frozen: int
    """Number of first encoder stages whose weights are not trained."""
    encoder: str = "lite0"
    """A key of `saliency_training.efficientnet_lite.VARIANTS`."""
    frozen_norms: bool = False
    """Whether the encoder's batch norms keep the statistics and weights of the pretraining."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one training run; the ``phases`` start at 0 and rise."""

    shape: StudentShape | PretrainedShape
    default_size: tuple[int, int]
    """(width, height): default input size written to the exported file."""
    stored_size: tuple[int, int]
    """(width, height) to which the images are decoded before training."""
    trained_size: tuple[int, int]
    """(width, height) to which train_taught.py shrinks the decoded images before it augments them."""
    gaze_ceiling: float
    """Upper bound of the gaze decoder's part of the map; 0: no gaze decoder, fixations train the object map."""
    gaze_inside: float
    """Share of an object's map above 0.5 that is kept where gaze is 0, 0..1."""
    steps: int
    peak_lr: float
    encoder_rate: float
    """Learning rate of a pretrained encoder as a share of the others'."""
    warmup_steps: int
    weight_decay: float
    clip_norm: float
    ema: float
    auxiliary_weight: float
    fixation_weight: float
    """Weight of `fixation_loss` on the map; crowds are excluded if there is a gaze decoder."""
    gaze_weight: float
    """Weight of `gaze_loss` on the gaze decoder's logits."""
    teacher_weight: float
    """Weight of the losses against a teacher's maps (train_together.py, train_taught.py), 0..1; the masks keep the rest."""
    composites: Composites
    augmentation: Augmentation
    phases: tuple[Phase, ...]

    @classmethod
    def parse(cls, text: str) -> Settings:
        """Read TOML. Raises `ValueError`, `KeyError` or `TypeError` for an unknown or missing key."""
        table = tomllib.loads(text)
        augmentation = Augmentation(**table.pop("augmentation", {}))
        composites = Composites(**table.pop("composites", {}))
        network, optimiser, loss = (table.pop(key) for key in ("network", "optimiser", "loss"))
        phases = tuple(Phase(sizes=tuple((w, h) for w, h in phase.pop("sizes")), **phase) for phase in table.pop("phases"))
        starts = [phase.start for phase in phases]
        if table or starts != sorted(starts) or starts[0] != 0:
            raise ValueError("unknown table, or phases out of order (use network, optimiser, loss, augmentation, phases)")
        settings = cls(
            shape=_shape(network),
            default_size=tuple(network.pop("default_size", (256, 144))),
            stored_size=(stored := tuple(network.pop("stored_size", (256, 192)))),
            trained_size=tuple(network.pop("trained_size", stored)),
            encoder_rate=optimiser.pop("encoder_rate", 1.0),
            gaze_ceiling=network.pop("gaze_ceiling", 0.0),
            gaze_inside=network.pop("gaze_inside", 1.0),
            gaze_weight=loss.pop("gaze", 0.0),
            teacher_weight=loss.pop("teacher", 0.0),
            composites=composites,
            augmentation=augmentation,
            auxiliary_weight=loss.pop("auxiliary"),
            fixation_weight=loss.pop("fixation"),
            phases=phases,
            **optimiser,
        )
        if unknown := {**network, **loss}:
            raise ValueError(f"unknown settings: {', '.join(unknown)}")
        return settings

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read a TOML file."""
        return cls.parse(path.read_text())

    def learning_rate(self, step: int, progress: float) -> float:
        """Linear warm-up, times a cosine from 1 to 0 over ``progress`` in 0..1 (Loshchilov and Hutter, ICLR 2017)."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        return self.peak_lr * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def phase(self, progress: float) -> Phase:
        """The phase that ``progress`` in 0..1 falls into."""
        return next(phase for phase in reversed(self.phases) if progress >= phase.start)


def _shape(network: dict[str, Any]) -> StudentShape | PretrainedShape:
    """Build the shape and remove its keys from ``network``."""
    if "widths" in network:
        return StudentShape(tuple(network.pop("widths")), tuple(network.pop("dilations")))
    objects, gaze = tuple(network.pop("objects")), tuple(network.pop("gaze"))
    encoder, frozen_norms = network.pop("encoder", "lite0"), network.pop("frozen_norms", False)
    return PretrainedShape(objects, gaze, network.pop("frozen"), encoder, frozen_norms)


def progress(step: int, steps: int, seconds: float, max_seconds: float) -> float:
    """Progress of the run, 0..1: the larger of steps and time, so that a slow machine finishes its cosine."""
    return min(1.0, max(step / steps, seconds / max(max_seconds, 1e-9)))
