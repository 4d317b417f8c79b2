"""The prefilter's blur and quality shift for each encoder, measured by ``benchmarks/quality_shift.py``."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strength:
    """The blur for one encoder, and the quality shift that spends the saved bits."""

    sigma_per_qp: float = 0.2
    """Pixels of sigma for each QP of the policy's offset."""
    steps: float = 0.0
    """Steps of the encoder's quality scale that spend the bits saved by a full blur at sigma 1; 0 if not measured."""
    power: float = 1.0
    full_at: float = 0.0
    """Base quality up to which the blur saves the full ``steps``."""
    fade: float = 0.0
    """Fraction of ``steps`` lost per step beyond ``full_at``: a coarse quantiser blurs by itself, so the prefilter saves less."""
    doubles_in: float = math.inf
    """Steps beyond ``full_at`` for each doubling of sigma: the blur must remove more than the quantiser does by itself."""
    barrier: float = -math.inf
    """A shift may not lower a base quality of ``barrier`` or more below it, because the encoder's rate jumps there."""

    def sigma(self, offset: float, quality: float | None) -> float:
        """Sigma of the blur in pixels, for a policy's offset in QP and a base quality (``None``: unknown, with a bit rate)."""
        beyond = max(0.0, (quality or 0.0) - self.full_at)
        return float(self.sigma_per_qp * abs(offset) * 2 ** (beyond / self.doubles_in))

    def shift(self, quality: float, sigma: float, share: float) -> float:
        """The number to add to the base quality; negative, to spend the saved bits. ``share`` is that of `mask.blurred_share`.

        ``-steps * sigma**power * share * min(1, max(0, 1 - fade * (quality - full_at)))``, and never across ``barrier``.
        """
        left = min(1.0, max(0.0, 1 - self.fade * (quality - self.full_at)))
        shift = float(-self.steps * sigma**self.power * share * left)
        return max(shift, self.barrier - quality) if quality >= self.barrier else shift


STRENGTHS: dict[str, Strength] = {
    "libsvtav1": Strength(0.23, 6.05, 1.2),
    "libaom-av1": Strength(0.2, 4.73, 1.2),
    # From QP 31 to 32 VVenC's perceptual adaptation (qpa, on by default) saves an eighth of the bits more than other QP steps do.
    "libvvenc": Strength(0.24, 1.55, 1.4, full_at=27, fade=0.11, doubles_in=6, barrier=32),
}


def strength_of(encoder: str) -> Strength:
    """The measured strength for ``encoder``; encoders without a measurement get a mild blur and no quality shift."""
    return STRENGTHS.get(encoder, Strength())
