"""Measures how well each encoder keeps a limit of the peak rate, plainly and by a plan, on a clip with a sudden burst.

    python benchmarks/peak_rate.py [--encoders libx264,libsvtav1/prefilter,...] [--maxrate 1000000] [--bufsize 1000000] [--json OUT]

The clip is generated: 9 seconds of ffmpeg's test source, 320x180 at 25 fps, with noise over it from second 3 to 5. Each encoder
makes three files: without a limit, with it, and with it by the default model's plan. For each the VBV buffer is simulated. The
plain encode with the limit is what the encoder makes of it; the one by the plan is the product's, which encodes again where the
limit is exceeded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import _paths  # noqa: F401
import imageio_ffmpeg
from facts import about_run
from rich.console import Console
from rich.table import Table

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.peak import PeakRate, Vbv, packet_bits
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import encode_part, run_saliency_encode
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.source.probe import probe_clip

FPS, SECONDS, BURST = 25, 9, (3, 5)
ENCODERS: dict[str, tuple[str, float]] = {
    "libx264": ("medium", 26),
    "libx265": ("fast", 28),
    "libsvtav1": ("10", 35),
    "libvvenc": ("faster", 32),
}
"""Preset and base quality of each."""
DEFAULT = ("libx264", "libx265", "libsvtav1/svtav1-map", "libsvtav1/prefilter", "libvvenc")


def generate(path: Path) -> None:
    """Write the clip that the module describes."""
    first, last = (second * FPS for second in BURST)
    graph = f"testsrc2=size=320x180:rate={FPS}:duration={SECONDS},noise=alls=60:allf=t:enable='between(n,{first},{last - 1})'"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", graph, "-crf", "5"]
    subprocess.run([*command, "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)], check=True)


def found_in(path: Path, limit: Vbv) -> tuple[float, PeakRate]:
    """Mean bits per second of the file, and the buffer simulated over it."""
    bits = packet_bits(path)
    return sum(bits) * FPS / len(bits), limit.check(bits, [i / FPS for i in range(len(bits))])


def measure(source: Path, folder: Path, name: str, limit: Vbv) -> list[dict[str, Any]]:
    """The three encodes of one ``ENCODER[/CHANNEL]``."""
    encoder, _, forced = name.partition("/")
    preset, crf = ENCODERS[encoder]
    clip = probe_clip(source)
    sidecar, _ = load_saliency_sidecar(clip)
    settings = EncodeSettings(encoder, preset, crf, roi_channel=forced or None, maxrate=limit.maxrate, bufsize=limit.bufsize)
    job = prepare_encode(clip, settings).timed_like(sidecar)
    assert job.channel is not None
    whole, files = Part(0, sidecar.frame_count), {}
    for kind, own in (("plain, no limit", replace(job, vbv=None)), ("plain", job)):
        work = folder / kind
        work.mkdir()
        files[kind] = encode_part(own, None, whole, work)
    files["plan"] = folder / "plan.mp4"
    run_saliency_encode(job, job.plan(sidecar, RoiPolicy()), files["plan"])
    rows = []
    for kind, path in files.items():
        mean, peak = found_in(path, limit)
        rows.append({"encoder": encoder, "channel": job.channel.name, "encode": kind, "mean": round(mean), **asdict(peak)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", default=",".join(DEFAULT))
    parser.add_argument("--maxrate", type=int, default=1_000_000)
    parser.add_argument("--bufsize", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    limit = Vbv.of(options.maxrate, options.bufsize)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source.mp4")
        generate(source)
        for number, name in enumerate(options.encoders.split(",")):
            own = Path(folder, str(number))
            own.mkdir()
            rows += measure(source, own, name, limit)
    table = Table(title=f"{limit.maxrate / 1000:g} kbit/s, buffer of {limit.bufsize / 1000:g} kbit")
    for head in ("encoder", "channel", "encode", "mean kbit/s", "busiest second", "least fullness", "late frames"):
        table.add_column(head, no_wrap=True)
    for row in rows:
        numbers = (
            f"{row['mean'] / 1000:.0f}",
            f"{row['peak'] / 1000:.0f}",
            f"{row['least_fullness']:.0%}",
            str(row["late_frames"]),
        )
        table.add_row(row["encoder"], row["channel"], row["encode"], *numbers)
    Console(width=130).print(table)
    if options.json:
        options.json.write_text(json.dumps(about_run() | {"encoders": ENCODERS, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
