"""The request of a comparison: all settings of `compare_encodes`, checked when it is created."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.compare.ladder import Ladder, default_ladder
from gpu_saliency.encode.encoders import ENCODERS
from gpu_saliency.encode.encoders.spec import EncoderSpec
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG
from gpu_saliency.encode.prepare import EncodeSettings
from gpu_saliency.errors import UsageError, setting
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.source.clip import Clip

StrPath = str | os.PathLike[str]
DEFAULT_ENCODERS = ("libx264",)
_ALL = ""
"""The key of `CompareRequest.presets` for all encoders that have none of their own."""
MOST_PICTURES = 8


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """All settings of `compare_encodes`. Raises `UsageError` when a setting is out of range."""

    clip: Clip
    output: StrPath
    """Folder for the results."""
    encoders: tuple[str, ...] = DEFAULT_ENCODERS
    crf_ladder: tuple[float, ...] | None = None
    """Base qualities, for all encoders; ``None`` takes four around and below each encoder's default."""
    bitrates: tuple[int, ...] | None = None
    """Bits per second, instead of ``crf_ladder``."""
    presets: Mapping[str, str] = field(default_factory=dict)
    """The preset of each encoder; the key ``""`` is for all others."""
    maxrate: int | None = None
    """As in `EncodeSettings`, for all rates."""
    bufsize: int | None = None
    encoder_params: str = ""
    output_pix_fmt: str | None = None
    """As in `EncodeSettings`."""
    keyint: int | None = None
    """As in `EncodeSettings`."""
    ffmpeg_bin: str = DEFAULT_FFMPEG
    roi_channel: str | None = None
    background: str | None = None
    """As in `EncodeSettings`."""
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    policy: RoiPolicy = field(default_factory=RoiPolicy)
    sidecar: StrPath | None = None
    """Path of the sidecar: reused if the file exists, written otherwise. ``None``: kept in the work folder."""
    work: StrPath | None = None
    """Folder for encodes and scores, which a later run reuses; ``None`` is ``work`` in ``output``."""
    masks: StrPath | None = None
    """As in `score_encode`."""
    gaze: StrPath | None = None
    pairs: int = 2
    """Rates at which the ROI encode is matched to the size of the plain one, for the pictures and the blind pairs."""
    pictures: int = 3
    """Frames of the clip that the pages show, evenly spread."""
    overwrite: bool = False
    """Whether to replace the results in a folder of other origin, or of another source."""
    command: str | None = None
    """The command line that asked for the comparison, for the report."""

    def __post_init__(self) -> None:
        if not self.encoders or len(set(self.encoders)) < len(self.encoders):
            raise UsageError("names an encoder twice", setting="encoder", value=self.encoders, cure="name each encoder once")
        if self.crf_ladder is not None and self.bitrates is not None:
            raise UsageError(f"{setting('bitrates')} and {setting('crf_ladder')} cannot be combined", cure="give one of them")
        unknown = next((name for name in self.presets if name != _ALL and name not in self.encoders), None)
        if unknown is not None:
            raise UsageError(f"names {unknown}, which is not compared", setting="preset", value=self.presets[unknown])
        if not 1 <= self.pictures <= MOST_PICTURES:
            raise UsageError("out of range", setting="pictures", value=self.pictures, cure=f"1 to {MOST_PICTURES}")
        for encoder in self.encoders:
            ladder = self.ladder(encoder)
            if not 0 <= self.pairs <= len(ladder.values):
                raise UsageError("out of range", setting="pairs", value=self.pairs, cure=f"0 to {len(ladder.values)}, the rates")
            for value in ladder.values:
                self.settings(encoder, ladder, value)

    @property
    def output_path(self) -> Path:
        return Path(self.output)

    @property
    def work_path(self) -> Path:
        return self.output_path / "work" if self.work is None else Path(self.work)

    def ladder(self, encoder: str) -> Ladder:
        """The rates at which ``encoder`` encodes."""
        if self.bitrates is not None:
            return Ladder("bitrates", tuple(map(float, self.bitrates)))
        if self.crf_ladder is not None:
            return Ladder("crf_ladder", self.crf_ladder)
        return default_ladder(encoder, _spec(encoder).quality if encoder in ENCODERS else None)

    def settings(self, encoder: str, ladder: Ladder, value: float) -> EncodeSettings:
        """The settings of an encode at one rate; the audio is left out."""
        return EncodeSettings(
            encoder=encoder,
            preset=self.presets.get(encoder, self.presets.get(_ALL)),
            crf=None if ladder.is_bitrate else value,
            bitrate=int(value) if ladder.is_bitrate else None,
            maxrate=self.maxrate,
            bufsize=self.bufsize,
            encoder_params=self.encoder_params,
            audio=False,
            ffmpeg_bin=self.ffmpeg_bin,
            roi_channel=self.roi_channel,
            background=self.background,
            output_pix_fmt=self.output_pix_fmt,
            keyint=self.keyint,
        )


def _spec(encoder: str) -> EncoderSpec:
    return ENCODERS[encoder]
