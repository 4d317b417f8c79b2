"""Reads whole numbers from texts of any length; `int` refuses texts of more than 4300 digits, and accepts other scripts' digits."""

from __future__ import annotations

_MOST_DIGITS = 18


def whole_number(text: str) -> int | None:
    """The number that ``text`` is, or ``None`` if it is none of 1 to 18 ASCII digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def is_whole(text: str, low: int, high: int | None = None) -> bool:
    """Whether ``text`` is a whole number from ``low`` to ``high`` (``None``: no limit but that of `whole_number`)."""
    number = whole_number(text)
    return number is not None and number >= low and (high is None or number <= high)
