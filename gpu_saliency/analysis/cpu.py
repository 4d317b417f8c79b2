"""The device ``cpu``: libavcodec, libswscale, numpy and ONNX Runtime's CPU provider."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import av
import numpy as np

from gpu_saliency.analysis.device import AnalysisResult, DeviceMemoryError, LiveSample, Model
from gpu_saliency.analysis.recorder import HostRecorder, finish_track
from gpu_saliency.analysis.track import Samples
from gpu_saliency.errors import ToolMissingError
from gpu_saliency.model.maps import Maps
from gpu_saliency.model.onnx import SaliencyModel, normalise
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, FrameBatch, decode_batches
from gpu_saliency.source.key_frames import key_frame_batches
from gpu_saliency.source.prefetch import prefetch
from gpu_saliency.source.sampling import Sampling
from gpu_saliency.source.shrink import Shrinker


class CpuDevice:
    """The `Device` ``cpu``: decodes and infers on the CPU."""

    name = "cpu"

    def load_model(self, path: Path) -> SaliencyModel:
        return SaliencyModel(path, providers=("CPUExecutionProvider",))

    def start(self, clip: Clip, model: Model, sampling: Sampling) -> CpuRun:
        assert isinstance(model, SaliencyModel)
        return CpuRun(clip, model, sampling)

    def start_live(self, clip: Clip, model: Model) -> CpuLiveRun:
        assert isinstance(model, SaliencyModel)
        return CpuLiveRun(clip, model)


class CpuRun:
    """The analysis of one clip on the CPU, a `Run`. Memory grows by two bytes per block and sample, three with gaze."""

    notice = None

    def __init__(self, clip: Clip, model: SaliencyModel, sampling: Sampling) -> None:
        self._clip, self._model, self._sampling = clip, model, sampling
        self._size = model.input_size(clip.upright_aspect)
        self._tally = DecodeTally()
        self._recorder = HostRecorder(clip, self._size, model.attention, far_apart=sampling.at_key_frames)
        self._samples: list[Samples] = []

    def batches(self) -> Generator[FrameBatch, None, None]:
        size, batch_size, tally = self._size.content, self._model.batch_size, self._tally
        if self._sampling.at_key_frames:
            return prefetch(key_frame_batches(self._clip, self._sampling, size, batch_size, tally))
        return prefetch(decode_batches(self._clip, self._sampling, size, batch_size, tally))

    def infer(self, batch: FrameBatch) -> Maps:
        """Compute the maps ``[N, H, W]`` in 0..1 of ``batch``, upright and padded."""
        return self._model(normalise(batch.rgb, self._size.padded))

    def add(self, batch: FrameBatch, maps: Maps) -> int:
        self._samples.append(self._recorder.add(batch, maps))
        return int(batch.index[-1]) + 1

    def latest(self) -> tuple[Samples, DecodeTally | None] | None:
        return self._samples[-1], self._tally

    def retry_smaller(self, error: DeviceMemoryError) -> str:
        raise ToolMissingError(f"{self._clip.path}: the analysis is out of memory: {error}", cure="close other programs") from error

    def finish(self) -> AnalysisResult:
        return finish_track(self._clip, self._samples, self._tally)


class CpuLiveRun:
    """The analysis of one live source on the CPU, a `LiveRun`."""

    def __init__(self, clip: Clip, model: SaliencyModel) -> None:
        self._model = model
        self._size = model.input_size(clip.upright_aspect)
        self._shrink = Shrinker(self._size.content, clip.orientation)
        self._recorder = HostRecorder(clip, self._size, model.attention)

    def add(self, number: int, frame: av.VideoFrame) -> LiveSample:
        batch = FrameBatch(np.array([number], np.int64), self._shrink(frame)[None])
        return LiveSample(self._recorder.add(batch, self._model(normalise(batch.rgb, self._size.padded))))

    def reducer(self, kept: Sequence[LiveSample]) -> None:
        """``None``: the samples are in host memory only."""
