"""Divides files among packs of limited size; a file larger than a pack is split into parts, which `join_parts` joins again."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
_PART = re.compile(r"(.+)\.part-(\d+)-of-(\d+)$")


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of a pack: a whole file, or one part of it."""

    source: Path
    offset: int
    size: int
    name: str
    """Its name in the pack."""


def distribute(files: Iterable[Path], room: int) -> list[list[Piece]]:
    """Divide ``files``, the most important first, among packs of at most ``room`` bytes each.

    A file goes into the first pack that has room for it; one that is larger than ``room`` is split into parts of equal size.
    """
    packs: list[list[Piece]] = []
    for path in files:
        for piece in _pieces(path, room):
            fitting = (pack for pack in packs if sum(one.size for one in pack) + piece.size <= room)
            pack = next(fitting, None)
            if pack is None:
                packs.append(pack := [])
            pack.append(piece)
    return packs


def _pieces(path: Path, room: int) -> list[Piece]:
    total = path.stat().st_size
    count = max(1, -(-total // room))
    if count == 1:
        return [Piece(path, 0, total, path.name)]
    edges = [total * i // count for i in range(count + 1)]
    return [
        Piece(path, start, end - start, f"{path.name}.part-{number}-of-{count}")
        for number, (start, end) in enumerate(itertools.pairwise(edges), 1)
    ]


def write_packs(folder: Path, packs: Sequence[Sequence[Piece]]) -> Sequence[Sequence[Piece]]:
    """Write ``folder``/pack-1, pack-2 ..., in place of those of an earlier run. Returns ``packs``."""
    for old in folder.glob("pack-*"):
        shutil.rmtree(old)
    for number, pieces in enumerate(packs, 1):
        pack = folder / f"pack-{number}"
        pack.mkdir(parents=True)
        for piece in pieces:
            with piece.source.open("rb") as source:
                source.seek(piece.offset)
                (pack / piece.name).write_bytes(source.read(piece.size))
    return packs


def packed_files(folder: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """The files of all packs of ``folder`` by name, each as its parts in order; and one line for each file that lacks a part.

    The files may also lie in ``folder`` itself.
    """
    whole: dict[str, list[Path]] = {}
    parts: dict[tuple[str, int], dict[int, Path]] = {}
    for path in sorted(path for place in (folder, *folder.glob("pack-*")) for path in place.glob("*") if path.is_file()):
        if match := _PART.match(path.name):
            parts.setdefault((match[1], int(match[3])), {})[int(match[2])] = path
        else:
            whole[path.name] = [path]
    lacking = []
    for (name, count), found in parts.items():
        if len(found) == count:
            whole[name] = [found[number] for number in sorted(found)]
        elif name not in whole:
            lacking.append(f"{name}: {len(found)} of {count} parts")
    return whole, lacking


def join_parts(parts: Sequence[Path], target: Path) -> Path:
    """Write the file that ``parts`` make to ``target``; a single part is the file itself and is returned."""
    if len(parts) == 1:
        return parts[0]
    with target.open("wb") as joined:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, joined)
    return target
