"""Judges a run: a clean error, a complete and right output, or a warned one.

It knows nothing of the program but its documented interface: exit codes, the form of errors and warnings, the names of files.
"""

from __future__ import annotations

import contextlib
import json
import re
from itertools import pairwise
from pathlib import Path

from fuzzing.case import APART, CLEAN, FAILED, RIGHT, SKIPPED, WARNED, Case, Name, Run, Verdict
from fuzzing.facts import Facts, read_facts

DOCUMENTED_CODES = {0, 2, 64, 65, 66, 69, 73, 74, 130}
"""Without 70, internal error, which is a defect of the program by its own documentation."""
_BEFORE_THE_PROGRAM = "Could not import runpy module"
"""What CPython says when Ctrl-C ends it before it runs the first line of a program."""
_CRASH = re.compile(
    r"Traceback \(most recent call last\)|Exception ignored in|Fatal Python error|terminate called|internal error", re.I
)
_ERROR_LINE = re.compile(r"^(ERROR|gpu-saliency: error):", re.I | re.M)
_WARNING_LINE = re.compile(r"^(?:WARNING|gpu-saliency: warning): *(.*)", re.I | re.M)
_OF_DAMAGE = re.compile(
    r"fewer|short|truncat|incomplet|damag|corrupt|decode|declar|missing|partial|ended|ends|skipped|lost|broken|unreadable|stamp|time|rate"
    r"|size|changes|cut",
    re.I,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
_TICK = 0.0021
"""Seconds: Matroska rounds to milliseconds, source and output may both do so."""


class Failed(Exception):  # noqa: N818 - a judgement
    """A run that is none of the three; has the kind of failure and the reason."""


def judge(name: Name, case: Case, run: Run, folder: Path, seconds: float, again: Run | None = None) -> Verdict:
    """Judge ``run``; ``again`` is the second run of a case whose fault asks for one. ``seconds`` limits each reading of a file."""
    verdict = Verdict(str(name), case.what, FAILED, code=run.code, seconds=round(run.seconds, 3), fresh=case.fresh)
    skipped = case.skip or run.skipped
    if skipped:
        verdict.result, verdict.reason = SKIPPED, skipped
        return verdict
    try:
        verdict.result, verdict.reason = _judge(case, run, folder, seconds, again)
    except Failed as failure:
        verdict.failure, verdict.reason = failure.args
    return verdict


def _judge(case: Case, run: Run, folder: Path, seconds: float, again: Run | None) -> tuple[str, str]:
    _check_end(run)
    if case.fault.again:
        assert again is not None
        return _judge_again(case, again, folder, seconds)
    if case.fault.signal and run.code == -case.fault.signal:
        # The signal's own action, before the program could do anything; then nothing may be there.
        _check_files(run, [])
        return CLEAN, "ended by the signal itself, nothing left"
    if case.fault.signal and _BEFORE_THE_PROGRAM in run.stderr:
        _check_files(run, [])
        return CLEAN, "ended by the signal while the interpreter started, nothing left"
    if run.code < 0:
        raise Failed("death by signal", f"signal {-run.code}: {_last(run.stderr)}")
    _check_text(run)
    if run.code not in DOCUMENTED_CODES:
        raise Failed("undocumented exit code", f"{run.code}: {_last(run.stderr)}")
    if run.code:
        return CLEAN, _check_error(case, run)
    _check_files(
        run,
        [
            str(path.relative_to(folder))
            for path in [*case.allowed, *([case.output] if case.output else [])]
            if _below(path, folder)
        ],
    )
    if case.forbidden:
        raise Failed(case.forbidden, "the program took the file as a clip")
    return _check_success(case, run, seconds)


def _below(path: Path, folder: Path) -> bool:
    return folder in path.parents


def _check_end(run: Run) -> None:
    if run.over_memory:
        raise Failed("memory", f"needed more than {run.peak_mib:.0f} MiB")
    if run.unendable:
        raise Failed("cannot be ended", f"ran {run.seconds:.0f} s and SIGTERM had no effect")
    if run.hung:
        raise Failed("hang", f"ran {run.seconds:.0f} s; SIGTERM ended it")
    if run.processes:
        raise Failed("process left", "; ".join(run.processes))


def _check_text(run: Run) -> None:
    text = run.stderr + run.stdout
    if found := _CRASH.search(text):
        raise Failed("traceback" if "internal" not in found[0] else "internal error", _last(run.stderr))
    if found := _CONTROL.search(run.stderr.replace("\r\n", "\n")):
        raise Failed("control characters", repr(run.stderr[max(0, found.start() - 60) : found.end() + 20]))


def _check_error(case: Case, run: Run) -> str:
    if not case.fault.streams.startswith("stderr"):
        lines = _ERROR_LINE.findall(run.stderr)
        if len(lines) != 1:
            raise Failed("not one error line", f"{len(lines)} lines begin with ERROR: {run.stderr[-300:]!r}")
    if "--json" in case.arguments and not case.fault.streams.startswith("stdout"):
        try:
            json.loads(run.stdout)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            raise Failed("no JSON error", run.stdout[:200]) from None
    # A finished analysis that the user has named is no stray: the next run takes it (docs/sidecar.md).
    kept = [one for word, one in pairwise(case.arguments) if word == "--sidecar" and "encode" in case.arguments[:1]]
    _check_files(run, kept)
    return _last(run.stderr)


def _check_files(run: Run, allowed: list[str]) -> None:
    strays = [name for name in run.files if name not in allowed]
    changed = [
        name
        for name in strays
        if name.startswith("in/") and Path(name).name.startswith(("clip", "given", "model", "longer", "list"))
    ]
    if changed and not any(name.endswith(".npz") and name.removesuffix(" (removed)") in allowed for name in changed):
        raise Failed("input changed", ", ".join(changed))
    if strays:
        raise Failed("strays", ", ".join(strays[:6]))


def _warnings(run: Run) -> list[str]:
    """The warnings about the clip or the output; the one that no proof was possible is none of these."""
    found = _WARNING_LINE.findall(run.stderr)
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        found += map(str, json.loads(run.stdout).get("warnings") or [])
    return [text for text in found if _OF_DAMAGE.search(text) and "could not be proven" not in text]


def _check_success(case: Case, run: Run, seconds: float) -> tuple[str, str]:
    frames, output = _frames_of_plan(case, run), None
    if case.output is not None:
        output = read_facts(case.output, seconds) if case.output.is_file() else None
        if output is None:
            raise Failed("no output", f"exit status 0, and no {case.output.name}")
        damage = [line for line in output.damage if not _is_of_copied_audio(line, output, run)]
        if output.error or not output.frames or damage:
            raise Failed("undecodable output", output.error or "; ".join(damage) or "no frame")
        frames = output.frames
    if not case.whole or frames is None or case.source is None:
        return RIGHT, ""
    source = read_facts(case.source, seconds)
    warnings = _warnings(run)
    if source.error.startswith("PyAV"):
        raise Failed("not judged", source.error)
    if source.error or not source.frames:
        raise Failed("success without a readable source", source.error or "; ".join(source.damage))
    return _compare(case, run, frames, output, source, warnings)


def _is_of_copied_audio(line: str, output: Facts, run: Run) -> bool:
    """Whether ``line`` of ffmpeg is about audio of which the run warned that it was copied and cannot be decoded."""
    decoder = re.match(r"ffmpeg: \[(\w+) @ \]", line)
    is_of_video = decoder is None or decoder[1] in (output.codec, *output.format.split(","))
    return not is_of_video and any(re.search(r"audio.*cannot be decoded", text) for text in _warnings(run))


def _frames_of_plan(case: Case, run: Run) -> int | None:
    if case.arguments[0] != "plan":
        return None
    try:
        return int(json.loads(run.stdout)["frames"])
    except (ValueError, KeyError, TypeError):
        return None


def _compare(case: Case, run: Run, frames: int, output: Facts | None, source: Facts, warnings: list[str]) -> tuple[str, str]:
    decoded = {source.frames, source.cli_frames}
    intact = case.intact_frames
    evidence = [source.missing] if source.missing else []
    if case.cut and intact is not None and frames < intact:
        evidence.append(f"cut {case.cut}: {frames} of {intact} frames")
    damage = evidence + source.damage
    if damage and not warnings:
        short = evidence or frames < max(intact or 0, source.exact or 0)
        kind = "unwarned short output" if short else "unwarned damage"
        raise Failed(kind, f"{frames} frames; the source: {'; '.join(damage[:3])}")
    if warnings:
        if frames < min(decoded) / 2:
            raise Failed(
                "decodable frames lost", f"{frames} frames of {min(decoded)} that can be decoded, with a warning: {warnings[0]}"
            )
        return WARNED, warnings[0][:200]
    if frames not in decoded:
        kind = "decodable frames lost" if frames < min(decoded) else "more frames than the source"
        raise Failed(kind, f"{frames} frames, the source has {sorted(decoded)}")
    if output is not None:
        _compare_streams(run, output, source)
    if intact is not None and frames < intact:
        return APART, f"{frames} of {intact} frames; the rest declares nothing and was cut off cleanly"
    return RIGHT, ""


def _compare_streams(run: Run, output: Facts, source: Facts) -> None:
    if output.size != source.size:
        raise Failed("another size", f"{output.size}, the source has {source.size}")
    if source.times is not None and output.times is not None and len(source.times) == len(output.times):
        off = [abs((a - output.times[0]) - (b - source.times[0])) for a, b in zip(output.times, source.times, strict=True)]
        if max(off) > _TICK:
            at = off.index(max(off))
            raise Failed("wrong times", f"frame {at} is {max(off):.4f} s off: {_spans(output)} for {_spans(source)}")
    if source.times is not None and output.times is None:
        raise Failed("wrong times", "the output's times do not rise")
    if output.audio < source.audio and not re.search(r"left.out|audio", run.stdout + run.stderr):
        raise Failed("stream lost", f"{output.audio} audio streams, the source has {source.audio}")


def _spans(facts: Facts) -> str:
    times = facts.times or [0.0]
    return f"{len(times)} frames in {times[-1] - times[0]:.3f} s"


def _judge_again(case: Case, again: Run, folder: Path, seconds: float) -> tuple[str, str]:
    """After SIGKILL: the same command succeeds, and nothing but its output is there."""
    if again.code != 0:
        raise Failed("blocked by a killed run", f"exit status {again.code}: {_last(again.stderr)}")
    _check_end(again)
    _check_text(again)
    allowed = [str(path.relative_to(folder)) for path in [*case.allowed, case.output] if path is not None]
    _check_files(again, allowed)
    return _check_success(case, again, seconds)


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "(nothing on stderr)"
