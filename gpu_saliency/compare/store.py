"""The folders of a comparison: finished encodes and scores are kept under a key of all that they depend on, and reused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_saliency.analysis.sidecar import SourceRecord
from gpu_saliency.errors import OutputError, setting
from gpu_saliency.files import check_folder, publish, writing
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.untrusted.regular import read_regular
from gpu_saliency.untrusted.strict_json import parse_json

MARK = ".gpu-saliency-compare.json"
"""The file by which a folder of a comparison is known."""
_MAX_BYTES = 1 << 28
"""Size of a file of facts that is read; one with the scores of an hour of video has some megabytes."""
_KEY = 12
"""Hexadecimal digits of a key in a file's name."""
Json = dict[str, Any]


def key_of(facts: Json) -> str:
    """A hash of ``facts``, which must be plain JSON types."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:_KEY]


def plan_digest(plan: RoiPlan) -> str:
    """A hash of everything in ``plan`` that an encode depends on."""
    digest = hashlib.sha256(f"{plan.qp_offset.shape} {plan.frame_count} {plan.cuts}".encode())
    for array in (plan.qp_offset, plan.recentre, plan.segment_start):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def file_identity(path: Path | None) -> Any:
    """What tells a changed file, or folder of files, from what it was: names, sizes and times."""
    if path is None:
        return None
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return [str(path.absolute()), hashlib.sha256(json.dumps(found).encode()).hexdigest()]


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically. Raises `OutputError`."""
    with publish(path) as temporary, writing(path):
        temporary.write_text(text, encoding="utf-8")


def claim_output(folder: Path, source: SourceRecord, *, overwrite: bool) -> None:
    """Create ``folder`` for the results of ``source``, and mark it.

    Raises `OutputError` if it holds anything else, unless ``overwrite``; nothing in it is removed.
    """
    mark = _claim(folder, "output", overwrite=overwrite)
    if mark is not None and mark.get("fingerprint") not in (None, source.fingerprint) and not overwrite:
        cure = f"give {setting('overwrite', True)}, or {setting('output')} another folder"
        raise OutputError(f"{folder}: has the comparison of another source, {mark.get('source')}", cure=cure)
    write_text(folder / MARK, json.dumps({"source": source.path, "fingerprint": source.fingerprint}, indent=1))


def claim_work(folder: Path, *, overwrite: bool) -> None:
    """Create ``folder`` for encodes and scores, of any number of sources, and mark it. Raises `OutputError`."""
    if _claim(folder, "work", overwrite=overwrite) is None:
        write_text(folder / MARK, "{}")


def _claim(folder: Path, name: str, *, overwrite: bool) -> Json | None:
    """Create ``folder`` if it does not exist; returns the content of its mark, ``None`` where it has none."""
    another = f"give {setting(name)} another folder"
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is no folder", cure=another)
    check_folder(folder / MARK if folder.exists() else folder, cure=another)
    with writing(folder, cure=another):
        folder.mkdir(exist_ok=True)
    try:
        mark = parse_json(read_regular(folder / MARK, _MAX_BYTES))
    except (OSError, ValueError):
        mark = None
    if mark is None and any(folder.iterdir()) and not overwrite:
        raise OutputError(
            f"{folder}: holds files of other origin", cure=f"give {setting('overwrite', True)}, or {setting(name)} another folder"
        )
    return mark if isinstance(mark, dict) else None


@dataclass(frozen=True, slots=True)
class Record:
    """One file of facts in the work folder, named by the key of what they depend on."""

    path: Path

    def read(self) -> Json | None:
        """The facts, or ``None`` where there are none yet; a damaged file counts as none."""
        try:
            found = parse_json(read_regular(self.path, _MAX_BYTES))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def write(self, facts: Json) -> None:
        write_text(self.path, json.dumps(facts))
