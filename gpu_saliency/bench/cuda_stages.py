"""The stages of the analysis on the device ``cuda``, for the benchmark; each waits for its stream before it returns."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np

from gpu_saliency.analysis.cuda.colour_matrices import ColourMatrices
from gpu_saliency.analysis.cuda.device import CudaDevice
from gpu_saliency.analysis.cuda.kernels.checked import Kernels
from gpu_saliency.analysis.cuda.memory import Traffic, memory_errors_as_missing, on_gpu
from gpu_saliency.analysis.cuda.model import CudaModel
from gpu_saliency.analysis.cuda.session import CudaSession
from gpu_saliency.analysis.run import analyse_clip
from gpu_saliency.bench.device_clock import timed_on
from gpu_saliency.bench.first_map import warm_first_map
from gpu_saliency.bench.kept_surfaces import KeptSurfaces
from gpu_saliency.bench.stages import ONE_DECODER, STAGES, Timed, timed
from gpu_saliency.grid import grid_shape
from gpu_saliency.model.contract import TOLERANCE, InputSize
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import Sampling

_PICTURES = 512
"""Pictures preprocessed in one measurement, each by one kernel, so that it takes milliseconds."""
_INFERENCES = 16
_REDUCTIONS = 64
"""Batches reduced in one measurement, each by three or four kernels."""
_INPUTS = 3
"""Batches that the model reads in turn, as many as a lane has slots."""
_POLL_SECONDS = 0.05


class CudaStages:
    """The `Stages` of the device ``cuda``. Those of one GPU alone use the first: ``preprocess``, ``infer`` and ``reduce``."""

    def __init__(self, clip: Clip, device: CudaDevice, model: CudaModel, sampling: Sampling) -> None:
        """Open a decoder, keep the first surfaces and preprocess some, and run every kernel once."""
        import cupy

        self._clip, self._device, self._model, self._sampling = clip, device, model, sampling
        # The start of the run indexes the clip, so that `decode` measures decoding only.
        self._run = device.start(clip, model, sampling)
        self._size = model.input_size(clip.upright_aspect)
        self.gpu = self._run.gpus[0]
        self._facts: dict[str, Any] = {}
        self._sessions: dict[tuple[int, InputSize], tuple[CudaSession, list[Any], list[Any]]] = {}
        with self._here():
            session, self._inputs, _ = self._session(model.batch_size, self._size)
            self._cuda_stream = session.cuda_stream
            self._maps = session.maps
            self._kernels = Kernels.on(self._cuda_stream)
            decoder = self._run.open_decoder()
            with closing(decoder), closing(decoder.frames(None, self._cuda_stream)) as frames:  # type: ignore[type-var]
                self._kept = KeptSurfaces(frames, self._cuda_stream)
            self._matrix = ColourMatrices(Traffic()).get(self._kept.colour, self._cuda_stream)
            with self._cuda_stream:
                batch, (width, height) = session.shape[0], self._size.content
                self._luma = cupy.zeros((batch, height, width), np.float32)
                self._codes = [cupy.zeros((batch, *grid_shape(clip.width, clip.height)), np.uint8) for _ in range(3)]
                self._motion = cupy.zeros(batch, np.float32)
                self._breach = cupy.zeros(1, np.int32)
            # As in a lane, which has addresses in place of arrays.
            self._picture_to_input = self._kernels.prepare_picture_to_input(self._size, clip.orientation.code)
            self._places = [(one[i].data.ptr, self._luma[i].data.ptr) for one in self._inputs for i in range(batch)]
            # Compiles the kernels, and gives the model and the reduction pictures of the clip.
            for i in range(_INPUTS * batch):
                self._preprocess(i)
            self._cuda_stream.synchronize()
        self.infer()
        with self._here():
            self._reduce()
            self._cuda_stream.synchronize()

    @property
    def names(self) -> tuple[str, ...]:
        return (ONE_DECODER, *STAGES) if self._run.decoder_count > 1 else STAGES

    def decode(self) -> Timed:
        with memory_errors_as_missing(self.gpu):
            return Timed(*self._run.decode_only())

    def decode_one(self) -> Timed:
        with memory_errors_as_missing(self.gpu):
            return Timed(*self._run.decode_only(one_decoder=True))

    def preprocess(self) -> Timed:
        def launch() -> int:
            for i in range(_PICTURES):
                self._preprocess(i)
            return _PICTURES

        with self._here():
            return timed_on(self._cuda_stream, launch, held=True)

    def _preprocess(self, number: int) -> None:
        """Enqueue the preprocessing of one kept picture into the next place of the batches."""
        surface = self._kept.surfaces[number % len(self._kept.surfaces)]
        self._picture_to_input(surface, self._matrix.data.ptr, *self._places[number % len(self._places)])

    def infer(self) -> Timed:
        return self.infer_at(self._model.batch_size, self._size)

    def infer_at(self, batch_size: int, size: InputSize) -> Timed:
        with self._here():
            session, _, bindings = self._session(batch_size, size)

            def launch() -> int:
                for i in range(_INFERENCES):
                    session.run(bindings[i % _INPUTS])
                return _INFERENCES * int(session.shape[0])

            # Not held: an inference is many kernels, and may allocate memory.
            return timed_on(session.cuda_stream, launch, held=False)

    def _session(self, batch_size: int, size: InputSize) -> tuple[CudaSession, list[Any], list[Any]]:
        """The session for that shape, its inputs, filled with noise when they are made, and their bindings."""
        import cupy

        key = (batch_size, size)
        if key not in self._sessions:
            session = self._model.session(self.gpu, batch_size, size)
            noise = np.random.default_rng(0).normal(size=session.shape).astype(np.float32)
            with session.cuda_stream:
                inputs = [cupy.asarray(noise) for _ in range(_INPUTS)]
            self._sessions[key] = session, inputs, [session.bind(one) for one in inputs]
            session.cuda_stream.synchronize()
        return self._sessions[key]

    def reduce(self) -> Timed:
        def launch() -> int:
            for _ in range(_REDUCTIONS):
                self._reduce()
            return _REDUCTIONS * len(self._luma)

        with self._here():
            return timed_on(self._cuda_stream, launch, held=True)

    def _reduce(self) -> None:
        """Enqueue the kernels of `DeviceRecorder.add` for the maps of the last inference and their luma."""
        frame_size, orientation = (self._clip.width, self._clip.height), self._clip.orientation.code
        place = (self._size, orientation, frame_size, TOLERANCE, self._breach)
        self._kernels.saliency_blocks(self._maps.saliency, *place, self._codes[0])
        if self._maps.gaze is not None:
            self._kernels.saliency_blocks(self._maps.gaze, *place, self._codes[1], square_root=True)
        self._kernels.activity_blocks(self._luma, self._luma[0], orientation, frame_size, self._codes[2])
        self._kernels.luma_motion(self._luma, self._luma[0], self._motion)

    def whole(self) -> Timed:
        def work() -> int:
            result = analyse_clip(self._clip, self._model, self._device, self._sampling)
            self._facts = result.facts
            return result.track.frame_count

        with memory_errors_as_missing(self.gpu), peak_memory(self.gpu) as peak:
            taken = timed(work)
        self._facts = self._facts | {"device_peak_bytes": peak[0]}
        return taken

    def first_map(self) -> Timed:
        with memory_errors_as_missing(self.gpu):
            return warm_first_map(self._clip.path, self._device, self._model, self._sampling)

    def facts(self) -> dict[str, Any]:
        facts = self._facts
        return {
            "decoder": facts["decoder"],
            "decoder_reason": facts["decoder_reason"],
            "decoders": facts["decoders"],
            "ranges": self._run.range_count,
            "bytes_to_device": facts["copied_to_device_bytes"],
            "bytes_to_host": facts["copied_to_host_bytes"],
            "device_peak_bytes": facts["device_peak_bytes"],
        }

    @contextmanager
    def _here(self) -> Iterator[None]:
        with memory_errors_as_missing(self.gpu), on_gpu(self.gpu):
            yield


@contextmanager
def peak_memory(gpu: int) -> Iterator[list[int]]:
    """Measure the peak memory that all processes use on ``gpu`` during the block, polled 20 times a second.

    Yields a list with one item, the peak in bytes so far.
    """
    import cupy

    peak = [0]
    ended = threading.Event()

    def poll() -> None:
        # Its failure would only lose the figure; the analysis reports the same error itself.
        with contextlib.suppress(Exception), on_gpu(gpu):
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
