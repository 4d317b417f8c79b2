"""The report of a comparison: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from gpu_saliency._version import __version__
from gpu_saliency.compare.album import Album, PairFrames, Pictures
from gpu_saliency.compare.chart import Marked, draw_chart
from gpu_saliency.compare.names import MAIN
from gpu_saliency.compare.page import make_page
from gpu_saliency.compare.pictures import BlockMap
from gpu_saliency.compare.point import Point
from gpu_saliency.compare.result import CompareResult, EncoderResult
from gpu_saliency.compare.tables import MINUS, cards, delta_table, match_table, other_names, point_table, reasons, signed

_CHARTED = (*MAIN[:6], "cambi", *MAIN[6:])
_KEY = """<p class=small><span class=key><svg viewBox="0 0 36 18" aria-hidden=true class=mark><line class="line plain" x1=0 x2=36 y1=9 y2=9 />
<g class="mark plain"><rect x=14 y=5 width=8 height=8 /></g></svg>Plain encode</span><span class=key><svg viewBox="0 0 36 18" aria-hidden=true>
<line class="line roi" x1=0 x2=36 y1=9 y2=9 /><g class="mark roi"><circle cx=18 cy=9 r=4.6 /></g></svg>ROI encode, with the plan</span></p>"""
_VIEWER = """<div class=frames data-viewer={number} role=group aria-label="Frames of {encoder}">
<div class=controls><div class="group pair"><span>Plain encode at</span></div><div class="group frame"><span>Frame</span></div>
<div class=group><button type=button class=source aria-pressed=false>Source</button>
<button type=button class=zoom aria-pressed=false>Zoom 3{times}</button></div></div>
<div class="view stage"><img class=under alt=""><div class=over><img alt="ROI encode"></div><span class="tag left"></span>
<span class="tag right"></span></div>
<input type=range min=0 max=100 step=0.1 value=50 aria-label="Share of the width that shows the plain encode">
<p class="dim small sizes"></p><div class=maps></div></div>"""


def make_report(result: CompareResult, album: Album) -> str:
    """The page's HTML."""
    pictures = Pictures()
    viewers = _viewers(result, album, pictures)
    sections = {
        "summary": ("Summary", _summary(result)),
        "curves": ("Curves", _curves(result)),
        "frames": ("Frames and maps", _frames(result, viewers)),
        "encodes": ("Encodes", _encodes(result)),
        "commands": ("Commands", _commands(result)),
        "method": ("Method", _method(result)),
    }
    shown = {name: one for name, one in sections.items() if one[1]}
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, (title, _) in shown.items())
    if result.blind is not None:
        links += '<li><a href="blind.html">Blind test</a></li>'
    body = "".join(f"<section id={name}><h2>{title}</h2>{text}</section>" for name, (title, text) in shown.items())
    name = escape(result.clip.path.name)
    return make_page(
        "report",
        {"viewers": viewers, "pictures": pictures.data},
        title=f"{name}: plain and ROI encodes",
        version=__version__,
        name=name,
        facts=_facts(result),
        links=links,
        sections=body,
        footer="This page is one file. It loads nothing from anywhere.",
    )


def _facts(result: CompareResult) -> str:
    clip = result.clip
    rate = float(clip.frame_rate)
    parts = [f"{clip.width}\N{MULTIPLICATION SIGN}{clip.height}", f"{result.frame_count} frames", f"{rate:.5g} fps", clip.pix_fmt]
    for one in result.encoders:
        preset = f" {one.job.preset}" if one.job.preset else ""
        parts.append(f"{one.encoder}{preset} by {one.channel}")
    return escape(" \N{MIDDLE DOT} ".join(parts))


def _summary(result: CompareResult) -> str:
    text = (
        "<p>How many bits an encode with the plan needs, against a plain encode by the same encoder with the same settings. "
        f"{MINUS}10 % means: the same quality from a tenth fewer bits.</p>"
    )
    several = len(result.encoders) > 1
    for one in result.encoders:
        text += (f"<h3>{escape(one.encoder)}</h3>" if several else "") + cards(one)
    text += delta_table(result, MAIN, "BD-rate") + reasons(result, MAIN)
    further = other_names(result)
    if further:
        others = delta_table(result, further, "BD-rate of further metrics") + reasons(result, further)
        text += f"<details><summary>Further metrics</summary><div class=inner>{others}</div></details>"
    if any(name.startswith("plan.") for one in result.encoders for name, _ in one.deltas()):
        text += (
            '<p class="small dim">Circular: weighted by the map that made the plan. It shows that the plan arrived, not that people '
            "gain. Judge by the whole frame, recorded gaze and true masks.</p>"
        )
    return text


def _curves(result: CompareResult) -> str:
    text = _KEY
    for one in result.encoders:
        charts = "".join(
            draw_chart(name, _marked(one.plain, name), _marked(one.roi, name))
            for name in _CHARTED
            if all(p.metric(name) is not None for p in (*one.plain, *one.roi))
        )
        text += (f"<h3>{escape(one.encoder)}</h3>" if len(result.encoders) > 1 else "") + f"<div class=charts>{charts}</div>"
    return text


def _marked(points: Sequence[Point], name: str) -> list[Marked]:
    values = [(point.bits_per_second, point.metric(name), point.label) for point in points]
    return [(rate, value, label) for rate, value, label in values if value is not None]


def _viewers(result: CompareResult, album: Album, pictures: Pictures) -> list[dict[str, Any]]:
    """The data of one viewer for each encoder with pairs."""
    source = [pictures.add(picture) for picture in album.source] if album.pairs else []
    aspect = round(float(result.clip.upright_aspect), 4)
    found = []
    for one in result.encoders:
        pairs = [_pair(pair, pictures) for pair in album.pairs if pair.encoder is one]
        if pairs:
            found.append(
                {"encoder": one.encoder, "frames": list(album.numbers), "source": source, "pairs": pairs, "aspect": aspect}
            )
    return found


def _pair(pair: PairFrames, pictures: Pictures) -> dict[str, Any]:
    plain, roi = pair.match.plain, pair.match.roi
    frames = zip(pair.plain, pair.roi, pair.drawn, strict=True)
    sizes = (
        f"Equal size: plain at {plain.label} has {plain.video_bytes:,} bytes, ROI at {roi.label} has {roi.video_bytes:,} "
        f"({signed(pair.match.size_percent, 2, '%')})."
    )
    return {
        "name": plain.label,
        "plain": f"{plain.bits_per_second / 1000:.0f} kbit/s",
        "roi": f"{roi.bits_per_second / 1000:.0f} kbit/s",
        "sizes": sizes,
        "maps": [_legend(one) for one in pair.maps],
        "frames": [
            {"plain": pictures.add(a), "roi": pictures.add(b), "maps": [pictures.add(one) for one in drawn]}
            for a, b, drawn in frames
        ],
    }


def _legend(one: BlockMap) -> dict[str, Any]:
    ends = [f"{MINUS}{one.top:g} {one.unit}, better", "0", f"+{one.top:g} {one.unit}, worse"]
    return {"title": one.title, "ends": ends, "note": one.note}


def _frames(result: CompareResult, viewers: list[dict[str, Any]]) -> str:
    if not viewers:
        return ""
    text = (
        "<p>Drag over the picture, or move the slider: plain on the left, ROI on the right, at equal size in bytes. The maps show the "
        "plan of this frame's segment, and what changed in each block between the two encodes.</p>"
    )
    for number, one in enumerate(viewers):
        encoder = escape(one["encoder"])
        text += f"<h3>{encoder}</h3>" if len(viewers) > 1 else ""
        text += _VIEWER.format(number=number, encoder=encoder, times="\N{MULTIPLICATION SIGN}")
    if result.blind is not None:
        text += '<p>Which one would you pick without knowing? <a href="blind.html">Judge the pairs blind</a>.</p>'
    return text


def _encodes(result: CompareResult) -> str:
    return "".join(point_table(one) + (match_table(one) if one.matches else "") for one in result.encoders)


def _commands(result: CompareResult) -> str:
    text = "" if result.command is None else f"<p>This report was made by</p><pre>{escape(result.command)}</pre>"
    text += (
        '<p class="small dim">Below, what ran for each encode and its score. <code>partN/</code> and <code>score/</code> stand for temporary '
        "folders; parts are then joined without an encode. A dry run of the encode prints the filter graphs.</p>"
    )
    for one in result.encoders:
        details = "".join(
            f"<details><summary>{escape(one.encoder)}: {'plain' if point.kind == 'plain' else 'ROI'}, {escape(point.label)}"
            f"</summary><div class=inner>{''.join(f'<pre>{escape(line)}</pre>' for line in point.commands)}</div></details>"
            for point in _points(one)
        )
        text += f"<div class=log>{details}</div>"
    return text


def _points(one: EncoderResult) -> list[Point]:
    found = {point.path: point for pair in zip(one.plain, one.roi, strict=True) for point in pair}
    found |= {match.roi.path: match.roi for match in one.matches}
    return list(found.values())


def _method(result: CompareResult) -> str:
    """How the numbers came about, for readers who have only this file."""
    models = "".join(f"<li>{escape(one.encoder)}: ffmpeg {escape(one.job.ffmpeg.version)}</li>" for one in result.encoders)
    given = "".join(
        f"<li>{title}: {escape(str(Path(path)))}</li>" for title, path in (("Masks", result.masks), ("Gaze", result.gaze)) if path
    )
    return f"""<ul>
<li>BD-rate: mean change of the bits at equal quality. The logarithm of the rate is interpolated over the quality by monotone cubics
(PCHIP) and averaged over the range of quality that both curves share (Bj&oslash;ntegaard, VCEG-M33; JCTVC-L1100). It needs four rates.</li>
<li>Rates count the bytes of the video stream, without container and audio. Metrics are pooled over all frames.</li>
<li>SSIM enters as it is, not in dB. CAMBI measures banding; lower is better, and it has no BD-rate.</li>
<li>Equal size: the base quality of the ROI encode is interpolated between known sizes, and encoded again until it is near.</li>
<li>Change of squared error: 10 log10 of the ratio of luma errors, over a block and a segment; {MINUS}3 dB is half the error.</li>
{models}{given}</ul>"""
