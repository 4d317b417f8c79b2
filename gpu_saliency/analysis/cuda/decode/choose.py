"""Who decodes: the backends behind one small interface, in the order in which they are tried, and why each cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import av
from av.codec.hwaccel import HWDeviceType

from gpu_saliency.analysis.cuda.decode.interface import Decoder, DecoderJob
from gpu_saliency.analysis.cuda.decode.siting import chroma_offset
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout
from gpu_saliency.analysis.cuda.probe import GpuMachine
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.errors import ToolMissingError
from gpu_saliency.source.clip import Clip, open_clip, video_stream_of


@dataclass(frozen=True, slots=True)
class DecoderChoice:
    """Which backend, and why that one."""

    name: str
    reason: str
    make: Callable[[DecoderJob], Decoder]
    is_unexpected: bool = False
    """Whether the CPU must do what one may think that the GPU does."""


def _nvdec(job: DecoderJob) -> Decoder:
    from gpu_saliency.analysis.cuda.decode.nvdec import NvdecDecoder

    return NvdecDecoder(job)


def _pyav_cuda(job: DecoderJob) -> Decoder:
    from gpu_saliency.analysis.cuda.decode.pyav import PyavCudaDecoder

    return PyavCudaDecoder(job)


def _upload(job: DecoderJob) -> Decoder:
    from gpu_saliency.analysis.cuda.decode.upload import UploadDecoder

    return UploadDecoder(job)


DECODERS = {
    "nvdec": _nvdec,
    "pyav-cuda": _pyav_cuda,
    "upload": _upload,
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
