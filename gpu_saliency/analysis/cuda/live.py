"""The analysis of a live source on a GPU: each frame is decoded on the host and copied to the GPU, which does the rest.

NVDEC is not used: such a stream can neither be indexed before it is decoded nor be read again.
"""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np

from gpu_saliency.analysis.cuda.colour_matrices import ColourMatrices
from gpu_saliency.analysis.cuda.decode.upload import Uploader, readable_frame
from gpu_saliency.analysis.cuda.kernels.checked import Kernels
from gpu_saliency.analysis.cuda.memory import Traffic, borrowed_stream, memory_errors_as_missing, on_gpu, to_host
from gpu_saliency.analysis.cuda.model import CudaModel
from gpu_saliency.analysis.cuda.recorder import DeviceRecorder, RangeSamples
from gpu_saliency.analysis.cuda.reducer import DeviceReducer
from gpu_saliency.analysis.device import LiveSample
from gpu_saliency.analysis.track import Samples
from gpu_saliency.model.contract import breach
from gpu_saliency.source.clip import Clip


class CudaLiveRun:
    """The analysis of one live source on one GPU, a `LiveRun`; all work is on the stream of the model's session."""

    def __init__(self, clip: Clip, model: CudaModel, gpu: int) -> None:
        """A batch size of ``model`` above 1 wastes work: each frame is a batch of its own."""
        import cupy

        self._clip, self._model, self._gpu = clip, model, gpu
        self._size = model.input_size(clip.upright_aspect)
        self._traffic = Traffic()
        self._uploader = Uploader(self._traffic)
        self._matrices = ColourMatrices(self._traffic)
        self._recorder = DeviceRecorder(clip, self._size)
        self._target = RangeSamples(None, gpu)
        with memory_errors_as_missing(gpu), on_gpu(gpu):
            self._session = model.session(gpu, model.batch_size, self._size)
            self._cuda_stream = self._session.cuda_stream
            self._kernels = Kernels.on(self._cuda_stream)
            with self._cuda_stream:
                self._input = cupy.zeros(self._session.shape, np.float32)
                self._luma = cupy.zeros((self._session.shape[0], *self._size.content[::-1]), np.float32)
            self._binding = self._session.bind(self._input)

    def add(self, number: int, frame: av.VideoFrame) -> LiveSample:
        readable, colour = readable_frame(frame)
        with memory_errors_as_missing(self._gpu), on_gpu(self._gpu):
            surface = self._uploader.place(readable, self._cuda_stream)
            target = self._input[0], self._luma[0]
            orientation = self._clip.orientation.code
            self._kernels.picture_to_input(surface, self._size, orientation, self._matrices.get(colour, self._cuda_stream), *target)
            maps = self._session.run(self._binding)
            one = self._target
            self._recorder.add(one, [number], maps, self._luma, self._cuda_stream)
            resident = [chunks.pop() for chunks in (one.saliency, one.activity, one.motion, one.gaze) if chunks]
            one.sample_frame.clear()
            saliency, activity, motion, *gaze = to_host(resident, self._cuda_stream, self._traffic)
            if self._recorder.was_breached(self._gpu, self._cuda_stream, self._traffic):
                raise breach(self._model.path, "a value of a map is not in 0 .. 1, or not a number")
        samples = Samples(
            sample_frame=np.array([number], np.int64),
            saliency=saliency,
            activity=activity,
            motion=motion,
            gaze=gaze[0] if gaze else None,
            attention=self._model.attention,
        )
        return LiveSample(samples, resident)

    def reducer(self, kept: Sequence[LiveSample]) -> DeviceReducer:
        import cupy

        with memory_errors_as_missing(self._gpu), on_gpu(self._gpu), borrowed_stream(self._gpu) as cuda_stream, cuda_stream:
            # The arrays are complete: `add` has waited for them.
            saliency, activity, _, *gaze = (cupy.concatenate(parts) for parts in zip(*(one.resident for one in kept), strict=True))
        return DeviceReducer(self._gpu, saliency, activity, gaze[0] if gaze else None)
