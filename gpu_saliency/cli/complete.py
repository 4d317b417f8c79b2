"""Completes the values of options in the shell: names that begin with what was typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import typer

from gpu_saliency.choices import DEFAULT_ENCODER


def of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Return a function for Typer that completes to one of ``names``."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def presets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete to a preset of the encoder that the command line names."""
    from gpu_saliency.encode.encoders import ENCODERS

    given = ctx.params.get("encoder") or DEFAULT_ENCODER
    spec = ENCODERS.get(given) if isinstance(given, str) else None
    return [] if spec is None else [name for name in spec.presets if name.startswith(incomplete)]
