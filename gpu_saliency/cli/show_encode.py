"""Formats the result of an encode as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_saliency.cli.rows import format_rows
from gpu_saliency.cli.show_intent import intent_rows
from gpu_saliency.encode.peak import PeakRate
from gpu_saliency.results import AnalysisFacts, DryRunResult, EncodeResult, RoiFacts


def encode_lines(result: EncodeResult | DryRunResult) -> list[str]:
    """Describe the result of ``encode`` in lines of text; for a dry run, the plan and the commands that would run."""
    lines = [format_rows(list(_rows(result)))]
    return lines + list(result.commands) if isinstance(result, DryRunResult) else lines


def _rows(result: EncodeResult | DryRunResult) -> Iterator[tuple[str, str]]:
    source, ffmpeg, encode, roi = result.source, result.ffmpeg, result.encode, result.roi
    yield "source", f"{source.path}: {source.width}x{source.height} {source.pix_fmt} {source.frame_rate} fps"
    if result.analysis is not None:
        yield "saliency", _analysis_text(result.analysis)
    if roi is not None:
        yield "ROI plan", _plan_text(roi)
        yield "channel", _channel_text(roi, encode.crf)
    else:
        yield "ROI plan", "none: a plain encode"
    if result.intent is not None:
        yield from intent_rows(result.intent)
    settings = {"preset": encode.preset, "crf": encode.crf, "bitrate": encode.bitrate}
    quality = "".join(f" {name} {value}" for name, value in settings.items() if value is not None)
    yield "encoder", f"{encode.encoder}{quality}, ffmpeg {ffmpeg.version} ({ffmpeg.origin}: {ffmpeg.path})"
    if isinstance(result, DryRunResult) and result.corrects_size:
        yield "size", "the encode first corrects this crf by a sample, which --no-equal-size leaves out"
    if encode.maxrate is not None:
        buffer = f"{encode.maxrate / 1000:,.0f} kbit/s, kept by a buffer of {(encode.bufsize or 0) / 1000:,.0f} kbit"
        is_dry = isinstance(result, DryRunResult) and len(result.graphs) > 1
        yield "maxrate", buffer + ("; each further part starts with the buffer as the one before it leaves it" if is_dry else "")
    if source.pix_fmt != encode.pix_fmt:
        why = "as asked for" if encode.asks_pix_fmt else f"which {encode.encoder} supports at this size"
        yield "converted", f"{source.pix_fmt} to {encode.pix_fmt}, {why}"
    asked = {"crop": encode.crop, "scale": encode.scale, "fps": encode.fps, "key frames at every": encode.keyint}
    if any(asked.values()):
        yield "shape", ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
    if encode.audio_codec is not None and source.audio:
        yield "audio", f"{', '.join(source.audio)} to {encode.audio_codec}"
    if source.left_out:
        yield "left out", ", ".join(f"{one.kind} {one.codec or 'unknown'}" for one in source.left_out)
    if isinstance(result, EncodeResult):
        output = result.output
        yield "output", f"{output.path}: {output.size_bytes:,} bytes{_asked_size(result)}, {output.facts.frames} frames"
        if output.facts.peak is not None:
            yield "peak", _peak_text(output.facts.peak)
        yield "seconds", ", ".join(f"{name} {value:.1f}" for name, value in result.seconds.items())
        if result.proof is not None:
            yield "proof", result.proof.summary()


def _peak_text(peak: PeakRate) -> str:
    return (
        f"{peak.peak / 1000:,.0f} kbit in the busiest second, of at most {peak.maxrate / 1000:,.0f} a second with a buffer of "
        f"{peak.bufsize / 1000:,.0f}; the buffer falls to {peak.least_fullness:.1%}"
    )


def _asked_size(result: EncodeResult) -> str:
    asked = None if result.intent is None else result.intent.asked.target_size
    return "" if asked is None else f" ({result.output.size_bytes / asked - 1:+.1%} of the {asked:,} asked for)"


def _analysis_text(analysis: AnalysisFacts) -> str:
    record = analysis.sidecar.analysis
    maps = analysis.sidecar.maps
    reused = f"reused from {analysis.reused_from}" if analysis.reused_from is not None else "reused"
    if maps is not None:
        how = f"given {maps.kind} {maps.name}" + (f", {reused}" if analysis.reused else "")
        return f"{record.sampled_frames} maps of {analysis.sidecar.frame_count} frames; {how}"
    how = reused if analysis.reused else f"{record.device} ({record.device_reason}), {record.provider}"
    if record.device == "cuda" and not analysis.reused:
        how += f", {record.facts.decoder} ({record.facts.decoder_reason})"
    return f"{record.sampled_frames} maps of {analysis.sidecar.frame_count} frames; {how}"


def _plan_text(roi: RoiFacts) -> str:
    policy, plan = roi.policy, roi.plan
    return (
        f"{policy.mapping} {policy.offset:+g}, {plan.segments} segments by {policy.aggregator}, {plan.scenes} scenes: "
        f"{plan.effective_min:+.2f} to {plan.effective_max:+.2f} QP, {plan.improved_blocks:.0%} of the blocks improved"
    )


def _channel_text(roi: RoiFacts, crf: float | None) -> str:
    text = roi.channel
    if roi.parts > 1:
        text += f", in {roi.parts} parts"
    if roi.crf_used is not None and roi.crf_used != crf:
        text += f", with crf {roi.crf_used:g} for the same size"
    over = "; ".join(f"{one.channel}: {one.reason}" for one in roi.passed_over)
    return f"{text} (passed over: {over})" if over else text
