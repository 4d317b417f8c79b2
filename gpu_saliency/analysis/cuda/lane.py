"""A lane: one decoder's way from its surfaces to batches for the model, in a thread of its own, ordered by a stream of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpu_saliency.analysis.cuda.decode.colour import yuv_to_rgb_matrix
from gpu_saliency.analysis.cuda.decode.interface import Colour, Decoded, Decoder
from gpu_saliency.analysis.cuda.kernels.launch import Kernels, lattice_shape
from gpu_saliency.analysis.cuda.memory import Traffic, device_errors
from gpu_saliency.analysis.cuda.record import RangeRecord, SceneChanges
from gpu_saliency.analysis.cuda.session import CudaSession
from gpu_saliency.model.contract import InputSize

SLOTS = 3
"""One is filled while the model looks at another, and one is under way between the two."""


@dataclass(slots=True, eq=False)
class Slot:
    """One batch in device memory, at addresses that stay. Filled by its `Lane`, consumed by the model, then free again."""

    lane: Lane
    model_input: Any
    """float32 ``[B, 3, H, W]``"""
    luma: Any
    """float32 ``[B, h, w]``, 0..1"""
    binding: Any
    filled: Any
    """Event on the lane's stream: the model waits for it."""
    consumed: Any
    """Event on the model's stream: the lane waits for it before it fills the slot again."""
    numbers: list[int] = field(default_factory=list)
    """The frames in it; what the batch has beyond them is left over from before, and nothing comes of it."""


class Lane:
    """Decodes one range. `batches` runs in a thread of its own."""

    def __init__(
        self,
        record: RangeRecord,
        decoder: Decoder,
        session: CudaSession,
        size: InputSize,
        quarter_turns: int,
        wanted: Iterator[int],
        stopped: threading.Event,
        traffic: Traffic,
    ) -> None:
        """``wanted`` are the frames that the model is to see, rising, without end."""
        self.record, self.session = record, session
        self._decoder, self._size, self._turns, self._wanted = decoder, size, quarter_turns, wanted
        self._stopped, self._traffic = stopped, traffic
        self._free: queue.Queue[Slot] = queue.Queue()
        self._matrices: dict[Colour, Any] = {}
        self._slot: Slot | None = None

    def batches(self) -> Iterator[Slot | RangeRecord]:
        """Filled slots in order, at last the record itself: all of its range has been given."""
        import cupy

        # The current device is each thread's own.
        with cupy.cuda.Device(self.record.gpu), device_errors():
            self._cuda_stream = cupy.cuda.Stream(non_blocking=True)
            self._kernels = Kernels.on(self._cuda_stream)
            for _ in range(SLOTS):
                self._free.put(self._make_slot())
            yield from self._filled_slots()
            yield self.record

    def _make_slot(self) -> Slot:
        import cupy

        batch, _, height, width = self.session.shape
        with self._cuda_stream:
            # Zeros, so that what a short batch leaves over is a picture like any other.
            model_input = cupy.zeros((batch, 3, height, width), np.float32)
            luma = cupy.zeros((batch, self._size.content[1], self._size.content[0]), np.float32)
        events = [cupy.cuda.Event(disable_timing=True) for _ in range(2)]
        return Slot(self, model_input, luma, self.session.bind(model_input), *events)

    def _filled_slots(self) -> Iterator[Slot]:
        next_wanted = next(self._wanted)
        sampled_any = False
        last: Decoded | None = None
        for decoded in self._decoder.frames(self.record.part, self._cuda_stream):
            last = decoded
            if not self._decoder.meters_scenes:
                self._meter(decoded)
            self.record.frames += 1
            if decoded.number < next_wanted:
                continue
            next_wanted = next(self._wanted)
            sampled_any = True
            yield from self._add(decoded)
        if not sampled_any and last is not None and self.record.part is None:
            # Too short for any sample, which only decoding has shown: its last frame, as on the CPU.
            yield from self._add(last)
        if self._slot is not None:
            yield self._hand_over()

    def _meter(self, decoded: Decoded) -> None:
        surface = decoded.surface()
        if self.record.scenes is None:
            self.record.scenes = SceneChanges(lattice_shape(surface.width, surface.height))
        self.record.scenes.add(surface, self._kernels, self._cuda_stream)

    def _add(self, decoded: Decoded) -> Iterator[Slot]:
        """Put a frame into the slot that is being filled; yields the slot once it is full."""
        if self._slot is None:
            self._slot = self._take()
        slot, place = self._slot, len(self._slot.numbers)
        matrix = self._matrix(decoded.colour)
        target = slot.model_input[place], slot.luma[place]
        self._kernels.picture_to_input(decoded.surface(), self._size, self._turns, matrix, *target)
        slot.numbers.append(decoded.number)
        if len(slot.numbers) == self.session.shape[0]:
            yield self._hand_over()

    def _hand_over(self) -> Slot:
        slot, self._slot = self._slot, None
        assert slot is not None
        slot.filled.record(self._cuda_stream)
        return slot

    def _take(self) -> Slot:
        """A slot that nobody needs any more."""
        while not self._stopped.is_set():
            try:
                slot = self._free.get(timeout=0.1)
            except queue.Empty:
                continue
            # Recorded before the slot came back, so the wait is for the model's last use and not for an earlier one.
            self._cuda_stream.wait_event(slot.consumed)
            slot.numbers = []
            return slot
        raise RuntimeError("stopped")  # nobody listens any more

    def give_back(self, slot: Slot) -> None:
        """Called by the consumer, once ``slot.consumed`` has been recorded."""
        self._free.put(slot)

    def _matrix(self, colour: Colour) -> Any:
        import cupy

        if colour not in self._matrices:
            matrix = yuv_to_rgb_matrix(colour.colorspace, colour.is_full, colour.bits, has_chroma=colour.has_chroma)
            with self._cuda_stream:
                self._matrices[colour] = cupy.asarray(matrix)
            self._traffic.to_device += matrix.nbytes
        return self._matrices[colour]
