"""`Proof`: the realised changes in a few numbers, and the verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_SHARE = {"QP": 0.3, "dB": 0.1}
"""Least `Proof.share` for the verdict "moved", by unit."""
NO_SHARE = {"QP": 0.3, "dB": 0.05}
"""`Proof.share` below which the verdict is "not moved", by unit. Between the two limits the effect is real but slight, and may come
from a working channel on a picture with few bits to move or from a broken channel; the verdict is "unknown"."""
LEAST_BLOCKS = 8
"""Least number of measured blocks inside, and outside, for a verdict."""
LEAST_CONTRAST = 0.5
"""Least planned difference in QP, inside minus outside, that can be proven."""
ERRORS = 2.0
"""Number of standard errors of `Proof.share` that a verdict allows for: about 95 % of repeated measurements lie within as many."""


@dataclass(frozen=True, slots=True)
class PlaceProof:
    """The comparison at one place of the clip, between a window of the sample with and one without the plan."""

    start: int
    """Number of its first frame."""
    frames: int
    share: float | None
    """As `Proof.share`, in QP; ``None`` where packets were compared."""
    moved: bool | None
    """Whether bits moved as planned here; ``None`` is unknown.

    False for a share of almost 0, since few frames measure it roughly, or for the packets of a plain encode.
    """

    @classmethod
    def of(cls, start: int, proof: Proof) -> PlaceProof:
        """The verdict at a place from the comparison of its window by QP."""
        moved = proof.moved
        if moved is False and proof.share is not None and proof.share >= NO_SHARE[proof.unit] / 3:
            moved = None
        return cls(start, proof.frames, proof.share, moved)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"share": None if self.share is None else round(self.share, 4)}


@dataclass(frozen=True, slots=True)
class Proof:
    """The comparison of an ROI encode with a plain encode. Changes are ROI minus plain; negative is better quality."""

    unit: str
    """``QP`` as read from the stream, or ``dB`` of squared error for encodes without usable QP."""
    frames: int
    """Number of compared frames, from the first."""
    whole_clip: bool
    blocks: int
    """Number of measured blocks of the plan, over all segments."""
    blocks_planned: int
    """Number of blocks of the plan in the compared segments."""
    inside_below: float
    """Effective offset, QP, below which a block counts as inside."""
    inside_planned: float | None
    """Mean effective offset in QP of the measured blocks inside; ``None`` without such blocks, also in the next three fields."""
    outside_planned: float | None
    inside_change: float | None
    """Mean realised change inside, in ``unit``."""
    outside_change: float | None
    blocks_inside: int
    blocks_outside: int
    correlation: float | None
    """Pearson's correlation of realised change and effective offset; ``None`` when either is constant."""
    slope: float | None
    """Realised change, in ``unit``, per planned QP, by least squares; ``None`` for a constant plan."""
    size_ratio: float | None
    """Video bytes of the ROI encode divided by those of the plain encode; ``None`` for an excerpt."""
    excerpt_size_ratio: float | None
    """The same ratio for an excerpt; approximate, since the first packets in decode order may contain later frames."""
    share_error: float | None
    """Standard error of `share`, from the scatter of the changes on either side; ``None`` with fewer than two blocks on a side."""
    change: NDArray[np.float64] = field(repr=False, compare=False)
    """Realised change ``[segments, rows, cols]`` in ``unit``, NaN where not measured; not in `to_json`."""
    places: tuple[PlaceProof, ...] = ()
    """Further places of the clip; the encode at a place is a trial with the plan of the encode."""

    @property
    def share(self) -> float | None:
        """Realised difference inside minus outside, in ``unit``, per QP of planned difference.

        ``None`` if a side has no measured block, or the planned difference is below `LEAST_CONTRAST`.
        """
        if self.inside_change is None or self.outside_change is None:
            return None
        planned = contrast(self.inside_planned, self.outside_planned)
        return None if planned is None else (self.inside_change - self.outside_change) / planned

    @property
    def moved(self) -> bool | None:
        """The verdict: whether bits moved as planned. True for a `share` of `LEAST_SHARE` or more, false below `NO_SHARE`.

        ``None`` means unknown: a share between the two, a plan (almost) without contrast, too few measured blocks inside or
        outside, or a scatter too large for the share (`is_too_rough`). A place where they did not move makes the verdict false.
        """
        if any(place.moved is False for place in self.places):
            return False
        if self.share is None or self.has_few_blocks or self.is_too_rough:
            return None
        if NO_SHARE[self.unit] <= self.share < LEAST_SHARE[self.unit]:
            return None
        return self.share >= LEAST_SHARE[self.unit]

    @property
    def is_too_rough(self) -> bool:
        """Whether the measured share agrees with both verdicts within `ERRORS` standard errors.

        A share large enough for "moved" must differ from 0, and one small enough for "not moved" from `LEAST_SHARE`. Equal encodes
        have no scatter, so a plan that did not reach the encoder is found on any clip.
        """
        if self.share is None or self.share_error is None:
            return False
        scatter = ERRORS * self.share_error
        return self.share - scatter <= 0 if self.share >= LEAST_SHARE[self.unit] else self.share + scatter >= LEAST_SHARE[self.unit]

    @property
    def has_few_blocks(self) -> bool:
        """Whether too few blocks were measured, inside or outside, for a verdict."""
        return min(self.blocks_inside, self.blocks_outside) < LEAST_BLOCKS

    def to_json(self) -> dict[str, Any]:
        """All fields except ``change``, and `share` and `moved`, as plain types; floats are rounded to 4 places."""
        names = [name for name in self.__dataclass_fields__ if name not in ("change", "places")]
        values = {name: getattr(self, name) for name in names} | {"share": self.share, "moved": self.moved}
        rounded = {name: round(v, 4) if isinstance(v, float) else v for name, v in values.items()}
        return rounded | {"places": [place.to_json() for place in self.places]}

    def summary(self) -> str:
        """The verdict and the measured numbers, as one sentence for the user."""
        still = next((place for place in self.places if place.moved is False), None)
        if still is not None:
            found = "its encode equals a plain one" if still.share is None else f"{still.share:+.2f} QP per planned QP"
            return f"Bits did not move as planned at frame {still.start}: {found}."
        if self.moved is None and (self.share is None or self.has_few_blocks or self.is_too_rough):
            return f"Undecided over {self.frames} frames: {self._why_undecided()}."
        what = "QP" if self.unit == "QP" else "dB of error"
        verdict = {True: "moved as planned", False: "did not move as planned", None: "moved so slightly that it proves little"}
        text = (
            f"Bits {verdict[self.moved]}: {self.inside_change:+.2f} {what} inside "
            f"(plan {self.inside_planned:+.2f} QP), {self.outside_change:+.2f} outside (plan {self.outside_planned:+.2f}), "
        )
        text += "correlation undefined" if self.correlation is None else f"correlation {self.correlation:.2f}"
        text += f" over {self.blocks} of {self.blocks_planned} blocks"
        if self.unit == "QP" and self.blocks < self.blocks_planned:
            text += " (the others inherit the QP of a neighbour)"
        text += f", {self.frames} frames"
        if self.size_ratio is not None:
            text += f"; size {100 * (self.size_ratio - 1):+.1f}%"
        if self.places:
            moved = sum(place.moved is True for place in self.places)
            text += f"; moved at {moved} of {len(self.places)} further places"
        return text + "."

    def _why_undecided(self) -> str:
        if self.blocks == 0:
            return "no block could be measured"
        if self.has_few_blocks:
            return f"only {self.blocks_inside} blocks inside and {self.blocks_outside} outside could be measured"
        if self.share is not None and self.share_error is not None:
            value, error = f"{self.share:.2f} {self.unit}", f"{self.share_error:.2f}"
            return f"the change per planned QP is {value} with a standard error of {error}, which is too large for a verdict"
        return "the plan treats all blocks (almost) alike"


def contrast(inside: float | None, outside: float | None) -> float | None:
    """The planned difference inside minus outside; ``None`` if a side has no measured block or it is below `LEAST_CONTRAST`."""
    if inside is None or outside is None or abs(inside - outside) < LEAST_CONTRAST:
        return None
    return inside - outside
