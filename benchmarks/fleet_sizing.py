"""Computes how much analysis feeds how many encoder cores, and a large fleet, from measured figures; prints Markdown.

    python benchmarks/fleet_sizing.py [--core-price 0.04] [--gpu-price 3] [--clip-seconds 60] [--nodes 1000] [--cores 16]

It reads docs/measured/encode_speed.json (whole encodes of 60 s of 1080p with 2 cores), docs/measured/fleet.json if it is there, and
has the rates of the analysis on a GPU from docs/gpu-results.md. Prices are assumptions, in dollars an hour.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_MEASURED = Path(__file__).resolve().parents[1] / "docs" / "measured"
GPU_FPS = {"1 decoder": 682, "7 decoders": 2693}
"""Frames of 1080p H.264 a second, analysed by one H200: docs/gpu-results.md, "Speed"."""
FPS = 25
"""Frames a second of the video that the tables speak of."""
CORES = 2
"""Cores of the machine of encode_speed.json."""
CHANGES, CHANGE_MS = 5, 8.5
"""Transactions of a job, and the ms of one (docs/batch.md, "Measured"): claim and end of each stage, a note before the encode."""


def read(name: str) -> dict[str, Any]:
    """A file of docs/measured."""
    found: dict[str, Any] = json.loads((_MEASURED / name).read_text())
    return found


def table(rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown; the first row is the head."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    for name, value in (("core-price", 0.04), ("gpu-price", 3.0), ("clip-seconds", 60.0)):
        parser.add_argument(f"--{name}", type=float, default=value)
    for name, count in (("nodes", 1000), ("cores", 16), ("clips", 1_000_000)):
        parser.add_argument(f"--{name}", type=int, default=count)
    given = parser.parse_args()
    rows: list[list[object]] = [["Encoder", "analysis on cores", "the rest", "cores for a core"]]
    rows[0] += [f"cores for a GPU, {name}" for name in GPU_FPS]
    rows[0] += ["dollars, cores only", *(f"dollars, GPU with {name}" for name in GPU_FPS)]
    by_encoder: dict[str, float] = {}
    for row in read("encode_speed.json")["rows"]:
        if row["seconds"] != 60:
            continue
        stages = row["stages"]
        analysis, total = stages["analysis"] * CORES / 60, stages["total"] * CORES / 60
        rest = total - analysis
        by_encoder[f"{row['encoder']} {row['preset']}"] = total
        gpu = [fps / FPS for fps in GPU_FPS.values()]
        cost = [rest * given.core_price + given.gpu_price / rate for rate in gpu]
        cells: list[object] = [f"`{row['encoder']}` {row['preset']}", f"{analysis:.2f}", f"{rest:.2f}", f"{rest / analysis:.1f}"]
        cells += [f"{rate * rest:.0f}" for rate in gpu]
        rows.append([*cells, f"{total * given.core_price:.3f}", *(f"{one:.3f}" for one in cost)])
    print(table(rows), "\n")
    sizes: list[list[object]] = [["Encoder", "core-seconds for a clip", "whole fleet, hours", "jobs a second"]]
    for name, total in by_encoder.items():
        seconds = total * given.clip_seconds
        rate = given.nodes * given.cores / seconds
        sizes.append([name, f"{seconds:.0f}", f"{given.clips / rate / 3600:.1f}", f"{rate:.0f}"])
    print(table(sizes), "\n")
    limit = 1000 / CHANGE_MS / CHANGES
    print(f"one queue: {limit:.0f} jobs a second, {given.clips / limit / 3600:.0f} hours in all")
    for name, total in by_encoder.items():
        print(f"{name}: one queue feeds {limit * total * given.clip_seconds:.0f} cores")
    if (_MEASURED / "fleet.json").is_file():
        _print_runs(read("fleet.json"))


def _print_runs(fleet: dict[str, Any]) -> None:
    first = fleet["runs"][0]["span"]
    rows: list[list[object]] = [["Engine", "encode workers", "wall, s", "span, s", "speed", "processor, s"]]
    for run in fleet["runs"]:
        rows.append([run["engine"], run["workers"], run["wall"], run["span"], f"{first / run['span']:.2f}", run["cpu"]])
    print(table(rows), "\n")
    for name in ("work", "queue", "scheduler", "ray", "same_files"):
        print(name, fleet[name])


if __name__ == "__main__":
    main()
