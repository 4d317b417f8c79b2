"""The interface of the decoders on a GPU: a `DecodeRequest` makes a `Decoder`, which yields each `DecodedFrame`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from gpu_saliency.analysis.cuda.decode.containers import ClipContainers
from gpu_saliency.analysis.cuda.decode.index import FrameIndex
from gpu_saliency.analysis.cuda.decode.ranges import FrameRange
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout, Surface
from gpu_saliency.analysis.cuda.memory import Traffic
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.colour import is_full_range, resolve_colorspace
from gpu_saliency.source.decode import DecodeTally


@dataclass(frozen=True, slots=True)
class Colour:
    """The parameters of the conversion to R'G'B': the arguments of `yuv_to_rgb_matrix`."""

    colorspace: int
    is_full: bool
    bits: int
    has_chroma: bool

    @classmethod
    def of(cls, colorspace: int, color_range: int, pix_fmt: str, height: int, layout: SampleLayout) -> Colour:
        return cls(
            resolve_colorspace(colorspace, height), is_full_range(color_range, pix_fmt), layout.bits, layout.chroma_planes > 0
        )


class DecodedFrame(NamedTuple):
    """One decoded frame. Produced by a `Decoder`; a `Lane` consumes it before it fetches the next one."""

    number: int
    colour: Colour
    surface: Callable[[], Surface]
    """Returns the picture's surface, copied to the GPU if it is on the host. Called only for frames that a kernel reads."""


class Decoder(Protocol):
    """Decodes ranges of one clip, one after the other, on one stream. A surface is valid until the next frame is fetched."""

    @property
    def meters_scenes(self) -> bool:
        """Whether the decoder measures scene changes itself, on the host."""
        ...

    def idle_stream(self) -> Any:
        """The stream of a decoder that an earlier clip has left, to be given to `frames`; ``None`` if there is none."""
        ...

    def frames(self, frame_range: FrameRange | None, cuda_stream: Any) -> Iterator[DecodedFrame]:
        """Yield all frames of ``frame_range`` in order (``None``: of the whole clip).

        The decoder's writes to a surface come before later work on ``cuda_stream``, and it reuses a surface only after the work on
        ``cuda_stream`` that reads it. Raises `SourceError`.
        """
        ...

    def close(self) -> None:
        """Free what is kept from range to range: making a hardware decoder takes as long as hundreds of frames."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class DecodeRequest:
    """The clip to decode and the GPU to decode to; the argument of each decode backend."""

    clip: Clip
    index: FrameIndex | None
    gpu: int
    tally: DecodeTally
    """Filled only by a decoder that runs on the host."""
    traffic: Traffic
    chroma_offset: tuple[int, int] = (0, 0)
    """Chroma siting of a clip that NVDEC decodes; see `SampleLayout`."""
    containers: ClipContainers | None = None
    """Where a decoder gets its container; ``None``: it opens one."""

    def required_index(self) -> FrameIndex:
        assert self.index is not None, "choose_decoder picks a backend that needs an index only where there is one"
        return self.index
