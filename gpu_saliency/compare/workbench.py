"""Makes the encodes and scores of one encoder, or takes them from the work folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpu_saliency._version import __version__
from gpu_saliency.analysis.sidecar import Sidecar
from gpu_saliency.compare.ladder import Ladder
from gpu_saliency.compare.plain import Plainly
from gpu_saliency.compare.point import Point, pooled_metrics
from gpu_saliency.compare.request import CompareRequest
from gpu_saliency.compare.store import Json, Record, file_identity, key_of, plan_digest
from gpu_saliency.dryrun import encode_commands
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import prepare_encode
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.plan.roi import RoiPlan
from gpu_saliency.progress import Observer
from gpu_saliency.proof.prove import video_bytes
from gpu_saliency.score import score_encode
from gpu_saliency.score.tools import choose_ffmpeg
from gpu_saliency.score.views import views_of
from gpu_saliency.texts import shell_join

_SUFFIX = ".mkv"
"""Of encodes, where the encoder's container allows it: Matroska holds all codecs."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """The encodes of one encoder in the folder ``work``."""

    request: CompareRequest
    encoder: str
    ladder: Ladder
    sidecar: Sidecar
    sidecar_path: Path
    observer: Observer

    def job(self, value: float) -> EncodeJob:
        """The checked encode at one rate, with its channel."""
        return prepare_encode(self.request.clip, self.request.settings(self.encoder, self.ladder, value)).timed_like(self.sidecar)

    def plan(self, value: float) -> RoiPlan:
        return self.job(value).plan(self.sidecar, self.request.policy)

    def encode(self, kind: str, value: float) -> Point:
        """The encode of ``kind``, ``plain`` or ``roi``, at one rate; not scored. Raises any error of an encode."""
        job = self.job(value)
        plan = job.plan(self.sidecar, self.request.policy)
        channel = None if job.channel is None else job.channel.name
        if kind == "plain":
            job = replace(job, channel=Plainly(job.channel))
        facts = self._facts(kind, job, plan) | {"channel": channel}
        label = self.ladder.label(value)
        name = f"{self.encoder}-{kind}-{label.replace(' ', '').replace('/', 'p').lower()}-{key_of(facts)}"
        path = self.request.work_path / (name + _suffix(job))
        record = Record(self.request.work_path / f"{name}.json")
        known = record.read()
        reused = known is not None and path.is_file() and path.stat().st_size == known.get("size_bytes")
        if known is None or not reused:
            known = self._make(job, plan, path, f"{self.encoder} {kind}, {label}") | {"facts": facts}
            record.write(known)
        seconds_long = plan.frame_count / float(self.request.clip.frame_rate)
        return Point(
            kind=kind,
            value=value,
            label=label,
            crf_used=known["crf_used"],
            path=path,
            video_bytes=known["video_bytes"],
            bits_per_second=8 * known["video_bytes"] / seconds_long,
            seconds=known["seconds"],
            parts=known["parts"],
            commands=tuple(known["commands"]),
            reused=reused,
        )

    def _make(self, job: EncodeJob, plan: RoiPlan, path: Path, title: str) -> Json:
        commands, _ = encode_commands(job, plan)
        with self.observer.stage(f"encoding {title}") as advance:
            made = run_saliency_encode(job, plan, path, on_frame=lambda done: advance(done, plan.frame_count))
        for warning in made.warnings():
            self.observer.warn(f"{title}: {warning}")
        return {
            "size_bytes": made.size_bytes,
            "video_bytes": video_bytes(path, plan.frame_count),
            "crf_used": job.quality(plan),
            "seconds": made.seconds,
            "parts": made.parts,
            "commands": list(commands),
        }

    def _facts(self, kind: str, job: EncodeJob, plan: RoiPlan) -> Json:
        """All that an encode depends on."""
        source = self.sidecar.source
        return {
            "version": __version__,
            "kind": kind,
            "source": [
                source.fingerprint,
                source.size_bytes,
                [source.start, source.duration],
                str(source.frame_rate),
                source.pix_fmt,
            ],
            "range": [source.start, source.duration],
            "size": [source.width, source.height],
            "ffmpeg": [job.ffmpeg.path, job.ffmpeg.version],
            "encode": job.record().to_json(),
            "crf_used": job.quality(plan),
            "plan": None if kind == "plain" else plan_digest(plan),
        }

    def score(self, point: Point) -> Point:
        """``point`` with its scores: whole frame, weighted by the plan's map, and by the given masks and gaze."""
        request, clip = self.request, self.request.clip
        ffmpeg, _ = choose_ffmpeg(request.ffmpeg_bin, views_of(clip.width, clip.height, clip.frame_rate))
        files: Mapping[str, Any] = {
            name: file_identity(None if path is None else Path(path))
            for name, path in (("masks", request.masks), ("gaze", request.gaze), ("sidecar", self.sidecar_path))
        }
        facts = {"version": __version__, "ffmpeg": [ffmpeg.path, ffmpeg.version], **files}
        record = Record(point.path.with_name(f"{point.path.stem}.score-{key_of(facts)}.json"))
        known = record.read()
        if known is None:
            score = score_encode(
                # The clip's own limit of seconds is that of the encode, as a number of frames.
                clip if clip.start else replace(clip, duration=0.0),
                point.path,
                masks=request.masks,
                gaze=request.gaze,
                sidecar=self.sidecar_path,
                frames=self.sidecar.frame_count if clip.duration else 0,
                ffmpeg_bin=request.ffmpeg_bin,
                observer=self.observer,
            )
            known = {"score": score.to_json(), "command": shell_join(score.command)}
            record.write(known)
        return point.scored(pooled_metrics(known["score"]), known["score"]["unavailable"], known["command"])


def _suffix(job: EncodeJob) -> str:
    suffixes = job.spec.suffixes
    return suffixes[0] if suffixes and _SUFFIX not in suffixes else _SUFFIX
