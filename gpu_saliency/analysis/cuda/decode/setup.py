"""Prepares the decoding of one clip on the GPUs: chooses the backend, indexes the frames and divides them into ranges."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from gpu_saliency.analysis.cuda.decode.choose import choose_decoder, clip_chroma_offset, on_cpu
from gpu_saliency.analysis.cuda.decode.containers import ClipContainers
from gpu_saliency.analysis.cuda.decode.index import FrameIndex, IrregularStreamError, index_clip
from gpu_saliency.analysis.cuda.decode.interface import Decoder, DecodeRequest
from gpu_saliency.analysis.cuda.decode.ranges import FrameRange, checked_ranges, ranges_from
from gpu_saliency.analysis.cuda.memory import Traffic
from gpu_saliency.analysis.cuda.probe import GpuMachine
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally
from gpu_saliency.source.fields import fields_of

_FRAMES_PER_DECODER = 240
"""Least frames for each decoder, where their number is not given: to begin takes as long as some frames."""
_LEAST_RANGE = 48
"""Least frames of a range that one of several decoders takes from the queue; to begin another one costs a few frames."""
_SHARE = 2
"""The next range has about the frames left, divided by this and by the number of decoders."""


class ClipDecoding:
    """The decode backend, frame index and ranges of one clip; opens its decoders."""

    def __init__(self, clip: Clip, machine: GpuMachine, settings: GpuSettings) -> None:
        """Choose the backend and divide the clip into ranges. Raises `SourceError` or `ToolMissingError`."""
        self._clip = clip
        self._choice = choose_decoder(clip, machine, settings)
        self.index: FrameIndex | None = None
        """``None`` if the CPU decodes: the frames of the clip are then those that the decoder delivers, also from damaged files."""
        self._chroma_offset = (0, 0)
        self._containers = ClipContainers(clip)
        if self._choice.name != "upload":
            self._read(sum(_decoder_counts(clip.frame_count or 0, settings, machine).values()))
        self.decoders = decoder_counts(self.index, settings, machine)
        """The number of decoders on each GPU; they take the ranges of their GPU from a queue."""
        wanted = sum(self.decoders.values())
        self.ranges: list[FrameRange | None] = [None]
        """The ranges in order; ``None`` stands for the whole clip if it has no index."""
        if self.index is not None:
            starts = range_starts(self.index.frame_count, wanted)
            self.ranges = [*checked_ranges(clip, self.index, ranges_from(self.index, starts))]
        self.reason = self._choice.reason
        if len(self.ranges) < wanted:
            self.reason += f"; {len(self.ranges)} of {wanted} decoders, because it has too few key frames"

    def _read(self, decoders: int) -> None:
        """Index the frames, and meanwhile look at what the packets do not say; no engine works before it is done.

        Containers for about as many ``decoders`` are opened meanwhile too.
        """
        clip = self._clip
        if self._choice.name == "nvdec":
            self._containers.open_ahead(decoders)
        with ThreadPoolExecutor(2) as pool:
            fields = pool.submit(fields_of, clip) if self._choice.name == "nvdec" else None
            offset = pool.submit(clip_chroma_offset, clip)
            try:
                index = index_clip(clip)
            except IrregularStreamError as error:
                index, irregular = None, str(error)
        if fields is not None and (found := fields.result()) is not None:
            # PyNvVideoCodec lets NVDEC deinterlace, and has no setting for it; the CPU path analyses the frames as they are.
            self._choice = on_cpu(f"the clip is interlaced, {found.text}, and PyNvVideoCodec would deinterlace it")
        elif index is None:
            self._choice = on_cpu(irregular)
        else:
            self.index, self._chroma_offset = index, offset.result()
            return
        self._containers.close()

    @property
    def backend(self) -> str:
        return self._choice.name

    @property
    def is_unexpected(self) -> bool:
        """Whether the CPU decodes although the user may expect NVDEC."""
        return self._choice.is_unexpected

    def open(self, gpu: int, tally: DecodeTally, traffic: Traffic) -> Decoder:
        """Open another decoder of the clip, on ``gpu``."""
        return self._choice.make(DecodeRequest(self._clip, self.index, gpu, tally, traffic, self._chroma_offset, self._containers))


def decoder_counts(index: FrameIndex | None, settings: GpuSettings, machine: GpuMachine) -> dict[int, int]:
    """The number of decoders by GPU; one decoder on the first GPU without an index."""
    if index is None:
        return {settings.gpus[0]: 1}
    return _decoder_counts(index.frame_count, settings, machine)


def _decoder_counts(frames: int, settings: GpuSettings, machine: GpuMachine) -> dict[int, int]:
    if settings.decoders != "auto":
        return dict.fromkeys(settings.gpus, int(settings.decoders))
    most = max(1, frames // _FRAMES_PER_DECODER // len(settings.gpus))
    return {gpu: min(machine.engines(gpu), most) for gpu in settings.gpus}


def range_starts(frames: int, decoders: int) -> list[int]:
    """Where the ranges after the first one may begin, for ``decoders`` in total that take them from a queue in order.

    One decoder gets one range. Several get ranges that become shorter towards the end of the clip, so that all decoders end at
    nearly the same time: each has a share of the frames that are left when it is taken (guided self-scheduling; Polychronopoulos
    and Kuck, IEEE Transactions on Computers, 1987).
    """
    starts: list[int] = []
    if decoders == 1:
        return starts
    at, least = 0, max(1, min(_LEAST_RANGE, frames // decoders))
    while True:
        at += max(least, (frames - at) // (_SHARE * decoders))
        if frames - at < max(1, least // 2):  # the last range takes a short rest
            return starts
        starts.append(at)
