"""Reduces pictures and their maps to samples on the block grid, on the host; used for files and live sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.activity import activity_map
from gpu_saliency.analysis.device import AnalysisResult
from gpu_saliency.analysis.track import SaliencyTrack, Samples, encode_activity, encode_gaze, encode_saliency, join_samples
from gpu_saliency.grid import block_mean
from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.model.contract import InputSize
from gpu_saliency.model.maps import Maps
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, FrameBatch

# BT.709 luma weights, on R'G'B'. Only differences of this luma are used, so the source's own matrix does not matter.
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32) / 255


class HostRecorder:
    """Reduces pictures and their saliency maps to samples on the block grid of the coded frame.

    It keeps the luma of the last picture, because activity and motion are differences of two consecutive pictures.
    """

    def __init__(self, clip: Clip, size: InputSize, attention: AttentionCurve | None = None, *, far_apart: bool = False) -> None:
        """``size`` is the model's input for the pictures of ``clip``, ``attention`` the model's curve.

        With ``far_apart`` the change between two pictures is no estimate of that between two frames, and activity is the gradient.
        """
        self._clip, self._size, self._attention, self._far_apart = clip, size, attention, far_apart
        self._previous: NDArray[np.float32] | None = None

    def add(self, batch: FrameBatch, maps: Maps) -> Samples:
        """Reduce the pictures of ``batch``, which follow those of the call before, and their ``maps``.

        Batches must be added in the order of their frames. The pictures are upright and have the size ``content`` of `InputSize`;
        the maps are upright and have the size ``padded``.
        """
        gaze = None if maps.gaze is None else self._blocks(maps.gaze)
        return self.add_blocks(batch, self._blocks(maps.saliency), gaze)

    def add_blocks(self, batch: FrameBatch, saliency: NDArray[np.float32], gaze: NDArray[np.float32] | None) -> Samples:
        """The same for maps that are on the block grid of the coded frame, ``[N, rows, cols]`` in 0..1."""
        activity, motion = [], []
        for luma in np.asarray(batch.rgb @ _LUMA, np.float32):
            activity.append(encode_activity(self._blocks(activity_map(luma, None if self._far_apart else self._previous))))
            motion.append(0.0 if self._previous is None else float(np.abs(luma - self._previous).mean()))
            self._previous = luma
        return Samples(
            sample_frame=batch.index,
            saliency=encode_saliency(saliency),
            activity=np.stack(activity),
            motion=np.array(motion, np.float32),
            gaze=None if gaze is None else encode_gaze(gaze),
            attention=self._attention,
        )

    def _blocks(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reduce upright ``maps`` ``[..., H, W]`` to the coded frame's blocks ``[..., rows, cols]``; removes the padding."""
        width, height = self._size.content
        coded = self._clip.orientation.coded(maps[..., :height, :width], (-2, -1))
        return block_mean(coded, self._clip.width, self._clip.height)


def finish_track(clip: Clip, parts: Sequence[Samples], tally: DecodeTally) -> AnalysisResult:
    """The result of an analysis on the host: the samples of all batches, in order, and what the decoder found."""
    samples = join_samples(parts)
    frame_pts, clock = tally.stamps()
    track = SaliencyTrack(
        saliency=samples.saliency,
        activity=samples.activity,
        sample_frame=samples.sample_frame,
        motion=samples.motion,
        frame_count=tally.frames,
        cuts=tally.scene.cuts(),
        frame_pts=frame_pts,
        time_base=tally.time_base,
        clock=clock,
        gaze=samples.gaze,
        attention=samples.attention,
        at_key_frames=tally.key_frames is not None,
    )
    facts = {"decoder": "libavcodec", "decoder_reason": "the decoder of device cpu"}
    return AnalysisResult(
        track,
        tally.damage.failed_packets,
        tally.variable_frame_rate,
        facts,
        shortfall=tally.shortfall(clip),
        frame_formats=tally.formats(),
    )
