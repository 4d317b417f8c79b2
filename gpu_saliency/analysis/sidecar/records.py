"""The provenance in a sidecar's header, as typed records that convert to and from JSON objects (docs/sidecar.md).

The annotations are the schema: `check_shape` converts a JSON object to a record, or refuses it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Annotated, Any

from msgspec import Meta

from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.source.clip import MAX_SIDE, Clip
from gpu_saliency.source.sampling import Sampling
from gpu_saliency.source.shortfall import Shortfall
from gpu_saliency.untrusted.strict_json import check_shape

Text = Annotated[str, Meta(max_length=4096)]
Count = Annotated[int, Meta(ge=0, lt=1 << 62)]
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]
Positive = Annotated[int, Meta(ge=1, lt=1 << 31)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """Identifies the clip that a sidecar was made from."""

    path: Text
    """Absolute path when the sidecar was made; used to find the source, not to identify it."""
    size_bytes: Count
    fingerprint: Text
    width: Side
    """Pixels, as coded, before the rotation that a player applies; ``height`` likewise."""
    height: Side
    pix_fmt: Text
    frame_rate: Fraction
    """Frames per second."""
    duration: Seconds
    """Length of the analysed part in seconds, from ``start``; 0 goes to the end of the file."""
    stream: Count = 0
    """Number of the video stream, cover pictures not counted."""
    start: Seconds = 0.0
    """Begin of the analysed part, in seconds after the first frame of the file; 0 in sidecars of older programs."""

    @classmethod
    def of(cls, clip: Clip) -> SourceRecord:
        return cls(
            path=str(clip.path.absolute()),
            size_bytes=clip.size_bytes,
            fingerprint=clip.fingerprint(),
            width=clip.width,
            height=clip.height,
            pix_fmt=clip.pix_fmt,
            frame_rate=clip.frame_rate,
            duration=clip.duration,
            stream=clip.stream,
            start=clip.start,
        )

    @classmethod
    def from_json(cls, facts: Any) -> SourceRecord:
        """From parsed JSON. Raises `ValueError` where a value is missing, of another type or out of range."""
        return check_shape(facts, cls)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "size_bytes": self.size_bytes,
            "fingerprint": self.fingerprint,
            "width": self.width,
            "height": self.height,
            "pix_fmt": self.pix_fmt,
            "frame_rate": str(self.frame_rate),
            "duration": self.duration,
            "stream": self.stream,
            "start": self.start,
        }


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """Identifies the model that made the maps."""

    name: Text
    sha256: Text
    """Hash of the ONNX file, hexadecimal."""
    attention: AttentionCurve | None = None
    """The curve in its metadata; the track of the same sidecar holds it too."""

    @classmethod
    def from_json(cls, facts: Any) -> ModelRecord:
        """Raises `ValueError` where a fact is missing, of another type or out of range."""
        return check_shape(facts, cls)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "sha256": self.sha256,
            "attention": None if self.attention is None else self.attention.to_json(),
        }


@dataclass(frozen=True, slots=True)
class MapsRecord:
    """Identifies the given maps that took the place of a model."""

    name: Text
    """Name of the file or folder."""
    sha256: Text
    """Hash of the file, or of the names and contents in the folder, hexadecimal."""
    kind: Text
    """``saliency``, ``gaze``, or ``saliency+gaze``."""
    attention: AttentionCurve | None = None
    """The curve of given gaze; ``None`` for saliency alone. The track of the same sidecar holds it too."""

    @classmethod
    def from_json(cls, facts: Any) -> MapsRecord:
        """Raises `ValueError` where a fact is missing, of another type or out of range."""
        return check_shape(facts, cls)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "sha256": self.sha256,
            "kind": self.kind,
            "attention": None if self.attention is None else self.attention.to_json(),
        }


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What the device reports about its decoding; the last five on ``cuda`` only."""

    decoder: Text | None = None
    decoder_reason: Text | None = None
    decoders: Positive | None = None
    gpus: list[Text] | None = None
    batch_size: Positive | None = None
    copied_to_device_bytes: Count | None = None
    copied_to_host_bytes: Count | None = None

    def to_json(self) -> dict[str, Any]:
        """The facts that are there."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class AnalysisRecord:
    """How the maps were made: the step, the device, and the decoder's findings about the clip."""

    step: Fraction
    """Source frames per sample; between key frames the least distance."""
    sampled_frames: Count
    corrupt_packets: Count | None
    """Packets that could not be decoded; ``None`` where the decoder does not report them."""
    variable_frame_rate: bool
    device: Text
    device_reason: Text
    provider: Text
    clock: Text = "source"
    """Where the frames' time stamps come from, one of `CLOCKS`."""
    shortfall: Shortfall | None = None
    """Why the clip is incomplete or damaged; ``None`` if nothing shows that, and in sidecars of older programs."""
    frame_formats: tuple[Text, ...] = ()
    """Size and pixel format of the frames, such as ``1280x720 yuv420p``, each that occurs; empty where they were not looked at."""
    at_key_frames: bool = False
    """Whether the maps are of key frames, and no other frame was decoded; false in sidecars of older programs."""
    facts: DeviceFacts = field(default_factory=DeviceFacts)
    further: dict[str, Any] = field(default_factory=dict)
    """Facts of a newer version, kept in the file and never part of a result, of which they could replace a value."""

    @classmethod
    def from_json(cls, facts: Any) -> AnalysisRecord:
        """Raises `ValueError` where a fact is missing, of another type or out of range."""
        if not isinstance(facts, dict):
            raise ValueError("is not an object")
        own = {key: value for key, value in facts.items() if key in _OWN}
        device = {key: value for key, value in facts.items() if key in _DEVICE}
        further = {key: value for key, value in facts.items() if key not in _OWN | _DEVICE}
        return check_shape(own | {"facts": device, "further": further}, cls)

    def to_json(self) -> dict[str, Any]:
        """The documented facts, as results have them."""
        return {
            "step": str(self.step),
            "at_key_frames": self.at_key_frames,
            "sampled_frames": self.sampled_frames,
            "corrupt_packets": self.corrupt_packets,
            "variable_frame_rate": self.variable_frame_rate,
            "device": self.device,
            "device_reason": self.device_reason,
            "provider": self.provider,
            "clock": self.clock,
            "shortfall": self.shortfall and self.shortfall.to_json(),
            "frame_formats": list(self.frame_formats),
        } | self.facts.to_json()

    def to_file(self) -> dict[str, Any]:
        """The object of the sidecar: those of `to_json`, and the `further` ones."""
        return self.further | self.to_json()

    @property
    def sampling(self) -> Sampling:
        """The rule that chose the samples."""
        return Sampling(self.step, self.at_key_frames)

    @property
    def changes_size(self) -> bool:
        """Whether size or pixel format of the frames change within the clip."""
        return len(self.frame_formats) > 1


@dataclass(frozen=True, slots=True)
class EncodeFacts:
    """The record of an encode in a sidecar, as far as `inspect_encode` repeats it; other keys are not read."""

    encoder: Text
    preset: Text | None
    crf: Annotated[float, Meta(ge=-1000, le=1000)] | None
    bitrate: Count | None
    encoder_params: Text
    roi_channel: Text
    offset: Annotated[float, Meta(ge=-100, le=100)]
    mapping: Text
    aggregator: Text
    ema_alpha: Annotated[float, Meta(ge=0, le=1)]
    asked_segments: Text
    size_bytes: Count
    max_background_offset: Annotated[float, Meta(ge=0, le=100)] | None = None
    """Records from before the mapping attention lack it, and no other mapping uses it."""
    background: Text | None = None
    """That of the channel prefilter; earlier records lack it, and all that follow."""
    pix_fmt: Text | None = None
    asks_pix_fmt: bool = False
    """Whether the user asked for ``pix_fmt``."""
    crop: Text | None = None
    scale: Text | None = None
    fps: Text | None = None
    keyint: Count | None = None
    """That of the channel prefilter; earlier records lack it."""
    maxrate: Count | None = None
    bufsize: Count | None = None

    @classmethod
    def from_json(cls, facts: Any) -> EncodeFacts:
        """Raises `ValueError` where a fact is missing, of another type or out of range."""
        return check_shape(facts, cls)


_DEVICE = {one.name for one in fields(DeviceFacts)}
_OWN = {one.name for one in fields(AnalysisRecord)} - {"facts", "further"}
