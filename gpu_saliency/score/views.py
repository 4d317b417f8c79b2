"""Which VMAF models score a clip, and at which picture size: the rules of docs/score.md."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

V1 = "vmaf_v1.0.16"
DISPLAY_WIDTH, DISPLAY_HEIGHT = 1920, 1080
"""Pixels. Smaller clips are also scored enlarged to this width, as a 1080p display shows them."""
_LARGEST_FOR_1080P = 2560
"""Longer side, pixels, up to which the 1080p models are used."""
_HIGH_FRAME_RATE = 40
"""Frames per second; the models ``hfr`` are made for 50 and 60."""
# Tried with the bundled libvmaf (September 2026): on smaller pictures it crashes or gives no score.
_LEAST_NEAR, _LEAST_FAR, _LEAST_OTHER = (216, 160), (640, 360), (32, 32)


@dataclass(frozen=True, slots=True)
class View:
    """One size at which VMAF looks at both clips. Consumed by the filter graph."""

    name: str
    """``native`` or ``scaled``."""
    width: int
    height: int
    models: dict[str, str]
    """The version of the model for each metric."""
    cambi: bool
    """Whether CAMBI is measured here."""

    def too_small(self) -> dict[str, str]:
        """The metrics that libvmaf cannot measure on such small pictures, with the reason."""
        found = {}
        for metric in (*self.models, *(("cambi",) if self.cambi else ())):
            is_v1 = self.models.get(metric, "").startswith(V1)
            longer, shorter = _LEAST_OTHER if not is_v1 else _LEAST_FAR if metric == "vmaf_far" else _LEAST_NEAR
            if max(self.width, self.height) < longer or min(self.width, self.height) < shorter:
                found[metric] = f"{self.width}x{self.height} is too small for it: at least {longer}x{shorter} is needed"
        return found


def views_of(width: int, height: int, frame_rate: Fraction) -> tuple[View, ...]:
    """The views of a clip: its own size, and 1920 pixels for the longer side where the clip is below 1080p."""
    near, far, neg = _models(max(width, height), frame_rate)
    native = {"vmaf": near, "vmaf_neg": neg}
    if not is_below_1080p(width, height):
        return (View("native", width, height, native | {"vmaf_far": far}, True),)
    scaled = {"vmaf_scaled": near, "vmaf_neg_scaled": neg, "vmaf_far": far}
    return View("native", width, height, native, True), View("scaled", *scaled_size(width, height), scaled, False)


def is_below_1080p(width: int, height: int) -> bool:
    """Whether a picture is smaller than 1080p both ways, upright or on its side."""
    return max(width, height) < DISPLAY_WIDTH and min(width, height) < DISPLAY_HEIGHT


def scaled_size(width: int, height: int) -> tuple[int, int]:
    """The longer side becomes 1920, the other keeps the shape to the nearest even number, as ffmpeg's ``scale=1920:-2``."""
    longer, shorter = max(width, height), min(width, height)
    other = max(2, (DISPLAY_WIDTH * shorter + longer) // (2 * longer) * 2)
    return (DISPLAY_WIDTH, other) if width >= height else (other, DISPLAY_WIDTH)


def _models(longer: int, frame_rate: Fraction) -> tuple[str, str, str]:
    """Models for the usual viewing distance, for a greater one, and of the generation before without gain by enhancement."""
    family = f"{V1}_hfr" if frame_rate > _HIGH_FRAME_RATE else V1
    if longer > _LARGEST_FOR_1080P:
        return f"{family}_1d5h_2160", f"{family}_3d0h_2160", "vmaf_4k_v0.6.1neg"
    return f"{family}_3d0h", f"{family}_5d0h", "vmaf_v0.6.1neg"
