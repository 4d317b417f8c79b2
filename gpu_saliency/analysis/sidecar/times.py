"""Checks that the number of frames and the time stamps of a sidecar are those of the clip: an encode takes both from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.sidecar.read import SidecarHeader, unusable
from gpu_saliency.analysis.track import SaliencyTrack
from gpu_saliency.errors import SourceError
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.stamps import raised
from gpu_saliency.source.timeline import Timeline, read_timeline


class TimesCheck:
    """Compares a sidecar with the packets of its clip, which are read once.

    Where every packet has a time stamp and they are those of the sidecar, nothing is decoded. Elsewhere the clip is decoded, which
    takes less time than its analysis: packets without time stamps, damaged packets, hidden frames of VP8, fields in packets of
    their own.
    """

    def __init__(self, path: Path, clip: Clip) -> None:
        self._path, self._clip = path, clip
        self._timeline: Timeline | None = None

    def check_header(self, header: SidecarHeader) -> None:
        """Raise `SidecarError` where the clip has fewer frames than the header claims; reads the packets."""
        self._timeline = read_timeline(self._clip)
        # A packet may hold two frames, as packed B frames of MPEG-4 do.
        if header.frame_count > 2 * self._timeline.packets:
            packets = self._timeline.packets
            raise unusable(self._path, f"it claims {header.frame_count} frames, {self._clip.path} has {packets} packets")

    def check_track(self, track: SaliencyTrack) -> None:
        """Raise `SidecarError` unless the time stamps of ``track`` are those of the clip; after `check_header`."""
        found = self._timeline
        assert found is not None
        if found.is_complete and track.time_base == found.time_base and _same(track.frame_pts, raised(found.stamps)):
            return
        tally = DecodeTally()
        try:
            for _ in decode_frames(self._clip, tally):
                pass
        except SourceError as error:
            raise unusable(self._path, error.message) from error
        if track.frame_count != tally.frames:
            raise unusable(self._path, f"it has {track.frame_count} frames, {self._clip.path} has {tally.frames}")
        stamps, _ = tally.stamps()
        if not _same(stamps, track.frame_pts) or (stamps is not None and track.time_base != tally.time_base):
            raise unusable(self._path, f"its time stamps are not those of {self._clip.path}")


def _same(one: NDArray[np.int64] | None, other: NDArray[np.int64] | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)
