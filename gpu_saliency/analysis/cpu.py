"""The device ``cpu``: libavcodec, libswscale, numpy and ONNX Runtime's CPU provider."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.activity import activity_map
from gpu_saliency.analysis.device import DeviceMemoryError, Found, Model
from gpu_saliency.analysis.track import SaliencyTrack, Samples, encode_activity, encode_saliency
from gpu_saliency.errors import ToolMissingError
from gpu_saliency.grid import block_mean
from gpu_saliency.model.onnx import SaliencyModel, normalise
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, FrameBatch, decode_batches
from gpu_saliency.source.prefetch import prefetch
from gpu_saliency.source.sampling import Sampling

# BT.709 luma weights, on R'G'B'. Only differences of this luma are used, so the source's own matrix does not matter.
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32) / 255


class CpuDevice:
    name = "cpu"

    def load_model(self, path: Path) -> SaliencyModel:
        return SaliencyModel(path, providers=("CPUExecutionProvider",))

    def start(self, clip: Clip, model: Model, sampling: Sampling) -> CpuRun:
        assert isinstance(model, SaliencyModel)
        return CpuRun(clip, model, sampling)


class CpuRun:
    """One clip on the CPU. Memory grows by two bytes per block and sampled frame."""

    notice = None

    def __init__(self, clip: Clip, model: SaliencyModel, sampling: Sampling) -> None:
        self._clip, self._model, self._sampling = clip, model, sampling
        self._size = model.input_size(clip.upright_aspect)
        self._tally = DecodeTally()
        self._saliency: list[NDArray[np.uint8]] = []
        self._activity: list[NDArray[np.uint8]] = []
        self._sample_frame: list[int] = []
        self._motion: list[float] = []
        self._added = 0
        self._previous: NDArray[np.float32] | None = None

    def batches(self) -> Generator[FrameBatch, None, None]:
        return prefetch(decode_batches(self._clip, self._sampling, self._size.content, self._model.batch_size, self._tally))

    def infer(self, batch: FrameBatch) -> NDArray[np.float32]:
        """``[N, H, W]`` in 0..1, upright and padded."""
        return self._model(normalise(batch.rgb, self._size.padded))

    def record(self, batch: FrameBatch, maps: NDArray[np.float32]) -> int:
        self._saliency += list(encode_saliency(self._blocks(maps)))
        for luma in np.asarray(batch.rgb @ _LUMA, np.float32):
            self._activity += list(encode_activity(self._blocks(activity_map(luma, self._previous)[None])))
            self._motion.append(0.0 if self._previous is None else float(np.abs(luma - self._previous).mean()))
            self._previous = luma
        self._sample_frame += batch.index.tolist()
        self._added = len(batch.index)
        return self._sample_frame[-1] + 1

    def latest(self) -> tuple[Samples, DecodeTally | None] | None:
        new = slice(-self._added, None)
        saliency, activity = np.stack(self._saliency[new]), np.stack(self._activity[new])
        numbers, motion = np.array(self._sample_frame[new], np.int64), np.array(self._motion[new], np.float32)
        return Samples(numbers, saliency, activity, motion), self._tally

    def _blocks(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Upright, padded ``[N, H, W]`` to the coded frame's ``[N, rows, cols]``: padding cut off, rotation undone."""
        width, height = self._size.content
        coded = np.rot90(maps[:, :height, :width], -self._clip.rotation // 90, axes=(1, 2))
        return block_mean(coded, self._clip.width, self._clip.height)

    def retry_smaller(self, error: DeviceMemoryError) -> str:
        raise ToolMissingError(f"{self._clip.path}: there is too little memory: {error}") from error

    def finish(self) -> Found:
        tally = self._tally
        track = SaliencyTrack(
            saliency=np.stack(self._saliency),
            activity=np.stack(self._activity),
            sample_frame=np.array(self._sample_frame, np.int64),
            motion=np.array(self._motion, np.float32),
            frame_count=tally.frames,
            cuts=tally.scene.cuts(),
            frame_pts=tally.frame_pts(),
            time_base=tally.time_base,
        )
        facts = {"decoder": "libavcodec", "decoder_reason": "the decoder of device cpu"}
        return Found(track, tally.corrupt_packets, tally.variable_frame_rate, facts)
