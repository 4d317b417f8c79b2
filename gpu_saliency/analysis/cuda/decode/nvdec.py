"""Decode backend ``nvdec``: NVIDIA's PyNvVideoCodec. Statements about it come from the sources of 2.2.4 and its bindings.

The clip is sent to it packet by packet, so that a range begins and ends at the exact frame; it releases Python's lock while it
waits. Its threaded decoder, which demuxes too, is not used: an exception in that decoder's thread (seen: a parser error) ends the
process.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import av

from gpu_saliency.analysis.cuda.decode.containers import KeptContainer
from gpu_saliency.analysis.cuda.decode.idle import IdleDecoder, keep_idle, take_idle
from gpu_saliency.analysis.cuda.decode.index import FrameIndex
from gpu_saliency.analysis.cuda.decode.interface import Colour, DecodedFrame, DecodeRequest
from gpu_saliency.analysis.cuda.decode.ranges import FrameRange, missing_frame, nvdec_failure, range_packets
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout, Surface
from gpu_saliency.analysis.cuda.memory import device_errors
from gpu_saliency.analysis.cuda.probe_child import NVDEC_CODECS
from gpu_saliency.analysis.device import DeviceMemoryError
from gpu_saliency.errors import GpuSaliencyError, SourceError, setting
from gpu_saliency.source.clip import Clip, video_stream_of

# NVDEC's parser needs start codes, and headers before each key frame; containers store both in another form.
FILTERS = {"h264": "h264_mp4toannexb,dump_extra=freq=keyframe", "hevc": "hevc_mp4toannexb,dump_extra=freq=keyframe"}
FILTERS["mpeg4"] = "dump_extra=freq=keyframe"


class NvdecDecoder:
    meters_scenes = False

    def __init__(self, request: DecodeRequest) -> None:
        import PyNvVideoCodec

        self._library: Any = PyNvVideoCodec
        self._clip, self._index, self._gpu = request.clip, request.required_index(), request.gpu
        clip = request.clip
        self._container = KeptContainer(clip, request.containers)
        layout = SampleLayout.of(clip.pix_fmt)
        assert layout is not None, "choose_decoder picks this backend only for pixel formats that the kernels read"
        self._bits, self._chroma_offset = layout.bits, request.chroma_offset
        self._colour = Colour.of(clip.color.colorspace, clip.color.color_range, clip.pix_fmt, clip.height, layout)
        # All that decides the library's surfaces and their number: the stream's headers do, or else only the same file is alike.
        # A stream whose size changes is an error; see `packed_surface`.
        self._kind = (request.gpu, clip.codec, clip.pix_fmt, clip.width, clip.height, self._index.headers or clip.url)
        self._decoder: Any = None
        self._cuda_stream: Any = None
        self._may_be_kept = False
        """Whether the decoder is as it was made, or has decoded its last range to the end."""
        self._holds_pictures = False
        """Whether the library's decoder may hold pictures of a range that has ended."""
        self._surfaces: dict[tuple[int, int], Surface] = {}

    def idle_stream(self) -> Any:
        idle = take_idle(self._kind)
        if idle is None:
            return None
        self._decoder, self._cuda_stream = idle
        self._may_be_kept = True  # other lanes may take all ranges
        return self._cuda_stream

    def close(self) -> None:
        self._container.close()
        if self._may_be_kept and self._decoder is not None:
            with contextlib.suppress(GpuSaliencyError, DeviceMemoryError):  # then it is released
                if self._holds_pictures:
                    self._decode(None, 0)
                self._cuda_stream.synchronize()
                keep_idle(self._kind, IdleDecoder(self._decoder, self._cuda_stream))
        self._decoder, self._may_be_kept = None, False
        self._surfaces.clear()

    def frames(self, frame_range: FrameRange | None, cuda_stream: Any) -> Iterator[DecodedFrame]:
        frame_range = frame_range or FrameRange(0, self._index.frame_count)
        expected = frame_range.start
        self._may_be_kept = False
        fetch = self._fed(frame_range, cuda_stream)
        # The kernels that read the surfaces have finished when a failure releases the decoder.
        with contextlib.closing(fetch), _finished(cuda_stream):
            for frame in fetch:
                number = self._number(frame.getPTS(), expected)
                if number is None or not frame_range.start <= number < frame_range.end:
                    continue
                if number != expected:
                    raise missing_frame(self._clip.url, expected)
                expected += 1
                yield DecodedFrame(number, self._colour, lambda frame=frame: self._surface(frame))  # type: ignore[misc]
                if expected == frame_range.end:
                    self._may_be_kept = True
                    return
        raise missing_frame(self._clip.url, expected)

    def _number(self, pts: int, expected: int) -> int | None:
        """The number of the frame with time stamp ``pts``, ``None`` if it is not in the clip.

        The frame's time stamp is its packet's, in the stream's time base (seen in MP4, Matroska and MPEG-TS).
        """
        stamps = self._index.pts
        # Nearly every frame is the one that is expected, which is found faster than by a search.
        if expected < len(stamps) and stamps.item(expected) == pts:
            return expected
        if pts < stamps[0]:
            return None
        try:
            return self._index.number_of(pts)
        except KeyError:
            raise missing_frame(self._clip.url, expected) from None

    def _fed(self, frame_range: FrameRange, cuda_stream: Any) -> Generator[Any, None, None]:
        """Send the packets of ``frame_range`` to the decoder; yields its frames, and others that the packets contain.

        The host waits for nothing: each fetch writes to the surfaces on ``cuda_stream``, after the kernels that read them there.
        """
        if self._decoder is None or cuda_stream is not self._cuda_stream:
            self._cuda_stream = cuda_stream
            codec = self._library.cudaVideoCodec(NVDEC_CODECS[self._clip.codec])
            try:
                self._decoder = self._library.CreateDecoder(
                    gpuid=self._gpu, codec=codec, cudacontext=0, cudastream=cuda_stream.ptr, usedevicememory=True
                )
            except Exception as error:
                raise self._failure(error) from error
        if self._holds_pictures:
            self._decode(None, 0)
        for data, pts in fed_packets(self._clip, self._index, frame_range, self._container):
            yield from self._decode(data, pts)

    def _decode(self, data: av.Packet[Any] | None, pts: int) -> Any:
        """Send one packet; returns the pictures that are ready. ``None`` flushes: the next packet may begin another range.

        The library's own demuxer also ends with a packet without data. torchcodec flushes NVIDIA's parser so before it seeks, and
        found that its flag for a discontinuity does not.
        """
        packet = self._library.PacketData()
        packet.bsl, packet.bsl_data, packet.pts = (0, 0, 0) if data is None else (data.size, data.buffer_ptr, pts)
        self._holds_pictures = data is not None
        try:
            return self._decoder.Decode(packet)
        except Exception as error:
            raise self._failure(error) from error

    def _surface(self, frame: Any) -> Surface:
        """The surface of ``frame``. The decoder has few surfaces, so that nearly every one was described before."""
        key = (frame.GetPtrToPlane(0), frame.framesize())
        surface = self._surfaces.get(key)
        if surface is None:
            surface = self._surfaces[key] = self._describe(frame)
        return surface

    def _describe(self, frame: Any) -> Surface:
        try:
            layout = surface_layout(frame.format.name, self._bits, self._chroma_offset)
            addresses = [frame.GetPtrToPlane(i) for i in range(1 + layout.chroma_planes)]
            return packed_surface(layout, self._clip.width, self._clip.height, addresses, frame.framesize())
        except ValueError as error:
            raise SourceError(
                f"{self._clip.path}: NVDEC returns pictures of an unknown layout: {error}",
                cure=f"give {setting('decoders', 'cpu')}",
            ) from error

    def _failure(self, error: Exception) -> Exception:
        """Convert an error of the library, whose errors have no common type but `Exception`."""
        try:
            with device_errors():
                raise error
        except (GpuSaliencyError, DeviceMemoryError) as converted:
            return converted
        except Exception:
            words = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = next((line for line in words if "Error Type" in line), words[0] if words else type(error).__name__)
            return nvdec_failure(self._clip.path, reason[:200])


@contextlib.contextmanager
def _finished(cuda_stream: Any) -> Iterator[None]:
    try:
        yield
    finally:
        cuda_stream.synchronize()


def fed_packets(
    clip: Clip, index: FrameIndex, frame_range: FrameRange, kept: KeptContainer | None = None
) -> Iterator[tuple[av.Packet[Any] | None, int]]:
    """Yield the packets of ``frame_range`` in the form for NVDEC's parser, with their time stamps; ``None`` at the end."""
    with (kept or KeptContainer(clip)).lent(unread=frame_range.start == 0) as container:
        video = video_stream_of(container, clip.stream)
        chain = FILTERS.get(clip.codec)
        filters = None if chain is None else av.bitstream.BitStreamFilterContext(chain, video)
        for packet in range_packets(container, video, index, frame_range):
            for data in [packet] if filters is None else filters.filter(packet):
                yield data, data.pts or 0
        for data in [] if filters is None else filters.filter(None):
            yield data, data.pts or 0
    yield None, 0


@functools.cache
def surface_layout(pixel_format: str, bits: int, chroma_offset: tuple[int, int] = (0, 0)) -> SampleLayout:
    """The layout of a format of PyNvVideoCodec's ``Pixel_Format``; samples of 9 to 16 bits are in the upper bits of 16.

    Raises `ValueError` for an unknown format.
    """

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
    return replace(layouts[pixel_format], chroma_offset=chroma_offset)


def packed_surface(layout: SampleLayout, width: int, height: int, addresses: list[int], frame_bytes: int) -> Surface:
    """Compute the surface of a picture of PyNvVideoCodec, in which the planes follow one another with one pitch.

    The pitch is computed from ``frame_bytes``, not taken from the library: a release gave it in samples for 16-bit formats. 2.2.4
    gives the addresses of the later planes of ``YUV444_16Bit`` in samples too, and the size of a picture of odd height without the
    last half line of chroma. Raises `ValueError` where the numbers do not agree.
    """
    planes, chroma_lines = layout.chroma_planes, layout.chroma_size(width, height)[1]
    for lines in (2 * (height + chroma_lines * planes), 2 * height + (2 * height >> layout.chroma_shift[1]) * planes):
        pitch, rest = divmod(2 * frame_bytes, lines)
        expected = [addresses[0], *(addresses[0] + pitch * (height + i * chroma_lines) for i in range(planes))]
        in_samples = [addresses[0] + (address - addresses[0]) // layout.sample_bytes for address in expected]
        if not rest and (addresses == expected or (planes == 2 and addresses == in_samples)):
            return Surface(layout, width, height, tuple(expected), pitch, pitch if planes else 0)
    raise ValueError(f"{frame_bytes} bytes for {height} lines and {planes} times {chroma_lines} of chroma, planes at {addresses}")
