"""Writes and unpacks a folder as tar.xz, with the filter for x86 machine code, which saves about a tenth."""

from __future__ import annotations

import lzma
import tarfile
from pathlib import Path

_FILTERS: list[dict[str, int]] = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 2**26}]


def write_archive(folder: Path, target: Path) -> Path:
    """Write the content of ``folder`` to ``target``."""
    with lzma.open(target, "wb", filters=_FILTERS) as stream, tarfile.open(fileobj=stream, mode="w|") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.add(path, str(path.relative_to(folder)))
    return target


def unpack_archive(archive: Path, folder: Path) -> None:
    """Unpack ``archive`` into ``folder``; one that was unpacked there before is left as it is."""
    facts = archive.stat()
    stamp = folder / f".{archive.name}"
    state = f"{facts.st_size} {facts.st_mtime_ns}"
    if stamp.exists() and stamp.read_text() == state:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "r:xz") as files:
        files.extractall(folder, filter="data")
    part = stamp.with_name(stamp.name + ".part")
    part.write_text(state)
    part.replace(stamp)
