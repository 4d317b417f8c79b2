"""The results of `encode_clip` and `dry_run` as typed records; `to_json` gives the object that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gpu_saliency._version import __version__
from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.encode.job import EncodeJob, EncodeRecord
from gpu_saliency.encode.run import Encoded
from gpu_saliency.encode.sample import SizeSample
from gpu_saliency.encode.streams import StreamFacts
from gpu_saliency.encode.verify import OutputFacts
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import PlanStatistics, RoiPlan
from gpu_saliency.proof import Proof
from gpu_saliency.trial import IntentReport


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The clip that was encoded."""

    path: str
    width: int
    """Pixels, as coded, before the rotation that a player applies."""
    height: int
    pix_fmt: str
    frame_rate: str
    """Frames per second, a fraction."""
    codec: str
    audio: tuple[str, ...]
    """Codec of each audio stream."""
    left_out: tuple[StreamFacts, ...]
    """Each source stream that the output omits, with the reason."""
    field_order: str | None
    """``tff`` or ``bff`` for an interlaced source, else ``None``."""

    @classmethod
    def of(cls, job: EncodeJob) -> SourceFacts:
        clip = job.clip
        left_out = () if job.streams is None else job.streams.left_out
        rate = str(clip.frame_rate)
        order = None if job.fields is None else job.fields.order
        return cls(str(clip.path), clip.width, clip.height, clip.pix_fmt, rate, clip.codec, clip.audio_codecs, left_out, order)


@dataclass(frozen=True, slots=True)
class FfmpegFacts:
    """The ffmpeg that ran."""

    path: str
    version: str
    origin: str
    """How the path was found: ``asked for`` (given by the user), ``PATH`` or ``bundled``."""


@dataclass(frozen=True, slots=True)
class AnalysisFacts:
    """The analysis from which a plan was made."""

    sidecar: Sidecar
    reused: bool
    """Whether maps of an earlier analysis were used."""
    path: Path | None
    """Path of the sidecar; ``None`` in a dry run."""
    reused_from: Path | None = None
    """The sidecar or the entry of the cache whose maps were used; ``None`` after an analysis."""

    def to_json(self) -> dict[str, Any]:
        where = self.reused_from and str(self.reused_from)
        facts: dict[str, Any] = {"reused": self.reused, "reused_from": where, "frames": self.sidecar.frame_count}
        facts |= self.sidecar.origin_json() | self.sidecar.analysis.to_json()
        return facts if self.path is None else facts | {"sidecar": str(self.path)}


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A better channel that this encode could not use."""

    channel: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoiFacts:
    """The plan of an encode, and the channel that carried it to the encoder."""

    channel: str
    passed_over: tuple[PassedOver, ...]
    crf_used: float | None
    """Base quality given to the encoder: the user's plus the channel's quality shift and the correction."""
    policy: RoiPolicy
    plan: PlanStatistics
    parts: int
    """Number of parts, one run of the encoder each."""
    background: str | None = None
    """The prefilter's background; ``None`` with another channel."""
    size_sample: SizeSample | None = None
    """The sample that corrected the base quality; ``None`` where none did, and in a dry run."""

    @classmethod
    def of(cls, job: EncodeJob, plan: RoiPlan, parts: int, sample: SizeSample | None = None) -> RoiFacts:
        assert job.channel is not None
        passed_over = tuple(PassedOver(name, reason) for name, reason in job.passed_over)
        facts = (job.channel.name, passed_over, job.quality(plan), plan.policy, plan.statistics(), parts)
        return cls(*facts, job.used_background, sample)

    def to_json(self) -> dict[str, Any]:
        facts = {"channel": self.channel, "passed_over": [asdict(one) for one in self.passed_over], "crf_used": self.crf_used}
        facts["background"] = self.background
        facts |= self.policy.to_json() | self.plan.to_json() | {"parts": self.parts}
        return facts | {"size_sample": self.size_sample and asdict(self.size_sample)}


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """The output file, with facts read back from it."""

    path: str
    size_bytes: int
    facts: OutputFacts

    @classmethod
    def of(cls, path: Path, encoded: Encoded) -> WrittenFile:
        return cls(str(path), encoded.size_bytes, encoded.facts)

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "size_bytes": self.size_bytes} | self.facts.to_json()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """Wall-clock time of each stage in seconds; ``None`` for a stage that did not run."""

    analysis: float | None = None
    sample: float | None = None
    encode: float | None = None
    proof: float | None = None
    total: float | None = None

    def items(self) -> Iterator[tuple[str, float]]:
        """Name and time of each stage that ran."""
        return ((name, value) for name, value in asdict(self).items() if value is not None)

    def to_json(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in self.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """The part of a result that encodes and dry runs share."""

    version: str = __version__
    """Version of this program."""
    source: SourceFacts
    ffmpeg: FfmpegFacts
    encode: EncodeRecord
    analysis: AnalysisFacts | None
    roi: RoiFacts | None
    intent: IntentReport | None
    """What was found for the request's intent; ``None`` without one."""
    seconds: Seconds
    warnings: tuple[str, ...] = ()
    """What may differ from the user's expectation, such as damage of the source; each was also a message."""

    @classmethod
    def common(cls, job: EncodeJob) -> dict[str, Any]:
        """Keyword arguments for the fields that depend only on the job."""
        ffmpeg = FfmpegFacts(job.ffmpeg.path, job.ffmpeg.version, job.ffmpeg.origin)
        return {"source": SourceFacts.of(job), "ffmpeg": ffmpeg, "encode": job.record()}

    def to_json(self) -> dict[str, Any]:
        source = asdict(self.source) | {
            "audio": list(self.source.audio),
            "left_out": [one.to_json() for one in self.source.left_out],
        }
        encode = self.encode.to_json()
        del encode["roi_channel"], encode["background"], encode["asks_pix_fmt"]
        return {
            "version": self.version,
            "source": source,
            "ffmpeg": asdict(self.ffmpeg),
            **encode,
            "analysis": self.analysis and self.analysis.to_json(),
            "roi": self.roi and self.roi.to_json(),
            "intent": self.intent and self.intent.to_json(),
            "seconds": self.seconds.to_json(),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeResult(_Result):
    """A finished encode. ``analysis`` and ``roi`` are ``None`` for a plain fallback."""

    proof: Proof | None
    """``None`` if ``prove`` was ``none``, and for a plain fallback."""
    output: WrittenFile

    def to_json(self) -> dict[str, Any]:
        """The object that ``encode --json`` prints; docs/result.md describes it."""
        proof = self.proof and self.proof.to_json() | {"summary": self.proof.summary()}
        return _Result.to_json(self) | {"proof": proof, "output": self.output.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunResult(_Result):
    """The plan of an encode and the commands that would run."""

    corrects_size: bool
    """Whether the encode would first correct the base quality of these commands by a sample."""
    commands: tuple[str, ...]
    """Shell lines, in order; ``partN/`` stands for the temporary folder of part N."""
    graphs: tuple[str, ...]
    """Text of each part's filter graph: the content of ``partN/roi.graph`` in the commands."""
    kept: Path | None = None
    """The folder with all files that the commands name; ``None`` where none was kept."""

    def to_json(self) -> dict[str, Any]:
        """The object that ``encode --dry-run --json`` prints; docs/result.md describes it."""
        own: dict[str, Any] = {
            "dry_run": True,
            "corrects_size": self.corrects_size,
            "commands": list(self.commands),
            "graphs": list(self.graphs),
        }
        own["kept"] = self.kept and str(self.kept)
        return _Result.to_json(self) | own
