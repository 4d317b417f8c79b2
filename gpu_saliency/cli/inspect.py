"""``gpu-saliency inspect``: read the ROI back from a finished encode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.analysis.sidecar import Sidecar, SourceRecord, check_fresh, read_sidecar
from gpu_saliency.cli import options as opt
from gpu_saliency.cli.rows import Rows, print_rows
from gpu_saliency.encode.ffmpeg import DEFAULT_FFMPEG
from gpu_saliency.encode.job import EncodeJob
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.target import format_params, parse_params
from gpu_saliency.errors import SidecarError, SourceMissingError, UsageError
from gpu_saliency.files import check_output
from gpu_saliency.pipeline import plan_for, sidecar_beside
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.progress import Reporter
from gpu_saliency.proof import Proof, prove_encode, write_picture
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.probe import RAW_SUFFIXES, parse_frame_rate, probe_clip


def inspect(
    file: Annotated[Path, typer.Argument(help="The encode to look into.", show_default=False)],
    sidecar: Annotated[Path | None, typer.Option(help="Its sidecar.", show_default="FILE.saliency.npz")] = None,
    src: Annotated[Path | None, typer.Option(help="The source, if it has moved since.", show_default=False)] = None,
    plain: Annotated[
        Path | None, typer.Option(help="A plain encode with the same settings; made here otherwise.", show_default=False)
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Write a PNG: source, plan and effect.", show_default=False)] = None,
    frames: Annotated[int, typer.Option(help="Compare so many frames from the start; 0 for all.")] = 0,
    encoder_params: Annotated[str, typer.Option(help="Those that the encode was given.", show_default=False)] = "",
    ffmpeg_bin: opt.FfmpegBin = DEFAULT_FFMPEG,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing picture.")] = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Compare what an encode did with what its plan asked, block by block, against a plain encode."""
    if frames < 0:
        raise UsageError(f"--frames {frames}: is negative", cure="0 for all")
    if not file.is_file():
        raise SourceMissingError(f"{file}: no such file")
    if picture is not None:
        check_output(picture, file, overwrite=overwrite)
    path = sidecar or sidecar_beside(file)
    if not path.is_file():
        raise SidecarError(f"{path}: no such sidecar", cure="give --sidecar")
    found = read_sidecar(path)
    clip = _source_of(found, path, src)
    job, policy = _job_of(found, path, file, clip, encoder_params, ffmpeg_bin)
    roi_plan = plan_for(job, found, policy)
    with Reporter(quiet=quiet).stage("comparing with a plain encode") as advance:
        proof = prove_encode(
            job,
            roi_plan,
            file,
            max_frames=frames or None,
            on_frame=lambda done: advance(done, None if frames else found.frame_count),
            plain=plain,
        )
    if picture is not None:
        write_picture(picture, clip, roi_plan, proof)
    if as_json:
        extra = {"file": str(file), "sidecar": str(path), "picture": picture and str(picture)}
        print(json.dumps(extra | proof.to_json() | {"summary": proof.summary()}, indent=2))
        return
    print_rows(_rows(proof))
    print(proof.summary())


def _rows(proof: Proof) -> Rows:
    """The numbers of ``proof``, for people."""
    unit = proof.unit if proof.unit == "QP" else "dB of error"

    def side(planned: float | None, change: float | None, blocks: int) -> str:
        if planned is None or change is None:
            return "no block could be measured"
        return f"plan {planned:+.2f} QP, realised {change:+.2f} {unit}, {blocks} blocks"

    agreement = "undefined: the plan or the effect is the same everywhere"
    if proof.correlation is not None and proof.slope is not None:
        agreement = f"correlation {proof.correlation:.3f}, slope {proof.slope:.2f} {unit} per planned QP"
    what = "the whole clip" if proof.whole_clip else "an excerpt"
    ratio = proof.size_ratio if proof.whole_clip else proof.excerpt_size_ratio
    return [
        ("compared", f"{proof.frames} frames, {what}; {proof.blocks} of {proof.blocks_planned} blocks could be measured"),
        ("inside", side(proof.inside_planned, proof.inside_change, proof.blocks_inside)),
        ("outside", side(proof.outside_planned, proof.outside_change, proof.blocks_outside)),
        ("agreement", agreement),
        ("size", "unknown" if ratio is None else f"{100 * (ratio - 1):+.1f} % of a plain encode's video bytes, {what}"),
    ]


def _source_of(sidecar: Sidecar, path: Path, src: Path | None) -> Clip:
    """The clip that the sidecar belongs to; only named by it, and used only if its fingerprint fits."""
    facts = sidecar.source
    source = src or Path(facts.path)
    is_raw = source.suffix.lower() in RAW_SUFFIXES
    clip = probe_clip(
        source,
        width=facts.width if is_raw else None,
        height=facts.height if is_raw else None,
        pix_fmt=facts.pix_fmt if is_raw else None,
        frame_rate=parse_frame_rate(str(facts.frame_rate)) if is_raw else None,
        duration=facts.duration,
    )
    check_fresh(sidecar, path, SourceRecord.of(clip))
    return clip


def _job_of(
    sidecar: Sidecar, path: Path, file: Path, clip: Clip, encoder_params: str, ffmpeg_bin: str
) -> tuple[EncodeJob, RoiPolicy]:
    """The encode as the sidecar remembers it, every value checked as if a user had typed it."""
    record = sidecar.encodes.get(file.name)
    if not isinstance(record, dict):
        known = ", ".join(sidecar.encodes) or "none"
        raise SidecarError(f"{path}: knows of no encode {file.name}", cure=f"it knows of: {known}")
    if record.get("size_bytes") != file.stat().st_size:
        raise SidecarError(f"{path}: is of another {file.name}, of {record.get('size_bytes')} bytes", cure="encode it again")
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
        raise SidecarError(f"{path}: its record of {file.name} makes no sense: {error}") from error
    job = prepare_encode(clip, settings)
    if job.record()["encoder_params"] != record.get("encoder_params"):
        # Parameters can name files to write, so they are taken from the user's hand, never out of a sidecar.
        raise UsageError(
            f"{file}: was encoded with parameters {format_params(parse_params(str(record.get('encoder_params'))))!r}",
            cure="repeat what was given as --encoder-params",
        )
    return job.timed_like(sidecar), policy
