"""The provenance in a sidecar's header, as typed records that convert to and from JSON objects (docs/sidecar.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from gpu_saliency.model.attention import AttentionCurve
from gpu_saliency.source.clip import MAX_SIDE, Clip
from gpu_saliency.source.shortfall import Shortfall

# The text is checked before it is parsed: Fraction("1e999999999") would compute a number of a billion digits.
_FRACTION = re.compile(r"[0-9]{1,18}(/[0-9]{1,18})?")


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """Identifies the clip that a sidecar was made from."""

    path: str
    """Absolute path when the sidecar was made; used to find the source, not to identify it."""
    size_bytes: int
    fingerprint: str
    width: int
    """Pixels, as coded, before the rotation that a player applies; ``height`` likewise."""
    height: int
    pix_fmt: str
    frame_rate: Fraction
    """Frames per second."""
    duration: float
    """Length of the analysed part in seconds, from the start; 0 is the whole clip."""
    stream: int = 0
    """Number of the video stream, cover pictures not counted."""

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
        )

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> SourceRecord:
        """Parse the JSON object. Raises `ValueError` where a value is missing, of another type or out of range."""
        sides = _field(facts, "width", int), _field(facts, "height", int)
        if not all(1 <= side <= MAX_SIDE for side in sides):
            raise ValueError(f"{sides[0]}x{sides[1]} pixels are out of range")
        return cls(
            path=_field(facts, "path", str),
            size_bytes=_field(facts, "size_bytes", int),
            fingerprint=_field(facts, "fingerprint", str),
            width=sides[0],
            height=sides[1],
            pix_fmt=_field(facts, "pix_fmt", str),
            frame_rate=parse_fraction(_field(facts, "frame_rate", str)),
            duration=float(_field(facts, "duration", int, float)),
            stream=_field({"stream": 0} | facts, "stream", int),
        )

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
        }


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """Identifies the model that made the maps."""

    name: str
    sha256: str
    """Hash of the ONNX file, hexadecimal."""
    attention: AttentionCurve | None = None
    """The curve in its metadata; the track of the same sidecar holds it too."""

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> ModelRecord:
        """Raises `ValueError` where a fact is missing, of another type or out of range."""
        return cls(_field(facts, "name", str), _field(facts, "sha256", str), _curve(facts.get("attention")))

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "sha256": self.sha256,
            "attention": None if self.attention is None else self.attention.to_json(),
        }


@dataclass(frozen=True, slots=True)
class MapsRecord:
    """Identifies the given maps that took the place of a model."""

    name: str
    """Name of the file or folder."""
    sha256: str
    """Hash of the file, or of the names and contents in the folder, hexadecimal."""
    kind: str
    """``saliency``, ``gaze``, or ``saliency+gaze``."""
    attention: AttentionCurve | None = None
    """The curve of given gaze; ``None`` for saliency alone. The track of the same sidecar holds it too."""

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> MapsRecord:
        """Raises `ValueError` where a fact is missing, of another type or out of range."""
        return cls(
            _field(facts, "name", str), _field(facts, "sha256", str), _field(facts, "kind", str), _curve(facts.get("attention"))
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "sha256": self.sha256,
            "kind": self.kind,
            "attention": None if self.attention is None else self.attention.to_json(),
        }


@dataclass(frozen=True, slots=True)
class AnalysisRecord:
    """How the maps were made: the step, the device, and the decoder's findings about the clip."""

    step: Fraction
    """Source frames per sample."""
    sampled_frames: int
    corrupt_packets: int | None
    """Packets that could not be decoded; ``None`` where the decoder does not report them."""
    variable_frame_rate: bool
    device: str
    device_reason: str
    provider: str
    clock: str = "source"
    """Where the frames' time stamps come from, one of `CLOCKS`."""
    shortfall: Shortfall | None = None
    """Why the clip is incomplete or damaged; ``None`` if nothing shows that, and in sidecars of older programs."""
    frame_formats: tuple[str, ...] = ()
    """Size and pixel format of the frames, such as ``1280x720 yuv420p``, each that occurs; empty where they were not looked at."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Further facts that the device reports: ``decoder``, ``decoder_reason``, and more on ``cuda``."""

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> AnalysisRecord:
        """Raises `ValueError` where a fact is missing or of another type."""
        known = {
            "step": parse_fraction(_field(facts, "step", str)),
            "sampled_frames": _field(facts, "sampled_frames", int),
            "corrupt_packets": _field(facts, "corrupt_packets", int, type(None)),
            "variable_frame_rate": _field(facts, "variable_frame_rate", bool),
            "device": _field(facts, "device", str),
            "device_reason": _field(facts, "device_reason", str),
            "provider": _field(facts, "provider", str),
            "clock": _field({"clock": "source"} | facts, "clock", str),
            "shortfall": _shortfall(facts.get("shortfall")),
            "frame_formats": _texts(facts.get("frame_formats", []), "frame_formats"),
        }
        return cls(**known, facts={key: value for key, value in facts.items() if key not in known})

    def to_json(self) -> dict[str, Any]:
        return {
            "step": str(self.step),
            "sampled_frames": self.sampled_frames,
            "corrupt_packets": self.corrupt_packets,
            "variable_frame_rate": self.variable_frame_rate,
            "device": self.device,
            "device_reason": self.device_reason,
            "provider": self.provider,
            "clock": self.clock,
            "shortfall": self.shortfall and self.shortfall.to_json(),
            "frame_formats": list(self.frame_formats),
        } | self.facts

    @property
    def changes_size(self) -> bool:
        """Whether size or pixel format of the frames change within the clip."""
        return len(self.frame_formats) > 1


def _curve(facts: Any) -> AttentionCurve | None:
    if facts is None:
        return None
    try:
        return AttentionCurve.from_json(facts)
    except ValueError as error:
        raise ValueError(f"attention: {error}") from error


def _shortfall(facts: Any) -> Shortfall | None:
    if facts is None:
        return None
    if not isinstance(facts, dict):
        raise ValueError(f"shortfall is {str(facts)[:40]!r}")
    declared = _field(facts, "declared_frames", int, type(None))
    return Shortfall(declared, _field(facts, "decoded_frames", int), _texts(_field(facts, "reasons", list), "reasons"))


def _texts(values: Any, key: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key} is {str(values)[:40]!r}, not a list of texts")
    return tuple(values)


def parse_fraction(text: str) -> Fraction:
    """Parse ``24`` or ``30000/1001``, a number above 0. Raises `ValueError`."""
    if not _FRACTION.fullmatch(text) or text.endswith("/0") or (value := Fraction(text)) <= 0:
        raise ValueError(f"{text[:40]!r} is not a fraction above 0")
    return value


def _field(facts: dict[str, Any], key: str, *kinds: type) -> Any:
    """The value of ``key``, which must have exactly one of ``kinds``: JSON's true is not an int. Raises `ValueError`."""
    if key not in facts:
        raise ValueError(f"{key} is missing")
    value = facts[key]
    if type(value) not in kinds:
        raise ValueError(f"{key} is {str(value)[:40]!r}, not {' or '.join(kind.__name__ for kind in kinds)}")
    return value
