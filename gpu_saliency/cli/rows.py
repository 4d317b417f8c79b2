"""Formats results as lines of a name and a text; lines are never wrapped, so that paths and commands can be copied."""

from __future__ import annotations

from gpu_saliency.texts import printable

Rows = list[tuple[str, str]]


def format_rows(rows: Rows) -> str:
    """Format ``rows`` as lines; all texts begin in the same column."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {printable(text)}" for name, text in rows)
