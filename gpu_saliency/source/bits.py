"""Reads the bits of headers: fixed lengths and Exp-Golomb codes."""

from __future__ import annotations


class Bits:
    """Reads bits from the most significant on. Raises `IndexError` behind the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - self._at % 8) & 1
            self._at += 1
        return value

    def golomb(self) -> int:
        """An unsigned Exp-Golomb code (9.1)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 32:
                raise IndexError("no Exp-Golomb code")
        return (1 << zeros) - 1 + self.read(zeros)
