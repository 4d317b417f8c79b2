"""Walks the fields of a protobuf message without its schema (https://protobuf.dev/programming-guides/encoding/)."""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


def fields_of(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field: an int, or the bytes of a message, text or packed list, which are not copied.

    Raises `ValueError` where ``data`` is no protobuf message or ends too early.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == _LENGTH:
            size, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("it is not a protobuf message")
        if size > len(data) - at:
            raise ValueError("it is truncated, or not a protobuf message")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for i in range(_MAX_VARINT_BYTES):
        if at + i >= len(data):
            raise ValueError("it is truncated, or not a protobuf message")
        byte = data[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError("it is not a protobuf message")
