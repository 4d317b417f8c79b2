"""Who decodes: the backends behind one small interface, in the order in which they are tried, and why each cannot."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import av
from av.codec.hwaccel import HWDeviceType

from gpu_saliency.clip import Clip, open_clip, video_stream_of
from gpu_saliency.cuda.colour import is_full_range, resolve_colorspace
from gpu_saliency.cuda.memory import Traffic
from gpu_saliency.cuda.probe import GpuMachine
from gpu_saliency.cuda.siting import chroma_offset
from gpu_saliency.cuda.splits import FrameRange
from gpu_saliency.cuda.surface import SampleLayout, Surface
from gpu_saliency.cuda.timeline import Timeline
from gpu_saliency.decode import DecodeTally
from gpu_saliency.errors import ToolMissingError
from gpu_saliency.gpu import GpuSettings


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


@dataclass(frozen=True, slots=True)
class DecoderChoice:
    """Which backend, and why that one."""

    name: str
    reason: str
    make: Callable[[DecoderJob], Decoder]
    is_unexpected: bool = False
    """Whether the CPU must do what one may think that the GPU does."""


def _make(module: str, name: str) -> Callable[[DecoderJob], Decoder]:
    def make(job: DecoderJob) -> Decoder:
        decoder: Decoder = getattr(importlib.import_module(f"gpu_saliency.cuda.{module}"), name)(job)
        return decoder

    return make


DECODERS = {
    "nvdec": _make("nvdec", "NvdecDecoder"),
    "pyav-cuda": _make("pyav_cuda", "PyavCudaDecoder"),
    "upload": _make("upload", "UploadDecoder"),
}


def choose_decoder(clip: Clip, machine: GpuMachine, settings: GpuSettings) -> DecoderChoice:
    """The first backend that can decode ``clip``.

    Raises `ToolMissingError` where NVDEC could do it if its library were there: that is an installation to be mended.
    """
    if settings.decoders == "cpu":
        return _choice("upload", "--decoders cpu")
    if clip.codec == "rawvideo":
        return _choice("upload", "raw video needs no decoder")
    layout = SampleLayout.of(clip.pix_fmt)
    chroma = None if layout is None else {(1, 1): "420", (1, 0): "422", (0, 0): "444"}.get(layout.chroma_shift)
    if layout is None or layout.chroma_planes == 0 or chroma is None:
        return on_cpu(f"NVDEC has no pixel format like {clip.pix_fmt}")
    if machine.nvcuvid_error is not None:
        raise ToolMissingError(
            f"--device cuda: NVDEC's library cannot be used: {machine.nvcuvid_error}",
            cure="in a container give NVIDIA_DRIVER_CAPABILITIES=compute,video,utility; or --decoders cpu",
        )
    what = f"{clip.codec} {chroma} {layout.bits} bit"
    if machine.nvdec_error is not None:
        if chroma != "420" or not libavcodec_has_nvdec(clip.codec):
            return on_cpu(f"PyNvVideoCodec cannot be used: {machine.nvdec_error}")
        return _choice("pyav-cuda", f"PyNvVideoCodec cannot be used: {machine.nvdec_error}")
    for gpu in settings.gpus:
        caps = machine.decoder_caps(gpu, clip.codec, chroma, layout.bits)
        if caps is None:
            return on_cpu(f"NVDEC of GPU {gpu} does not decode {what}")
        if not fits(caps, clip.width, clip.height):
            return on_cpu(f"NVDEC of GPU {gpu} does not decode {what} of {clip.width}x{clip.height}")
    return _choice("nvdec", f"NVDEC decodes {what}")


def _choice(name: str, reason: str) -> DecoderChoice:
    return DecoderChoice(name, reason, DECODERS[name])


def on_cpu(reason: str) -> DecoderChoice:
    """Where NVDEC cannot."""
    return DecoderChoice("upload", f"decoded on the CPU: {reason}", DECODERS["upload"], True)


def clip_chroma_offset(clip: Clip) -> tuple[int, int]:
    """`SampleLayout.chroma_offset` of what NVDEC decodes, which does not tell: from its first frame, decoded on the CPU."""
    layout = SampleLayout.of(clip.pix_fmt)
    if layout is None:
        return 0, 0
    with open_clip(clip) as container:
        return chroma_offset(next(container.decode(video_stream_of(container))), layout.chroma_shift)


def libavcodec_has_nvdec(codec: str) -> bool:
    """Whether PyAV's libavcodec can hand ``codec`` to NVDEC; whether the GPU takes it is another matter."""
    return any(config.device_type == HWDeviceType.cuda for config in av.Codec(codec, "r").hardware_configs)


def fits(caps: dict[str, int], width: int, height: int) -> bool:
    """Whether NVDEC takes a picture of that size; ``caps`` as GetDecoderCaps of PyNvVideoCodec 2.2.4 answers."""
    macroblocks = -(-width // 16) * -(-height // 16)
    return (
        caps["width_min"] <= width <= caps["width_max"]
        and caps["height_min"] <= height <= caps["height_max"]
        and macroblocks <= caps["mb_num_max"]
    )
