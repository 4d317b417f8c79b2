"""Escaping of values, such as paths, inside ffmpeg's lists of options."""

from __future__ import annotations


def escape_param(value: str) -> str:
    """``value`` escaped inside a list ``key=value:key=value``, as libavutil reads one (av_get_token)."""
    return _escape(value, "\\':=,")


def escape_filter_value(text: str) -> str:
    """``text`` as an option's value inside a filter graph: once for the option, once more for the graph (ffmpeg-filters, 4.1)."""
    return _escape(_escape(text, r"\':"), r"\'[],;")


def _escape(text: str, special: str) -> str:
    return "".join(f"\\{char}" if char in special else char for char in text)
