"""The interface of the device's decoders: what a `Decoder` is made for and what it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from gpu_saliency.analysis.cuda.decode.index import Timeline
from gpu_saliency.analysis.cuda.decode.ranges import FrameRange
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout, Surface
from gpu_saliency.analysis.cuda.memory import Traffic
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.colour import is_full_range, resolve_colorspace
from gpu_saliency.source.decode import DecodeTally


@dataclass(frozen=True, slots=True)
class Colour:
    """How sample values are to be read; the arguments of `yuv_to_rgb_matrix`."""

    colorspace: int
    is_full: bool
    bits: int
    has_chroma: bool

    @classmethod
    def of(cls, colorspace: int, color_range: int, pix_fmt: str, height: int, layout: SampleLayout) -> Colour:
        return cls(
            resolve_colorspace(colorspace, height), is_full_range(color_range, pix_fmt), layout.bits, layout.chroma_planes > 0
        )


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded frame. Produced by a `Decoder`, consumed by a `Lane` before it asks for the next one."""

    number: int
    colour: Colour
    surface: Callable[[], Surface]
    """Where it lies in device memory; called on the lane's stream and only for frames that are looked at."""


class Decoder(Protocol):
    """Decodes one range of one clip. A surface is valid until the next frame is asked for."""

    @property
    def meters_scenes(self) -> bool:
        """Whether it has found the scene changes itself, on the host, while it decoded there."""
        ...

    def frames(self, part: FrameRange | None, cuda_stream: Any) -> Iterator[Decoded]:
        """All frames of ``part`` in order (``None``: of the clip). What it writes is ordered before what is put on ``cuda_stream``
        later, and it lets go of a surface only when ``cuda_stream`` has come as far. Raises `SourceError`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class DecoderJob:
    """What a `Decoder` is made for."""

    clip: Clip
    timeline: Timeline | None
    gpu: int
    tally: DecodeTally
    """Filled by a decoder on the host; one on the device does not know what is in it."""
    traffic: Traffic
    chroma_offset: tuple[int, int] = (0, 0)
    """Of a clip that NVDEC decodes; see `SampleLayout`."""

    def known_timeline(self) -> Timeline:
        assert self.timeline is not None, "choose_decoder takes a backend that needs it only where there is one"
        return self.timeline
