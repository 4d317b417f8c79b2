"""Run the program as users do, and record exit codes and JSON results for public_surface.py.

Each run gets a folder of its own with copies of the same small clips, as the current folder. Values that differ from run to run
(times, speeds, versions, addresses, names of temporary folders) are replaced by a placeholder that keeps their type.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg

_FFMPEG: str = imageio_ffmpeg.get_ffmpeg_exe()
_SECONDS = 300
"""Time limit of one run; ``doctor`` is the longest and takes less than a minute."""
_TIMED_OUT = 124
"""Exit code that is recorded for a run beyond that limit, as timeout(1) has it; the program itself has no such code."""
_VARYING_KEYS = frozenset(
    {"seconds", "version", "python", "packages", "cpu", "cores", "date"}
    | {"fps_p50", "fps_p95", "clip_fps", "whole_by_slowest", "whole_by_decode", "host_peak_bytes"}
)
"""JSON keys whose values, and all values below them, differ between runs or machines."""
_VARYING_TEXTS = (
    (re.compile(r"0x[0-9a-f]{6,}"), "0xADDRESS"),
    (re.compile(r"gpu_saliency-[a-z0-9_]{8}\b"), "gpu_saliency-RANDOM"),
    (re.compile(r"(/\.[^/\s]+)\.[a-z0-9_]{8}(?=[/\s]|$)"), r"\1.RANDOM"),
    (re.compile(r"\.\d+\.part\b"), ".PID.part"),
)
"""What differs within texts: addresses, and the names of temporary files and folders."""
_STUB = """#!{python}
# Answers questions about itself as the real ffmpeg does; only an encode (which has an input) goes another way.
import os, signal, sys, time
arguments = sys.argv[1:]
def run_real():
    os.execv({ffmpeg!r}, ["ffmpeg", *arguments])
if "-i" not in arguments:
    run_real()
{body}
"""
_STUBS = {
    "ffmpeg-dies": "print('frame=3', flush=True); sys.stderr.write('boom: disk on fire\\n'); sys.exit(7)",
    "ffmpeg-loses-frames": "at = arguments.index('-c:v'); arguments[at:at] = ['-frames:v', '5']; run_real()",
    "ffmpeg-interrupts": "os.kill(os.getppid(), signal.SIGINT); time.sleep(60)",
}
"""Programs that stand in for ffmpeg: name -> what they do in place of an encode."""


@dataclass(frozen=True)
class Case:
    """One run of the program; ``as_json`` adds ``--json`` and records the object that it prints."""

    name: str
    arguments: tuple[str, ...]
    as_json: bool = False
    varying: frozenset[str] = frozenset()
    """Further keys whose values differ from run to run in this case."""


def _plain(name: str, *arguments: str) -> Case:
    return Case(name, arguments)


def _json(name: str, *arguments: str, varying: tuple[str, ...] = ()) -> Case:
    return Case(name, (*arguments, "--json"), as_json=True, varying=frozenset(varying))


_TO = ("--output", "out.mp4")
_CLIP = ("encode", "--src", "clip.mp4", "--device", "cpu")
_ENCODE = (*_CLIP, *_TO)
_QUICK = (*_ENCODE, "--prove", "none")
_RAW = ("encode", "--src", "raw.yuv", *_TO)
_SOUND = ("encode", "--src", "sound.mkv", "--device", "cpu", "--prove", "none")
_PREVIEW = ("preview", "clip.mp4", "--device", "cpu")

SUCCESSES = (
    _plain("version", "--version"),
    _plain("help", "encode", "--help"),
    _json("encode", "encode", "--src", "clip.mp4", *_TO),
    _json("encode with audio", *_SOUND, "--output", "out.mkv"),
    _json("encode raw video", *_RAW, "--width", "160", "--height", "96", "--device", "cpu"),
    _json("encode --prove full", *_ENCODE, "--prove", "full"),
    _json("encode --prove none", *_QUICK),
    _json("encode libx265", *_ENCODE, "--encoder", "libx265"),
    _json("encode libx265 --bitrate", *_QUICK, "--encoder", "libx265", "--bitrate", "200k"),
    _json("encode prefilter", *_QUICK, "--roi-channel", "prefilter"),
    _json("encode prefilter libx265", *_ENCODE, "--encoder", "libx265", "--roi-channel", "prefilter"),
    _json("encode --bitrate", *_ENCODE, "--bitrate", "200k"),
    _json("encode --dry-run", *_ENCODE, "--dry-run"),
    _json("encode --dry-run prefilter", *_ENCODE, "--dry-run", "--roi-channel", "prefilter"),
    _json("encode --dry-run --bitrate", *_ENCODE, "--dry-run", "--bitrate", "200k"),
    _json("encode plain fallback", *_ENCODE, "--encoder", "mpeg4", "--saliency-fallback-plain"),
    _json("encode prefilter unknown encoder", *_QUICK, "--encoder", "mpeg4", "--roi-channel", "prefilter"),
    _json("encode with reused sidecar", *_QUICK, "--sidecar", "kept.npz"),
    _json(
        "encode with a policy",
        *_QUICK,
        *("--saliency-offset", "-6", "--roi-mapping", "symmetric", "--segments", "2", "--saliency-aggregator", "ema"),
        *("--every", "3", "--preset", "fast", "--crf", "30", "--encoder-params", "keyint=12", "--overwrite", "--duration", "0.5"),
    ),
    _json("recommend-saliency", "recommend-saliency", *_QUICK[1:]),
    _json("plan", "plan", "--src", "clip.mp4", "--device", "cpu", varying=("size_bytes",)),
    _json("plan with a policy", "plan", "--src", "clip.mp4", "--saliency-model", "saliency_best_v3", varying=("size_bytes",)),
    _json("inspect", "inspect", "roi.mp4", "--picture", "picture.png"),
    _json("inspect --frames", "inspect", "roi.mp4", "--frames", "8"),
    _json("preview sheet", *_PREVIEW, "--output", "sheet.png"),
    _json("preview video", *_PREVIEW, "--output", "overlay.mp4", "--style", "heat"),
    _json("doctor", "doctor"),
    _json("bench", "bench", "--size", "320x192", "--frames", "24", "--rounds", "1"),
)
USAGE_ERRORS = (
    _plain("no arguments"),
    _plain("unknown verb", "encoed"),
    _json("unknown flag", *_ENCODE, "--sharpness", "3"),
    _json("no source given", "encode", *_TO),
    _json("offset is no number", *_ENCODE, "--saliency-offset", "much"),
    _plain("offset 13", *_ENCODE, "--saliency-offset", "13"),
    _json("crf 52", *_ENCODE, "--crf", "52"),
    _plain("crf 0", *_ENCODE, "--crf", "0"),
    _plain("preset quick", *_ENCODE, "--preset", "quick"),
    _plain("bitrate fast", *_ENCODE, "--bitrate", "fast"),
    _plain("bitrate 10", *_ENCODE, "--bitrate", "10"),
    _plain("bitrate and crf", *_ENCODE, "--bitrate", "1M", "--crf", "20"),
    _plain("params of constant qp", *_ENCODE, "--encoder-params", "qp=20"),
    _plain("params without adaptive quantisation", *_ENCODE, "--encoder-params", "aq-mode=0"),
    _plain("mapping steep", *_ENCODE, "--roi-mapping", "steep"),
    _plain("aggregator median", *_ENCODE, "--saliency-aggregator", "median"),
    _plain("segments 0", *_ENCODE, "--segments", "0"),
    _plain("prove maybe", *_ENCODE, "--prove", "maybe"),
    _plain("device tpu", "encode", "--src", "clip.mp4", *_TO, "--device", "tpu"),
    _plain("gpu for the cpu", *_ENCODE, "--gpu", "0"),
    _plain("two analysis rates", *_ENCODE, "--every", "2", "--analysis-fps", "2"),
    _plain("channel of another encoder", *_ENCODE, "--roi-channel", "kvazaar-roi"),
    _plain("width against the file", *_ENCODE, "--width", "161"),
    _json("raw without size", *_RAW),
    _plain("preview without a mode", *_PREVIEW),
    _plain("preview --style without --output", *_PREVIEW, "--web", "--style", "heat"),
    _plain("preview off a terminal", *_PREVIEW, "--terminal"),
    _plain("inspect --frames -1", "inspect", "roi.mp4", "--frames", "-1"),
    _plain("bench of an odd size", "bench", "--size", "321x192"),
)
INPUT_ERRORS = (
    _json("unknown encoder", *_ENCODE, "--encoder", "mpeg4"),
    _json("source missing", "encode", "--src", "no.mp4", *_TO),
    _plain("source is a folder", "encode", "--src", ".", *_TO),
    _plain("source empty", "encode", "--src", "empty.mp4", *_TO),
    _json("source is no video", "encode", "--src", "text.mp4", *_TO),
    _plain("raw of another size", *_RAW, "--width", "66", "--height", "48"),
    _json("unknown model", *_ENCODE, "--saliency-model", "no.onnx"),
    _json("broken model", *_ENCODE, "--saliency-model", "junk.onnx"),
    _json("stale sidecar", *_ENCODE, "--sidecar", "kept.npz", "--every", "2"),
    _plain("sidecar of another source", *_RAW, "--width", "160", "--height", "96", "--sidecar", "kept.npz"),
    _json("broken sidecar", *_ENCODE, "--sidecar", "junk.npz"),
    _json("inspect missing file", "inspect", "no.mp4"),
    _plain("inspect without sidecar", "inspect", "sound.mkv"),
    _json("inspect unknown to the sidecar", "inspect", "clip.mp4", "--sidecar", "roi.mp4.saliency.npz"),
    _json("ffmpeg missing", *_ENCODE, "--ffmpeg-bin", "./no-ffmpeg"),
    _plain("ffmpeg without the encoder", *_ENCODE, "--encoder", "libfoo", "--saliency-fallback-plain"),
    _json("device cuda", "encode", "--src", "clip.mp4", *_TO, "--device", "cuda"),
)
OUTPUT_ERRORS = (
    _json("output exists", *_CLIP, "--output", "there.mp4"),
    _plain("output folder missing", *_CLIP, "--output", "no/out.mp4"),
    _json("output is the source", *_CLIP, "--output", "clip.mp4", "--overwrite"),
    _plain("output is a folder", *_CLIP, "--output", "."),
    _plain("output is the sidecar", *_ENCODE, "--sidecar", "out.mp4"),
    _plain("output of no container", *_CLIP, "--output", "out.xyz"),
    _json("container without this video", *_CLIP, "--output", "out.webm"),
    _json("container without this audio", *_SOUND, "--output", "out.h264"),
    _plain("plan exists", "plan", "--src", "clip.mp4", "--sidecar", "kept.npz"),
    _plain("preview folder missing", *_PREVIEW, "--output", "no/sheet.png"),
    # libx264 with the prefilter fails the proof on this clip; the JSON of that error holds the proof.
    _json("plan not followed", *_ENCODE, "--roi-channel", "prefilter"),
    _json("ffmpeg dies", *_ENCODE, "--ffmpeg-bin", "./ffmpeg-dies"),
    _json("ffmpeg loses frames", *_ENCODE, "--ffmpeg-bin", "./ffmpeg-loses-frames"),
    _json("interrupted", *_ENCODE, "--ffmpeg-bin", "./ffmpeg-interrupts"),
)
CASES = (*SUCCESSES, *USAGE_ERRORS, *INPUT_ERRORS, *OUTPUT_ERRORS)


def describe_runs(checkout: Path) -> dict[str, Any]:
    """Run all cases with the package in ``checkout``; return ``exit_codes`` and ``json``, each by the name of the case.

    ``exit_codes`` also says which files a run left behind: after an error that must be none.
    """
    exit_codes: dict[str, Any] = {}
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="surface-") as name:
        root = Path(name).resolve()
        environment = _environment(checkout, root)
        made = root / "made"
        _make_files(made, environment)
        for number, case in enumerate(CASES, 1):
            folder = root / f"case{number:02}"
            shutil.copytree(made, folder)
            before = _files_in(folder)
            done = _run(case.arguments, folder, environment)
            print(f"{number}/{len(CASES)} {case.name}: exit code {done.returncode}", file=sys.stderr)
            exit_codes[case.name] = {
                "command": " ".join(case.arguments),
                "exit_code": done.returncode,
                "new_files": sorted(_files_in(folder) - before),
            }
            if case.as_json:
                names = _known_names(checkout, root, folder)
                results[case.name] = _normalised(_parsed(done.stdout), _VARYING_KEYS | case.varying, names)
    return {"exit_codes": exit_codes, "json": results}


def _environment(checkout: Path, root: Path) -> dict[str, str]:
    """Return an environment that runs the package in ``checkout``, without the variables that change what the program does."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GPU_SALIENCY_", "VMAFTUNE_"))}
    temporary = root / "tmp"
    temporary.mkdir()
    return kept | {"PYTHONPATH": str(checkout), "TMPDIR": str(temporary), "NO_COLOR": "1", "COLUMNS": "132", "LC_ALL": "C.UTF-8"}


def _run(arguments: tuple[str, ...], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpu_saliency", *arguments]
    devnull, pipe = subprocess.DEVNULL, subprocess.PIPE
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, stdin=devnull, stdout=pipe, stderr=pipe, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, _TIMED_OUT, "", f"no end within {_SECONDS} s")


def _files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _make_files(folder: Path, environment: dict[str, str]) -> None:
    """Make in ``folder`` all files that a case can name; the program itself makes the sidecars and the encode to inspect."""
    folder.mkdir()
    picture = ("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=24:duration=1,format=yuv420p")
    sound = ("-f", "lavfi", "-i", "sine=frequency=440:duration=1")
    coding = ("-threads", "1", "-c:v", "libx264", "-preset", "ultrafast", "-fflags", "+bitexact", "-flags:v", "+bitexact")
    _ffmpeg(*picture, *coding, folder / "clip.mp4")
    _ffmpeg(*picture, *sound, *coding, "-c:a", "pcm_s16le", folder / "sound.mkv")
    _ffmpeg(*picture, "-f", "rawvideo", folder / "raw.yuv")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("hello\n" * 99)
    (folder / "there.mp4").write_text("mine")
    for name in ("junk.onnx", "junk.npz"):
        (folder / name).write_text("junk" * 50)
    for name, body in _STUBS.items():
        (folder / name).write_text(_STUB.format(python=sys.executable, ffmpeg=_FFMPEG, body=body))
        (folder / name).chmod(0o755)
    for arguments in (
        ("plan", "--src", "clip.mp4", "--sidecar", "kept.npz", "--device", "cpu"),
        ("encode", "--src", "clip.mp4", "--output", "roi.mp4", "--device", "cpu", "--prove", "none"),
    ):
        done = _run(arguments, folder, environment)
        if done.returncode:
            raise SystemExit(f"gpu-saliency {' '.join(arguments)} failed with exit code {done.returncode}:\n{done.stderr}")


def _ffmpeg(*arguments: object) -> None:
    subprocess.run([_FFMPEG, "-v", "error", "-y", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


def _parsed(output: str) -> Any:
    """Return the JSON object that a run printed; where it printed something else, that text."""
    try:
        return json.loads(output)
    except ValueError:
        return f"not JSON: {output}"


def _known_names(checkout: Path, root: Path, folder: Path) -> list[tuple[str, str]]:
    """Return the paths of this machine and the name that stands for each, the longest path first."""
    names = {
        str(folder): "FOLDER",
        str(root): "TEMPORARY",
        str(checkout): "CHECKOUT",
        sys.prefix: "ENVIRONMENT",
        _FFMPEG: "BUNDLED-FFMPEG",
    }
    on_path = shutil.which("ffmpeg")
    if on_path is not None:
        names[on_path] = "FFMPEG-ON-PATH"
    return sorted(names.items(), key=lambda item: len(item[0]), reverse=True)


def _normalised(value: Any, varying: frozenset[str], names: list[tuple[str, str]]) -> Any:
    """Return ``value`` with placeholders in place of all that differs between runs."""
    if isinstance(value, dict):
        return {
            key: _map_leaves(one, _type_name) if key in varying else _normalised(one, varying, names) for key, one in value.items()
        }
    if isinstance(value, list):
        return [_normalised(one, varying, names) for one in value]
    if isinstance(value, str):
        for path, name in names:
            value = value.replace(path, name)
        for pattern, replacement in _VARYING_TEXTS:
            value = pattern.sub(replacement, value)
    return value


def _map_leaves(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _map_leaves(one, change) for key, one in value.items()}
    if isinstance(value, list):
        return [_map_leaves(one, change) for one in value]
    return change(value)


def _type_name(value: Any) -> str | None:
    return None if value is None else f"<{type(value).__name__}>"
