"""The stages of the analysis on the device ``cpu``, for the benchmark."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from gpu_saliency.analysis.cpu import CpuDevice
from gpu_saliency.analysis.run import analyse_clip
from gpu_saliency.model.onnx import SaliencyModel, normalise
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.sampling import Sampling
from gpu_saliency.source.shrink import Shrinker

_KEPT_FRAMES = 32
"""Number of decoded frames that preprocessing uses in turn: too many for the CPU's caches."""
_REPEATS = 4


class CpuStages:
    """The `Stages` of the device ``cpu``."""

    def __init__(self, clip: Clip, model: SaliencyModel, sampling: Sampling, batch_size: int) -> None:
        """Decode the first frames for preprocessing. All stages use ``batch_size``, unless the model fixes it at 1."""
        if model.batch_size > 1:
            model.contract = replace(model.contract, batch_size=batch_size)
        self._clip, self._model, self._sampling = clip, model, sampling
        self._size = model.input_size(clip.upright_aspect)
        self._shrink = Shrinker(self._size.content, clip.orientation)
        self._kept = list(islice(decode_frames(clip, DecodeTally()), _KEPT_FRAMES))
        pictures = np.stack([self._shrink(frame) for frame in self._kept[: model.batch_size]])
        self._batch = normalise(pictures, self._size.padded)
        self._facts: dict[str, Any] = {}

    def decode(self) -> int:
        tally = DecodeTally()
        for _ in decode_frames(self._clip, tally):
            pass
        return tally.frames

    def preprocess(self) -> int:
        step = self._model.batch_size
        for start in range(0, len(self._kept), step):
            normalise(np.stack([self._shrink(frame) for frame in self._kept[start : start + step]]), self._size.padded)
        return len(self._kept)

    def infer(self) -> int:
        for _ in range(_REPEATS):
            self._model(self._batch)
        return _REPEATS * len(self._batch)

    def whole(self) -> int:
        result = analyse_clip(self._clip, self._model, CpuDevice(), self._sampling)
        self._facts = result.facts
        return result.track.frame_count

    def facts(self) -> dict[str, Any]:
        none = dict.fromkeys(("bytes_to_device", "bytes_to_host", "device_peak_bytes"))
        return none | {"decoder": self._facts.get("decoder"), "decoder_reason": self._facts.get("decoder_reason")}
