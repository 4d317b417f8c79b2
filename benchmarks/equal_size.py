"""Measures how far encodes are from the size of a plain encode at equal CRF, with the size correction.

    python benchmarks/equal_size.py --clips DIR [--encoders libx264,libx265] [--model ONNX] [--json OUT]

Each .mp4 file of DIR is encoded through the product at all defaults, by each encoder at each of its CRFs below, and plainly. The
table gives the bytes of the video streams, ours divided by plain, and what the sample predicted without the correction.
Targets: within 2 % on average (mean of the absolute deviations), and within 5 % for any clip (mean over its CRFs).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from facts import about_run
from rich.console import Console
from rich.table import Table

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.sidecar import save_sidecar
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.pipeline import encode_clip
from gpu_saliency.proof.prove import video_bytes
from gpu_saliency.request import EncodeRequest
from gpu_saliency.source.probe import probe_clip

CRF = {"libx264": (23.0, 30.0, 37.0), "libx265": (28.0, 36.0)}


@dataclass(frozen=True, slots=True)
class Row:
    """Result for one clip, encoder and CRF."""

    clip: str
    encoder: str
    crf: float
    frames: int
    sampled: int
    ratio: float
    """Bytes of video, ours divided by plain."""
    expected: float
    """What the sample predicted for the plan without a correction."""
    correction: float


def measure(path: Path, encoder: str, crf: float, folder: Path) -> Row:
    clip = probe_clip(path)
    settings = EncodeSettings(encoder, crf=crf, audio=False)
    ours, plain = folder / "ours.mp4", folder / "plain.mp4"
    request = EncodeRequest(clip, ours, encode=settings, sidecar=folder / f"{path.stem}.npz", prove="none", overwrite=True)
    result = encode_clip(request)
    run_saliency_encode(prepare_encode(clip, settings, plain=True), None, plain)
    assert result.roi is not None
    assert result.analysis is not None
    sample = result.roi.size_sample
    assert sample is not None
    frames = result.analysis.sidecar.frame_count
    ratio = video_bytes(ours, frames) / video_bytes(plain, frames)
    return Row(path.stem, encoder, crf, frames, sample.frames, ratio, sample.expected_ratio, sample.correction)


def summary(rows: list[Row]) -> dict[str, dict[str, float]]:
    """For each encoder the mean deviation, its mean size and the largest of a clip, all in per cent."""
    found = {}
    for encoder in dict.fromkeys(row.encoder for row in rows):
        some = [row for row in rows if row.encoder == encoder]
        deviations = np.array([100 * (row.ratio - 1) for row in some])
        by_clip = [np.mean([100 * (row.ratio - 1) for row in some if row.clip == clip]) for clip in {row.clip for row in some}]
        found[encoder] = {
            "mean_percent": round(float(deviations.mean()), 2),
            "mean_absolute_percent": round(float(np.abs(deviations).mean()), 2),
            "largest_of_a_clip_percent": round(float(max(by_clip, key=abs)), 2),
            "largest_percent": round(float(max(deviations, key=abs)), 2),
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--encoders", default=",".join(CRF))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in sorted(options.clips.glob("*.mp4")):
            sidecar, _ = load_saliency_sidecar(probe_clip(path))
            save_sidecar(sidecar, folder / f"{path.stem}.npz")
            for encoder in options.encoders.split(","):
                for crf in CRF[encoder]:
                    rows.append(measure(path, encoder, crf, folder))
                    print(asdict(rows[-1]), file=sys.stderr)
    table = Table("clip", "encoder", "CRF", "sampled", "ours / plain", "uncorrected, by the sample", "correction")
    for row in rows:
        sampled = f"{row.sampled} of {row.frames}"
        table.add_row(
            row.clip, row.encoder, f"{row.crf:g}", sampled, f"{row.ratio:.3f}", f"{row.expected:.3f}", f"{row.correction:+.2f}"
        )
    Console().print(table)
    print(json.dumps(summary(rows), indent=1))
    if options.json:
        options.json.write_text(
            json.dumps(about_run() | {"summary": summary(rows), "rows": list(map(asdict, rows))}, indent=1) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
