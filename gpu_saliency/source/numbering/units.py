"""The beginnings of the NAL units in a packet with start codes, without a search through the slices' data."""

from __future__ import annotations

from collections.abc import Iterator

_HEAD = 4096
"""Bytes of a unit that are looked at: parameter sets are shorter."""


def heads(data: bytes) -> Iterator[bytes]:
    """Yield the first bytes of each NAL unit of ``data``; a caller that has seen the first slice stops."""
    at = data.find(b"\0\0\1")
    while at >= 0:
        at += 3
        if at < len(data):
            yield data[at : at + _HEAD]
        at = data.find(b"\0\0\1", at)
