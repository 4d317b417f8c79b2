"""Options that state what an encode shall reach: a quality, a size, a share of the bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_saliency.cli.options import ENCODE, SALIENCY
from gpu_saliency.errors import UsageError

if TYPE_CHECKING:
    from gpu_saliency.trial import Intent

_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


@dataclass(frozen=True, kw_only=True)
class StrengthOptions:
    """Options that are turned into a strength of the plan."""

    salient_bits: Annotated[
        str | None,
        typer.Option(
            help="Find the strength that gives the most looked-at quarter of the picture this share of the modelled bits, "
            "such as 40%.",
            show_default=False,
            rich_help_panel=SALIENCY,
        ),
    ] = None
    max_vmaf_loss: Annotated[
        float,
        typer.Option(
            help="Most VMAF v1 that --saliency-offset auto may take from the whole frame at equal size.", rich_help_panel=SALIENCY
        ),
    ] = 0.0

    def share(self) -> float | None:
        """The value of ``--salient-bits``, 0..1. Raises `UsageError`."""
        return None if self.salient_bits is None else parse_share(self.salient_bits)


@dataclass(frozen=True, kw_only=True)
class IntentOptions(StrengthOptions):
    """Options that trial encodes turn into a quality or a strength."""

    target_vmaf: Annotated[
        float | None,
        typer.Option(
            help="Find the CRF that gives this VMAF v1 by trial encodes, 1 to 100; replaces --crf.",
            show_default=False,
            rich_help_panel=ENCODE,
        ),
    ] = None
    at_least: Annotated[
        bool,
        typer.Option("--at-least", help="Take --target-vmaf as a lower bound, not as the nearest.", rich_help_panel=ENCODE),
    ] = False
    target_size: Annotated[
        str | None,
        typer.Option(
            help="Make a file of about this many bytes, such as 10M or 700MiB; replaces --crf.",
            show_default=False,
            rich_help_panel=ENCODE,
        ),
    ] = None

    def intent(self, *, auto_offset: bool) -> Intent:
        """Make the library's settings; ``auto_offset``: ``--saliency-offset auto`` is given. Raises `UsageError`."""
        from gpu_saliency.trial import Intent

        return Intent(
            target_vmaf=self.target_vmaf,
            at_least=self.at_least,
            target_size=None if self.target_size is None else parse_size(self.target_size),
            auto_offset=auto_offset,
            max_vmaf_loss=self.max_vmaf_loss,
            salient_bits=self.share(),
        )


def parse_size(text: str) -> int:
    """Convert ``10M``, ``10MB``, ``700MiB`` or ``1500000`` to bytes; k, M and G are decimal. Raises `UsageError`."""
    number = text.strip().lower().removesuffix("b")
    unit = next((unit for unit in sorted(_UNITS, key=len, reverse=True) if number.endswith(unit)), "")
    try:
        return round(float(number.removesuffix(unit)) * _UNITS.get(unit, 1))
    except (ValueError, OverflowError):
        cure = "give bytes, such as 10M or 700MiB"
        raise UsageError("is not a size", setting="target_size", value=text, cure=cure) from None


def parse_share(text: str) -> float:
    """Convert ``40%`` or ``0.4`` to a share. Raises `UsageError`."""
    number = text.strip()
    try:
        return float(number[:-1]) / 100 if number.endswith("%") else float(number)
    except ValueError:
        raise UsageError("is not a share", setting="salient_bits", value=text, cure="give a share, such as 40%") from None
