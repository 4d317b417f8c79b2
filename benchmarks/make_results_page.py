"""Writes docs/results.md and its plots from the figures in docs/measured: ``python benchmarks/make_results_page.py``.

The measurements themselves come from gaze.py, bd_rate.py, whole_frame.py, cambi.py and pulsing.py; the page names each command.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from channel_curves import draw_curves
from svg_plot import Line, Plot, draw

DOCS = Path(__file__).resolve().parents[1] / "docs"
MEASURED, PICTURES, PAGE = DOCS / "measured", DOCS / "pictures", DOCS / "results.md"
Facts = dict[str, Any]
GAZE_RUNS = ("gaze", "gaze_x265")
"""Files with results of gaze.py, one for each encoder."""
PLAN_KINDS = {
    "attention": "attention, gaze and objects",
    "saliency": "attention, saliency alone",
    "balanced": "balanced",
    "recorded": "attention, recorded gaze",
}
"""Kinds of plans in the frontier, in the order of the plot, with their names there."""

_TITLE = """\
# Results

<!-- Made by benchmarks/make_results_page.py from docs/measured/*.json. Measure again, then run it. -->

"""


def make_page() -> str:
    """Return the text of the page."""
    introduction = _prose(
        "Gain and cost of the defaults (mapping `attention`, offset -3), measured through the product's own encodes and compared "
        "with plain encodes of the same settings. The first section and that of objects name the model of each figure; all "
        "others are those of saliency_fast_v1, the default until 2026-11-26. Each section names the script, the date and the "
        "machine; no figure depends on the machine's speed. A BD-rate is the change of the bits at equal quality "
        "in per cent, over several base qualities, by monotone cubics: **negative is fewer bits**. What the metrics are: "
        "[score.md](score.md). What the mappings are: [roi-mapping.md](roi-mapping.md)."
    )
    sections = [_TITLE + introduction, _gaze({name: _read(name) for name in GAZE_RUNS}), _frontier(_read("frontier"))]
    sections += [_objects(_read("bd_rate_attention")), _whole(_read("whole_frame")), _banding(_read("cambi"))]
    sections += [_pulsing(_read("pulsing")), _sizes(_read("equal_size")), _speed(_read("encode_speed"))]
    return "\n".join(sections)


def make_pictures() -> dict[str, str]:
    """Return the SVG of each plot by its file name."""
    return {
        "channel-curves.svg": draw_curves(),
        "frontier.svg": _draw_frontier(_read("frontier")),
        "whole-frame.svg": _draw_whole(_read("whole_frame")),
    }


def _read(name: str) -> Facts:
    facts: Facts = json.loads((MEASURED / f"{name}.json").read_text(encoding="utf-8"))
    return facts


def _about(facts: Facts, name: str, command: str) -> str:
    where = f"{facts['date']}, {facts['machine']}, ffmpeg {facts['versions']['ffmpeg']}"
    return f"{where}: `benchmarks/{command}`; [figures](measured/{name}.json).\n"


def _model(facts: Facts) -> str:
    """The name of the model of a measurement; gaze.py writes it among the settings."""
    if "model" in facts:
        return Path(facts["model"]).stem
    return next(part for part in str(facts["settings"]).split(", ") if part.startswith("saliency_"))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _prose(text: str) -> str:
    """One paragraph in lines of up to 138 columns."""
    return textwrap.fill(text, 138, break_long_words=False, break_on_hyphens=False) + "\n"


def _number(value: float | None, form: str = "+.1f") -> str:
    return "-" if value is None else format(value, form)


def _gaze(runs: dict[str, Facts]) -> str:
    rows = []
    for facts in runs.values():
        encoder = facts["settings"].split(" ")[0]
        for plan, found in facts["plans"].items():
            numbers = (f"{found[name][0]:+.1f} ± {found[name][1]:.1f}" for name in ("gaze", "frame", "size"))
            rows.append([f"`{encoder}`", _model(facts), str(len(facts["pictures"])), f"`{plan}`", *numbers])
    head = [
        "Encoder",
        "Model",
        "Photographs",
        "Mapping, offset",
        "BD-rate, weighted by gaze",
        "BD-rate, whole frame",
        "Size at equal CRF",
    ]
    text = _prose(
        "Photographs with recorded gaze, panned one pixel a frame, 24 frames, preset medium, CRF 24, 30, 36 and 42. The luma "
        "error is weighted by the density of the recorded gaze, which no plan knows; each photograph is judged by a curve that "
        "was fitted to the other half of them (`scripts/training/fit_attention.py --half`). Mean and standard error over the "
        "photographs, in per cent."
    )
    about = "\n".join(_about(facts, name, _gaze_command(facts)) for name, facts in runs.items())
    return f"## Where people look\n\n{text}\n{_table(head, rows)}\n{about}"


def _gaze_command(facts: Facts) -> str:
    plans = " ".join(f"--plan {plan}" for plan in facts["plans"])
    encoder = facts["settings"].split(" ")[0]
    return f"gaze.py --data DIR --encoder {encoder} --pictures {len(facts['pictures'])} {plans} --curves EVEN ODD"


def _frontier_lines(facts: Facts) -> dict[str, list[tuple[int, Facts]]]:
    """Offset and figures of each plan, by kind, the weakest first."""
    lines: dict[str, list[tuple[int, Facts]]] = {kind: [] for kind in PLAN_KINDS}
    for plan, found in facts["plans"].items():
        kind, offset = plan.split(":")
        lines[kind].append((int(offset), found))
    return {kind: sorted(line, key=lambda item: -item[0]) for kind, line in lines.items()}


def _frontier(facts: Facts) -> str:
    rows = []
    for kind, line in _frontier_lines(facts).items():
        for offset, found in line:
            numbers = (f"{found[name][0]:+.1f} ± {found[name][1]:.1f}" for name in ("gaze", "frame"))
            rows.append([PLAN_KINDS[kind], str(offset), *numbers])
    text = _prose(
        f"Gain against loss as the offset grows, on the first {len(facts['pictures'])} of these photographs, libx264 "
        f"medium, {_model(facts)}, with the default limit of 4 QP on what a block may lose. *Saliency alone* is `attention` "
        "without the gaze map, as for models with one output. *Recorded gaze* is `attention` from the recorded density itself: "
        "what a perfect model would reach. In the plot, further down is more gain, further right is more loss; the numbers at "
        "the points are offsets."
    )
    picture = "![Gain for gaze against loss for the whole frame, by mapping and offset](pictures/frontier.svg)\n"
    head = ["Plan", "Offset", "BD-rate, weighted by gaze", "BD-rate, whole frame"]
    command = "gaze.py --data DIR --pictures N --plan KIND:OFFSET ... --curves EVEN ODD"
    return f"## The frontier of strength\n\n{text}\n{picture}\n{_table(head, rows)}\n{_about(facts, 'frontier', command)}"


def _draw_frontier(facts: Facts) -> str:
    lines = []
    for number, (kind, line) in enumerate(_frontier_lines(facts).items()):
        points = [(0.0, 0.0), *((found["frame"][0], found["gaze"][0]) for _, found in line)]
        labels = ["", *(str(offset) for offset, _ in line)]
        lines.append(Line(PLAN_KINDS[kind], points, labels, left=kind == "attention", dashed=kind == "recorded", colour=number))
    title = f"Strength: gain against loss, {len(facts['pictures'])} photographs, libx264 medium"
    x, y = "whole-frame PSNR, BD-rate in per cent (right is worse)", "gaze-weighted PSNR, BD-rate in per cent (down is better)"
    return draw([Plot(title, x, y, lines)], width=860, height=560)


def _objects(facts: Facts) -> str:
    rows = []
    for mean in facts["averages"]:
        if mean["saliency"] == "model":
            own = [row for row in facts["rows"] if (row["encoder"], row["saliency"]) == (mean["encoder"], "model")]
            ranges = []
            for name in ("inside_percent", "outside_percent", "size_percent"):
                values = [row[name] for row in own]
                ranges.append(f"{mean[name]:+.1f} ({min(values):+.1f} to {max(values):+.1f})")
            rows.append([f"`{mean['encoder']}`", *ranges])
    text = _prose(
        "Four DAVIS 2016 clips of 854x480, three base qualities: BD-rate of luma PSNR inside and outside of the true "
        f"object masks, with the plan of {_model(facts)}; mean over the clips, and the range."
    )
    table = _table(["Encoder", "Inside", "Outside", "Size at equal CRF"], rows)
    return (
        f"## Objects\n\n{text}\n{table}\n{_about(facts, 'bd_rate_attention', 'bd_rate.py --clips DIR --encoders libx264,libx265')}"
    )


def _whole(facts: Facts) -> str:
    head = ["Encoder", "Clip", "VMAF v1", "VMAF v0.6.1 NEG", "PSNR", "NEG at equal size, points", "Size at equal CRF"]
    rows = []
    for mean in facts["averages"]:
        own = [row for row in facts["rows"] if (row["encoder"], row["plan"]) == (mean["encoder"], mean["plan"])]
        for row in (*own, mean):
            rates = (_number(row[name]) for name in ("vmaf_percent", "neg_percent", "psnr_percent"))
            numbers = [*rates, _number(row["neg_at_size"], "+.2f"), _number(row["size_percent"])]
            name = row["clip"].removeprefix("davis_")
            rows.append(
                [f"`{row['encoder']}`", *([f"**{text}**" for text in (name, *numbers)] if row is mean else (name, *numbers))]
            )
    text = _prose(
        f"The same clips at four base qualities, preset medium, with the plan of {_model(facts)}, VMAF at the clip's own size. "
        "BD-rates of the whole frame, without masks or gaze; and the change of VMAF v0.6.1 NEG at equal size."
    )
    picture = "![VMAF against size, plain and ours, for each clip and encoder](pictures/whole-frame.svg)\n"
    about = _about(facts, "whole_frame", "whole_frame.py --clips DIR")
    return f"## The whole frame\n\n{text}\n{picture}\n{_table(head, rows)}\n{about}"


def _draw_whole(facts: Facts) -> str:
    plots = []
    for encoder, clip in dict.fromkeys((series["encoder"], series["clip"]) for series in facts["series"]):
        lines = []
        for number, series in enumerate(one for one in facts["series"] if (one["encoder"], one["clip"]) == (encoder, clip)):
            points = [(point["video_bytes"] / 1000, point["vmaf"]) for point in series["points"]]
            lines.append(
                Line("plain" if series["plan"] == "plain" else "ours", points, dashed=number == 0, colour=1 - min(number, 1))
            )
        plots.append(Plot(f"{clip.removeprefix('davis_')}, {encoder}", "size, kB", "VMAF v1", lines, log_x=True, legend_top=False))
    return draw(plots, columns=2, width=480, height=340)


def _banding(facts: Facts) -> str:
    means = [
        [f"`{mean['encoder']}`", mean["clip"], *_cambi(mean, ("cambi", "plain_at_size", "spread"))] for mean in facts["averages"]
    ]
    rows = []
    for row in facts["rows"]:
        numbers = _cambi(row, ("source", "cambi", "plain_at_size", "spread", "frames"))
        rows.append([f"`{row['encoder']}`", row["clip"], f"{row['crf']:g}", *numbers])
    text = _prose(
        "CAMBI (lower is better) on gradients with known content: a sky of whole codes that pans slowly (`sky`) and a slow "
        "fade of it (`fade`), both also with dither of one code (`dithered`, `dithered-fade`), each with a textured ground "
        "and a textured bird. *Plain*: a "
        "plain encode of the size of ours. *Spread*: what one step of CRF to either side changes in plain's CAMBI; ours should "
        "not be higher than plain by more. Mean over four base qualities, then each of them; **bold** is more than the spread. "
        "Skies without dither have steps in the source, which CAMBI counts too, and it counts coarse steps less: at CRF 40 the "
        "plain fade has fewer and larger steps than ours, and the lower CAMBI."
    )
    head = ["Encoder", "Clip", "Ours", "Plain", "Spread"]
    frames = "*Source* is the clip itself, *frames* the standard deviation of plain's CAMBI from frame to frame:\n"
    detail = _table(["Encoder", "Clip", "CRF", "Source", "Ours", "Plain", "Spread", "Frames"], rows)
    return f"## Banding\n\n{text}\n{_table(head, means)}\n{frames}\n{detail}\n{_about(facts, 'cambi', 'cambi.py')}"


def _cambi(row: Facts, names: Sequence[str]) -> list[str]:
    """The numbers of ``names``; ours in bold where it is higher than plain by more than the spread."""
    bold = row["cambi"] - row["plain_at_size"] > row["spread"]
    return [f"**{row[name]:.2f}**" if bold and name == "cambi" else f"{row[name]:.2f}" for name in names]


def _pulsing(facts: Facts) -> str:
    rows = []
    for row in facts["rows"]:
        steps = (_number(row[name], ".2f") for name in ("ours", "plain", "elsewhere", "gain", "parts"))
        rows.append([f"`{row['encoder']}`", row["clip"], str(row["changes"]), *steps])
    changed = [row for row in facts["rows"] if row["ours"] is not None]
    worse = [row for row in changed if row["ours"] > max(row["plain"], row["elsewhere"])]
    excess = float(np.mean([row["ours"] - row["plain"] for row in changed])) if changed else 0.0
    text = _prose(
        "The largest step of the whole frame's luma PSNR in dB, from one frame to the next, where the plan changes within "
        "a scene. *Plain*: the largest step of the plain encode at the same frames. *Elsewhere*: its largest step at any "
        "other frame but the first of a scene. *Gain*: the largest step of the difference of both, in which the steps of "
        "frame types cancel; *parts*: the same where a part begins within a scene, with a new run of the encoder."
    )
    end = _prose(
        f"Ours minus plain is {excess:+.2f} dB on average. In {len(worse)} of {len(changed)} rows with changes, ours is greater "
        "than any step of the plain encode."
    )
    table = _table(["Encoder", "Clip", "Changes", "Ours", "Plain", "Elsewhere", "Gain", "Parts"], rows)
    return f"## Pulsing\n\n{text}\n{table}\n{end}\n{_about(facts, 'pulsing', 'pulsing.py --clips DIR')}"


def _sizes(facts: Facts) -> str:
    rows = []
    for clip, encoder in dict.fromkeys((row["clip"], row["encoder"]) for row in facts["rows"]):
        some = [row for row in facts["rows"] if (row["clip"], row["encoder"]) == (clip, encoder)]
        ratios = " / ".join(_number(100 * (row["ratio"] - 1)) for row in some)
        expected = " / ".join(_number(100 * (row["expected"] - 1)) for row in some)
        sampled = f"{some[0]['sampled']} of {some[0]['frames']}"
        rows.append([f"`{encoder}`", clip, sampled, " / ".join(f"{row['crf']:g}" for row in some), ratios, expected])
    text = _prose(
        "The bytes of the video beside those of a plain encode at the same CRF, in per cent, with the [correction by a "
        "sample](equal-size.md). *Expected*: what the sample expected without a correction."
    )
    ends = [
        f"`{encoder}`: {one['mean_absolute_percent']:.1f} % on average without signs, {_number(one['mean_percent'])} % with signs; "
        f"the clip that is furthest off, over its CRFs: {_number(one['largest_of_a_clip_percent'])} %; the file that is: "
        f"{_number(one['largest_percent'])} %."
        for encoder, one in facts["summary"].items()
    ]
    table = _table(["Encoder", "Clip", "Frames sampled", "CRF", "Size, %", "Expected, %"], rows)
    about = _about(facts, "equal_size", "equal_size.py --clips DIR")
    return f"## Equal size\n\n{text}\n{table}\n{_prose(' '.join(ends))}\n{about}"


def _speed(facts: Facts) -> str:
    rows = []
    for row in facts["rows"]:
        name = f"`{row['encoder']}` {row['preset']}"
        stages = ", ".join(f"{stage} {value:.1f}" for stage, value in row["stages"].items() if stage != "total")
        times = f"{row['plain_wall']:.1f}", f"{row['ours_wall']:.1f}", f"**{row['ratio']:.2f}**", f"{row['cpu_ratio']:.2f}"
        rows.append([name, f"{row['seconds']:g} s", *times, stages])
    text = _prose(
        "The time of `gpu-saliency encode` with all defaults beside that of ffmpeg with the same encoder, preset and CRF, "
        "measured by turns: an animated film of 720p, looped and scaled to 1080p. The seconds hold for this machine only; the "
        "ratios say what analysis, sample, plan and proof cost beside the encode."
    )
    table = _table(["Encoder", "Clip", "ffmpeg alone, s", "Ours, s", "Ratio", "Ratio of CPU time", "Stages, s"], rows)
    return f"## Speed\n\n{text}\n{table}\n{_about(facts, 'encode_speed', 'encode_speed.py --source CLIP')}"


def main() -> None:
    for name, text in make_pictures().items():
        (PICTURES / name).write_text(text, encoding="utf-8")
    PAGE.write_text(make_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
