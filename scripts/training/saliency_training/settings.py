"""The training settings, read from a TOML file, and the schedule that follows from them."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Phase:
    """What batches are made of from a share of the schedule on."""

    start: float
    """0..1."""
    sizes: tuple[tuple[int, int], ...]
    """(width, height), in turn."""
    masks: int
    """Images with a mask, as they are."""
    composites: int
    """Objects cut out by their masks and pasted on a scene without one."""
    fixations: int
    """Images with a fixation density, of any source."""
    everyday: int = 0
    """Fixation images of everyday scenes with several objects (OSIE)."""
    crowds: int = 0
    """Fixation images of crowds (EyeCrowd)."""
    whole_frames: float = 0.3
    """Share of the samples that are neither zoomed nor cropped, 0..1."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to a sample besides what is done in every run; all off by default."""

    letterbox: float = 0.0
    """Share of samples with black bars."""
    dark: float = 0.0
    """Share of samples as in low light: dim, with noise."""
    whole_gaze: bool = False
    """Fixation images stay (almost) whole frames: cut out of its frame, a place is not looked at alike."""


@dataclass(frozen=True, slots=True)
class StudentShape:
    """`saliency_training.network.SaliencyNet`, from nothing."""

    widths: tuple[int, int, int, int]
    dilations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PretrainedShape:
    """`saliency_training.pretrained_network.PretrainedSaliencyNet`, its encoder from ImageNet."""

    objects: tuple[int, ...]
    """Widths of the decoder of objects, from the deepest level up."""
    gaze: tuple[int, ...]
    """Widths of the decoder of gaze."""
    frozen: int
    """How many of the encoder's first stages keep their weights."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One training run; ``phases`` rise from 0."""

    shape: StudentShape | PretrainedShape
    default_size: tuple[int, int]
    """(width, height): which frames the exported file is meant for."""
    stored_size: tuple[int, int]
    """(width, height) that the images are decoded to before the training."""
    gaze_ceiling: float
    """Of the network's gaze decoder; 0: it has none, and gaze is taught to the object map."""
    gaze_inside: float
    """What is left of an object above 0.5 where nobody looks, 0..1."""
    steps: int
    peak_lr: float
    encoder_rate: float
    """Share of the learning rate that a pretrained encoder gets."""
    warmup_steps: int
    weight_decay: float
    clip_norm: float
    ema: float
    auxiliary_weight: float
    fixation_weight: float
    """Of `fixation_loss` on the map, for fixation images other than crowds if there is a gaze decoder."""
    gaze_weight: float
    """Of `gaze_loss` on the gaze decoder's logits."""
    augmentation: Augmentation
    phases: tuple[Phase, ...]

    @classmethod
    def parse(cls, text: str) -> Settings:
        """From TOML; a missing or an unknown key is an error."""
        table = tomllib.loads(text)
        augmentation = Augmentation(**table.pop("augmentation", {}))
        network, optimiser, loss = (table.pop(key) for key in ("network", "optimiser", "loss"))
        phases = tuple(Phase(sizes=tuple((w, h) for w, h in phase.pop("sizes")), **phase) for phase in table.pop("phases"))
        starts = [phase.start for phase in phases]
        if table or starts != sorted(starts) or starts[0] != 0:
            raise ValueError("unknown tables, or phases that do not rise from 0")
        settings = cls(
            shape=_shape(network),
            default_size=tuple(network.pop("default_size", (256, 144))),
            stored_size=tuple(network.pop("stored_size", (256, 192))),
            encoder_rate=optimiser.pop("encoder_rate", 1.0),
            gaze_ceiling=network.pop("gaze_ceiling", 0.0),
            gaze_inside=network.pop("gaze_inside", 1.0),
            gaze_weight=loss.pop("gaze", 0.0),
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
        """From a TOML file."""
        return cls.parse(path.read_text())

    def learning_rate(self, step: int, progress: float) -> float:
        """Linear warm-up, times a cosine from 1 to 0 over ``progress`` in 0..1 (Loshchilov and Hutter, ICLR 2017)."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        return self.peak_lr * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def phase(self, progress: float) -> Phase:
        """The phase that ``progress`` in 0..1 falls into."""
        return next(phase for phase in reversed(self.phases) if progress >= phase.start)


def _shape(network: dict[str, Any]) -> StudentShape | PretrainedShape:
    """Takes its keys out of ``network``."""
    if "widths" in network:
        return StudentShape(tuple(network.pop("widths")), tuple(network.pop("dilations")))
    return PretrainedShape(tuple(network.pop("objects")), tuple(network.pop("gaze")), network.pop("frozen"))


def progress(step: int, steps: int, seconds: float, max_seconds: float) -> float:
    """How far the run is, 0..1: by steps or by time, whichever is further, so that a slow machine ends its cosine."""
    return min(1.0, max(step / steps, seconds / max(max_seconds, 1e-9)))
