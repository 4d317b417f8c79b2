"""Lets programs that know nothing of the stand-in decode any clip: its pictures are written when the package indexes its packets.

The variable ``GPU_STANDIN_PICTURES`` names the folder for them. Without it tests register pictures themselves (`control.Driver`).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

_FOLDER = "GPU_STANDIN_PICTURES"


def patch_index(module: ModuleType) -> None:
    """Register the pictures of each clip that ``module``, `gpu_saliency.analysis.cuda.decode.index`, indexes."""
    folder = os.environ.get(_FOLDER)
    if folder is None:
        return
    found: Any = module
    index_clip = found.index_clip

    def indexed(clip: Any) -> Any:
        index = index_clip(clip)
        _register(Path(clip.path), Path(folder))
        return index

    found.index_clip = indexed


def _register(clip: Path, folder: Path) -> None:
    # Imported here: nothing but the package may load these libraries early.
    from gpu_standin.control import Driver
    from gpu_standin.pictures import write_pictures

    facts = clip.stat()
    name = hashlib.sha256(f"{clip.resolve()} {facts.st_size} {facts.st_mtime_ns}".encode()).hexdigest()[:16]
    pictures = folder / name
    if not pictures.exists():
        # Another check may write the same at this time.
        part = Path(tempfile.mkstemp(dir=folder)[1])
        write_pictures(clip, part).replace(pictures)
    Driver().pictures(pictures)
