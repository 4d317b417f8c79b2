"""The stages of the analysis on the device ``cpu``, for the benchmark."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from gpu_saliency.analysis.cpu import CpuDevice
from gpu_saliency.analysis.recorder import HostRecorder
from gpu_saliency.analysis.run import analyse_clip
from gpu_saliency.bench.first_map import warm_first_map
from gpu_saliency.bench.stages import STAGES, Timed, timed
from gpu_saliency.model.contract import InputSize
from gpu_saliency.model.onnx import SaliencyModel, normalise
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, FrameBatch, decode_frames
from gpu_saliency.source.sampling import Sampling
from gpu_saliency.source.shrink import Shrinker

_KEPT_FRAMES = 32
"""Number of decoded frames that preprocessing uses in turn: too many for the CPU's caches."""
_REPEATS = 4


class CpuStages:
    """The `Stages` of the device ``cpu``."""

    names = STAGES

    def __init__(self, clip: Clip, model: SaliencyModel, sampling: Sampling, batch_size: int) -> None:
        """Decode the first frames for preprocessing. All stages use ``batch_size``, unless the model fixes it at 1."""
        if model.batch_size > 1:
            model.contract = replace(model.contract, batch_size=batch_size)
        self._clip, self._model, self._sampling = clip, model, sampling
        self._size = model.input_size(clip.upright_aspect)
        self._shrink = Shrinker(self._size.content, clip.orientation)
        self._kept = list(islice(decode_frames(clip, DecodeTally()), _KEPT_FRAMES))
        pictures = np.stack([self._shrink(frame) for frame in self._kept[: model.batch_size]])
        self._frames = FrameBatch(np.arange(len(pictures)), pictures)
        self._batch = normalise(pictures, self._size.padded)
        self._maps = model(self._batch)
        self._recorder = HostRecorder(clip, self._size, model.attention)
        self._facts: dict[str, Any] = {}

    def decode(self) -> Timed:
        def work() -> int:
            tally = DecodeTally()
            for _ in decode_frames(self._clip, tally):
                pass
            return tally.frames

        return timed(work)

    decode_one = decode

    def preprocess(self) -> Timed:
        def work() -> int:
            step = self._model.batch_size
            for start in range(0, len(self._kept), step):
                normalise(np.stack([self._shrink(frame) for frame in self._kept[start : start + step]]), self._size.padded)
            return len(self._kept)

        return timed(work)

    def infer(self) -> Timed:
        return self._infer(self._batch)

    def infer_at(self, batch_size: int, size: InputSize) -> Timed:
        shape = (batch_size, 3, *size.padded[::-1])
        return self._infer(np.random.default_rng(0).normal(size=shape).astype(np.float32))

    def _infer(self, batch: np.ndarray[Any, np.dtype[np.float32]]) -> Timed:
        def work() -> int:
            for _ in range(_REPEATS):
                self._model(batch)
            return _REPEATS * len(batch)

        return timed(work)

    def reduce(self) -> Timed:
        def work() -> int:
            for _ in range(_REPEATS):
                self._recorder.add(self._frames, self._maps)
            return _REPEATS * len(self._batch)

        return timed(work)

    def whole(self) -> Timed:
        def work() -> int:
            result = analyse_clip(self._clip, self._model, CpuDevice(), self._sampling)
            self._facts = result.facts
            return result.track.frame_count

        return timed(work)

    def first_map(self) -> Timed:
        return warm_first_map(self._clip.path, CpuDevice(), self._model, self._sampling)

    def facts(self) -> dict[str, Any]:
        none = dict.fromkeys(("bytes_to_device", "bytes_to_host", "device_peak_bytes"))
        return none | {"decoder": self._facts.get("decoder"), "decoder_reason": self._facts.get("decoder_reason")}
