"""Decides whether a clip is complete: compares what its container declares with what was read and decoded."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.source.clip import Clip
from gpu_saliency.source.damage import Damage
from gpu_saliency.source.declared import Declared
from gpu_saliency.source.frame_rate import frames_in
from gpu_saliency.source.structure import structure_fault

_ROUNDING = 0.002
"""Seconds by which a declared end may be later than the last packet's, besides half a frame: time stamps in milliseconds."""
_FILE_ROUNDING = 0.25
"""The same for the end of the longest stream, which may be one that is not read, or padded."""
_COUNTED_IN_TIME = frozenset({"mxf"})
"""Containers of which the declared duration is a number of frames, and a lost frame moves no other one."""
_OF_FIELDS = 0.6
"""A file that declares its fields has half as many frames."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a container declares about the length of the video, and how far reading it came."""

    declared: Declared = field(default_factory=Declared)
    packets: int = 0
    """Packets of the video that were read."""
    end: float = 0.0
    """Seconds at which the last packet of the video ends; ``file_end``: of all streams; ``last``: at which it begins."""
    file_end: float = 0.0
    last: float = 0.0
    reached_duration: bool = False
    """Whether decoding ended at the clip's duration, before the end of the file."""

    def lacks(self, frame_seconds: float) -> bool:
        """Whether less was read than is declared; ``frame_seconds`` is the usual time from one frame to the next."""
        one = self.declared
        if self.reached_duration:
            return False
        if one.packets is not None:
            return self.packets < one.packets
        # AVI counts ticks, so there the duration of a packet is a tick.
        end = max(self.end, self.last + frame_seconds)
        if one.end is not None:
            return end < one.end - frame_seconds / 2 - _ROUNDING
        return one.file_end is not None and max(self.file_end, end) < one.file_end - _FILE_ROUNDING


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why a clip is incomplete or damaged. Kept in the sidecar."""

    declared_frames: int | None
    """Frames that the container declares, within the clip's duration; ``None`` where it declares no number."""
    decoded_frames: int
    reasons: tuple[str, ...]
    read_frames: int | None = None
    """Frames whose packets were read, where only key frames were decoded; else ``None``: those that were decoded."""

    def text(self) -> str:
        """The numbers and the reasons in one line."""
        known = "no number of frames" if self.declared_frames is None else f"{self.declared_frames} frames"
        read = "" if self.read_frames is None else f"{self.read_frames} were read and "
        return f"damaged or incomplete: it declares {known}, {read}{self.decoded_frames} were decoded ({'; '.join(self.reasons)})"

    def of_key_frames(self, decoded: int) -> Shortfall:
        """This shortfall of a clip of which ``decoded`` key frames were decoded, and the packets of the others read."""
        return replace(self, decoded_frames=decoded, read_frames=self.decoded_frames)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"reasons": list(self.reasons)}


def find_shortfall(
    clip: Clip, frames: int, extent: Extent, damage: Damage, stamps: NDArray[np.floating] | None
) -> Shortfall | None:
    """Return why ``clip``, of which ``frames`` were decoded, is not complete; ``None`` if nothing shows that.

    ``stamps`` are the frames' times in seconds, rising; ``None`` where the source has none.
    """
    usual = float(np.median(np.diff(stamps))) if stamps is not None and len(stamps) > 1 else float(1 / clip.frame_rate)
    declared = extent.declared.frames(clip.frame_rate)
    if declared is not None:
        declared = frames_in(clip.start, clip.duration, declared, clip.frame_rate)
    whole = clip.span is None and not clip.duration
    reasons = damage.reasons()
    if not extent.reached_duration and not clip.is_raw:
        fault = structure_fault(clip.path, clip.container)
        reasons += [] if fault is None else [fault]
    if extent.lacks(usual):
        reasons.append("the file ends before its declared end")
    elif clip.container in _COUNTED_IN_TIME and whole and declared is not None and declared * _OF_FIELDS < frames < declared:
        reasons.append("fewer frames than it declares")
    return Shortfall(declared, frames, tuple(reasons)) if reasons else None
