"""The device ``cuda``: decoded, looked at, aggregated and reduced on NVIDIA GPUs; docs/gpu.md draws it on one page."""

from __future__ import annotations

import contextlib
import gc
import itertools
import sys
import threading
import traceback
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.cuda.decode.choose import choose_decoder, clip_chroma_offset, on_cpu
from gpu_saliency.analysis.cuda.decode.index import IrregularStreamError, Timeline, index_clip
from gpu_saliency.analysis.cuda.decode.interface import Decoder, DecoderJob
from gpu_saliency.analysis.cuda.decode.ranges import checked_ranges
from gpu_saliency.analysis.cuda.lane import Lane, Slot
from gpu_saliency.analysis.cuda.memory import Traffic, device_errors, to_host
from gpu_saliency.analysis.cuda.probe import GpuMachine, require_cuda
from gpu_saliency.analysis.cuda.record import RangeRecord, Recorder, join_changes
from gpu_saliency.analysis.cuda.reducer import DeviceReducer
from gpu_saliency.analysis.cuda.session import CudaModel
from gpu_saliency.analysis.device import DeviceMemoryError, Found, Model
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.errors import ToolMissingError
from gpu_saliency.model.contract import breach
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally
from gpu_saliency.source.prefetch import merge
from gpu_saliency.source.sampling import Sampling
from gpu_saliency.source.scenes import find_cuts

_LEAST_RANGE = 240
"""Frames of a range that ``--decoders auto`` makes: starting a decoder costs as much as some frames."""


class CudaDevice:
    name = "cuda"

    def __init__(self, settings: GpuSettings) -> None:
        """Raises `ToolMissingError` with the first thing that is in the way."""
        self._settings = settings
        self._machine = require_cuda(settings)

    def load_model(self, path: Path) -> CudaModel:
        return CudaModel(path, self._settings)

    def start(self, clip: Clip, model: Model, sampling: Sampling) -> CudaRun:
        assert isinstance(model, CudaModel)
        return CudaRun(clip, model, sampling, self._settings, self._machine)


class CudaRun:
    """One clip on one or more GPUs. Memory on the device grows by two bytes per block and sampled frame."""

    def __init__(self, clip: Clip, model: CudaModel, sampling: Sampling, settings: GpuSettings, machine: GpuMachine) -> None:
        self._clip, self._model, self._sampling, self._machine = clip, model, sampling, machine
        self._size = model.input_size(clip.upright_aspect)
        self._batch_size = model.batch_size
        self._choice = choose_decoder(clip, machine, settings)
        # Decoded on the CPU, a clip's frames and times are what comes out, damage and all.
        self._timeline: Timeline | None = None
        if self._choice.name != "upload":
            try:
                self._timeline = index_clip(clip)
            except IrregularStreamError as error:
                self._choice = on_cpu(str(error))
        self._chroma_offset = (0, 0) if self._timeline is None else clip_chroma_offset(clip)
        self._tally = DecodeTally()
        self._traffic = Traffic()
        self._recorder = Recorder(clip, self._size)
        wanted = _range_count(self._timeline, settings, machine)
        ranges = [None] if self._timeline is None else checked_ranges(clip, self._timeline, wanted)
        self._records = [RangeRecord(part, settings.gpus[i % len(settings.gpus)]) for i, part in enumerate(ranges)]
        self._reason = self._choice.reason
        if len(ranges) < wanted:
            self._reason += f"; {len(ranges)} of {wanted} decoders, for so it can be cut at key frames"

    @property
    def notice(self) -> str | None:
        return f"{self._clip.path}: {self._reason}" if self._choice.is_unexpected else None

    def batches(self) -> Generator[Slot, None, None]:
        """Of all ranges that are not done, as they come; those of one range in order."""
        self._records = [record if record.done else record.fresh() for record in self._records]
        if not all(record.done for record in self._records):
            self._tally = DecodeTally()
        stopped = threading.Event()
        lanes = [self._lane(record, stopped) for record in self._records if not record.done]
        # Each lane runs ahead by its own slots; the queue must only not hold it back.
        with contextlib.closing(merge([lane.batches() for lane in lanes], 4 * len(lanes), stopped)) as items:
            for item in items:
                if isinstance(item, RangeRecord):
                    item.done = True
                else:
                    yield item

    def _lane(self, record: RangeRecord, stopped: threading.Event, wanted: Iterator[int] | None = None) -> Lane:
        decoder = self.open_decoder(record.gpu)
        session = self._model.session(record.gpu, self._batch_size, self._size)
        wanted = wanted or _wanted(self._sampling, record.part.start if record.part else 0, self._timeline)
        return Lane(record, decoder, session, self._size, self._clip.rotation // 90, wanted, stopped, self._traffic)

    @property
    def gpus(self) -> tuple[int, ...]:
        """In the order in which they come to be used."""
        return tuple(dict.fromkeys(record.gpu for record in self._records))

    def open_decoder(self, gpu: int | None = None) -> Decoder:
        """One more decoder of the clip, on ``gpu`` or the first."""
        chosen = self.gpus[0] if gpu is None else gpu
        return self._choice.make(DecoderJob(self._clip, self._timeline, chosen, self._tally, self._traffic, self._chroma_offset))

    def decode_only(self) -> int:
        """Decode all ranges and find their scenes, as in `batches`, but look at no frame: for measuring. The number of frames."""
        records = [record.fresh() for record in self._records]
        self._tally = DecodeTally()
        stopped = threading.Event()
        lanes = [self._lane(record, stopped, itertools.repeat(sys.maxsize)) for record in records]
        with contextlib.closing(merge([lane.batches() for lane in lanes], 4 * len(lanes), stopped)) as items:
            for item in items:
                if not isinstance(item, RangeRecord):
                    item.lane.give_back(item)
        return sum(record.frames for record in records)

    def infer(self, slot: Slot) -> Any:
        """Float32 ``[B, H, W]`` of the session's own; valid for what is put on its stream before the next inference."""
        import cupy

        session = slot.lane.session
        with cupy.cuda.Device(session.gpu), device_errors():
            session.cuda_stream.wait_event(slot.filled)
            return session.run(slot.binding)

    def record(self, slot: Slot, maps: Any) -> int:
        import cupy

        session = slot.lane.session
        with cupy.cuda.Device(session.gpu), device_errors():
            self._recorder.add(slot.lane.record, slot.numbers, maps, slot.luma, session.cuda_stream)
            slot.consumed.record(session.cuda_stream)
        slot.lane.give_back(slot)
        return sum(record.frames for record in self._records)

    def latest(self) -> None:
        """The maps stay on the GPU until all are there, and ranges of the clip grow side by side."""

    def retry_smaller(self, error: DeviceMemoryError) -> str:
        import cupy

        smaller = self._batch_size // 2
        if smaller < 1:
            names = ", ".join(f"GPU {record.gpu} ({self._machine.gpus[record.gpu].name})" for record in self._records[:1])
            raise ToolMissingError(
                f"--device cuda: {names} has too little memory for {self._clip.path}, even for one picture at a time: {error}",
                cure="nvidia-smi shows who has it; or --device cpu",
            ) from error
        self._model.forget(self._batch_size)
        self._batch_size = smaller
        self._records = [record if record.done else record.fresh() for record in self._records]
        # What ran out of memory is still held by the frames of the error, and lanes and slots hold each other.
        for one in (error, error.__cause__):
            traceback.clear_frames(one.__traceback__ if one is not None else None)
        gc.collect()
        for gpu in {record.gpu for record in self._records}:
            with cupy.cuda.Device(gpu):
                cupy.get_default_memory_pool().free_all_blocks()
        return f"the GPU's memory does not suffice ({error}); once more, with batches of {smaller}"

    def finish(self) -> Found:
        import cupy

        self._check_answers()
        records, timeline, tally = self._records, self._timeline, self._tally
        gpu = records[0].gpu
        with cupy.cuda.Device(gpu), device_errors():
            cuda_stream = cupy.cuda.Stream(non_blocking=True)
            resident = self._recorder.join(records, gpu, cuda_stream, self._traffic)
            # The one copy: all that a plan is made from.
            saliency, activity, motion = to_host(resident, cuda_stream, self._traffic)
        track = SaliencyTrack(
            saliency=saliency,
            activity=activity,
            sample_frame=np.array([number for record in records for number in record.sample_frame], np.int64),
            motion=motion,
            frame_count=sum(record.frames for record in records),
            cuts=tally.scene.cuts() if timeline is None else find_cuts(self._changes()),
            frame_pts=tally.frame_pts() if timeline is None else timeline.pts,
            time_base=tally.time_base if timeline is None else timeline.time_base,
            reducer=DeviceReducer(resident[0], resident[1], gpu),
        )
        corrupt = tally.corrupt_packets if timeline is None else None
        is_variable = tally.variable_frame_rate if timeline is None else timeline.is_variable(self._clip.frame_rate)
        return Found(track, corrupt, is_variable, self._facts())

    def _check_answers(self) -> None:
        """Wait for the model's last answer; every one was looked at on the device. Raises `ModelError`."""
        import cupy

        for gpu in {record.gpu for record in self._records}:
            cuda_stream = self._model.session(gpu, self._batch_size, self._size).cuda_stream
            with cupy.cuda.Device(gpu), device_errors():
                cuda_stream.synchronize()
                if self._recorder.was_breached(gpu, cuda_stream, self._traffic):
                    raise breach(self._model.path, "an answer leaves 0 .. 1, or is no number")

    def _changes(self) -> NDArray[np.float32]:
        """``[frames]``, of the clip as if it had been decoded in one piece."""
        import cupy

        parts = []
        for record in self._records:
            assert record.scenes is not None, "a range holds a frame at least"
            with cupy.cuda.Device(record.gpu), device_errors():
                cuda_stream = cupy.cuda.Stream(non_blocking=True)
                parts.append((record.frames, to_host(record.scenes.arrays(), cuda_stream, self._traffic)))
        return join_changes(parts)

    def _facts(self) -> dict[str, Any]:
        return {
            "decoder": self._choice.name,
            "decoder_reason": self._reason,
            "decoders": len(self._records),
            "gpus": [f"{gpu}: {self._machine.gpus[gpu].name}" for gpu in self.gpus],
            "batch_size": self._batch_size,
            "copied_to_device_bytes": self._traffic.to_device,
            "copied_to_host_bytes": self._traffic.to_host,
        }


def _range_count(timeline: Timeline | None, settings: GpuSettings, machine: GpuMachine) -> int:
    """How many decoders were asked for, on all GPUs; one for a clip whose length only decoding shows."""
    if timeline is None:
        return 1
    if settings.decoders == "auto":
        engines = sum(machine.engines(gpu) for gpu in settings.gpus)
        return max(len(settings.gpus), min(engines, timeline.frame_count // _LEAST_RANGE))
    return int(settings.decoders) * len(settings.gpus)


def _wanted(sampling: Sampling, start: int, timeline: Timeline | None) -> Iterator[int]:
    """The frames from ``start`` on that the model is to see, without end; at least the last one of the clip."""
    if timeline is not None and next(sampling.indices()) >= timeline.frame_count:
        yield timeline.frame_count - 1
    for number in sampling.indices():
        if number >= start:
            yield number
