"""Chooses the decode backend for a clip, and gives the reason for the choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import av
from av.codec.hwaccel import HWDeviceType

from gpu_saliency.analysis.cuda.decode.interface import Decoder, DecodeRequest
from gpu_saliency.analysis.cuda.decode.siting import chroma_offset
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout
from gpu_saliency.analysis.cuda.memory import cuda_error
from gpu_saliency.analysis.cuda.probe import GpuMachine
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.errors import setting
from gpu_saliency.source.clip import Clip, open_clip, video_stream_of


@dataclass(frozen=True, slots=True)
class DecoderChoice:
    """The decode backend for a clip, and the reason for the choice."""

    name: str
    reason: str
    make: Callable[[DecodeRequest], Decoder]
    is_unexpected: bool = False
    """Whether the CPU decodes although the user may expect NVDEC; the user then gets a message."""


def _nvdec(request: DecodeRequest) -> Decoder:
    from gpu_saliency.analysis.cuda.decode.nvdec import NvdecDecoder

    return NvdecDecoder(request)


def _pyav_cuda(request: DecodeRequest) -> Decoder:
    from gpu_saliency.analysis.cuda.decode.pyav import PyavCudaDecoder

    return PyavCudaDecoder(request)


def _upload(request: DecodeRequest) -> Decoder:
    from gpu_saliency.analysis.cuda.decode.upload import UploadDecoder

    return UploadDecoder(request)


DECODERS = {
    "nvdec": _nvdec,
    "pyav-cuda": _pyav_cuda,
    "upload": _upload,
}


def choose_decoder(clip: Clip, machine: GpuMachine, settings: GpuSettings) -> DecoderChoice:
    """Return the first of ``nvdec``, ``pyav-cuda`` and ``upload`` that can decode ``clip``.

    Raises `ToolMissingError` if NVDEC could decode it but its library cannot be used: a broken installation must not silently
    decode on the CPU.
    """
    if settings.decoders == "cpu":
        return _choice("upload", "asked for")
    if clip.span is not None:
        return _choice("upload", "the clip begins within its file")
    if clip.codec == "rawvideo":
        return _choice("upload", "raw video needs no decoder")
    layout = SampleLayout.of(clip.pix_fmt)
    chroma = None if layout is None else {(1, 1): "420", (1, 0): "422", (0, 0): "444"}.get(layout.chroma_shift)
    if layout is None or layout.chroma_planes == 0 or chroma is None:
        return on_cpu(f"NVDEC has no pixel format like {clip.pix_fmt}")
    if machine.nvcuvid_error is not None:
        raise cuda_error(
            f"NVDEC's library cannot be used: {machine.nvcuvid_error}",
            "in a container set NVIDIA_DRIVER_CAPABILITIES=compute,video,utility, or give " + setting("decoders", "cpu"),
        )
    content = f"{clip.codec} {chroma} {layout.bits} bit"
    if machine.nvdec_error is not None:
        if chroma != "420" or not libavcodec_has_nvdec(clip.codec):
            return on_cpu(f"PyNvVideoCodec cannot be used: {machine.nvdec_error}")
        return _choice("pyav-cuda", f"PyNvVideoCodec cannot be used: {machine.nvdec_error}")
    for gpu in settings.gpus:
        caps = machine.decoder_caps(gpu, clip.codec, chroma, layout.bits)
        if caps is None:
            return on_cpu(f"NVDEC of GPU {gpu} does not decode {content}")
        if not fits(caps, clip.width, clip.height):
            return on_cpu(f"NVDEC of GPU {gpu} does not decode {content} of {clip.width}x{clip.height}")
    return _choice("nvdec", f"NVDEC decodes {content}")


def _choice(name: str, reason: str) -> DecoderChoice:
    return DecoderChoice(name, reason, DECODERS[name])


def on_cpu(reason: str) -> DecoderChoice:
    """The choice of the CPU for a clip that NVDEC cannot decode; ``reason`` is for the user."""
    return DecoderChoice("upload", f"decoded on the CPU: {reason}", DECODERS["upload"], True)


def clip_chroma_offset(clip: Clip) -> tuple[int, int]:
    """Measure `SampleLayout.chroma_offset` of a clip on its first frame, decoded on the CPU; NVDEC does not report it."""
    layout = SampleLayout.of(clip.pix_fmt)
    if layout is None:
        return 0, 0
    with open_clip(clip) as container:
        return chroma_offset(next(container.decode(video_stream_of(container, clip.stream))), layout.chroma_shift)


def libavcodec_has_nvdec(codec: str) -> bool:
    """Whether PyAV's libavcodec can use NVDEC for ``codec``; the GPU may still not support that codec."""
    return any(config.device_type == HWDeviceType.cuda for config in av.Codec(codec, "r").hardware_configs)


def fits(caps: dict[str, int], width: int, height: int) -> bool:
    """Whether NVDEC decodes pictures of that size; ``caps`` is the result of GetDecoderCaps of PyNvVideoCodec 2.2.4."""
    macroblocks = -(-width // 16) * -(-height // 16)
    return (
        caps["width_min"] <= width <= caps["width_max"]
        and caps["height_min"] <= height <= caps["height_max"]
        and macroblocks <= caps["mb_num_max"]
    )
