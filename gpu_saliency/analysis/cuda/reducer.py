"""The `Reducer` for tracks that were made on a GPU: reduces the maps of each segment on that GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.aggregate import check_aggregator
from gpu_saliency.analysis.cuda.kernels.checked import Kernels
from gpu_saliency.analysis.cuda.memory import borrowed_stream, memory_errors_as_missing, on_gpu, to_host
from gpu_saliency.analysis.reduce import Decode, motion_within_scenes
from gpu_saliency.analysis.track import SaliencyTrack, decode_activity, decode_gaze, decode_saliency


class DeviceReducer:
    """Holds uint8 ``[samples, rows, cols]`` of saliency, activity and gaze on a GPU; only reduced maps leave it."""

    def __init__(self, gpu: int, saliency: Any, activity: Any, gaze: Any = None) -> None:
        self._gpu, self._saliency, self._activity, self._gaze = gpu, saliency, activity, gaze

    def reduce_saliency(
        self, track: SaliencyTrack, starts: NDArray[np.int64], aggregator: str, ema_alpha: float
    ) -> NDArray[np.float32]:
        return self._reduce_maps(self._saliency, decode_saliency, track, starts, aggregator, ema_alpha)

    def reduce_gaze(
        self, track: SaliencyTrack, starts: NDArray[np.int64], aggregator: str, ema_alpha: float
    ) -> NDArray[np.float32]:
        if self._gaze is None:
            raise ValueError("the track has no gaze maps")
        return self._reduce_maps(self._gaze, decode_gaze, track, starts, aggregator, ema_alpha)

    def _reduce_maps(
        self, codes: Any, decode: Decode, track: SaliencyTrack, starts: NDArray[np.int64], aggregator: str, ema_alpha: float
    ) -> NDArray[np.float32]:
        check_aggregator(aggregator, ema_alpha)
        motion = motion_within_scenes(track).astype(np.float32)
        decoded = decode(np.arange(256, dtype=np.uint8))

        def launch(kernels: Kernels, edges: Any, out: Any) -> None:
            kernels.reduce_saliency(codes, _put(decoded), _put(motion), edges, aggregator, ema_alpha, out)

        return self._reduce(starts, launch)

    def reduce_activity(self, track: SaliencyTrack, starts: NDArray[np.int64]) -> NDArray[np.float32]:
        counts = (~track.after_cut()).astype(np.uint8)
        decoded = decode_activity(np.arange(256, dtype=np.uint8))

        def launch(kernels: Kernels, edges: Any, out: Any) -> None:
            kernels.reduce_activity(self._activity, _put(counts), edges, _put(decoded), out)

        return self._reduce(starts, launch)

    def _reduce(self, starts: NDArray[np.int64], launch: Any) -> NDArray[np.float32]:
        import cupy

        samples = len(self._saliency)
        edges = np.append(starts, samples).astype(np.int32)
        with memory_errors_as_missing(self._gpu), on_gpu(self._gpu), borrowed_stream(self._gpu) as cuda_stream:
            with cuda_stream:
                out = cupy.empty((len(starts), *self._saliency.shape[1:]), np.float32)
                launch(Kernels.on(cuda_stream), _put(edges), out)
            (reduced,) = to_host([out], cuda_stream)
        return reduced


def _put(array: NDArray[Any]) -> Any:
    """Copy ``array`` to the current device, on the current stream."""
    import cupy

    return cupy.asarray(array)
