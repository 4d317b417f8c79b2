"""Damages files as broken transfers, disks and recordings do."""

from __future__ import annotations

import random
from pathlib import Path


def cut(source: Path, target: Path, share: float) -> Path:
    """Write the first ``share`` of the bytes of ``source`` to ``target``, an odd number: no number of whole transport packets."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share) | 1])
    return target


def zeroed(source: Path, target: Path, share: float, count: int = 3000) -> Path:
    """Write ``source`` with ``count`` bytes set to zero, which begin at ``share`` of its length."""
    data = bytearray(source.read_bytes())
    start = int(len(data) * share)
    data[start : start + count] = bytes(len(data[start : start + count]))
    target.write_bytes(data)
    return target


def without(source: Path, target: Path, share: float, count: int = 3000) -> Path:
    """Write ``source`` without ``count`` bytes, which begin at ``share`` of its length."""
    data = source.read_bytes()
    start = int(len(data) * share)
    target.write_bytes(data[:start] + data[start + count :])
    return target


def with_noise(source: Path, target: Path, share: float, count: int = 3000, seed: int = 1) -> Path:
    """Write ``source`` with ``count`` bytes replaced by noise, which begin at ``share`` of its length."""
    data = bytearray(source.read_bytes())
    start = int(len(data) * share)
    data[start : start + count] = random.Random(seed).randbytes(len(data[start : start + count]))
    target.write_bytes(data)
    return target
