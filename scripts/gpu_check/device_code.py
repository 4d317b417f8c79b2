"""Zeroes device code inside a CUDA library, which has the same kernels once for each GPU architecture.

The layout is nvcc's "fat binary", read from a library of CUDA 13; NVIDIA documents only the tools that read it. Section
``.nv_fatbin`` holds containers: magic number uint32, version uint16, size of this header uint16, size of the entries uint64. Each
entry has at byte 0 its kind (uint16: 1 PTX, 2 machine code), at 4 the size of its header (uint32), at 8 that of its code (uint64),
at 28 the architecture (uint32: 90 for sm_90). The code may be compressed by zstd.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard
from elftools.elf.elffile import ELFFile

MAGIC = 0xBA55ED50
MACHINE_CODE = 2
SECTION = ".nv_fatbin"
_ZSTD = b"\x28\xb5\x2f\xfd"
_KERNEL = re.compile(rb"\.text\.([A-Za-z0-9_$.]+)")
_LANGUAGE_MODELS = re.compile(rb"cutlass|flash|fmha|llm|paged|kernel_mha|moe", re.IGNORECASE)
"""In the names of kernels of attention and mixtures of experts, which no saliency model calls: most of the code."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of device code; ``start`` and ``end`` are those of its code in the file."""

    kind: int
    architecture: int
    start: int
    end: int


def entries(data: bytearray, start: int, size: int) -> Iterator[Entry]:
    """All entries of the section at ``start``. Raises `ValueError` where they do not fit the section."""
    position, end = start, start + size
    while position + 16 <= end:
        magic, _, header, length = struct.unpack_from("<IHHQ", data, position)
        if magic != MAGIC:
            position += 8  # padding: containers begin at multiples of eight
            continue
        entry, position = position + header, position + header + length
        while entry < position:
            if position > end or entry + 32 > position:
                raise ValueError(f"a container of device code at {entry:#x} does not fit its section")
            kind, _, entry_header, payload = struct.unpack_from("<HHIQ", data, entry)
            (architecture,) = struct.unpack_from("<I", data, entry + 28)
            code = entry + entry_header
            entry = code + payload
            if entry_header < 32 or entry > position:
                raise ValueError(f"an entry of device code at {code:#x} does not fit its container")
            yield Entry(kind, architecture, code, entry)


def keep_architecture(library: Path, architecture: int) -> int:
    """Zero all device code in ``library`` but the machine code of ``architecture``, and of that the kernels of language models.

    Returns the bytes kept. Raises `SystemExit` where nothing would be left.
    """
    data = bytearray(library.read_bytes())
    section = ELFFile(io.BytesIO(data)).get_section_by_name(SECTION)
    if section is None:
        raise SystemExit(f"{library.name} has no section {SECTION}")
    kept = 0
    found = set()
    for entry in entries(data, section["sh_offset"], section["sh_size"]):
        code = data[entry.start : entry.end]
        if entry.kind == MACHINE_CODE:
            found.add(entry.architecture)
            if entry.architecture == architecture and not _is_of_language_models(code):
                kept += len(code)
                continue
        data[entry.start : entry.end] = bytes(len(code))
    if not kept:
        have = ", ".join(f"sm_{number}" for number in sorted(found)) or "none"
        raise SystemExit(f"{library.name} has no machine code for sm_{architecture} (it has: {have})")
    library.write_bytes(data)
    return kept


def _is_of_language_models(code: bytes | bytearray) -> bool:
    if code[:4] == _ZSTD:
        code = zstandard.ZstdDecompressor().decompressobj().decompress(bytes(code))
    return any(_LANGUAGE_MODELS.search(name) for name in _KERNEL.findall(code))
