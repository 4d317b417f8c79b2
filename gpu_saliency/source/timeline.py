"""`read_timeline`: the time stamps of a clip's packets, read without decoding; they tell whether stored ones belong to the clip."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.source.clip import Clip, open_clip, video_stream_of


@dataclass(frozen=True, slots=True)
class Timeline:
    """The packets of a clip's video within its start and duration, in presentation order."""

    stamps: NDArray[np.int64]
    """Time stamps in ``time_base``, rising; equal ones may occur. Packets without one are left out."""
    time_base: Fraction
    packets: int
    """Number of packets, those without a time stamp too; the whole stream's, whatever the clip's duration."""
    is_complete: bool
    """Whether all packets have a time stamp and are stored in decoding order."""


def read_timeline(clip: Clip) -> Timeline:
    """Read the time stamps of ``clip``; a damaged end is left out. Raises `SourceError` if the clip cannot be opened."""
    stamps: list[int] = []
    packets, last, ordered = 0, None, True
    with open_clip(clip) as container:
        video = video_stream_of(container, clip.stream)
        time_base = video.time_base or Fraction(1)
        try:
            for packet in container.demux(video):
                if packet.size == 0 or packet.is_discard:  # the last one flushes; discarded ones lie before an edit list's start
                    continue
                packets += 1
                if packet.pts is not None:
                    stamps.append(packet.pts)
                if packet.dts is not None:
                    ordered &= last is None or packet.dts >= last
                    last = packet.dts
        except (av.FFmpegError, OSError):
            ordered = False
    rising = np.sort(np.array(stamps, np.int64))
    complete = ordered and len(stamps) == packets > 0
    if clip.span is not None and clip.span.low is not None:
        rising = rising[(rising >= clip.span.low) & (rising < (clip.span.end or np.inf))]
    elif clip.span is not None:
        complete = False
    elif clip.duration and len(rising):
        rising = rising[(rising - rising[0]) * float(time_base) < clip.duration]
    return Timeline(rising, time_base, packets, complete)
