"""Decode backend ``nvdec``: NVIDIA's PyNvVideoCodec. What is said of it here was read from 2.2.4 and its bindings.

A whole clip goes through its threaded decoder, which demuxes and decodes in threads of its own. A range is fed packet by packet, so
that it begins and ends exactly where it should: the threaded decoder can begin elsewhere, but says itself that its seeking is
inexact in some containers. Both let go of Python's lock while they wait.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import av

from gpu_saliency.clip import Clip, open_clip, video_stream_of
from gpu_saliency.cuda.decoders import Colour, Decoded, DecoderJob
from gpu_saliency.cuda.memory import device_errors
from gpu_saliency.cuda.probe_child import NVDEC_CODECS
from gpu_saliency.cuda.splits import FrameRange, missing_frame, range_packets
from gpu_saliency.cuda.surface import SampleLayout, Surface
from gpu_saliency.cuda.timeline import Timeline
from gpu_saliency.device import DeviceMemoryError
from gpu_saliency.errors import GpuSaliencyError, SourceError

_FETCH = 8
"""Surfaces taken from the threaded decoder at once; it holds as many more ready."""

# What NVDEC's parser must be given instead of what containers hold: start codes, and the headers before each key frame.
FILTERS = {"h264": "h264_mp4toannexb,dump_extra=freq=keyframe", "hevc": "hevc_mp4toannexb,dump_extra=freq=keyframe"}
FILTERS["mpeg4"] = "dump_extra=freq=keyframe"


class NvdecDecoder:
    meters_scenes = False

    def __init__(self, job: DecoderJob) -> None:
        import PyNvVideoCodec

        self._library: Any = PyNvVideoCodec
        self._clip, self._timeline, self._gpu = job.clip, job.known_timeline(), job.gpu
        clip = job.clip
        layout = SampleLayout.of(clip.pix_fmt)
        assert layout is not None, "choose_decoder takes this backend only for pixel formats that the kernels read"
        self._bits, self._chroma_offset = layout.bits, job.chroma_offset
        self._colour = Colour.of(clip.color.colorspace, clip.color.color_range, clip.pix_fmt, clip.height, layout)

    def frames(self, part: FrameRange | None, cuda_stream: Any) -> Iterator[Decoded]:
        part = part or FrameRange(0, self._timeline.frame_count)
        is_whole = part == FrameRange(0, self._timeline.frame_count)
        expected = part.start
        fetch = self._threaded(cuda_stream) if is_whole else self._fed(part, cuda_stream)
        # The decoder is closed, and its surfaces freed, only after whatever reads them has finished.
        with contextlib.closing(fetch), _finished(cuda_stream):
            for frame in fetch:
                number = self._number(frame, expected)
                if number is None or not part.start <= number < part.end:
                    continue
                if number != expected:
                    raise missing_frame(self._clip.url, expected)
                expected += 1
                yield Decoded(number, self._colour, lambda frame=frame: self._surface(frame, cuda_stream))  # type: ignore[misc]
                if expected == part.end:
                    return
        raise missing_frame(self._clip.url, expected)

    def _number(self, frame: Any, expected: int) -> int | None:
        """Its time stamp is the packet's, in the stream's time base; seen in MP4, Matroska and MPEG-TS."""
        pts = frame.getPTS()
        if pts < self._timeline.pts[0]:
            return None
        try:
            return self._timeline.number_of(pts)
        except KeyError:
            raise missing_frame(self._clip.url, expected) from None

    def _threaded(self, cuda_stream: Any) -> Generator[Any, None, None]:
        """Every frame of the file."""
        with self._errors():
            # cuda_context 0 is the GPU's primary context, which CuPy uses too.
            decoder = self._library.ThreadedDecoder(
                str(self._clip.path.absolute()), 2 * _FETCH, gpu_id=self._gpu, cuda_stream=cuda_stream.ptr, use_device_memory=True
            )
        try:
            while True:
                with self._errors():
                    frames = decoder.get_batch_frames(_FETCH)
                if not frames:
                    return
                yield from frames
                # These surfaces are written again by the next fetch, so whatever reads them must have finished.
                cuda_stream.synchronize()
        finally:
            with self._errors():
                decoder.end()

    def _fed(self, part: FrameRange, cuda_stream: Any) -> Generator[Any, None, None]:
        """What the packets of ``part`` decode to, and what must be decoded with it."""
        codec = self._library.cudaVideoCodec(NVDEC_CODECS[self._clip.codec])
        with self._errors():
            decoder = self._library.CreateDecoder(
                gpuid=self._gpu, codec=codec, cudacontext=0, cudastream=cuda_stream.ptr, usedevicememory=True
            )
        for data, pts in fed_packets(self._clip, self._timeline, part):
            packet = self._library.PacketData()
            # A packet without data makes the decoder give what it still holds; the demuxer of the library ends with one as well.
            packet.bsl, packet.bsl_data, packet.pts = (0, 0, 0) if data is None else (data.size, data.buffer_ptr, pts)
            with self._errors():
                frames = decoder.Decode(packet)
            yield from frames
            if frames:
                cuda_stream.synchronize()  # as above

    def _surface(self, frame: Any, cuda_stream: Any) -> Surface:
        import cupy

        event = frame.decoder_stream_event
        if isinstance(event, int) and event:
            cupy.cuda.runtime.streamWaitEvent(cuda_stream.ptr, event)
        layout = replace(surface_layout(frame.format.name, self._bits), chroma_offset=self._chroma_offset)
        addresses = [frame.GetPtrToPlane(i) for i in range(1 + layout.chroma_planes)]
        try:
            return packed_surface(layout, self._clip.width, self._clip.height, addresses, frame.framesize())
        except ValueError as error:
            raise SourceError(
                f"{self._clip.path}: NVDEC lays its pictures out in an unknown way: {error}", cure="--decoders cpu"
            ) from error

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """The library raises types of its own that derive from `Exception` only."""
        try:
            with device_errors():
                yield
        except (GpuSaliencyError, DeviceMemoryError):
            raise
        except Exception as error:
            words = [line.strip() for line in str(error).splitlines() if line.strip()]
            said = next((line for line in words if "Error Type" in line), words[0] if words else type(error).__name__)
            raise SourceError(
                f"{self._clip.path}: NVDEC fails on it: {said[:200]}", cure="--decoders cpu, or --device cpu"
            ) from error


@contextlib.contextmanager
def _finished(cuda_stream: Any) -> Iterator[None]:
    try:
        yield
    finally:
        cuda_stream.synchronize()


def fed_packets(clip: Clip, timeline: Timeline, part: FrameRange) -> Iterator[tuple[av.Packet[Any] | None, int]]:
    """The packets of ``part`` as NVDEC's parser takes them, each with its time stamp; ``None`` at the end."""
    with open_clip(clip) as container:
        video = video_stream_of(container)
        words = FILTERS.get(clip.codec)
        filters = None if words is None else av.bitstream.BitStreamFilterContext(words, video)
        for packet in range_packets(container, video, timeline, part):
            for data in [packet] if filters is None else filters.filter(packet):
                yield data, data.pts or 0
        for data in [] if filters is None else filters.filter(None):
            yield data, data.pts or 0
    yield None, 0


def surface_layout(pixel_format: str, bits: int) -> SampleLayout:
    """Of a name in PyNvVideoCodec's ``Pixel_Format``. More than 8 bits lie in the upper part of 16; only the clip says how many."""

    def wide(planes: int, shift: tuple[int, int]) -> SampleLayout:
        return SampleLayout(bits, 2, 16 - bits, planes, shift)

    layouts = {
        "NV12": SampleLayout(8, 1, 0, 1, (1, 1)),
        "NV16": SampleLayout(8, 1, 0, 1, (1, 0)),
        "YUV444": SampleLayout(8, 1, 0, 2, (0, 0)),
        "P016": wide(1, (1, 1)),
        "P216": wide(1, (1, 0)),
        "YUV444_16Bit": wide(2, (0, 0)),
    }
    if pixel_format not in layouts:
        raise ValueError(f"pixel format {pixel_format}")
    return layouts[pixel_format]


def packed_surface(layout: SampleLayout, width: int, height: int, addresses: list[int], frame_bytes: int) -> Surface:
    """A picture whose planes lie one after the other with one pitch, as PyNvVideoCodec's do; ``frame_bytes`` gives the pitch.

    Its strides are not used: a release gave them in samples for 16-bit formats. Raises `ValueError` where the numbers do not agree.
    """
    chroma_lines = layout.chroma_size(width, height)[1]
    pitch, rest = divmod(frame_bytes, height + chroma_lines * layout.chroma_planes)
    if rest:
        raise ValueError(f"{frame_bytes} bytes for {height} lines and {layout.chroma_planes} times {chroma_lines} of chroma")
    expected = [addresses[0], *(addresses[0] + pitch * (height + i * chroma_lines) for i in range(layout.chroma_planes))]
    if addresses != expected:
        raise ValueError(f"planes at {addresses} with a pitch of {pitch} bytes")
    return Surface(layout, width, height, tuple(addresses), pitch, pitch if layout.chroma_planes else 0)
