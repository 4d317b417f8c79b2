"""Check ``NVDEC decode``: NVDEC's pictures against libavcodec's, sample by sample, of whole clips and of ranges.

Needs CuPy and PyNvVideoCodec, but no ONNX Runtime. Exit status 1 if a picture differs, or if NVDEC takes no clip.
"""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from gpu_check.pictures import device_planes, host_planes, picture_hash
from gpu_saliency.analysis.cuda.decode.choose import choose_decoder
from gpu_saliency.analysis.cuda.decode.index import index_clip
from gpu_saliency.analysis.cuda.decode.interface import DecodeRequest
from gpu_saliency.analysis.cuda.decode.ranges import FrameRange, checked_ranges, split_ranges
from gpu_saliency.analysis.cuda.decode.surface import SampleLayout
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
    parts: list[list[FrameRange]] = [[FrameRange(0, index.frame_count)], checked_ranges(clip, index, split_ranges(index, _RANGES))]
    for part in parts:
        stream: Any = cupy.cuda.Stream(non_blocking=True)
        started = time.perf_counter()
        # The analysis too sends several ranges to one decoder.
        with contextlib.closing(choice.make(DecodeRequest(clip, index, 0, DecodeTally(), Traffic()))) as decoder:
            for frame_range in part:
                count = 0
                for decoded in decoder.frames(frame_range, stream):
                    count += 1
                    if picture_hash(device_planes(decoded.surface(), stream)) != expected[decoded.number]:
                        wrong.append(f"{decoded.number} of {frame_range.start}..{frame_range.end}")
                if count != frame_range.end - frame_range.start:
                    wrong.append(f"{count} pictures for {frame_range.start}..{frame_range.end}")
        seconds.append(time.perf_counter() - started)
    times = ", ".join(f"{one:.2f}" for one in seconds)
    line = f"{len(expected)} pictures, whole and in {len(parts[1])} ranges ({times} s): {len(wrong)} wrong"
    return len(wrong), f"{line} ({'; '.join(wrong[:8])})" if wrong else line


if __name__ == "__main__":
    main()
