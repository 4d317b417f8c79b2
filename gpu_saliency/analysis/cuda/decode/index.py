"""Indexes the frames of a clip from its packets, without decoding: time stamps, and frames where decoding can begin."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.source.clip import Clip, open_clip, video_stream_of
from gpu_saliency.source.damage import Damage
from gpu_saliency.source.decode import GRID_TOLERANCE
from gpu_saliency.source.nal_units import length_size, random_access
from gpu_saliency.source.packets import PacketReader
from gpu_saliency.source.shortfall import Extent, Shortfall, find_shortfall


class PacketFacts(NamedTuple):
    """The time stamp and flags of one video packet; packets are in decode order."""

    pts: int | None
    is_key: bool
    is_discard: bool = False
    """Whether the frame is only decoded as a reference and never shown, such as frames before the start of an edit list."""
    is_random_access: bool = False
    """Whether the type of its picture says that decoding can begin with it; see `random_access`."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """The frames of a clip that are shown. Produced by `index_clip`, consumed by `split_ranges` and the decoders."""

    pts: NDArray[np.int64]
    """``[frames]``, time stamp of each frame in ``time_base``, strictly rising."""
    keys: NDArray[np.int64]
    """``[keys]``, rising from 0: numbers of the frames at which decoding can begin, so that it yields every later frame."""
    certain: frozenset[int] = frozenset()
    """Those of ``keys`` at which decoding surely can begin, by the types of their pictures; at others only their flags say so."""
    hidden: frozenset[int] = frozenset()
    """Time stamps of frames that a decoder delivers but that are not in the clip: after its duration, or never shown."""
    time_base: Fraction = Fraction(1)
    extent: Extent = field(default_factory=Extent)
    headers: bytes = b""
    """The parameter sets that the container stores for the stream; empty if they are only in its packets."""

    @property
    def frame_count(self) -> int:
        return len(self.pts)

    def number_of(self, pts: int) -> int | None:
        """The number of the frame with time stamp ``pts``; ``None`` for a hidden one. Raises `KeyError` for any other."""
        number = int(np.searchsorted(self.pts, pts))
        if number < len(self.pts) and self.pts[number] == pts:
            return number
        if pts in self.hidden:
            return None
        raise KeyError(pts)

    def shortfall(self, clip: Clip) -> Shortfall | None:
        """Why ``clip`` is incomplete; ``None`` if nothing shows that. A damaged packet makes the stream irregular instead."""
        return find_shortfall(clip, self.frame_count, self.extent, Damage(), self.pts * float(self.time_base))

    def is_variable(self, frame_rate: Fraction) -> bool:
        """Whether a time stamp differs from a constant ``frame_rate`` by more than `GRID_TOLERANCE`, as on the CPU path."""
        seconds = (self.pts - self.pts[0]) * float(self.time_base)
        off_grid = np.abs(seconds - np.arange(len(self.pts)) / float(frame_rate))
        return bool((off_grid > GRID_TOLERANCE).any())


class IrregularStreamError(Exception):
    """The packets do not determine the frames of the clip; only decoding it in order does."""


def index_clip(clip: Clip) -> FrameIndex:
    """Read all packets of ``clip`` and index its frames. Raises `IrregularStreamError` or `SourceError`."""
    with open_clip(clip) as container:
        video = video_stream_of(container, clip.stream)
        damage = Damage()
        reader = PacketReader(container, video, damage, numbered=True)
        headers = bytes(video.codec_context.extradata or b"")
        lengths = length_size(clip.codec, headers)
        facts = []
        for p in reader.read():
            is_key = p.is_keyframe
            is_random_access = is_key and random_access(clip.codec, memoryview(p), lengths)
            facts.append(PacketFacts(p.pts, is_key, p.is_discard, is_random_access))
        if damage:
            raise IrregularStreamError("; ".join(damage.reasons()))
        if reader.restarts:
            raise IrregularStreamError("its clock restarts")
        if clip.container == "avi" and clip.codec in ("h264", "hevc"):
            raise IrregularStreamError("AVI stores no order of presentation")
        index = make_index(facts, video.time_base or Fraction(1), clip.duration)
        seconds = (max(p.pts or 0 for p in facts) - int(index.pts[0])) * float(index.time_base)
        extent = reader.extent(reached_duration=0 < clip.duration <= seconds)
        return replace(index, extent=extent, headers=headers)


def make_index(packets: list[PacketFacts], time_base: Fraction, duration: float = 0.0) -> FrameIndex:
    """Index the frames of all ``packets``; ``duration`` in seconds limits the clip as on the CPU path (0: no limit).

    Raises `IrregularStreamError`.
    """
    if not packets or not packets[0].is_key:
        raise IrregularStreamError("the stream does not begin with a key frame")
    stamps = [packet.pts for packet in packets]
    if any(pts is None for pts in stamps):
        raise IrregularStreamError("a packet has no time stamp")
    pts = np.array(stamps, np.int64)
    if len(np.unique(pts)) != len(pts):
        raise IrregularStreamError("two packets have the same time stamp")
    if pts.min() < pts[0]:
        raise IrregularStreamError("the first frames refer to frames that are not in the file")
    shown = np.array([not packet.is_discard for packet in packets])
    if not shown.any():
        raise IrregularStreamError("no packet is shown")
    if duration:
        seconds = pts * float(time_base)
        shown &= seconds - seconds[shown].min() < duration
    frames = np.sort(pts[shown])
    # Decoding can begin at a key frame that is shown after everything decoded before it: pictures decoded later and shown earlier
    # (the leading pictures of an open GOP) belong to the range before and are decoded with it.
    latest_before = np.concatenate(([pts[0] - 1], np.maximum.accumulate(pts)[:-1]))
    clean = np.array([packet.is_key for packet in packets]) & shown & (pts > latest_before)
    keys = np.searchsorted(frames, np.sort(pts[clean]))
    certain = np.searchsorted(frames, pts[clean & np.array([packet.is_random_access for packet in packets])])
    if len(keys) == 0 or keys[0] != 0:
        keys = np.concatenate(([0], keys))  # frames before the first clean key are decoded from the beginning of the file
    hidden = frozenset(pts[~shown].tolist())
    return FrameIndex(frames, keys.astype(np.int64), frozenset(certain.tolist()), hidden, time_base)
