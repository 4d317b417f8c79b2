"""`Lane`: a thread with its own CUDA stream that turns the surfaces of one decoder into batches for the model."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpu_saliency.analysis.cuda.colour_matrices import ColourMatrices
from gpu_saliency.analysis.cuda.decode.interface import DecodedFrame, Decoder
from gpu_saliency.analysis.cuda.kernels.checked import Kernels, lattice_shape
from gpu_saliency.analysis.cuda.memory import Traffic, borrowed_stream, on_gpu
from gpu_saliency.analysis.cuda.recorder import RangeSamples
from gpu_saliency.analysis.cuda.scene_changes import SceneChanges
from gpu_saliency.analysis.cuda.session import CudaSession
from gpu_saliency.model.contract import InputSize

SLOTS = 3
"""Triple buffering: one slot being filled, one queued, one in inference."""


@dataclass(slots=True, eq=False)
class Slot:
    """A buffer for one batch in GPU memory, at fixed addresses. Filled by its `Lane`, consumed by the model, then reused."""

    lane: Lane
    model_input: Any
    """float32 ``[B, 3, H, W]``"""
    luma: Any
    """float32 ``[B, h, w]``, 0..1"""
    binding: Any
    filled: Any
    """Event on the lane's stream after the slot is filled; the model waits for it."""
    consumed: Any
    """Event on the model's stream after the slot is read; the lane waits for it before it fills the slot again."""
    places: list[tuple[int, int]]
    """Addresses of the input and of the luma of each sample of the batch."""
    parts: list[tuple[RangeSamples, list[int]]] = field(default_factory=list)
    """The ranges of its samples, in the order of the places, with the frame numbers of each. The lane may be further."""
    used: int = 0
    """Number of its samples. If there are fewer than B, the other places have old pictures, and their maps are ignored."""


class Lane:
    """Decodes ranges from a queue and preprocesses their samples to batches. `batches` runs in its own thread."""

    def __init__(
        self,
        targets: deque[RangeSamples],
        decoder: Decoder,
        session: CudaSession,
        size: InputSize,
        orientation: int,
        sampled: Callable[[RangeSamples], Iterator[int]],
        stopped: threading.Event,
        traffic: Traffic,
        on_first: Callable[[], object] = lambda: None,
    ) -> None:
        """``targets`` is shared by all lanes of the GPU: each takes the next range when it is done with its last one.

        A range receives its number of frames and its scene changes; ``sampled`` yields the samples' numbers of a range without end.
        ``on_first`` is called when the decoder has delivered its first frame.
        """
        self.session = session
        self._targets = targets
        self._decoder, self._size, self._orientation, self._sampled = decoder, size, orientation, sampled
        self._stopped, self._on_first = stopped, on_first
        self._free: queue.Queue[Slot] = queue.Queue()
        self._matrices = ColourMatrices(traffic)
        self._slot: Slot | None = None
        self._decoded: list[RangeSamples] = []
        """Ranges that are decoded, but have their last samples in `_slot`."""
        self._is_first = True

    def batches(self) -> Iterator[Slot | RangeSamples]:
        """Yield the filled slots of the ranges in order, and each range, which marks its end, after its last slot.

        A slot may have samples of several ranges: else the last one of each short range would cost a whole batch of the model.
        """
        # CUDA keeps the current device per thread.
        gpu, idle_stream = self.session.gpu, self._decoder.idle_stream()
        with on_gpu(gpu), borrowed_stream(gpu, idle_stream) as self._cuda_stream:
            self._kernels = Kernels.on(self._cuda_stream)
            self._picture_to_input = self._kernels.prepare_picture_to_input(self._size, self._orientation)
            for _ in range(SLOTS):
                self._free.put(self._make_slot())
            try:
                while (target := self._next_range()) is not None:
                    yield from self._filled_slots(target)
                    self._decoded.append(target)
                    if self._slot is None:
                        yield from self._ended()
                if self._slot is not None:
                    yield from self._hand_over()
            finally:
                self._decoder.close()

    def release(self) -> None:
        """Free the slots, which refer to the lane and it to them, when `batches` has ended and the model has read them."""
        self._slot, self._decoded = None, []
        while not self._free.empty():
            self._free.get_nowait()
        self._matrices.clear()

    def _next_range(self) -> RangeSamples | None:
        try:
            return self._targets.popleft()
        except IndexError:
            return None

    def _make_slot(self) -> Slot:
        import cupy

        batch, _, height, width = self.session.shape
        with self._cuda_stream:
            # Zeros, so that the unused places of a first batch that is not full have finite numbers.
            model_input = cupy.zeros((batch, 3, height, width), np.float32)
            luma = cupy.zeros((batch, self._size.content[1], self._size.content[0]), np.float32)
        filled, consumed = (cupy.cuda.Event(disable_timing=True) for _ in range(2))
        starts = (model_input.data.ptr, luma.data.ptr)
        steps = (model_input.strides[0], luma.strides[0])
        places = [(starts[0] + i * steps[0], starts[1] + i * steps[1]) for i in range(batch)]
        return Slot(self, model_input, luma, self.session.bind(model_input), filled, consumed, places)

    def _filled_slots(self, target: RangeSamples) -> Iterator[Slot | RangeSamples]:
        sampled = self._sampled(target)
        next_sampled = next(sampled)
        sampled_any = False
        last: DecodedFrame | None = None
        for decoded in self._decoder.frames(target.frame_range, self._cuda_stream):
            if self._is_first:
                self._is_first = False
                self._on_first()
            last = decoded
            if not self._decoder.meters_scenes:
                self._meter(decoded, target)
            target.frames += 1
            if decoded.number < next_sampled:
                continue
            next_sampled = next(sampled)
            sampled_any = True
            yield from self._add(decoded, target)
        if not sampled_any and last is not None and target.frame_range is None:
            # A clip that is too short for a sample gives its last frame, as on the CPU.
            yield from self._add(last, target)

    def _meter(self, decoded: DecodedFrame, target: RangeSamples) -> None:
        surface = decoded.surface()
        if target.scenes is None:
            target.scenes = SceneChanges(lattice_shape(surface.width, surface.height))
        target.scenes.add(surface, self._kernels, self._cuda_stream)

    def _add(self, decoded: DecodedFrame, target: RangeSamples) -> Iterator[Slot | RangeSamples]:
        """Preprocess a frame into the current slot; yields the slot when it is full, and the ranges that end with it."""
        if self._slot is None:
            self._slot = self._take()
        slot = self._slot
        if not slot.parts or slot.parts[-1][0] is not target:
            slot.parts.append((target, []))
        matrix = self._matrices.get(decoded.colour, self._cuda_stream)
        self._picture_to_input(decoded.surface(), matrix.data.ptr, *slot.places[slot.used])
        slot.parts[-1][1].append(decoded.number)
        slot.used += 1
        if slot.used == self.session.shape[0]:
            yield from self._hand_over()

    def _hand_over(self) -> Iterator[Slot | RangeSamples]:
        slot, self._slot = self._slot, None
        assert slot is not None
        slot.filled.record(self._cuda_stream)
        yield slot
        yield from self._ended()

    def _ended(self) -> Iterator[RangeSamples]:
        ended, self._decoded = self._decoded, []
        yield from ended

    def _take(self) -> Slot:
        """Wait for a free slot and return it. Raises `RuntimeError` when the consumer has stopped."""
        while not self._stopped.is_set():
            try:
                slot = self._free.get(timeout=0.1)
            except queue.Empty:
                continue
            # The consumer recorded this event before it returned the slot, so this waits for the model's last use of it.
            self._cuda_stream.wait_event(slot.consumed)
            slot.parts, slot.used = [], 0
            return slot
        raise RuntimeError("stopped")  # it only ends this thread: the consumer has stopped and does not report it

    def give_back(self, slot: Slot) -> None:
        """Make ``slot`` free for reuse; the consumer calls this after it has recorded ``slot.consumed``."""
        slot.parts = []
        self._free.put(slot)
