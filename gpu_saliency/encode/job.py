"""`EncodeJob`: a checked encode with its encoder's spec, its channel and the source's time stamps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.encode.channels.base import Channel
from gpu_saliency.encode.encoders.spec import EncoderSpec
from gpu_saliency.encode.target import EncodeTarget, format_params
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeRecord:
    """The settings of an encode as results and sidecars keep them."""

    encoder: str
    preset: str | None
    crf: float | None
    """Base quality as asked."""
    bitrate: int | None
    """Bits per second of video."""
    encoder_params: str
    """``key=value:...`` as the encoder got them."""
    pix_fmt: str
    """Of the output."""
    roi_channel: str | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EncodeJob(EncodeTarget):
    """A checked encode, ready to run with a plan or without. Produced by `prepare_encode`."""

    spec: EncoderSpec
    audio: bool
    channel: Channel | None = None
    """How the plan reaches the encoder; ``None`` for plain encodes only."""
    passed_over: tuple[tuple[str, str], ...] = ()
    """Better channels, and why each could not be used."""
    frame_pts: NDArray[np.int64] | None = field(default=None, repr=False)
    """``[frames]``, time stamps of the source in ``time_base``, as the analysis found them; ``None`` without."""
    time_base: Fraction = Fraction(1)

    def quality(self, plan: RoiPlan | None) -> float | None:
        """The base quality to encode ``plan`` with, on the encoder's scale; ``None`` (plain) takes no shift."""
        shift = 0.0 if plan is None or self.channel is None else self.channel.quality_shift(self, plan)
        return self.spec.shifted_quality(self.crf, shift)

    def plan(self, sidecar: Sidecar, policy: RoiPolicy | None = None) -> RoiPlan:
        """Plan ``sidecar`` in as many segments as the channel takes without extra cost."""
        return build_roi_plan(sidecar, policy, per_map=self.channel is not None and self.channel.per_map)

    def timed_like(self, sidecar: Sidecar) -> EncodeJob:
        """This job with the time stamps that the analysis found."""
        return replace(self, frame_pts=sidecar.track.frame_pts, time_base=sidecar.track.time_base)

    def record(self) -> EncodeRecord:
        """The settings that make this encode again; kept in the sidecar."""
        return EncodeRecord(
            encoder=self.encoder,
            preset=self.preset,
            crf=self.crf,
            bitrate=self.bitrate,
            encoder_params=format_params(self.params),
            pix_fmt=self.pix_fmt,
            roi_channel=None if self.channel is None else self.channel.name,
        )
