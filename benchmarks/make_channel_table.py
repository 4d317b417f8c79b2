"""Makes the tables of docs/channels.md and docs/peak.md that sum up all channels, from the figures in docs/measured.

    python benchmarks/make_channel_table.py [--only NAME] [--check]

Each table stands between a line ``<!-- NAME: made by benchmarks/make_channel_table.py -->`` and the line ``<!-- end -->``.
``--check`` writes nothing and fails where a page differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"
MEASURED = DOCS / "measured"
_MADE = "made by benchmarks/make_channel_table.py -->"
_END = "<!-- end -->"
NOTHING = "not measured"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: an encoder with a channel, and where its figures are."""

    encoder: str
    channel: str
    rates: str
    """The files with its BD-rates, separated by blanks."""
    time: str
    """Its key in channel_time.json; empty: its own words in `words`."""
    background: str | None = None
    gaze: str = ""
    words: str = ""


LINES = (
    Line("libx264", "addroi", "bd_rate_attention.json", "addroi", gaze="gaze.json"),
    Line("libx265", "addroi", "bd_rate_attention.json", "addroi", gaze="gaze_x265.json"),
    Line("libsvtav1", "svtav1-map", "bd_rate_av1.json", "", gaze="gaze_svtav1.json", words="none: a file is written"),
    Line("libsvtav1", "prefilter", "bd_rate_av1.json", "prefilter fast", "fast"),
    Line("libsvtav1", "prefilter", "bd_rate_av1.json", "prefilter best", "best"),
    Line("libaom-av1", "prefilter", "bd_rate_av1.json", "prefilter fast", "fast", gaze="gaze_aom.json"),
    Line("libaom-av1", "prefilter", "bd_rate_av1.json", "prefilter best", "best"),
    Line("libaom-av1", "rate-guide", "bd_rate_rate_guide.json", "", words="an estimate of the rates before the encode"),
    Line("libvvenc", "prefilter", "bd_rate_vvenc.json", "prefilter, 10 bits", "fast", gaze="gaze_vvenc.json"),
)


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MEASURED / name).read_text(encoding="utf-8"))
    return found


def channel_table() -> str:
    times = read("channel_time.json")["ms"]
    heads = ["Encoder", "Channel", "Clips", "Model: inside / outside", "Truth: inside / outside", "Size", "Gaze / whole frame"]
    rows = ["| " + " | ".join([*heads, "Time of a frame"]) + " |", "|" + "---|" * 8]
    for line in LINES:
        data = [row for name in line.rates.split() for row in read(name)["rows"]]
        own = [row for row in data if (row["encoder"], row["channel"]) == (line.encoder, line.channel)]
        own = [row for row in own if line.background is None or row.get("background", line.background) == line.background]
        cells = []
        for saliency in ("model", "truth"):
            some = [row for row in own if row["saliency"] == saliency]
            cells.append(" / ".join(f"{mean_of(some, side):+.1f}" for side in ("inside_percent", "outside_percent")))
        size = f"{mean_of([row for row in own if row['saliency'] == 'model'], 'size_percent'):+.1f}"
        gaze = NOTHING
        if line.gaze:
            plan = read(line.gaze)["plans"]["attention:-3"]
            gaze = f"{plan['gaze'][0]:+.1f} / {plan['frame'][0]:+.1f}"
        name = f"`{line.channel}`" + (f" {line.background}" if line.background else "")
        clips = len({row["clip"] for row in own})
        time = f"{times[line.time]:.1f} ms" if line.time else line.words
        rows.append(f"| `{line.encoder}` | {name} | {clips} | {cells[0]} | {cells[1]} | {size} | {gaze} | {time} |")
    return "\n".join(rows)


def mean_of(rows: list[dict[str, Any]], key: str) -> float:
    return float(sum(row[key] for row in rows) / len(rows))


def peak_table() -> str:
    rows = ["| Encoder | Channel | Encode | Mean | Busiest second | Least level of the buffer | Late frames |", "|" + "---|" * 7]
    for row in read("peak_rate.json")["rows"]:
        rates = (f"{row[key] / 1000:,.0f}" for key in ("mean", "peak"))
        numbers = " | ".join((*rates, f"{row['least_fullness']:.0%}", str(row["late_frames"])))
        rows.append(f"| `{row['encoder']}` | `{row['channel']}` | {row['encode']} | {numbers} |")
    return "\n".join(rows)


def memory_table() -> str:
    """The long clips: sizes of plan and graphs, and memory over time."""
    runs = [read(name) for name in ("long_clip_x264.json", "long_clip_svtav1.json")]
    heads = [f"`{run['encoder']}`, `{run['channel']}`" for run in runs]
    rows = ["| | " + " | ".join(heads) + " |", "|" + "---|" * (len(runs) + 1)]

    def add(name: str, *cells: str) -> None:
        rows.append(f"| {name} | " + " | ".join(cells) + " |")

    add("frames, maps, scenes, segments", *(", ".join(f"{r[k]:,}" for k in ("frames", "maps", "scenes", "segments")) for r in runs))
    add("saliency and activity in memory", *(f"{r['track_bytes'] / 1e6:.1f} MB" for r in runs))
    add("sidecar on disk", *(f"{r['sidecar_bytes'] / 1e6:.1f} MB" for r in runs))
    add("plan in memory", *(f"{r['plan_bytes'] / 1e6:.1f} MB" for r in runs))
    add("parts (runs of the encoder)", *(f"{r['parts']:,}" for r in runs))
    add("largest graph", *(f"{r['graph_filters_max']:,} regions, {r['graph_bytes_max'] / 1e3:,.1f} kB" for r in runs))
    add(
        "all graphs; files of the channel",
        *(f"{r['graph_bytes'] / 1e6:.1f} MB; {r['channel_file_bytes'] / 1e6:.1f} MB" for r in runs),
    )
    for share in (0.1, 0.5, 0.9):
        moments = (f"{at(r, share, 1):,.0f} MB; {at(r, share, 2):,.0f} MB" for r in runs)
        add(f"after {share:.0%} of the time: this process; all its programs", *moments)
    add("peak: this process; the largest program", *(f"{r['peak_mb']:,} MB; {r['peak_mb_program']:,} MB" for r in runs))
    add("frames written; worst time stamp", *(f"{r['frames_written']:,}; {r['worst_time_stamp_ms']:g} ms" for r in runs))
    return "\n".join(rows)


def at(run: dict[str, Any], share: float, column: int) -> float:
    samples = run["memory"]
    return float(samples[min(int(share * len(samples)), len(samples) - 1)][column])


TABLES = {
    "all channels": ("channels.md", channel_table),
    "a long clip": ("channels.md", memory_table),
    "peaks": ("peak.md", peak_table),
}


def made(name: str) -> tuple[Path, str, str]:
    """The page that has the table ``name``, its text, and its text with the table made anew."""
    page, make = TABLES[name]
    path = DOCS / page
    text = path.read_text(encoding="utf-8")
    head, mark, rest = text.partition(f"<!-- {name}: {_MADE}\n")
    if not mark:
        sys.exit(f"{page}: has no place for the table {name}")
    return path, text, f"{head}{mark}\n{make()}\n\n{_END}{rest.partition(_END)[2]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", choices=TABLES, action="append", help="make this table; default: all")
    options = parser.parse_args()
    differing = []
    for name in options.only or TABLES:
        path, text, wanted = made(name)
        if wanted != text:
            differing.append(name)
            if not options.check:
                path.write_text(wanted, encoding="utf-8")
    print("changed: " + (", ".join(differing) or "nothing"))
    if options.check and differing:
        sys.exit(1)


if __name__ == "__main__":
    main()
