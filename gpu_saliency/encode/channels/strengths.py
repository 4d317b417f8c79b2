"""The prefilter's blur for each encoder, and the bits that it saves; measured by ``benchmarks/quality_shift.py``."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strength:
    """The blur for one encoder, and the shift of its base quality that spends the saved bits."""

    sigma_per_qp: float = 0.2
    """Pixels of sigma for each QP of the policy's offset."""
    steps: float = 0.0
    """Steps of the encoder's quality scale that a wholly blurred picture, at sigma 1, is worth; 0 where it was not measured."""
    power: float = 1.0
    full_at: float = 0.0
    """Base quality up to which it is worth all of that."""
    fade: float = 0.0
    """Part of it that is lost with each step beyond: where the quantiser blurs by itself, the prefilter saves less."""
    doubles_in: float = math.inf
    """Steps beyond ``full_at`` in which sigma doubles: to have an effect it must remove more than the quantiser does by itself."""
    barrier: float = -math.inf
    """Base quality that no shift may cross from above, as the encoder's rate jumps there."""

    def sigma(self, offset: float, quality: float | None) -> float:
        """Pixels of sigma for a policy's offset, QP, at a base quality (``None``: unknown, with a bit rate)."""
        beyond = max(0.0, (quality or 0.0) - self.full_at)
        return float(self.sigma_per_qp * abs(offset) * 2 ** (beyond / self.doubles_in))

    def shift(self, quality: float, sigma: float, share: float) -> float:
        """The number to add to the base quality; negative, as the saved bits are to be spent.

        ``-steps * sigma**power * share * max(0, 1 - fade * (quality - full_at))``, at most all of it, and never across ``barrier``.
        """
        left = min(1.0, max(0.0, 1 - self.fade * (quality - self.full_at)))
        shift = float(-self.steps * sigma**self.power * share * left)
        return max(shift, self.barrier - quality) if quality >= self.barrier else shift


STRENGTHS: dict[str, Strength] = {
    "libsvtav1": Strength(0.23, 6.05, 1.2),
    "libaom-av1": Strength(0.2, 4.73, 1.2),
    # From QP 31 to 32 VVenC's perceptual adaptation (qpa, on by default) drops an eighth of the bits more than a step of QP does.
    "libvvenc": Strength(0.24, 1.55, 1.4, full_at=27, fade=0.11, doubles_in=6, barrier=32),
}


def strength_of(encoder: str) -> Strength:
    """The measured strength for ``encoder``; others get a mild blur and no shift of quality."""
    return STRENGTHS.get(encoder, Strength())
