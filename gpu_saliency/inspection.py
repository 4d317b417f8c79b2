"""Inspection of a finished encode: proves the file against the plan of its sidecar and a plain encode."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.sidecar import (
    EncodeFacts,
    Sidecar,
    SourceRecord,
    check_fresh,
    read_header,
    read_sidecar_of,
    sidecar_beside,
)
from gpu_saliency.choices import AGGREGATORS, MAPPINGS
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.target import format_params, parse_params
from gpu_saliency.errors import OutputError, SidecarError, SourceError, SourceMissingError, UsageError, chosen, setting
from gpu_saliency.files import check_output
from gpu_saliency.plan.policy import DEFAULT_MAX_BACKGROUND_OFFSET, RoiPolicy
from gpu_saliency.progress import Observer
from gpu_saliency.proof import Proof, prove_encode, write_picture
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.frame_rate import parse_frame_rate
from gpu_saliency.source.identity import FileIdentity
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.raw import RAW_SUFFIXES
from gpu_saliency.texts import printable

StrPath = str | os.PathLike[str]

_OTHER_PICTURES = frozenset({".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".pdf", ".svg"})


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
    allow_playlists: bool = False,
    observer: Observer | None = None,
) -> Inspection:
    """Compare the encode ``file`` with its plan, block by block, against a plain encode.

    ``sidecar`` is the file beside ``file`` by default. The source is ``src``; by default the file of the recorded name in the
    folder of ``file`` or of the sidecar, since a sidecar of any origin could name any path. ``plain`` is a plain encode with the
    same settings; by default a temporary one is made. ``picture`` is the path of a PNG to write. ``frames`` is the number of
    frames to compare, from the start; 0 compares all. ``encoder_params`` must repeat the value that was used for the encode.
    ``allow_playlists`` accepts a source that is a playlist. Raises any `GpuSaliencyError`.
    """
    file = Path(file)
    if frames < 0:
        raise UsageError("is negative", setting="frames", value=frames, cure="give a number of frames, or 0 for all")
    if not file.is_file():
        raise SourceMissingError(f"{file}: no such file", cure="give the path of an encode")
    drawn = None if picture is None else Path(picture)
    if drawn is not None:
        check_output(drawn, file, overwrite=overwrite, name="picture")
        if drawn.suffix.lower() in _OTHER_PICTURES:
            raise OutputError(f"{drawn}: the picture is a PNG", cure=f"give {drawn.stem}.png")
    path = sidecar_beside(file) if sidecar is None else Path(sidecar)
    if not path.is_file():
        cure = f"give a file that gpu-saliency encode has written, or {setting('sidecar')} with the path of its sidecar"
        raise SidecarError(f"{path}: no such sidecar", cure=cure)
    clip = _source_of(path, file, None if src is None else Path(src), allow_playlists=allow_playlists)
    found = read_sidecar_of(path, clip)
    job, policy = _job_of(found, path, file, clip, encoder_params, ffmpeg_bin)
    plan = job.plan(found, policy)
    with (observer or Observer()).stage("comparing with a plain encode") as advance:
        proof = prove_encode(
            job,
            plan,
            file,
            max_frames=frames or None,
            on_frame=lambda done: advance(done, None if frames else plan.frame_count),
            plain=None if plain is None else Path(plain),
        )
    if drawn is not None:
        title = _title(file, job)
        write_picture(drawn, job.shaped, plan, proof, title=title, overwrite=overwrite, pictures=job.pictures())
    return Inspection(file, path, drawn, proof)


def _title(file: Path, job: EncodeJob) -> str:
    """The file, its source and its encoder with preset and quality, in one line."""
    words = [job.encoder, *([] if job.preset is None else [job.preset]), *([] if job.crf is None else [f"CRF {job.crf:g}"])]
    words += [] if job.bitrate is None else [f"{job.bitrate / 1000:g} kbit/s"]
    return f"{printable(file.name)}, from {printable(job.clip.path.name)}, by {' '.join(words)}"


def _source_of(path: Path, file: Path, src: Path | None, *, allow_playlists: bool) -> Clip:
    """Probe the source of the sidecar ``path``: ``src``, or the file of the recorded name beside the encode or the sidecar.

    The fingerprint is compared before anything is decoded. Raises `SidecarError` if it differs.
    """
    header = read_header(path)
    record = header.source
    source = src or _beside(record, path, file)
    if not source.exists():
        raise SourceMissingError(f"{source}: no such file", cure=f"give {setting('src')} the path of the source")
    _check_file(record, path, source)
    is_raw = source.suffix.lower() in RAW_SUFFIXES
    clip = probe_clip(
        source,
        width=record.width if is_raw else None,
        height=record.height if is_raw else None,
        pix_fmt=record.pix_fmt if is_raw else None,
        frame_rate=parse_frame_rate(str(record.frame_rate)) if is_raw else None,
        start=record.start,
        duration=record.duration,
        allow_playlists=allow_playlists,
    )
    check_fresh(header, path, SourceRecord.of(clip))
    return clip


def _beside(record: SourceRecord, path: Path, file: Path) -> Path:
    """The file of the name that ``record`` has, in the folder of the encode or of the sidecar. Raises `SourceMissingError`."""
    name = Path(record.path).name
    folders = dict.fromkeys((file.parent, path.parent))
    found = next((folder / name for folder in folders if name and (folder / name).is_file()), None)
    if found is None:
        where = " or ".join(str(folder) for folder in folders)
        problem = f"{path}: was made from {name or 'a file without a name'}, which is not in {where}"
        raise SourceMissingError(problem, cure=f"give {setting('src')} the path of the source")
    return found


def _check_file(record: SourceRecord, path: Path, source: Path) -> None:
    """Raise `SidecarError` unless the bytes of ``source`` are those that ``record`` describes."""
    try:
        found = FileIdentity.of(source)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{source}: cannot be read: {reason}", cure="give the path of a video file") from error
    if (found.size_bytes, found.fingerprint) != (record.size_bytes, record.fingerprint):
        raise SidecarError(
            f"{path}: was not made for {source}, which has other content", cure=f"give {setting('src')} the path of the source"
        )


def _job_of(
    sidecar: Sidecar, path: Path, file: Path, clip: Clip, encoder_params: str, ffmpeg_bin: str
) -> tuple[EncodeJob, RoiPolicy]:
    """Rebuild the job and the policy of the encode ``file`` from its record in ``sidecar``.

    Every recorded value is checked like a user's input. Raises any `GpuSaliencyError`.
    """
    known = sidecar.encodes.get(file.name)
    if known is None:
        names = ", ".join(sidecar.encodes)[:300]
        cure = f"give one of {names}" if names else "give a file that gpu-saliency encode has written"
        raise SidecarError(f"{file}: has no record in {path}", cure=cure)
    try:
        record = EncodeFacts.from_json(known)
        if record.size_bytes != file.stat().st_size:
            raise ValueError(f"it records {record.size_bytes} bytes for {file.name}, which has {file.stat().st_size}")
        settings = EncodeSettings(
            encoder=record.encoder,
            preset=record.preset,
            crf=record.crf,
            encoder_params=encoder_params,
            audio=False,
            ffmpeg_bin=ffmpeg_bin,
            roi_channel=record.roi_channel,
            bitrate=record.bitrate,
            output_pix_fmt=record.pix_fmt if record.asks_pix_fmt else None,
            crop=record.crop,
            scale=record.scale,
            fps=record.fps,
            keyint=record.keyint,
            maxrate=record.maxrate,
            bufsize=record.bufsize,
        )
        limit = DEFAULT_MAX_BACKGROUND_OFFSET if record.max_background_offset is None else record.max_background_offset
        mapping = chosen("mapping", record.mapping, MAPPINGS)
        aggregator = chosen("aggregator", record.aggregator, AGGREGATORS)
        policy = RoiPolicy(record.offset, mapping, aggregator, record.ema_alpha, record.asked_segments, limit)
    except ValueError as error:
        raise SidecarError(f"{path}: its record of {file.name} cannot be used: {error}", cure="encode it again") from error
    job = prepare_encode(clip, settings)
    if job.record().encoder_params != record.encoder_params:
        # Encoder parameters can name files to write, so they must come from the user and never from a sidecar.
        raise UsageError(
            f"{file}: was encoded with parameters {format_params(parse_params(record.encoder_params))!r}",
            cure=f"repeat the {setting('encoder_params')} of that encode",
        )
    return job.timed_like(sidecar), policy
