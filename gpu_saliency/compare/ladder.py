"""The rates at which a comparison encodes: steps of constant quality, or bit rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gpu_saliency.encode.encoders.spec import Quality
from gpu_saliency.errors import UsageError, setting

_STEPS = (-3, 3, 9, 15)
"""Default ladder, from the encoder's default quality: 20, 26, 32, 38 for x264."""
_EXAMPLE = {"crf_ladder": "20,26,32,38", "bitrates": "500k,1M,2M,4M"}
LEAST, MOST = 2, 32
"""Rates of a ladder. A pair of equal size is found between two of them."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rates of one encoder, the best quality first. Raises `UsageError` where they cannot be used."""

    setting: str
    """``crf_ladder`` or ``bitrates``."""
    values: tuple[float, ...]
    """Base qualities on the encoder's scale, rising, or bits per second, falling."""

    def __post_init__(self) -> None:
        if len(set(self.values)) < len(self.values):
            raise self._error("names a rate twice")
        if not LEAST <= len(self.values) <= MOST:
            raise self._error(f"has {len(self.values)} rate{'s' * (len(self.values) != 1)}, {LEAST} to {MOST} are needed")
        if not all(math.isfinite(value) for value in self.values):
            raise self._error("is no list of finite numbers")
        object.__setattr__(self, "values", tuple(sorted(self.values, reverse=self.is_bitrate)))

    @property
    def is_bitrate(self) -> bool:
        return self.setting == "bitrates"

    def label(self, value: float) -> str:
        """One rate for people: ``CRF 26`` or ``1200 kbit/s``."""
        return f"{value / 1000:g} kbit/s" if self.is_bitrate else f"CRF {value:g}"

    def coordinate(self, value: float) -> float:
        """The scale on which the logarithm of the size is about linear: the quality itself, or the logarithm of the bit rate."""
        return math.log(value) if self.is_bitrate else value

    def value_at(self, coordinate: float, quality: Quality | None) -> float:
        """The usable rate nearest to ``coordinate``: within the encoder's scale and on its steps, or in whole bits per second."""
        if self.is_bitrate:
            return float(max(1000, round(math.exp(coordinate))))
        if quality is None:
            return round(coordinate, 2)
        limited = min(max(coordinate, quality.low), quality.high)
        return float(round(limited)) if quality.whole else round(limited, 2)

    def _error(self, problem: str) -> UsageError:
        given = tuple(int(value) if self.is_bitrate and math.isfinite(value) else float(value) for value in self.values)
        return UsageError(problem, setting=self.setting, value=given, cure=f"give rates such as {_EXAMPLE[self.setting]}")


def parse_ladder(text: str) -> tuple[float, ...]:
    """Convert ``20,26,32,38`` to numbers. Raises `UsageError`."""
    try:
        return tuple(float(one) for one in text.split(","))
    except ValueError:
        cure = f"give numbers with commas, such as {_EXAMPLE['crf_ladder']}"
        raise UsageError("is no list of numbers", setting="crf_ladder", value=text, cure=cure) from None


def default_ladder(encoder: str, quality: Quality | None) -> Ladder:
    """Four rates around and below the default quality of ``encoder``. Raises `UsageError` where its scale is not known."""
    if quality is None or quality.default < quality.low:
        cure = f"give {setting('crf_ladder', '...')} or {setting('bitrates', _EXAMPLE['bitrates'])}"
        raise UsageError("its scale of quality has no default", setting="encoder", value=encoder, cure=cure)
    steps = [min(max(quality.default + step, quality.low), quality.high) for step in _STEPS]
    return Ladder("crf_ladder", tuple(dict.fromkeys(steps)))
