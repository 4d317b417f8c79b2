"""Decode backend ``pyav-cuda``: NVDEC through libavcodec; frames stay in GPU memory. Written from PyAV 18.1 and 19.0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import av
from av.codec.hwaccel import HWAccel

from gpu_saliency.analysis.cuda.decode.interface import Colour, DecodedFrame, DecodeRequest
from gpu_saliency.analysis.cuda.decode.ranges import FrameRange, decode_range, nvdec_failure
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout, Surface
from gpu_saliency.errors import SourceError, setting
from gpu_saliency.source.clip import open_clip, video_stream_of


class PyavCudaDecoder:
    meters_scenes = False

    def __init__(self, request: DecodeRequest) -> None:
        self._clip, self._index, self._gpu = request.clip, request.required_index(), request.gpu
        self._chroma_offset = request.chroma_offset

    def close(self) -> None:
        """Nothing is kept."""

    def idle_stream(self) -> None:
        """``None``: libavcodec's decoders are made for one file."""

    def frames(self, frame_range: FrameRange | None, cuda_stream: Any) -> Iterator[DecodedFrame]:
        import cupy

        frame_range = frame_range or FrameRange(0, self._index.frame_count)
        # is_hw_owned keeps frames on the device; without a fallback, an unsupported stream is an error. libavutil uses the current
        # context of this thread, which is the GPU's primary context. With PyAV's default libavutil would open the primary context
        # itself, which fails if that is active with other flags, such as CuPy's.
        context: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}
        accel = HWAccel("cuda", device=str(self._gpu), allow_software_fallback=False, is_hw_owned=True, options=context)
        try:
            with open_clip(self._clip, accel) as container:
                for number, frame in decode_range(
                    container, video_stream_of(container, self._clip.stream), self._index, frame_range
                ):
                    # libavcodec writes on the default stream of its context.
                    cuda_stream.wait_event(cupy.cuda.Stream.null.record())
                    surface = self._surface(frame)
                    yield DecodedFrame(number, self._colour(surface.layout), lambda surface=surface: surface)  # type: ignore[misc]
                    # The decoder reuses a surface as soon as its frame is released, so the kernels that read it must have finished.
                    cuda_stream.synchronize()
        except (av.FFmpegError, NotImplementedError, RuntimeError) as error:
            raise nvdec_failure(self._clip.path, str(error)) from error

    def _surface(self, frame: av.VideoFrame) -> Surface:
        held = frame.sw_format
        layout = None if held is None else SampleLayout.of(held.name)
        if layout is None:
            raise SourceError(
                f"{self._clip.path}: NVDEC returns {held.name if held else 'host memory'}, which the kernels do not support",
                cure=f"give {setting('decoders', 'cpu')}",
            )
        layout = replace(layout, chroma_offset=self._chroma_offset)
        planes = frame.planes
        chroma_pitch = planes[1].line_size if layout.chroma_planes else 0
        addresses = tuple(plane.buffer_ptr for plane in planes[: 1 + layout.chroma_planes])
        return Surface(layout, frame.width, frame.height, addresses, planes[0].line_size, chroma_pitch)

    def _colour(self, layout: SampleLayout) -> Colour:
        clip = self._clip
        return Colour.of(clip.color.colorspace, clip.color.color_range, clip.pix_fmt, clip.height, layout)
