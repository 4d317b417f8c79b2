"""What reads the beginning of a clip holds nothing afterwards: the bytes in use do not grow over many calls."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clips import make_clip

pytestmark = pytest.mark.skipif(
    not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"), reason="mallinfo2 is a function of glibc"
)
_MEASURE = """
import ctypes, gc, sys
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.seek import key_frame_before
from gpu_saliency.encode.streams import _first_packets
import av

clip = probe_clip(sys.argv[1])

def first_packets():
    with av.open(sys.argv[1]) as container:
        _first_packets(container, list(container.streams))

class Info(ctypes.Structure):
    _fields_ = [(f"field{number}", ctypes.c_size_t) for number in range(10)]

read = ctypes.CDLL(None).mallinfo2
read.restype = Info

def in_use():
    gc.collect()
    info = read()
    return info.field7 + info.field4  # uordblks and hblkhd

for name, act in {
    "probe": lambda: probe_clip(sys.argv[1]),
    "seek": lambda: key_frame_before(clip, 0),
    "first packets": first_packets,
}.items():
    for _ in range(50):
        act()
    before = in_use()
    for _ in range(300):
        act()
    print(name, (in_use() - before) / 300, sep=":")
"""
_LEAST_LEAK = 100.0
"""Bytes a call; a dropped generator of PyAV 18.1 keeps 150."""


def test_bytes_in_use_do_not_grow(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", size="64x64", seconds=1, audio=True)
    done = subprocess.run([sys.executable, "-c", _MEASURE, clip], capture_output=True, text=True, timeout=300, check=True)
    growth = {name: float(value) for name, value in (line.split(":") for line in done.stdout.splitlines())}
    assert len(growth) == 3
    assert max(growth.values()) < _LEAST_LEAK, growth
