"""Zeroes what the loader never reads of a shared library: zeros compress to nothing, and the file keeps its layout."""

from __future__ import annotations

import io
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile


def zero_unloaded(path: Path) -> int:
    """Zero debug information and symbol tables of ``path``; returns the bytes zeroed. A file that is no ELF file is left alone."""
    data = bytearray(path.read_bytes())
    try:
        elf = ELFFile(io.BytesIO(data))
    except ELFError:
        return 0
    names = elf["e_shstrndx"]
    zeroed = 0
    for number, section in enumerate(elf.iter_sections()):
        if number == names or section["sh_flags"] & SH_FLAGS.SHF_ALLOC or section["sh_type"] in ("SHT_NULL", "SHT_NOBITS"):
            continue
        start, size = section["sh_offset"], section["sh_size"]
        data[start : start + size] = bytes(size)
        zeroed += size
    if zeroed:
        path.write_bytes(data)
    return zeroed
