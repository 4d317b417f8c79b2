"""Measures what the proof of an excerpt loses when its plain encode ends soon after the compared frames.

    python benchmarks/proof_lookahead.py CLIP... [--frames 24] [--after 60,20,8,0] [--encoders libx264,libx265]

Each clip is encoded with all defaults, without the size correction, and proven over its first ``--frames`` frames against a plain
encode of these and as many following ones as each number of ``--after``. The table gives the proof's ``share``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

from facts import machine
from rich.console import Console
from rich.table import Table

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import run_saliency_encode
from gpu_saliency.proof import prove, prove_encode
from gpu_saliency.source.probe import probe_clip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--after", type=lambda text: [int(word) for word in text.split(",")], default=[60, 20, 8, 0])
    parser.add_argument("--encoders", type=lambda text: text.split(","), default=["libx264", "libx265"])
    options = parser.parse_args()
    table = Table("clip", "encoder", *(f"{after} after" for after in options.after), title=machine())
    with tempfile.TemporaryDirectory() as folder:
        for path in options.clips:
            clip = probe_clip(path)
            sidecar, _ = load_saliency_sidecar(clip)
            for encoder in options.encoders:
                job = prepare_encode(clip, EncodeSettings(encoder, audio=False)).timed_like(sidecar)
                plan = job.plan(sidecar)
                output = Path(folder) / f"{path.stem}.{encoder}.mp4"
                run_saliency_encode(job, plan, output)
                shares = []
                for after in options.after:
                    with patch.object(prove, "LOOKAHEAD_FRAMES", after):
                        shares.append(prove_encode(job, plan, output, max_frames=options.frames).share)
                table.add_row(path.stem, encoder, *("none" if share is None else f"{share:.3f}" for share in shares))
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
