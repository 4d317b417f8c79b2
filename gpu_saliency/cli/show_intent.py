"""Formats what was found for an intent as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_saliency.trial import IntentReport


def intent_rows(report: IntentReport) -> Iterator[tuple[str, str]]:
    """Name and text of a line for each thing that was asked for, and one for the trials."""
    asked = report.asked
    if asked.auto_offset:
        yield "strength", _strength_text(report)
    if asked.salient_bits is not None:
        yield "strength", _share_text(report, asked.salient_bits)
    if asked.target_vmaf is not None:
        assert report.vmaf is not None
        how = "at least " if asked.at_least else ""
        yield "quality", f"crf {report.crf:g} for VMAF {how}{asked.target_vmaf:g}: {report.vmaf:.2f} {_of(report)}"
    if asked.target_size is not None and report.bitrate is not None:
        yield "size", f"{report.bitrate:,} bits/s of video in two passes for {asked.target_size:,} bytes"
    elif asked.target_size is not None:
        yield "size", f"crf {report.crf:g} for {asked.target_size:,} bytes: {report.size_bytes:,} expected {_of(report)}"
    if report.trials:
        tried = ", ".join(_trial_text(trial.crf, trial.offset, trial.vmaf) for trial in report.trials)
        yield "trials", f"{len(report.trials)} of {report.frames} frames in {report.seconds:.1f} s: {tried}"


def _of(report: IntentReport) -> str:
    return "of the whole clip" if report.whole_clip else f"of {report.frames} sampled frames"


def _strength_text(report: IntentReport) -> str:
    text = f"offset {report.offset:+g}: {report.vmaf_gain:+.2f} VMAF at equal size"
    if report.offset == 0:
        text = "offset 0, a plain encode: every plan costs the whole frame more VMAF than allowed"
    return text + (", found by an earlier encode" if report.offset_reused else f", found at crf {report.offset_crf:g}")


def _share_text(report: IntentReport, wanted: float) -> str:
    text = f"offset {report.offset:+g}: the most looked-at quarter gets {report.modelled_share:.1%} of the modelled bits"
    text += f" for {wanted:.1%} (plain {report.plain_share:.1%})"
    if report.realised_share is not None:
        text += f"; by the realised QP {report.realised_share:.1%} where the model has {report.realised_share_modelled:.1%}"
    return text


def _trial_text(crf: float | None, offset: float | None, vmaf: float | None) -> str:
    text = "plain" if offset is None else f"{offset:+g}"
    return f"crf {crf:g} {text}" + ("" if vmaf is None else f" VMAF {vmaf:.2f}")
