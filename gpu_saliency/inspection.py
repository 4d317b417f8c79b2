"""Inspection of a finished encode: proves the file against the plan of its sidecar and a plain encode."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.sidecar import Sidecar, SourceRecord, check_fresh, read_sidecar, sidecar_beside
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.target import format_params, parse_params
from gpu_saliency.errors import SidecarError, SourceMissingError, UsageError, setting
from gpu_saliency.files import check_output
from gpu_saliency.plan.policy import DEFAULT_MAX_BACKGROUND_OFFSET, RoiPolicy
from gpu_saliency.progress import Observer
from gpu_saliency.proof import Proof, prove_encode, write_picture
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.frame_rate import parse_frame_rate
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.raw import RAW_SUFFIXES

StrPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of `inspect_encode`."""

    file: Path
    sidecar: Path
    picture: Path | None
    proof: Proof

    def to_json(self) -> dict[str, Any]:
        """The object that ``inspect --json`` prints; docs/result.md describes it."""
        paths = {"file": str(self.file), "sidecar": str(self.sidecar), "picture": self.picture and str(self.picture)}
        return paths | self.proof.to_json() | {"summary": self.proof.summary()}


def inspect_encode(
    file: StrPath,
    *,
    sidecar: StrPath | None = None,
    src: StrPath | None = None,
    plain: StrPath | None = None,
    picture: StrPath | None = None,
    frames: int = 0,
    encoder_params: str = "",
    ffmpeg_bin: str = DEFAULT_FFMPEG,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> Inspection:
    """Compare the encode ``file`` with its plan, block by block, against a plain encode.

    ``sidecar`` is the file beside ``file`` by default; it records the path of the source, which ``src`` overrides. ``plain`` is a
    plain encode with the same settings; by default a temporary one is made. ``picture`` is the path of a PNG to write. ``frames``
    is the number of frames to compare, from the start; 0 compares all. ``encoder_params`` must repeat the value that was used for
    the encode. Raises any `GpuSaliencyError`.
    """
    file = Path(file)
    if frames < 0:
        raise UsageError("is negative", setting="frames", value=frames, cure="give a number of frames, or 0 for all")
    if not file.is_file():
        raise SourceMissingError(f"{file}: no such file", cure="give the path of an encode")
    drawn = None if picture is None else Path(picture)
    if drawn is not None:
        check_output(drawn, file, overwrite=overwrite, name="picture")
    path = sidecar_beside(file) if sidecar is None else Path(sidecar)
    if not path.is_file():
        raise SidecarError(f"{path}: no such sidecar", cure=f"give {setting('sidecar')} the path of the sidecar")
    found = read_sidecar(path)
    clip = _source_of(found, path, None if src is None else Path(src))
    job, policy = _job_of(found, path, file, clip, encoder_params, ffmpeg_bin)
    plan = job.plan(found, policy)
    with (observer or Observer()).stage("comparing with a plain encode") as advance:
        proof = prove_encode(
            job,
            plan,
            file,
            max_frames=frames or None,
            on_frame=lambda done: advance(done, None if frames else found.frame_count),
            plain=None if plain is None else Path(plain),
        )
    if drawn is not None:
        write_picture(drawn, clip, plan, proof)
    return Inspection(file, path, drawn, proof)


def _source_of(sidecar: Sidecar, path: Path, src: Path | None) -> Clip:
    """Probe the source of ``sidecar``, at ``src`` or at the recorded path. Raises `SidecarError` if its fingerprint differs."""
    record = sidecar.source
    source = src or Path(record.path)
    is_raw = source.suffix.lower() in RAW_SUFFIXES
    clip = probe_clip(
        source,
        width=record.width if is_raw else None,
        height=record.height if is_raw else None,
        pix_fmt=record.pix_fmt if is_raw else None,
        frame_rate=parse_frame_rate(str(record.frame_rate)) if is_raw else None,
        duration=record.duration,
    )
    check_fresh(sidecar, path, SourceRecord.of(clip))
    return clip


def _job_of(
    sidecar: Sidecar, path: Path, file: Path, clip: Clip, encoder_params: str, ffmpeg_bin: str
) -> tuple[EncodeJob, RoiPolicy]:
    """Rebuild the job and the policy of the encode ``file`` from its record in ``sidecar``.

    Every recorded value is checked like a user's input. Raises any `GpuSaliencyError`.
    """
    record = sidecar.encodes.get(file.name)
    if not isinstance(record, dict):
        known = ", ".join(sidecar.encodes) or "none"
        raise SidecarError(f"{file}: has no record in {path}", cure=f"give a file that the sidecar records: {known}")
    if record.get("size_bytes") != file.stat().st_size:
        raise SidecarError(
            f"{path}: records {record.get('size_bytes')} bytes for {file.name}, which has {file.stat().st_size}",
            cure="encode it again",
        )
    try:
        settings = EncodeSettings(
            encoder=str(record["encoder"]),
            preset=None if record["preset"] is None else str(record["preset"]),
            crf=None if record["crf"] is None else float(record["crf"]),
            encoder_params=encoder_params,
            audio=False,
            ffmpeg_bin=ffmpeg_bin,
            roi_channel=str(record["roi_channel"]),
            bitrate=None if record["bitrate"] is None else int(record["bitrate"]),
            drop_dynamic_hdr=True,
        )
        policy = RoiPolicy(
            float(record["offset"]),
            str(record["mapping"]),
            str(record["aggregator"]),
            float(record["ema_alpha"]),
            str(record["asked_segments"]),
            # Records from before the mapping attention lack it, and no other mapping uses it.
            float(record.get("max_background_offset", DEFAULT_MAX_BACKGROUND_OFFSET)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SidecarError(f"{path}: its record of {file.name} cannot be used: {error}", cure="encode it again") from error
    job = prepare_encode(clip, settings)
    if job.record().encoder_params != record.get("encoder_params"):
        # Encoder parameters can name files to write, so they must come from the user and never from a sidecar.
        raise UsageError(
            f"{file}: was encoded with parameters {format_params(parse_params(str(record.get('encoder_params'))))!r}",
            cure=f"repeat the {setting('encoder_params')} of that encode",
        )
    return job.timed_like(sidecar), policy
