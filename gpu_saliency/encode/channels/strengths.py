"""The prefilter's strength and quality shift for each encoder, measured by ``benchmarks/quality_shift.py``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from gpu_saliency.encode.channels.rates import quantiser_step

USUAL_STEP = 26.0
"""The quantiser step, in 8-bit samples, for which `Strength.change_per_qp` holds: that of AV1 at CRF 34, about."""


def qp_step(qp: float) -> float:
    """Quantiser step of H.264, HEVC and VVC at ``qp``, in 8-bit samples (H.264, 8.5.9: it doubles every 6 QP and is 1 at 4)."""
    return float(2 ** ((qp - 4) / 6))


@dataclass(frozen=True, slots=True)
class Strength:
    """The filter for one encoder, and the quality shift that spends the saved bits."""

    change_per_qp: float = 0.5
    """Most change of an 8-bit sample for each QP of the policy's offset, at the quantiser step `USUAL_STEP`."""
    step: Callable[[float], float] | None = None
    """Quantiser step, in 8-bit samples, at a base quality; ``None`` if the encoder's scale is not known: `USUAL_STEP`."""
    steps: float = 0.0
    """Steps of the encoder's quality scale that spend the bits saved by a filter of strength 1; 0 if not measured.

    The strength is the change at `USUAL_STEP`.
    """
    power: float = 1.0
    best_factor: float = 1.0
    """Factor of ``steps`` for the background ``best``, which saves more."""
    full_at: float = 0.0
    """Base quality up to which the filter saves the full ``steps``."""
    fade: float = 0.0
    """Fraction of ``steps`` lost per step beyond ``full_at``."""
    barrier: float = -math.inf
    """A shift may not lower a base quality of ``barrier`` or more below it, because the encoder's rate jumps there."""

    def change(self, offset: float, quality: float | None) -> float:
        """Most change of an 8-bit sample, for a policy's offset in QP and a base quality (``None``: unknown, with a bit rate)."""
        step = USUAL_STEP if self.step is None or quality is None else self.step(quality)
        return self.amount(offset) * step / USUAL_STEP

    def amount(self, offset: float) -> float:
        """The strength that `shift` takes: the change at `USUAL_STEP`."""
        return self.change_per_qp * abs(offset)

    def shift(self, quality: float, amount: float, share: float, kind: str = "fast") -> float:
        """The number to add to the base quality; negative, to spend the saved bits. ``share`` is that of `mask.filtered_share`,
        ``kind`` the background.

        ``-steps * amount**power * share * min(1, max(0, 1 - fade * (quality - full_at)))``, and never across ``barrier``.
        """
        left = min(1.0, max(0.0, 1 - self.fade * (quality - self.full_at)))
        steps = self.steps * (self.best_factor if kind == "best" else 1)
        shift = float(-steps * amount**self.power * share * left)
        return max(shift, self.barrier - quality) if quality >= self.barrier else shift


STRENGTHS: dict[str, Strength] = {
    "libsvtav1": Strength(0.85, quantiser_step, 0.98, 0.95, 1.17),
    "libaom-av1": Strength(0.85, quantiser_step, 0.49, 0.95, 1.17),
    # From QP 31 to 32 VVenC's perceptual adaptation (qpa, on by default) saves an eighth of the bits more than other QP steps do.
    "libvvenc": Strength(3.5, qp_step, 0.105, 0.95, full_at=27, fade=0.06, barrier=32),
    "libx264": Strength(step=qp_step),
    "libx265": Strength(step=qp_step),
    "libvpx-vp9": Strength(step=quantiser_step),
    "libkvazaar": Strength(step=qp_step),
}


def strength_of(encoder: str) -> Strength:
    """The measured strength for ``encoder``; encoders without a measurement get a mild filter and no quality shift."""
    return STRENGTHS.get(encoder, Strength())
