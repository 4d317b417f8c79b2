"""Escapes values, such as paths, for ffmpeg's lists of options."""

from __future__ import annotations


def escape_param(value: str) -> str:
    """Escape ``value`` for a list ``key=value:key=value``, by the syntax of libavutil (av_get_token)."""
    return _escape(value, "\\':=,")


def escape_filter_value(text: str) -> str:
    """Escape ``text`` as an option's value in a filter graph: first for the option, then for the graph (ffmpeg-filters, 4.1)."""
    return _escape(_escape(text, r"\':"), r"\'[],;")


def _escape(text: str, special: str) -> str:
    return "".join(f"\\{char}" if char in special else char for char in text)
