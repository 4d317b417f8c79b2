"""Asks which formats the NVDEC of a GPU decodes, in a child process, and keeps the answers in the cache folder.

A format is ``codec/chroma/bits``, such as ``hevc/420/10``; an answer the dict of GetDecoderCaps, or ``None`` where NVDEC does not
decode it. Each question makes a CUDA context, so that only the clip's own format is asked for: 0.3 s instead of 5 to 8.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_saliency.analysis.cuda.child import SECONDS, run_probe_child
from gpu_saliency.analysis.cuda.memory import cuda_error
from gpu_saliency.cache.folder import cache_folder
from gpu_saliency.cache.store import Cache
from gpu_saliency.errors import setting

Caps = dict[str, int]
_LIMIT = 1 << 20
"""Bytes of all answers in the cache folder; one has about 200."""


@dataclass(frozen=True, slots=True)
class CapsSource:
    """What the answers of one GPU depend on."""

    number: int
    """CUDA's number of the GPU."""
    gpu: str
    """Its name, memory and compute capability."""
    driver: str | None
    """The version of the driver; where it is not known, no answer is kept."""
    library: str | None
    """The version of PyNvVideoCodec."""

    def ask(self, formats: Sequence[str]) -> dict[str, Caps | None]:
        """Answer for ``formats``, from the cache folder where it has the answer. Raises `ToolMissingError`."""
        answers = {one: answer for one in formats if (answer := self._kept(one)) is not None}
        missing = [one for one in formats if one not in answers]
        if missing:
            asked = self._ask_child(missing)
            for one in missing:
                answers[one] = asked.get(one, {})
                self._keep(one, answers[one])
        return {one: answers[one] or None for one in formats}

    def _ask_child(self, formats: Sequence[str]) -> dict[str, Caps]:
        # GetDecoderCaps of PyNvVideoCodec 2.2.4 answers for the first GPU that the process sees, whatever number it gets.
        try:
            sections, ending = run_probe_child(*formats, CUDA_VISIBLE_DEVICES=visible_device(self.number))
        except subprocess.TimeoutExpired:
            sections, ending = {}, f"it did not respond within {SECONDS} s"
        found: dict[str, Caps] | None = sections.get("caps")
        if found is None or "error" in found:
            reason = ending if found is None else found["error"]
            raise cuda_error(f"NVDEC of GPU {self.number} cannot be probed: {reason}", f"give {setting('decoders', 'cpu')}")
        return found

    def _cache(self) -> Cache:
        return Cache(cache_folder() / "nvdec", ".json", _LIMIT)

    def _key(self, one: str) -> str:
        return hashlib.sha256(json.dumps([self.gpu, self.driver, self.library, one]).encode()).hexdigest()

    def _kept(self, one: str) -> Caps | None:
        if self.driver is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            path = self._cache().find(self._key(one))
            found = None if path is None else json.loads(path.read_text(encoding="utf-8"))
            if isinstance(found, dict) and all(isinstance(value, int) for value in found.values()):
                return found
        return None

    def _keep(self, one: str, answer: Caps) -> None:
        if self.driver is not None:
            # Without a cache folder the question is asked again next time.
            with contextlib.suppress(OSError):
                self._cache().add(self._key(one), functools.partial(_write, json.dumps(answer)))


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def visible_device(gpu: int) -> str:
    """The value of ``CUDA_VISIBLE_DEVICES`` with which a process sees only the GPU that has the number ``gpu`` here."""
    shown = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return shown[gpu] if gpu < len(shown) else str(gpu)
