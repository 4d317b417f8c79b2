"""`find_span`: finds where in its file a clip with a start begins, by reading packets; nothing is decoded."""

from __future__ import annotations

import math
from fractions import Fraction

from gpu_saliency.errors import SourceError, setting
from gpu_saliency.source.clip import Clip, open_clip, video_stream_of
from gpu_saliency.source.damage import Damage
from gpu_saliency.source.packets import PacketReader
from gpu_saliency.source.rate import is_bare
from gpu_saliency.source.span import Span
from gpu_saliency.source.time_codes import exact_seconds


def find_span(clip: Clip, origin: Fraction | None, frames: int | None) -> Span:
    """Find the frames of ``clip`` from its start on.

    ``origin`` is the time in seconds of the file's first frame, ``frames`` their number, each ``None`` if not known. Reads the
    packets up to the start. Raises `SourceError` where the file has no frame there.
    """
    start = exact_seconds(clip.start)
    end = start + exact_seconds(clip.duration) if clip.duration else None
    counted = clip.is_raw or is_bare(clip.container) or (clip.container == "avi" and clip.codec in ("h264", "hevc"))
    return _by_number(clip, start, end, origin, frames) if counted or origin is None else _by_stamps(clip, start, end, origin)


def _by_number(clip: Clip, start: Fraction, end: Fraction | None, origin: Fraction | None, frames: int | None) -> Span:
    before = math.ceil(start * clip.frame_rate)
    count = None if end is None else math.ceil(end * clip.frame_rate) - before
    if frames is not None and before >= frames:
        raise _too_short(clip)
    if count == 0:
        raise _no_frame(clip)
    seconds = float((origin or 0) + before / clip.frame_rate)
    length = float((count or 0) / clip.frame_rate)
    return Span(1 / clip.frame_rate, frames_before=before, frames=count, seconds=seconds, length=length)


def _by_stamps(clip: Clip, start: Fraction, end: Fraction | None, origin: Fraction) -> Span:
    with open_clip(clip) as container:
        video = video_stream_of(container, clip.stream)
        unit = video.time_base or Fraction(1)
        zero = round(origin / unit)
        low = zero + math.ceil(start / unit)
        reader = PacketReader(container, video, Damage())
        first, keys = None, [(0, zero)]
        for number, packet in enumerate(reader.read()):
            if packet.pts is not None:
                if packet.is_keyframe and (first is None or packet.pts <= first):
                    keys = [*keys[-1:], (number, packet.pts)]
                if packet.pts >= low and not packet.is_discard and (first is None or packet.pts < first):
                    first = packet.pts
            if first is not None and packet.dts is not None and packet.dts > first:
                break
        if reader.restarts:
            cure = "remux it with ffmpeg -i FILE -c copy OTHER.mkv first"
            raise SourceError(f"{clip.path}: its clock restarts, so {setting('start')} names no frame", cure=cure)
    if first is None:
        raise _too_short(clip)
    last = None if end is None else zero + math.ceil(end / unit)
    if last is not None and first >= last:
        raise _no_frame(clip)
    before, key = next(one for one in (*reversed(keys), (0, zero)) if one[1] <= first)
    length = 0.0 if last is None else float((last - first) * unit)
    return Span(unit, low, first, last, before, key, seconds=float(first * unit), length=length)


def _too_short(clip: Clip) -> SourceError:
    return SourceError(f"{clip.path}: ends before {setting('start')} {clip.start:g} s", cure="give an earlier start")


def _no_frame(clip: Clip) -> SourceError:
    problem = f"{clip.path}: has no frame from {clip.start:g} s to {clip.start + clip.duration:g} s"
    return SourceError(problem, cure="give a longer range")
