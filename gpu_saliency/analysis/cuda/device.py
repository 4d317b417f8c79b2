"""The device ``cuda``: decodes, preprocesses, infers and reduces on NVIDIA GPUs. docs/gpu.md has a diagram."""

from __future__ import annotations

import contextlib
import gc
import itertools
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.cuda.decode.idle import release_idle
from gpu_saliency.analysis.cuda.decode.index import FrameIndex
from gpu_saliency.analysis.cuda.decode.interface import Decoder
from gpu_saliency.analysis.cuda.decode.setup import ClipDecoding
from gpu_saliency.analysis.cuda.lane import Lane, Slot
from gpu_saliency.analysis.cuda.live import CudaLiveRun
from gpu_saliency.analysis.cuda.memory import Traffic, cuda_error, on_gpu, to_host
from gpu_saliency.analysis.cuda.model import CudaModel
from gpu_saliency.analysis.cuda.probe import GpuMachine, require_cuda
from gpu_saliency.analysis.cuda.recorder import DeviceRecorder, RangeSamples
from gpu_saliency.analysis.cuda.reducer import DeviceReducer
from gpu_saliency.analysis.cuda.scene_changes import join_changes
from gpu_saliency.analysis.device import AnalysisResult, DeviceMemoryError, Model
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.errors import setting
from gpu_saliency.model.contract import breach
from gpu_saliency.model.maps import Maps
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally
from gpu_saliency.source.prefetch import merge
from gpu_saliency.source.sampling import Sampling
from gpu_saliency.source.scenes import find_cuts


class CudaDevice:
    """The `Device` ``cuda``: loads models on NVIDIA GPUs and starts runs on them."""

    name = "cuda"

    def __init__(self, settings: GpuSettings) -> None:
        """Check that the GPUs of ``settings`` can be used. Raises `ToolMissingError` with the first problem and its cure."""
        self._settings = settings
        self._machine = require_cuda(settings)

    def load_model(self, path: Path) -> CudaModel:
        return CudaModel(path, self._settings)

    def start(self, clip: Clip, model: Model, sampling: Sampling) -> CudaRun:
        assert isinstance(model, CudaModel)
        return CudaRun(clip, model, sampling, self._settings, self._machine)

    def start_live(self, clip: Clip, model: Model) -> CudaLiveRun:
        """Start the analysis of a live source on the first GPU."""
        assert isinstance(model, CudaModel)
        return CudaLiveRun(clip, model, self._settings.gpus[0])


class CudaRun:
    """The analysis of one clip on GPUs, a `Run`. GPU memory grows by two bytes per block and sample, three with gaze."""

    def __init__(self, clip: Clip, model: CudaModel, sampling: Sampling, settings: GpuSettings, machine: GpuMachine) -> None:
        self._clip, self._model, self._sampling, self._machine = clip, model, sampling, machine
        self._size = model.input_size(clip.upright_aspect)
        self._batch_size = model.batch_size
        self._decoding = ClipDecoding(clip, machine, settings)
        self._tally = DecodeTally()
        self._traffic = Traffic()
        self._recorder = DeviceRecorder(clip, self._size)
        gpus = itertools.cycle(self._decoding.decoders)
        self._ranges = [RangeSamples(frame_range, gpu) for frame_range, gpu in zip(self._decoding.ranges, gpus, strict=False)]

    @property
    def notice(self) -> str | None:
        return f"{self._clip.path}: {self._decoding.reason}" if self._decoding.is_unexpected else None

    def batches(self) -> Generator[Slot, None, None]:
        """Yield the filled slots of all ranges that are not done. The slots of one lane are in order, those of several mixed."""
        self._restart()
        if not all(one.done for one in self._ranges):
            self._tally = DecodeTally()
        stopped = threading.Event()
        lanes = self._lanes([one for one in self._ranges if not one.done], stopped)
        # The number of its slots limits each lane; the queue is so long that it never blocks a lane.
        items = merge([lane.batches() for lane in lanes], 4 * len(lanes), stopped)
        with self._released(lanes), contextlib.closing(items):
            for item in items:
                if isinstance(item, RangeSamples):
                    item.done = True
                else:
                    yield item

    @contextlib.contextmanager
    def _released(self, lanes: list[Lane]) -> Iterator[None]:
        """Release ``lanes`` after the block, when the model has read their slots."""
        try:
            yield
        finally:
            for session in {lane.session for lane in lanes}:
                # An error of the GPU is raised by the work that comes next; here the first one must be kept.
                with contextlib.suppress(Exception), on_gpu(session.gpu):
                    session.cuda_stream.synchronize()
            for lane in lanes:
                lane.release()

    def _restart(self) -> None:
        """Discard the samples of incomplete ranges, which will be decoded again."""
        self._ranges = [one if one.done else one.emptied() for one in self._ranges]

    def _lanes(
        self,
        ranges: list[RangeSamples],
        stopped: threading.Event,
        sampled: Callable[[RangeSamples], Iterator[int]] | None = None,
        on_first: Callable[[], object] = lambda: None,
    ) -> list[Lane]:
        """The lanes of each GPU, at most one for each of its ``ranges``, which they take from one queue."""
        lanes = []
        sampled = sampled or partial(_samples_of, self._sampling, self._decoding.index)
        for gpu, decoders in self._decoding.decoders.items():
            targets = deque(one for one in ranges if one.gpu == gpu)
            for _ in range(min(decoders, len(targets))):
                decoder = self.open_decoder(gpu)
                session = self._model.session(gpu, self._batch_size, self._size)
                orientation = self._clip.orientation.code
                lanes.append(Lane(targets, decoder, session, self._size, orientation, sampled, stopped, self._traffic, on_first))
        return lanes

    @property
    def gpus(self) -> tuple[int, ...]:
        """The numbers of the GPUs that have a range, in the order of their first range."""
        return tuple(dict.fromkeys(one.gpu for one in self._ranges))

    @property
    def range_count(self) -> int:
        """The number of ranges, which the decoders take from queues."""
        return len(self._ranges)

    @property
    def decoder_count(self) -> int:
        """The number of decoders that run side by side, on all GPUs."""
        gpus = [one.gpu for one in self._ranges]
        return sum(min(count, gpus.count(gpu)) for gpu, count in self._decoding.decoders.items())

    def open_decoder(self, gpu: int | None = None) -> Decoder:
        """Open another decoder of the clip, on ``gpu`` or the first GPU."""
        return self._decoding.open(self.gpus[0] if gpu is None else gpu, self._tally, self._traffic)

    def decode_only(self, *, one_decoder: bool = False) -> tuple[int, float]:
        """Decode and measure scene changes, without samples, for the benchmark. Returns the number of frames and the seconds.

        The clock starts when each decoder has delivered a frame, so that their creation is not in it, and those frames are not
        counted. ``one_decoder`` uses one decoder, for about as many frames as it would otherwise get.
        """
        ranges, count = [one.emptied() for one in self._ranges], self.decoder_count
        if one_decoder:
            ranges, count = _first_share(ranges, count), 1
        self._tally = DecodeTally()
        stopped = threading.Event()
        started: list[float] = []
        ready = threading.Barrier(count, lambda: started.append(time.perf_counter()))
        lanes = self._lanes(ranges, stopped, lambda _: itertools.repeat(sys.maxsize), ready.wait)[:count]
        items = merge([_aborting(ready, lane) for lane in lanes], 4 * len(lanes), stopped)
        with self._released(lanes), contextlib.closing(items):
            for item in items:
                if not isinstance(item, RangeSamples):
                    item.lane.give_back(item)
        seconds = time.perf_counter() - started[0]
        return max(1, sum(one.frames for one in ranges) - len(lanes)), seconds

    def infer(self, slot: Slot) -> Maps:
        """Run the model on ``slot``. Returns the session's ``[B, H, W]``, valid on its stream until the next inference."""
        session = slot.lane.session
        with on_gpu(session.gpu):
            session.cuda_stream.wait_event(slot.filled)
            return session.run(slot.binding)

    def add(self, slot: Slot, maps: Maps) -> int:
        session = slot.lane.session
        with on_gpu(session.gpu):
            begin = 0
            for target, numbers in slot.parts:
                end = begin + len(numbers)
                self._recorder.add(target, numbers, maps.part(begin, end), slot.luma[begin:end], session.cuda_stream)
                begin = end
            slot.consumed.record(session.cuda_stream)
        slot.lane.give_back(slot)
        return sum(one.frames for one in self._ranges)

    def latest(self) -> None:
        """``None``: samples stay on the GPU until the end, and the ranges of the clip are analysed in parallel."""

    def retry_smaller(self, error: DeviceMemoryError) -> str:
        import cupy

        smaller = self._batch_size // 2
        if smaller < 1:
            gpu = self._ranges[0].gpu
            raise cuda_error(
                f"GPU {gpu} ({self._machine.gpus[gpu].name}) has too little memory for {self._clip.path}, "
                f"even for one picture at a time: {error}",
                f"run nvidia-smi to find the process that uses it, or give {setting('device', 'cpu')}",
            ) from error
        self._model.forget(self._batch_size)
        release_idle()
        self._batch_size = smaller
        self._restart()
        # The stack frames of the error still refer to the memory, and lanes and slots refer to each other.
        for one in (error, error.__cause__):
            traceback.clear_frames(one.__traceback__ if one is not None else None)
        gc.collect()
        for gpu in {one.gpu for one in self._ranges}:
            with on_gpu(gpu):
                cupy.get_default_memory_pool().free_all_blocks()
        return f"the GPU has too little memory ({error}); trying again with batches of {smaller}"

    def finish(self) -> AnalysisResult:
        self._check_maps()
        ranges, index, tally = self._ranges, self._decoding.index, self._tally
        gpu = ranges[0].gpu
        with on_gpu(gpu):
            cuda_stream = self._model_stream(gpu)
            resident = self._recorder.join(ranges, gpu, cuda_stream, self._traffic)
            # The only copy of the samples to the host.
            saliency, activity, motion, *gaze = to_host(resident, cuda_stream, self._traffic)
        frame_pts, clock = tally.stamps() if index is None else (index.pts, "source")
        track = SaliencyTrack(
            saliency=saliency,
            activity=activity,
            sample_frame=np.array([number for one in ranges for number in one.sample_frame], np.int64),
            motion=motion,
            frame_count=sum(one.frames for one in ranges),
            cuts=tally.scene.cuts() if index is None else find_cuts(self._changes()),
            frame_pts=frame_pts,
            clock=clock,
            time_base=tally.time_base if index is None else index.time_base,
            gaze=gaze[0] if gaze else None,
            attention=self._model.attention,
            reducer=DeviceReducer(gpu, resident[0], resident[1], resident[3] if gaze else None),
        )
        corrupt = tally.damage.failed_packets if index is None else None
        is_variable = tally.variable_frame_rate if index is None else index.is_variable(self._clip.frame_rate)
        shortfall = tally.shortfall(self._clip) if index is None else index.shortfall(self._clip)
        return AnalysisResult(track, corrupt, is_variable, self._facts(), shortfall=shortfall, frame_formats=tally.formats())

    def _model_stream(self, gpu: int) -> Any:
        """The stream of the model on ``gpu``: always the same one, because CuPy keeps free memory by stream."""
        return self._model.session(gpu, self._batch_size, self._size).cuda_stream

    def _check_maps(self) -> None:
        """Wait for the last inference, and raise `ModelError` if a kernel has found a map that breaks the contract."""
        for gpu in {one.gpu for one in self._ranges}:
            cuda_stream = self._model_stream(gpu)
            with on_gpu(gpu):
                cuda_stream.synchronize()
                if self._recorder.was_breached(gpu, cuda_stream, self._traffic):
                    raise breach(self._model.path, "a value of a map is not in 0 .. 1, or not a number")

    def _changes(self) -> NDArray[np.float32]:
        """The change of each frame of the clip from the one before, ``[frames]``, 0..1, also across the edges of ranges."""
        found: dict[int, list[NDArray[np.float32]]] = {}
        for gpu in self.gpus:
            resident = [one.scenes.arrays() for one in self._ranges if one.gpu == gpu and one.scenes is not None]
            with on_gpu(gpu):
                arrays = itertools.chain.from_iterable(resident)
                copied = iter(to_host(list(arrays), self._model_stream(gpu), self._traffic))
            own = (one for one in self._ranges if one.gpu == gpu)
            found |= {id(one): list(itertools.islice(copied, len(each))) for one, each in zip(own, resident, strict=True)}
        return join_changes([(one.frames, found[id(one)]) for one in self._ranges])

    def _facts(self) -> dict[str, Any]:
        return {
            "decoder": self._decoding.backend,
            "decoder_reason": self._decoding.reason,
            "decoders": self.decoder_count,
            "gpus": [f"{gpu}: {self._machine.gpus[gpu].name}" for gpu in self.gpus],
            "batch_size": self._batch_size,
            "copied_to_device_bytes": self._traffic.to_device,
            "copied_to_host_bytes": self._traffic.to_host,
        }


def _aborting(ready: threading.Barrier, lane: Lane) -> Iterator[Slot | RangeSamples]:
    """The batches of ``lane``; a failure before its first frame must not leave the other lanes waiting for it."""
    try:
        yield from lane.batches()
    except threading.BrokenBarrierError:
        return  # another lane has failed, and its error is reported
    finally:
        ready.abort()


def _first_share(ranges: list[RangeSamples], count: int) -> list[RangeSamples]:
    """The first of ``ranges`` on the first GPU, until they have a ``count``-th of all frames."""
    lengths = [one.frame_range.end - one.frame_range.start if one.frame_range else 1 for one in ranges]
    own = [(one, length) for one, length in zip(ranges, lengths, strict=True) if one.gpu == ranges[0].gpu]
    before = itertools.accumulate((length for _, length in own), initial=0)
    return [one for (one, _), frames in zip(own, before, strict=False) if frames * count < sum(lengths)]


def _samples_of(sampling: Sampling, index: FrameIndex | None, target: RangeSamples) -> Iterator[int]:
    return sampled_frames(sampling, target.frame_range.start if target.frame_range else 0, index)


def sampled_frames(sampling: Sampling, start: int, index: FrameIndex | None) -> Iterator[int]:
    """Yield the numbers of the samples from frame ``start`` on, without end. A clip too short for a sample gives its last frame."""
    if index is not None and next(sampling.indices()) >= index.frame_count:
        yield index.frame_count - 1
    for number in sampling.indices():
        if number >= start:
            yield number
