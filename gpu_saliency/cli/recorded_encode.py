"""The encode that a sidecar records: its source and its settings, to compare it with a plain encode later."""

from __future__ import annotations

from pathlib import Path

from gpu_saliency.analysis.sidecar import Sidecar, check_fresh, describe_source
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.target import format_params, parse_params
from gpu_saliency.errors import SidecarError, UsageError
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import RAW_SUFFIXES, parse_frame_rate, probe_clip


def recorded_source(sidecar: Sidecar, path: Path, src: Path | None) -> Clip:
    """Probe the source of ``sidecar``, or ``src`` in its place. Raises `SidecarError` if it is not the source that was analysed."""
    facts = sidecar.source
    source = src or Path(str(facts.get("path")))
    is_raw = source.suffix.lower() in RAW_SUFFIXES
    clip = probe_clip(
        source,
        width=facts["width"] if is_raw else None,
        height=facts["height"] if is_raw else None,
        pix_fmt=str(facts.get("pix_fmt")) if is_raw else None,
        frame_rate=parse_frame_rate(str(facts.get("frame_rate"))) if is_raw else None,
        duration=float(facts.get("duration") or 0),
    )
    check_fresh(sidecar, path, describe_source(clip), None, {})
    return clip


def recorded_job(
    sidecar: Sidecar, path: Path, file: Path, clip: Clip, encoder_params: str, ffmpeg_bin: str
) -> tuple[EncodeJob, RoiPolicy]:
    """Prepare the encode that ``sidecar`` records for ``file``; every recorded value is validated like user input."""
    record = sidecar.encodes.get(file.name)
    if not isinstance(record, dict):
        known = ", ".join(sidecar.encodes) or "none"
        raise SidecarError(
            f"{file.name}: is not in {path}", cure=f"inspect needs a file that encode has written; recorded: {known}"
        )
    if record.get("size_bytes") != file.stat().st_size:
        raise SidecarError(
            f"{path}: was made for another {file.name}, of {record.get('size_bytes')} bytes", cure="encode the source again"
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
        )
        policy = RoiPolicy(
            int(record["offset"]),
            str(record["mapping"]),
            str(record["aggregator"]),
            float(record["ema_alpha"]),
            str(record["asked_segments"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SidecarError(f"{path}: its record of {file.name} is invalid: {error}", cure="encode the source again") from error
    job = prepare_encode(clip, settings)
    if job.record()["encoder_params"] != record.get("encoder_params"):
        # Parameters can name files to write, so the user must give them; those in the sidecar are never used.
        raise UsageError(
            f"{file}: was encoded with parameters {format_params(parse_params(str(record.get('encoder_params'))))!r}",
            cure="give the same --encoder-params",
        )
    return job.timed_like(sidecar), policy
