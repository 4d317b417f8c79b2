"""`EncodeJob`: a checked encode with its encoder's spec, its channel and the source's time stamps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.encode.audio import AudioCoding
from gpu_saliency.encode.channels.base import Channel
from gpu_saliency.encode.encoders.spec import EncoderSpec
from gpu_saliency.encode.parts import Part, on_grid
from gpu_saliency.encode.peak import packet_bits
from gpu_saliency.encode.shape import Retimed, retime, shaped_frames, shaped_sidecar
from gpu_saliency.encode.streams import Streams, choose_streams
from gpu_saliency.encode.target import EncodeTarget, format_params
from gpu_saliency.plan.build import build_roi_plan
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.source.fields import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeRecord:
    """The settings of an encode in the form that results and sidecars store."""

    encoder: str
    preset: str | None
    crf: float | None
    """Base quality, without the channel's quality shift and the correction."""
    correction: float
    """What a sample added to the base quality for an equal size."""
    bitrate: int | None
    """Bits per second of video."""
    maxrate: int | None
    """Highest bits per second of video."""
    bufsize: int | None
    """Bits of the buffer over which ``maxrate`` is kept."""
    encoder_params: str
    """The encoder's own parameters as ``key=value:...``, as given to the encoder."""
    pix_fmt: str
    """Pixel format of the output."""
    roi_channel: str | None
    background: str | None
    """The prefilter's background; ``None`` with another channel."""
    crop: str | None = None
    """The part of the displayed source that the output shows, ``W:H:X:Y``; ``None`` shows all."""
    scale: str | None = None
    """The displayed size that was asked for, ``WxH``; ``None`` keeps that of the source, or of the part."""
    fps: str | None = None
    """The rate that was asked for, a fraction; ``None`` keeps every frame with its time."""
    asks_pix_fmt: bool = False
    """Whether the user asked for ``pix_fmt``."""
    keyint: int | None = None
    """Frames from one key frame to the next; ``None`` lets the encoder choose."""
    audio_codec: str | None = None
    """The encoder of the audio; ``None`` where it is copied, and without audio."""
    audio_bitrate: int | None = None
    """Bits per second of each audio stream that were asked for."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EncodeJob(EncodeTarget):
    """A checked encode, ready to run with or without a plan. Produced by `prepare_encode`."""

    spec: EncoderSpec
    audio: bool
    coding: AudioCoding | None = None
    """How audio is encoded; ``None`` copies it."""
    keyint: int | None = None
    """Frames from one key frame to the next, in closed groups; ``None`` lets the encoder choose."""
    asks_pix_fmt: bool = False
    """Whether the user asked for `pix_fmt`."""
    retimed: Retimed | None = None
    """The frames of an output of another rate; known after the analysis (`timed_like`)."""
    fields: Fields | None = None
    """The field order of an interlaced source; ``None`` for a progressive one."""
    dropped_hdr: tuple[str, ...] = ()
    """Names of the source's dynamic HDR metadata, which the output lacks."""
    streams: Streams | None = None
    """The streams that are copied; ``None`` lets the encode choose them by its output."""
    channel: Channel | None = None
    """The channel that passes the plan to the encoder; ``None`` if the job is for plain encodes only."""
    fine_quality: bool = False
    """Whether this encoder accepts quarters of a step (see `Quality.fine_param`)."""
    correction: float = 0.0
    """What a sample adds to the base quality of the encode with a plan, so that it has the size of the plain encode (sample.py)."""
    passed_over: tuple[tuple[str, str], ...] = ()
    """Better channels that cannot be used here, as (name, reason)."""
    frame_pts: NDArray[np.int64] | None = field(default=None, repr=False)
    """``[frames]``, time stamps of the source in ``time_base``, from the analysis; ``None`` where it found none that rise."""
    time_base: Fraction = Fraction(1)
    can_seek: bool = True
    """Whether `frame_pts` are stamps of the file, so that ffmpeg can seek to them."""
    is_damaged: bool = False
    """Whether the analysis found the source damaged or incomplete. ffmpeg may then decode more frames than the analysis did."""
    scaled: bool = False
    """Whether size or pixel format change within the source; all frames are then converted to those of the first."""

    @property
    def field_filters(self) -> str:
        """The filters that hide the field order from ffmpeg, so that it does not drop regions; empty where it does not.

        They stand in every graph of such an encoder: a clip that begins with progressive frames may have interlaced ones later.
        """
        if not self.spec.drops_regions_of_fields:
            return ""
        stated = f"setfield={self.fields.order}," if self.fields is not None and not self.fields.in_frames else ""
        return stated + "setfield=prog"

    def notes(self) -> Iterator[str]:
        """What the user may not expect of this encode, a text for each."""
        if self.fields is not None:
            coded = any(self.spec.field_params.get(self.fields.order, {}).keys() & self.params.keys())
            yield f"is interlaced, {self.fields.text}; coded " + ("as interlaced video" if coded else "in whole frames")

    def warnings(self) -> Iterator[str]:
        """What the output will lack of the source, a text for each; not what the user's own settings leave out."""
        lost = "" if self.asks_pix_fmt else _lost_precision(self.clip.pix_fmt, self.pix_fmt)
        if lost:
            yield f"its pixel format {self.clip.pix_fmt} becomes {self.pix_fmt}, with less {lost}: {self.encoder} does not take it"
        for name in self.dropped_hdr:
            yield f"its {name} metadata are left out"
        for stream in self.streams.left_out if self.streams is not None else ():
            if not stream.is_asked:
                yield stream.text

    def quality(self, plan: RoiPlan | None) -> float | None:
        """The base quality for an encode with ``plan``, on the encoder's scale.

        It is the user's plus the channel's quality shift and the `correction`; a plain encode (``None``) has neither.
        """
        shift = 0.0 if plan is None or self.channel is None else self.channel.quality_shift(self, plan) + self.correction
        return self.spec.shifted_quality(self.crf, shift, fine=self.fine_quality)

    def plan(self, sidecar: Sidecar, policy: RoiPolicy | None = None) -> RoiPlan:
        """Make the plan from ``sidecar``; each map gets its own segment if the channel takes new offsets at no cost.

        The maps of the source are first carried over to the output's shape (`view`).
        """
        return build_roi_plan(self.view(sidecar), policy, per_map=self.channel is not None and self.channel.per_map)

    def view(self, sidecar: Sidecar) -> Sidecar:
        """The maps of ``sidecar`` on the block grid of the output, and its frames; ``sidecar`` itself for one like the source."""
        return shaped_sidecar(sidecar, self.clip, self.shape, self.retimed)

    def pictures(self) -> Iterator[av.VideoFrame]:
        """Yield the source's frames in the output's shape, in the source's pixel format. Raises `SourceError`."""
        return shaped_frames(self.clip, self.shape, self.retimed)

    def parts(self, plan: RoiPlan) -> list[Part]:
        """The parts in which ``plan`` is encoded, one run of the encoder each; they begin at key frames of a regular grid."""
        assert self.channel is not None
        parts = self.channel.split(plan)
        return parts if self.keyint is None else on_grid(parts, self.keyint)

    def source_part(self, part: Part) -> Part:
        """The source's frames that ``part`` of the output shows."""
        if self.retimed is None:
            return part
        return Part(self.retimed.source_of(part.start), self.retimed.source_of(part.end - 1) + 1)

    def timed_like(self, sidecar: Sidecar) -> EncodeJob:
        """Return a copy of this job with the time stamps and the findings about the source of ``sidecar``."""
        track, rate = sidecar.track, self.shape.rate
        stamps = (track.frame_count, track.frame_pts, track.time_base)
        is_file_time = track.seek_pts is not None
        return replace(
            self,
            retimed=None if rate is None else retime(self.clip, rate, *stamps, is_file_time=is_file_time),
            frame_pts=track.frame_pts,
            time_base=track.time_base,
            can_seek=is_file_time,
            is_damaged=sidecar.analysis.shortfall is not None,
            scaled=sidecar.analysis.changes_size,
        )

    def corrected(self, correction: float) -> EncodeJob:
        """Return a copy of this job that adds ``correction`` to the base quality of an encode with a plan."""
        return replace(self, correction=correction)

    def continued(self, part: Path) -> EncodeJob:
        """Return a copy of this job of which the VBV buffer starts as the encode in the file ``part`` left it.

        Without a limit of the peak rate it is the same job. Raises `EncodeError` if the file cannot be read.
        """
        if self.vbv is None:
            return self
        return replace(self, vbv=self.vbv.after(packet_bits(part), float(1 / self.shaped.frame_rate)))

    def for_output(self, output: Path) -> EncodeJob:
        """Return a copy of this job with the choice of streams for ``output``. Raises `OutputError` or `SourceError`."""
        if self.streams is not None:
            return self
        return replace(self, streams=choose_streams(self.clip, output, audio=self.audio, coding=self.coding))

    def keeps_size(self, policy: RoiPolicy) -> bool:
        """Whether an encode by ``policy`` shall have the size of a plain encode, and a sample can correct it (sample.py)."""
        has_scale = self.crf is not None and self.spec.quality is not None and self.spec.quality.per_octave is not None
        return has_scale and bool(policy.offset) and policy.keeps_size and self.channel is not None and self.channel.has_offsets

    @property
    def used_background(self) -> str | None:
        """The prefilter's background; ``None`` with another channel."""
        return self.background if self.channel is not None and self.channel.has_background else None

    def record(self) -> EncodeRecord:
        """The settings from which this encode can be repeated; the sidecar stores them."""
        return EncodeRecord(
            encoder=self.encoder,
            preset=self.preset,
            crf=self.crf,
            correction=self.correction,
            bitrate=self.bitrate,
            maxrate=None if self.vbv is None else self.vbv.maxrate,
            bufsize=None if self.vbv is None else self.vbv.bufsize,
            encoder_params=format_params(self.params),
            pix_fmt=self.pix_fmt,
            roi_channel=None if self.channel is None else self.channel.name,
            background=self.used_background,
            asks_pix_fmt=self.asks_pix_fmt,
            keyint=self.keyint,
            audio_codec=None if self.coding is None else self.coding.encoder,
            audio_bitrate=None if self.coding is None else self.coding.bitrate,
            **self.shape.record(self.clip),
        )


def _lost_precision(source: str, output: str) -> str:
    """What the pixel format ``output`` has less of than ``source``: chroma, bits, transparency; empty if nothing."""
    a, b = av.VideoFormat(source), av.VideoFormat(output)
    lost = []
    if not a.is_rgb and len(a.components) > 1:
        is_coarser = b.chroma_width(16) < a.chroma_width(16) or b.chroma_height(16) < a.chroma_height(16)
        if len(b.components) < 3 or is_coarser:
            lost.append("chroma resolution")
    if b.components[0].bits < a.components[0].bits:
        lost.append("bit depth")
    if any(component.is_alpha for component in a.components) and not any(component.is_alpha for component in b.components):
        lost.append("transparency")
    return " and ".join(lost)
