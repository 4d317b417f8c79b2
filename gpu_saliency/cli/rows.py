"""Text results: a name and a text per line, never wrapped, so that paths and commands can be copied."""

from __future__ import annotations

Rows = list[tuple[str, str]]


def format_rows(rows: Rows) -> str:
    """Return ``rows`` as lines with all texts in one column."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)
