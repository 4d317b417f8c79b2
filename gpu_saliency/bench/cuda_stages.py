"""The stages of the analysis on the device ``cuda``, for the benchmark; each waits for its stream before it returns."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gpu_saliency.analysis.cuda.decode.colour import yuv_to_rgb_matrix
from gpu_saliency.analysis.cuda.device import CudaDevice
from gpu_saliency.analysis.cuda.kernels.checked import Kernels
from gpu_saliency.analysis.cuda.memory import on_gpu
from gpu_saliency.analysis.cuda.model import CudaModel
from gpu_saliency.analysis.run import analyse_clip
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import Sampling

_PICTURES = 256
"""Pictures preprocessed in one measurement, so that it takes at least a millisecond."""
_BATCHES = 16
_POLL_SECONDS = 0.05


class CudaStages:
    """The `Stages` of the device ``cuda``, on one or more GPUs."""

    def __init__(self, clip: Clip, device: CudaDevice, model: CudaModel, sampling: Sampling) -> None:
        """Open a decoder and decode the first surface, which `preprocess` reads repeatedly."""
        import cupy

        self._clip, self._device, self._model, self._sampling = clip, device, model, sampling
        # The start of the run indexes the clip, so that `decode` measures decoding only.
        self._run = device.start(clip, model, sampling)
        self._size = model.input_size(clip.upright_aspect)
        self.gpu = self._run.gpus[0]
        self._session = model.session(self.gpu, model.batch_size, self._size)
        self._facts: dict[str, Any] = {}
        with on_gpu(self.gpu):
            self._cuda_stream = cupy.cuda.Stream(non_blocking=True)
            self._frames = self._run.open_decoder().frames(None, self._cuda_stream)
            self._decoded = next(iter(self._frames))
            self._surface = self._decoded.surface()
            with self._cuda_stream:
                colour = self._decoded.colour
                matrix = yuv_to_rgb_matrix(colour.colorspace, colour.is_full, colour.bits, has_chroma=colour.has_chroma)
                self._matrix = cupy.asarray(matrix)
                self._input = cupy.zeros(self._session.shape, np.float32)
                self._luma = cupy.zeros((self._session.shape[0], self._size.content[1], self._size.content[0]), np.float32)
            self._binding = self._session.bind(self._input)
            self._cuda_stream.synchronize()

    def decode(self) -> int:
        return self._run.decode_only()

    def preprocess(self) -> int:
        with on_gpu(self.gpu):
            kernels = Kernels.on(self._cuda_stream)
            for i in range(_PICTURES):
                place = i % self._session.shape[0]
                target = self._input[place], self._luma[place]
                kernels.picture_to_input(self._surface, self._size, self._clip.rotation // 90, self._matrix, *target)
            self._cuda_stream.synchronize()
        return _PICTURES

    def infer(self) -> int:
        with on_gpu(self.gpu):
            for _ in range(_BATCHES):
                self._session.run(self._binding)
            self._session.cuda_stream.synchronize()
        return _BATCHES * int(self._session.shape[0])

    def whole(self) -> int:
        with peak_memory(self.gpu) as peak:
            result = analyse_clip(self._clip, self._model, self._device, self._sampling)
        self._facts = result.facts | {"device_peak_bytes": peak[0]}
        return result.track.frame_count

    def facts(self) -> dict[str, Any]:
        facts = self._facts
        return {
            "decoder": facts["decoder"],
            "decoder_reason": facts["decoder_reason"],
            "decoders": facts["decoders"],
            "bytes_to_device": facts["copied_to_device_bytes"],
            "bytes_to_host": facts["copied_to_host_bytes"],
            "device_peak_bytes": facts["device_peak_bytes"],
        }


@contextmanager
def peak_memory(gpu: int) -> Iterator[list[int]]:
    """Measure the peak memory that all processes use on ``gpu`` during the block, polled 20 times a second.

    Yields a list with one item, the peak in bytes so far.
    """
    import cupy

    peak = [0]
    ended = threading.Event()

    def poll() -> None:
        with on_gpu(gpu):
            while True:
                free, total = cupy.cuda.runtime.memGetInfo()
                peak[0] = max(peak[0], total - free)
                if ended.wait(_POLL_SECONDS):
                    return

    watcher = threading.Thread(target=poll, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()
