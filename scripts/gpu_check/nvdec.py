"""Check ``NVDEC decode``: NVDEC's pictures against libavcodec's, sample by sample, of whole clips and of ranges.

Needs CuPy and PyNvVideoCodec, but no ONNX Runtime. Exit status 1 if a picture differs, or if NVDEC takes no clip.
"""

from __future__ import annotations

import hashlib
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.cuda.decode.choose import choose_decoder
from gpu_saliency.analysis.cuda.decode.index import index_clip
from gpu_saliency.analysis.cuda.decode.interface import DecodeRequest
from gpu_saliency.analysis.cuda.decode.ranges import FrameRange, checked_ranges
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout, Surface
from gpu_saliency.analysis.cuda.memory import Traffic
from gpu_saliency.analysis.cuda.probe import probe
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.probe import probe_clip

_RANGES = 3


def main() -> None:
    wrong = taken = 0
    for path in map(Path, sys.argv[1:]):
        try:
            found = check_clip(path)
        except Exception as error:  # the next clip is checked all the same
            traceback.print_exc(file=sys.stdout)
            found = (1, f"{type(error).__name__}: {error}")
        taken += found is not None
        if found is not None:
            wrong += found[0]
            print(f"{path.name}: {found[1]}", flush=True)
    print(f"{taken} clips by NVDEC, {wrong} wrong pictures or errors")
    sys.exit(1 if wrong or not taken else 0)


def check_clip(path: Path) -> tuple[int, str] | None:
    """The number of wrong pictures and a line about them; ``None`` (and a line on stdout) for a clip that NVDEC does not take."""
    clip = probe_clip(path)
    choice = choose_decoder(clip, probe(), GpuSettings())
    if choice.name != "nvdec":
        print(f"{path.name}: not by NVDEC: {choice.reason}", flush=True)
        return None
    # Imported here: without a GPU the error above has the reason.
    import cupy

    index = index_clip(clip)
    layout = SampleLayout.of(clip.pix_fmt)
    assert layout is not None
    expected = [picture_hash(host_planes(frame, layout)) for frame in decode_frames(clip, DecodeTally())]
    wrong: list[str] = []
    seconds = []
    parts: list[list[FrameRange]] = [[FrameRange(0, index.frame_count)], checked_ranges(clip, index, _RANGES)]
    for frame_range in (one for part in parts for one in part):
        stream: Any = cupy.cuda.Stream(non_blocking=True)
        decoder = choice.make(DecodeRequest(clip, index, 0, DecodeTally(), Traffic()))
        started, count = time.perf_counter(), 0
        for decoded in decoder.frames(frame_range, stream):
            count += 1
            if picture_hash(device_planes(decoded.surface(), stream)) != expected[decoded.number]:
                wrong.append(f"{decoded.number} of {frame_range.start}..{frame_range.end}")
        seconds.append(time.perf_counter() - started)
        if count != frame_range.end - frame_range.start:
            wrong.append(f"{count} pictures for {frame_range.start}..{frame_range.end}")
    times = ", ".join(f"{one:.2f}" for one in seconds)
    line = f"{len(expected)} pictures, whole and in {len(parts[1])} ranges ({times} s): {len(wrong)} wrong"
    return len(wrong), f"{line} ({'; '.join(wrong[:8])})" if wrong else line


def picture_hash(planes: Sequence[NDArray[Any]]) -> str:
    """A checksum of the samples of luma, Cb and Cr."""
    return hashlib.sha1(b"".join(np.ascontiguousarray(plane).tobytes() for plane in planes)).hexdigest()


def host_planes(frame: av.VideoFrame, layout: SampleLayout) -> list[NDArray[Any]]:
    """The samples of each plane of a planar ``frame`` of libavcodec, ``[lines, width]``."""
    planes = []
    for number, plane in enumerate(frame.planes):
        width, lines = (frame.width, frame.height) if number == 0 else layout.chroma_size(frame.width, frame.height)
        rows: NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        planes.append(_samples(rows[:lines, : width * layout.sample_bytes], layout.sample_bytes))
    return planes


def device_planes(surface: Surface, stream: Any) -> list[NDArray[Any]]:
    """The samples of each plane of ``surface``, copied to the host, with Cb and Cr apart and the unused low bits removed."""
    import cupy

    layout = surface.layout
    across, lines = layout.chroma_size(surface.width, surface.height)
    interleaved = layout.chroma_planes == 1
    sizes = [(surface.width, surface.height, surface.luma_pitch)]
    sizes += [(across * (2 if interleaved else 1), lines, surface.chroma_pitch)] * layout.chroma_planes
    planes = []
    for address, (width, height, pitch) in zip(surface.planes, sizes, strict=True):
        memory = cupy.cuda.UnownedMemory(address, pitch * height, None)
        rows = cupy.ndarray((height, pitch), cupy.uint8, cupy.cuda.MemoryPointer(memory, 0)).get(stream=stream)
        stream.synchronize()
        planes.append(_samples(rows[:, : width * layout.sample_bytes], layout.sample_bytes) >> layout.sample_shift)
    if interleaved:
        planes[1:] = [planes[1][:, 0::2], planes[1][:, 1::2]]
    return planes


def _samples(rows: NDArray[np.uint8], sample_bytes: int) -> NDArray[Any]:
    return np.ascontiguousarray(rows).view(np.uint8 if sample_bytes == 1 else np.uint16)


if __name__ == "__main__":
    main()
