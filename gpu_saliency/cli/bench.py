"""``gpu-saliency bench``: how fast the analysis is here, stage by stage."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from gpu_saliency.bench import BenchRow, about_machine, measure_clip, show_rows
from gpu_saliency.bench.generate import CODECS, FRAME_RATE, generate_clip
from gpu_saliency.bench.load import load_stages
from gpu_saliency.cli import options as opt
from gpu_saliency.errors import UsageError
from gpu_saliency.files import check_output, temporary_output
from gpu_saliency.progress import Reporter
from gpu_saliency.source.clip import MAX_SIDE, Clip
from gpu_saliency.source.probe import probe_clip

_TABLE_WIDTH = 170


def bench(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Clips to measure; without any, one is made.", show_default=False)
    ] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of clips that are made, separated by commas.")] = "1920x1080",
    codec: Annotated[str, typer.Option(help="Of clips that are made: " + ", ".join(CODECS) + ", separated by commas.")] = "h264",
    frames: Annotated[int, typer.Option(help="Length of clips that are made.")] = 240,
    batch: Annotated[str, typer.Option(help="Pictures per inference, separated by commas.")] = "4",
    rounds: Annotated[int, typer.Option(help="Measured rounds of all stages, after one that warms up.")] = 5,
    saliency_model: opt.Model = None,
    analysis_fps: opt.AnalysisFps = None,
    every: opt.Every = None,
    device: opt.DeviceName = "auto",
    gpu: opt.Gpu = None,
    decoders: opt.Decoders = None,
    provider: opt.Provider = None,
    output: Annotated[Path | None, typer.Option(help="Write the JSON object to a file too.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Measure decoding, preprocessing, inference and all of it together, side by side."""
    sizes, codecs = _sizes(size), _words("--codec", codec, tuple(CODECS))
    batches = [_number("--batch", text, 1, 1024) for text in batch.split(",")]
    _number("--rounds", str(rounds), 1, 1000)
    _number("--frames", str(frames), 1, 10**6)
    settings = opt.analysis_from(saliency_model, analysis_fps, every, device, gpu, decoders, provider)
    reporter = Reporter(quiet=quiet)
    with ExitStack() as kept:
        if output is not None:
            check_output(output, None, overwrite=overwrite)
            temporary = kept.enter_context(temporary_output(output))
        folder = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="gpu_saliency-")))
        clips = [probe_clip(path) for path in files or ()] or list(_made(folder, sizes, codecs, frames, reporter))
        rows: list[BenchRow] = []
        about: dict[str, Any] = {}
        for clip in clips:
            sampling = settings.sampling(clip)
            for batch_size in batches:
                loaded = load_stages(clip, settings, sampling, batch_size)
                if not about:
                    about = about_machine(loaded.gpu) | {
                        "device": loaded.device,
                        "device_reason": loaded.reason,
                        "provider": loaded.model.provider,
                        "model": loaded.model.describe(),
                    }
                    if loaded.gpu is None:
                        reporter.say(f"no GPU is measured: {loaded.reason}")
                with reporter.stage(f"measuring {clip.path.name}, batches of {batch_size}") as advance:
                    row = measure_clip(clip, loaded.stages, sampling, batch_size, rounds=rounds, on_round=advance)
                rows.append(row)
        result = about | {"rows": [row.to_json() for row in rows]}
        text = json.dumps(result, indent=2)
        if output is not None:
            temporary.write_text(text + "\n", encoding="utf-8")
            temporary.replace(output)
    if as_json:
        print(text)
        return
    title = f"{about['device']} ({about['device_reason']}), {about['provider']}, {about['model']['name']}"
    show_rows(rows, title, Console(width=_TABLE_WIDTH))


def _made(folder: Path, sizes: list[tuple[int, int]], codecs: list[str], frames: int, reporter: Reporter) -> Iterator[Clip]:
    for name in codecs:
        for width, height in sizes:
            path = folder / f"generated-{name}-{height}p.mp4"
            with reporter.stage(f"making {path.name}, {frames / FRAME_RATE:.0f} s"):
                generate_clip(path, width, height, frames, name)
            yield probe_clip(path)


def _sizes(text: str) -> list[tuple[int, int]]:
    sizes = []
    for one in text.split(","):
        sides = one.split("x")
        if len(sides) != 2 or not all(side.isascii() and side.isdigit() and 16 <= int(side) <= MAX_SIDE for side in sides):
            raise UsageError(f"--size {text}: {one} is no size", cure="for example 1920x1080 or 1280x720,3840x2160")
        if any(int(side) % 2 for side in sides):
            raise UsageError(f"--size {text}: {one} has an odd side", cure="even sides: the clips are made in 4:2:0")
        sizes.append((int(sides[0]), int(sides[1])))
    return sizes


def _words(flag: str, text: str, known: tuple[str, ...]) -> list[str]:
    for word in text.split(","):
        if word not in known:
            raise UsageError(f"{flag} {text}: {word} is unknown", cure="one or more of " + ", ".join(known))
    return text.split(",")


def _number(flag: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise UsageError(f"{flag} {text}: out of range", cure=f"{low} to {high}")
    return int(text)
