"""Decode backend ``upload``: libavcodec decodes on the CPU, for raw video and codecs that NVDEC does not decode.

Only samples are copied to the GPU; scene changes are measured on the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from gpu_saliency.analysis.cuda.decode.interface import Colour, DecodedFrame, DecodeRequest
from gpu_saliency.analysis.cuda.decode.ranges import FrameRange
from gpu_saliency.analysis.cuda.decode.siting import chroma_offset
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout, Surface
from gpu_saliency.analysis.cuda.memory import Traffic
from gpu_saliency.source.decode import decode_frames

_STAGES = 3
"""Triple buffering: the host fills one pinned buffer, one is being copied, and the kernel reads the GPU copy of the third."""
_BT709 = 1


class UploadDecoder:
    meters_scenes = True

    def __init__(self, request: DecodeRequest) -> None:
        self._clip, self._tally = request.clip, request.tally
        self._uploader = Uploader(request.traffic)

    def close(self) -> None:
        """Nothing is kept."""

    def idle_stream(self) -> None:
        """``None``: libavcodec's decoders are made for one file."""

    def frames(self, frame_range: FrameRange | None, cuda_stream: Any) -> Iterator[DecodedFrame]:
        assert frame_range is None or frame_range.start == 0, "one range only: libavcodec uses all cores for it"
        for number, frame in enumerate(decode_frames(self._clip, self._tally)):
            readable, colour = readable_frame(frame)
            yield DecodedFrame(number, colour, lambda frame=readable: self._uploader.place(frame, cuda_stream))  # type: ignore[misc]


class Uploader:
    """Copies frames from the host to GPU memory, through a ring of buffers."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._stages: list[_Stage] = []
        self._next = 0
        self._offsets: dict[str, tuple[int, int]] = {}

    def place(self, frame: av.VideoFrame, cuda_stream: Any) -> Surface:
        """Enqueue the copy of ``frame``, from `readable_frame`, on ``cuda_stream``, which is the same in each call.

        The surface is valid for work on that stream until two more frames were placed.
        """
        name = frame.format.name
        layout = SampleLayout.of(name)
        assert layout is not None, "readable_frame returns a format that has a layout"
        if name not in self._offsets:
            self._offsets[name] = chroma_offset(frame, layout.chroma_shift)
        layout = replace(layout, chroma_offset=self._offsets[name])
        packing = Packing.of(layout, frame.width, frame.height)
        if len(self._stages) < _STAGES or self._stages[self._next].host.nbytes < packing.total:
            cuda_stream.synchronize()  # the buffer to be replaced may still be in use
            self._stages[self._next : self._next + 1] = [_Stage(packing.total)]
        stage = self._stages[self._next]
        self._next = (self._next + 1) % _STAGES
        stage.copied.synchronize()  # the host must not overwrite a buffer that is being copied
        pack(frame, packing, stage.host)
        stage.device.data.copy_from_host_async(stage.host.ctypes.data, packing.total, cuda_stream)
        stage.copied.record(cuda_stream)
        self._traffic.to_device += packing.total
        addresses = tuple(stage.device.data.ptr + offset for offset in packing.offsets)
        return Surface(layout, frame.width, frame.height, addresses, packing.pitches[0], packing.pitches[-1])


class _Stage:
    """A pinned host buffer and its copy on the GPU; one kernel reads the copy, on the stream that made it."""

    def __init__(self, size: int) -> None:
        import cupy

        self._pinned = cupy.cuda.alloc_pinned_memory(size)
        self.host: NDArray[np.uint8] = np.frombuffer(self._pinned, np.uint8, size)
        self.device = cupy.empty(size, np.uint8)
        self.copied = cupy.cuda.Event(block=True, disable_timing=True)


@dataclass(frozen=True, slots=True)
class Packing:
    """The layout of a frame's planes in one buffer; each plane begins at a multiple of 256 bytes."""

    offsets: tuple[int, ...]
    pitches: tuple[int, ...]
    """Bytes from line to line, of luma and of each chroma plane."""
    lines: tuple[int, ...]
    total: int

    @classmethod
    def of(cls, layout: SampleLayout, width: int, height: int) -> Packing:
        across, down = layout.chroma_size(width, height)
        chroma = across * layout.sample_bytes * (2 if layout.chroma_planes == 1 else 1)
        pitches = (width * layout.sample_bytes, *[chroma] * layout.chroma_planes)
        lines = (height, *[down] * layout.chroma_planes)
        offsets, total = [], 0
        for pitch, count in zip(pitches, lines, strict=True):
            offsets.append(total)
            total += -(-pitch * count // 256) * 256
        return cls(tuple(offsets), pitches, lines, total)


def pack(frame: av.VideoFrame, packing: Packing, buffer: NDArray[np.uint8]) -> None:
    """Copy the planes of ``frame`` into ``buffer``, in the layout ``packing``."""
    for plane, offset, pitch, lines in zip(frame.planes, packing.offsets, packing.pitches, packing.lines, strict=True):
        source = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:lines, :pitch]
        np.copyto(buffer[offset : offset + lines * pitch].reshape(lines, pitch), source)


def readable_frame(frame: av.VideoFrame) -> tuple[av.VideoFrame, Colour]:
    """Convert ``frame`` to a pixel format that the kernels support, if necessary; returns it and its conversion to R'G'B'."""
    name = frame.format.name
    layout = SampleLayout.of(name)
    colorspace, color_range = int(frame.colorspace), int(frame.color_range)
    if layout is None:
        name = "yuv444p" if frame.format.components[0].bits <= 8 else "yuv444p16le"
        if frame.format.is_rgb:
            colorspace, color_range = _BT709, int(ColorRange.JPEG)
            frame = frame.reformat(format=name, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.JPEG)
        else:
            frame = frame.reformat(format=name)
        layout = SampleLayout.of(name)
        assert layout is not None
    return frame, Colour.of(colorspace, color_range, name, frame.height, layout)
