"""The result of an encode as rows of text."""

from __future__ import annotations

from typing import Any

from gpu_saliency.cli.rows import Rows


def encode_rows(result: dict[str, Any]) -> Rows:
    """Describe what ``encode`` did, or would do in a dry run."""
    rows: Rows = []

    def add(name: str, text: str) -> None:
        rows.append((name, text))

    source, ffmpeg, roi, analysis = result["source"], result["ffmpeg"], result["roi"], result["analysis"]
    add("source", f"{source['path']}: {source['width']}x{source['height']} {source['pix_fmt']} {source['frame_rate']} fps")
    if analysis is not None:
        how = "reused" if analysis["reused"] else f"{analysis['device']} ({analysis['device_reason']}), {analysis['provider']}"
        if analysis["device"] == "cuda" and not analysis["reused"]:
            how += f", {analysis['decoder']} ({analysis['decoder_reason']})"
        add("saliency", f"{analysis['sampled_frames']} maps of {analysis['frames']} frames; {how}")
    if roi is not None:
        add(
            "ROI plan",
            f"{roi['mapping']} {roi['offset']:+d}, {roi['segments']} segments by {roi['aggregator']}, {roi['scenes']} scenes: "
            f"{roi['effective_min']:+.2f} to {roi['effective_max']:+.2f} QP, {roi['improved_blocks']:.0%} of the blocks improved",
        )
        add("channel", _channel_text(roi, result["crf"]))
    else:
        add("ROI plan", "none: a plain encode")
    quality = "".join(f" {key} {result[key]}" for key in ("preset", "crf", "bitrate") if result[key] is not None)
    add("encoder", f"{result['encoder']}{quality}, ffmpeg {ffmpeg['version']} ({ffmpeg['origin']}: {ffmpeg['path']})")
    if source["pix_fmt"] != result["pix_fmt"]:
        add("converted", f"{source['pix_fmt']} to {result['pix_fmt']}, which {result['encoder']} takes at this size")
    if source["left_out"]:
        add("left out", ", ".join(source["left_out"]))
    if "output" in result:
        output, seconds = result["output"], result["seconds"]
        add("output", f"{output['path']}: {output['size_bytes']:,} bytes, {output['frames']} frames")
        add("seconds", ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()))
    if result.get("proof"):
        add("proof", result["proof"]["summary"])
    return rows


def _channel_text(roi: dict[str, Any], crf: float | None) -> str:
    text: str = roi["channel"]
    if roi["parts"] > 1:
        text += f", in {roi['parts']} parts"
    if roi["crf_used"] != crf:
        text += f", with crf {roi['crf_used']:g} for the same size"
    over = "; ".join(f"{one['channel']}: {one['reason']}" for one in roi["passed_over"])
    return f"{text} (passed over: {over})" if over else text
