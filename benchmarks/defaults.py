"""Tests every encoder with its defaults on every clip: whether the plan has an effect, and the size of the file.

    python benchmarks/defaults.py --clips DIR [--encoders libx264,...] [--seconds 2] [--json OUT]

DIR holds .mp4 files. The first ``--seconds`` of each are encoded with the encoder's default quality and channel (and the presets
of benchmarks/bd_rate.py, since some defaults take minutes), then compared whole with a plain encode. The exit status is 1 if a
plan had no effect, in which case ``gpu-saliency encode`` fails too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from bd_rate import SETTINGS
from facts import about_run
from rich.console import Console
from rich.table import Table

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.encode.encoders import SOFTWARE
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.errors import SourceError
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.proof import prove_encode
from gpu_saliency.source.probe import probe_clip


@dataclass(frozen=True, slots=True)
class Row:
    """Result for one clip and encoder; fields as in `Proof`."""

    clip: str
    encoder: str
    channel: str
    crf: float | None
    unit: str
    share: float | None
    inside_change: float | None
    outside_change: float | None
    size_ratio: float | None
    moved: bool | None
    error: str | None = None


def measure(path: Path, encoder: str, seconds: float) -> Row:
    clip = probe_clip(path, duration=seconds)
    preset = SETTINGS[encoder][0] if encoder in SETTINGS else None
    try:
        job = prepare_encode(clip, EncodeSettings(encoder, preset, audio=False))
    except SourceError as error:
        return Row(path.stem, encoder, "", None, "", None, None, None, None, None, str(error))
    sidecar, _ = load_saliency_sidecar(clip)
    job = job.timed_like(sidecar)
    plan = job.plan(sidecar, RoiPolicy())
    assert job.channel is not None
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out" + job.spec.part_suffix)
        run_saliency_encode(job, plan, output)
        proof = prove_encode(job, plan, output, max_frames=None)
    changes = (proof.inside_change, proof.outside_change)
    return Row(path.stem, encoder, job.channel.name, job.crf, proof.unit, proof.share, *changes, proof.size_ratio, proof.moved)


def show(rows: list[Row], console: Console) -> None:
    table = Table(title="Encoders with their defaults: change against a plain encode")
    for head in ("clip", "encoder", "channel", "crf", "inside", "outside", "per planned QP", "size %", "moved"):
        table.add_column(head, justify="left" if head in ("clip", "encoder", "channel", "moved") else "right", no_wrap=True)
    for row in rows:
        numbers = [f"{row.inside_change or 0:+.2f} {row.unit}", f"{row.outside_change or 0:+.2f}", f"{row.share or 0:.2f}"]
        size = "" if row.size_ratio is None else f"{100 * (row.size_ratio - 1):+.1f}"
        table.add_row(row.clip, row.encoder, row.channel, f"{row.crf}", *numbers, size, row.error or str(row.moved))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--encoders", default=",".join(spec.name for spec in SOFTWARE))
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    paths = sorted(options.clips.glob("*.mp4"))
    if not paths:
        parser.error(f"--clips {options.clips}: no .mp4 found (give a folder that holds some)")
    rows = []
    for encoder in options.encoders.split(","):
        for path in paths:
            rows.append(measure(path, encoder, options.seconds))
            print(f"{encoder} {path.stem}: {rows[-1].moved}", file=sys.stderr)
        if options.json:
            table = [asdict(row) for row in rows]
            options.json.write_text(json.dumps(about_run() | {"rows": table}, indent=1))
    show(rows, Console(width=140))
    if any(row.moved is False for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
