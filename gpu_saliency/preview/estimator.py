"""`Estimator`: the interface of the trial encodes that the preview requests, and their results.

The preview cannot make trial encodes itself (docs/architecture.md); `ClipEstimator` in estimate.py does, and is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import av

from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.preview.dials import QualityDial
from gpu_saliency.progress import Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Measured size and quality of an encode with a plan and of a plain encode, at the same base quality asked for."""

    policy: RoiPolicy
    crf: float
    """Base quality of the plain encode."""
    correction: float
    """What the encode with the plan adds to it, so that the sizes are equal, as ``encode`` does."""
    first: int
    """First measured frame of a moment; 0 for the clip."""
    frames: int
    """Number of measured frames."""
    whole_clip: bool
    """Whether the sizes are those of the whole clip; otherwise of the measured frames."""
    sampled: bool
    """Whether the sizes of the whole clip are predicted from samples."""
    plain_bytes: int
    """Bytes of video."""
    planned_bytes: int
    plain_vmaf: float | None
    """Mean VMAF v1 of the measured frames; ``None`` where it cannot be measured."""
    planned_vmaf: float | None
    vmaf_missing: str | None
    """Why VMAF cannot be measured."""
    seconds: float

    @property
    def size_change(self) -> float:
        """Change of the size by the plan, as a fraction of the plain size."""
        return self.planned_bytes / self.plain_bytes - 1

    def extent(self) -> str:
        """The measured frames as text."""
        if not self.whole_clip:
            return f"frames {self.first} to {self.first + self.frames - 1}"
        return f"clip by {self.frames} sampled frames" if self.sampled else "whole clip"

    def line(self) -> str:
        """The estimate as one line of text."""
        sizes = [f"{size / 1000:.1f} kB" for size in (self.plain_bytes, self.planned_bytes)]
        scores = ["" if vmaf is None else f", VMAF {vmaf:.2f}" for vmaf in (self.plain_vmaf, self.planned_vmaf)]
        text = f"{self.extent()}, crf {self.crf:g}: plain {sizes[0]}{scores[0]}; "
        text += f"planned {sizes[1]} ({self.size_change:+.1%}){scores[1]}"
        return text if self.vmaf_missing is None else f"{text}; no VMAF: {self.vmaf_missing}"

    def to_json(self) -> dict[str, Any]:
        """The facts that the page shows."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "policy"}
        return facts | {"policy": self.policy.to_json(), "size_change": self.size_change, "extent": self.extent()}


@dataclass(frozen=True, slots=True)
class FoundStrength:
    """The strongest plan that costs the whole frame no more VMAF than allowed, at one base quality."""

    offset: float
    gain: float
    """VMAF v1 of the whole frame minus that of a plain encode of equal size."""
    crf: float
    trials: int
    """Number of trial encodes that it took; 0 if it was known."""

    def line(self) -> str:
        """The strength as one line of text."""
        if self.offset == 0:
            return f"offset 0 (plain) at crf {self.crf:g}: every plan costs the whole frame more VMAF than allowed"
        return f"offset {self.offset:+g} at crf {self.crf:g}: {self.gain:+.2f} VMAF of the whole frame at equal size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A second of the clip as a plain encode and as one with the plan: its pictures and sizes."""

    policy: RoiPolicy
    crf: float
    """Base quality of the plain encode."""
    correction: float
    """That of `Estimate`."""
    first: int
    """First frame."""
    plain: tuple[bytes, ...] = field(repr=False)
    """A picture for each frame, as ``draw`` of `Estimator.compare` makes it."""
    planned: tuple[bytes, ...] = field(repr=False)
    plain_bytes: int
    """Bytes of video of these frames."""
    planned_bytes: int

    def line(self) -> str:
        """The sizes as one line of text."""
        return f"frames {self.first} to {self.first + len(self.plain) - 1}: {self.plain_bytes} and {self.planned_bytes} bytes"

    def to_json(self) -> dict[str, Any]:
        """The facts that the page shows, without the pictures."""
        names = ("crf", "correction", "first", "plain_bytes", "planned_bytes")
        change = self.planned_bytes / self.plain_bytes - 1
        facts = {name: getattr(self, name) for name in names}
        return facts | {"policy": self.policy.to_json(), "frames": len(self.plain), "size_change": change}


Draw = Callable[[av.VideoFrame], bytes]
"""Makes the picture of a decoded frame."""


class Estimator(Protocol):
    """Makes trial encodes of one clip, one request at a time; remembers what it measured."""

    quality: QualityDial

    def estimate(self, sidecar: Sidecar, policy: RoiPolicy, crf: float | None, frame: int | None, observer: Observer) -> Estimate:
        """Measure the encode by ``policy`` against a plain one: of the clip, or of the two seconds around ``frame``.

        ``crf`` is the base quality, ``None`` that of the start. ``observer`` receives the progress, and can cancel. Raises any
        `GpuSaliencyError`; no file is left.
        """
        ...

    def compare(
        self, sidecar: Sidecar, policy: RoiPolicy, crf: float | None, frame: int, draw: Draw, observer: Observer
    ) -> Comparison:
        """Encode the second around ``frame`` plainly and by ``policy``, and ``draw`` the decoded frames of both.

        The other arguments and the errors are those of `estimate`.
        """
        ...

    def find_strength(self, sidecar: Sidecar, policy: RoiPolicy, crf: float | None, observer: Observer) -> FoundStrength:
        """Find the strongest offset that costs the whole frame no VMAF; arguments and errors are those of `estimate`."""
        ...
