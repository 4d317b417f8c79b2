"""Results for people: a name and a text a line, never wrapped, so that paths and commands can be copied."""

from __future__ import annotations

Rows = list[tuple[str, str]]


def print_rows(rows: Rows) -> None:
    """Print ``rows`` on stdout with the names in one column."""
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")
