"""The stages of a job that is a ladder: one analysis, then all outputs, except those that an earlier try has finished."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.sidecar import save_sidecar
from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.journal import Journal
from gpu_saliency.batch.order import MakeRequest, Order
from gpu_saliency.batch.outputs import flush, sidecar_of
from gpu_saliency.batch.place import journal_file
from gpu_saliency.encode.prepare import prepare_encode
from gpu_saliency.encode.readback import key_frame_times
from gpu_saliency.ladder import check_key_frames, keyint_of, ladder_json
from gpu_saliency.pipeline import analyse_request, encode_clip
from gpu_saliency.process import signals
from gpu_saliency.progress import Advance, Observer
from gpu_saliency.request import EncodeRequest, check_destinations

Encodes = list[tuple[JobSpec, EncodeRequest]]


def plan_ladder(order: Order, make_request: MakeRequest, observer: Observer) -> dict[str, Any]:
    """Check all outputs that are to be made, and analyse the clip once. Raises any `GpuSaliencyError`.

    Returns the number of frames.
    """
    journal = _journal(order)
    encodes = _encodes(order, make_request, journal)
    undone = [(spec, request) for spec, request in encodes if journal.finished(spec) is None]
    for _, request in undone:
        check_destinations(prepare_encode(request.clip, request.encode), request)
    if not undone:
        return {"frames": encodes[0][1].clip.frame_count}
    return {"frames": _analyse(Path(order.maps), encodes, journal, observer)}


def encode_ladder(order: Order, make_request: MakeRequest, observer: Observer) -> dict[str, Any]:
    """Make the outputs one after the other; each is on the disk before the next begins. Raises any `GpuSaliencyError`.

    An output that an earlier try has finished stays as it is. Returns the result as ``ladder --json`` prints it.
    """
    started = time.perf_counter()
    journal, maps = _journal(order), Path(order.maps)
    encodes = _encodes(order, make_request, journal)
    results = []
    for number, (spec, request) in enumerate(encodes, 1):
        signals.resumed()
        result = journal.finished(spec)
        if result is None:
            part = _Part(observer, f"rung {number} of {len(encodes)}: ")
            if not maps.exists():
                _analyse(maps, encodes, journal, part)
            journal.begin(spec)
            result = encode_clip(replace(request, analysed=maps), part).to_json()
            flush(request.output_path, request.sidecar_path)
            journal.finish(spec, result)
        results.append(result)
    times = {request.output_path: key_frame_times(request.output_path) for _, request in encodes}
    shared = check_key_frames(times)
    keyint = encodes[0][1].encode.keyint
    assert keyint is not None
    return ladder_json(results, keyint, shared, time.perf_counter() - started)


def _encodes(order: Order, make_request: MakeRequest, journal: Journal) -> Encodes:
    """The encodes of the ladder with the requests for them: of one clip, with the same distance of key frames.

    An output that was finished, and that somebody has changed since, is not replaced unless the user allows it.
    """
    found: Encodes = []
    clip = None
    for spec in order.spec.encodes():
        request = make_request(spec, order.replaces and not journal.is_of_others(spec), clip)
        clip = request.clip
        found.append((spec, replace(request, encode=replace(request.encode, keyint=keyint_of(clip, request.encode)))))
    return found


def _journal(order: Order) -> Journal:
    return Journal(journal_file(Path(order.maps)), order.finished)


def _analyse(maps: Path, encodes: Encodes, journal: Journal, observer: Observer) -> int:
    """Write ``maps``: those of an output that is finished, else of an analysis. Returns the number of frames."""
    done = next((sidecar_of(spec) for spec, _ in encodes if journal.finished(spec) is not None), None)
    found = analyse_request(replace(encodes[0][1], analysed=done), observer, write=False).sidecar
    maps.parent.mkdir(exist_ok=True)
    save_sidecar(replace(found, encodes={}), maps)
    return found.frame_count


class _Part(Observer):
    """An observer of a part of the work: the names of its stages begin with a title."""

    def __init__(self, whole: Observer, title: str) -> None:
        super().__init__()
        self._whole, self._title, self.spell = whole, title, whole.spell

    @contextmanager
    def stage(self, name: str, unit: str = "frames") -> Iterator[Advance]:
        with self._whole.stage(f"{self._title}{name}", unit) as advance:
            yield advance

    def detail(self, line: str) -> None:
        self._whole.detail(line)

    def say(self, line: str) -> None:
        self._whole.say(line)

    def warn(self, line: str) -> None:
        self.warnings.append(line)
        self._whole.warn(line)

    def error(self, line: str) -> None:
        self._whole.error(line)
