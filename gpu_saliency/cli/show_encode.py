"""Formats the result of an encode as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from gpu_saliency.analysis.settings import NO_DRIVER
from gpu_saliency.cache.folder import cache_folder
from gpu_saliency.cli.rows import format_rows
from gpu_saliency.cli.show_intent import intent_rows
from gpu_saliency.encode.peak import PeakRate
from gpu_saliency.plan.policy import RoiPolicy
from gpu_saliency.plan.roi import PlanStatistics
from gpu_saliency.proof import Proof
from gpu_saliency.results import AnalysisFacts, DryRunResult, EncodeResult, RoiFacts


def encode_lines(result: EncodeResult | DryRunResult, *, verbose: bool = False) -> list[str]:
    """Describe the result of ``encode`` in lines of text; for a dry run, the plan and the commands that would run.

    ``verbose`` adds paths and the reasons for choices.
    """
    lines = [format_rows(list(_rows(result, verbose)))]
    return lines + list(result.commands) if isinstance(result, DryRunResult) else lines


def _rows(result: EncodeResult | DryRunResult, verbose: bool) -> Iterator[tuple[str, str]]:
    source, ffmpeg, encode, roi = result.source, result.ffmpeg, result.encode, result.roi
    yield "source", f"{source.path}: {source.width}x{source.height} {source.pix_fmt}, {rate_text(source.frame_rate)} fps"
    if result.analysis is not None:
        yield "saliency", _analysis_text(result.analysis, verbose)
    if roi is not None:
        yield "ROI plan", plan_text(roi.policy, roi.plan)
        yield "channel", _channel_text(roi, encode.crf)
    else:
        yield "ROI plan", "none: a plain encode"
    if result.intent is not None:
        yield from intent_rows(result.intent)
    settings = {"preset": encode.preset, "crf": encode.crf, "bitrate": encode.bitrate}
    quality = "".join(f" {name} {value}" for name, value in settings.items() if value is not None)
    where = f" ({ffmpeg.origin}: {ffmpeg.path})" if verbose or ffmpeg.origin == "asked for" else f" ({ffmpeg.origin})"
    yield "encoder", f"{encode.encoder}{quality}, ffmpeg {ffmpeg.version}{where}"
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
    if isinstance(result, DryRunResult):
        joins = "encode then joins the parts with time stamps, audio and metadata"
        if result.kept is None:
            yield "commands", f"an outline; --keep DIR writes the files that they name; {joins}"
        else:
            yield "commands", f"{result.kept}/run.sh makes the video of each part; {joins}"
    if isinstance(result, EncodeResult):
        yield from _outcome(result)


def _outcome(result: EncodeResult) -> Iterator[tuple[str, str]]:
    """What the encode made: the file, its size, what the subject gained, and the time that it took."""
    output, proof = result.output, result.proof
    seconds = output.facts.frames / rate if (rate := Fraction(result.source.frame_rate)) else Fraction(0)
    about = [f"{output.size_bytes:,} bytes{_asked_size(result)}"]
    if seconds > 0:
        about += [f"{bits_text(float(8 * output.size_bytes / seconds))} of all streams", f"{float(seconds):.1f} s"]
    yield "output", f"{output.path}: {', '.join(about)}, {counted(output.facts.frames, 'frame')}"
    if output.facts.peak is not None:
        yield "peak", _peak_text(output.facts.peak)
    compared = _size_text(result)
    if compared:
        yield "size", compared
    if proof is not None:
        has_size = result.roi is not None and result.roi.size_sample is not None
        gained = gain_text(proof, "about the same size" if has_size else "the same crf")
        if gained:
            yield "gain", gained
        yield "proof", proof.summary()
    times = dict(result.seconds.items())
    total = times.pop("total", None)
    stages = ", ".join(f"{name} {value:.1f}" for name, value in times.items())
    yield "seconds", stages if total is None else f"{total:.1f}: {stages}" if stages else f"{total:.1f}"


def _peak_text(peak: PeakRate) -> str:
    return (
        f"{peak.peak / 1000:,.0f} kbit in the busiest second, of at most {peak.maxrate / 1000:,.0f} a second with a buffer of "
        f"{peak.bufsize / 1000:,.0f}; the buffer falls to {peak.least_fullness:.1%}"
    )


def _asked_size(result: EncodeResult) -> str:
    asked = None if result.intent is None else result.intent.asked.target_size
    return "" if asked is None else f" ({result.output.size_bytes / asked - 1:+.1%} of the {asked:,} asked for)"


def _size_text(result: EncodeResult) -> str | None:
    """The size against a plain encode, as far as it was measured; ``None`` where it was not."""
    proof, sample = result.proof, None if result.roi is None else result.roi.size_sample
    if proof is not None and proof.size_ratio is not None:
        return f"{proof.size_ratio - 1:+.1%} against a plain encode of the same crf; both were made"
    if sample is not None:
        text = f"about that of a plain encode: in a sample of {counted(sample.frames, 'frame')} the plan made "
        text += f"{sample.size_ratio - 1:+.1%}, which the crf corrects by {sample.correction:+g}"
        return text if abs(sample.correction) >= 0.01 else text.partition(", which")[0]
    return None


def gain_text(proof: Proof, against: str = "the same crf") -> str | None:
    """What the subject gained and the rest paid, in words; ``None`` where it could not be measured."""
    if proof.inside_change is None or proof.outside_change is None:
        return None
    unit, what = ("QP", "") if proof.unit == "QP" else ("dB", " in squared error")
    inside, outside = (f"{abs(change):.2f} {unit} {_better(change)}" for change in (proof.inside_change, proof.outside_change))
    return f"the subject is {inside}, the rest {outside} than in a plain encode of {against}{what}"


def _better(change: float) -> str:
    return "better" if change < 0 else "worse"


def _analysis_text(analysis: AnalysisFacts, verbose: bool) -> str:
    record = analysis.sidecar.analysis
    maps = analysis.sidecar.maps
    counts = f"{counted(record.sampled_frames, 'map')} of {counted(analysis.sidecar.frame_count, 'frame')}"
    reused = reused_text(analysis.reused_from, verbose=verbose)
    if maps is not None:
        how = f"given {maps.kind} {maps.name}" + (f", {reused}" if analysis.reused else "")
        return f"{counts}; {how}"
    if analysis.reused:
        return f"{counts}; {reused}"
    is_usual = record.device == "cpu" and NO_DRIVER in record.device_reason
    how = record.device if is_usual and not verbose else f"{record.device} ({record.device_reason}), {record.provider}"
    if record.device == "cuda":
        how += f", {record.facts.decoder} ({record.facts.decoder_reason})"
    return f"{counts}; {how}"


def reused_text(path: Path | None, *, verbose: bool) -> str:
    """Where the maps of an earlier analysis were; the long names of entries of the cache are shown with ``verbose`` only."""
    if path is None:
        return "reused"
    return "reused from the cache" if cache_folder() in path.parents and not verbose else f"reused from {path}"


def plan_text(policy: RoiPolicy, plan: PlanStatistics) -> str:
    """A plan in words: its strength, its range, and how often it changes."""
    text = f"{policy.mapping}, strength {policy.offset:+g}: "
    if plan.effective_min == plan.effective_max == 0:
        text += "all blocks as in a plain encode"
    else:
        sides = ((plan.effective_min, "better"), (plan.effective_max, "worse"))
        shown = [f"{abs(value):.1f} QP {word}" for value, word in sides if (value < 0) == (word == "better") and round(value, 1)]
        text += f"up to {' and '.join(shown)}, " if shown else ""
        text += f"{plan.improved_blocks:.0%} of the blocks better"
    return f"{text}; {counted(plan.segments, 'segment')} by {policy.aggregator}, {counted(plan.scenes, 'scene')}"


def _channel_text(roi: RoiFacts, crf: float | None) -> str:
    text = roi.channel
    if roi.parts > 1:
        text += f", in {roi.parts} parts"
    if roi.crf_used is not None and roi.crf_used != crf:
        text += f", with crf {roi.crf_used:g} for the same size"
    over = "; ".join(f"{one.channel}: {one.reason}" for one in roi.passed_over)
    return f"{text} (passed over: {over})" if over else text


def rate_text(frame_rate: str) -> str:
    """A frame rate as people write it: ``25``, ``23.976``."""
    return f"{float(Fraction(frame_rate)):.3f}".rstrip("0").rstrip(".")


def bits_text(bits_per_second: float) -> str:
    """``340 kbit/s`` or ``4.21 Mbit/s``."""
    return f"{bits_per_second / 1e6:.2f} Mbit/s" if bits_per_second >= 1e6 else f"{bits_per_second / 1e3:.0f} kbit/s"


def counted(number: int, name: str) -> str:
    """``1 scene``, ``2 scenes``."""
    return f"{number} {name}" + ("" if number == 1 else "s")
