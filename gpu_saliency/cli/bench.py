"""``gpu-saliency bench``: measures the speed of the analysis, stage by stage."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from gpu_saliency.choices import CLIP_CODECS, MAX_SIDE
from gpu_saliency.cli.option_groups import with_groups
from gpu_saliency.cli.options import RunOptions, overwrite_option
from gpu_saliency.cli.saliency_options import AnalysisOptions, GpuOptions
from gpu_saliency.errors import UsageError, shortened
from gpu_saliency.numerals import is_whole

_TABLE_WIDTH, _LEAST_WIDTH = 190, 145
"""Columns of the table, and of a terminal that shows it."""


@with_groups
def bench(
    *,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CLIP", help="Clips to measure; without any, clips are generated.", show_default=False),
    ] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of generated clips, separated by commas.")] = "1920x1080",
    codec: Annotated[
        str, typer.Option(help="Codecs of generated clips: " + ", ".join(CLIP_CODECS) + ", separated by commas.")
    ] = "h264",
    frames: Annotated[int, typer.Option(help="Length of generated clips in frames.")] = 240,
    repeat: Annotated[
        int, typer.Option(help="Play each clip so many times in a row, copied: several decoders need a long clip.")
    ] = 1,
    batch: Annotated[str, typer.Option(help="Samples per inference, separated by commas.")] = "4",
    input_size: Annotated[
        str | None,
        typer.Option(help="WIDTHxHEIGHT of the model's input, separated by commas: measure inference alone.", show_default=False),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Measured rounds of all stages; one more comes first to warm up.")] = 5,
    analysis: AnalysisOptions,
    gpu: GpuOptions,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the JSON object to this file too.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, overwrite_option("file")] = False,
    report: RunOptions,
) -> None:
    """Measure each stage (decoding, preprocessing, inference, reduction) and the whole analysis."""
    from rich.console import Console

    from gpu_saliency.bench import show_inference, show_rows, show_rows_narrow
    from gpu_saliency.cli.run_bench import BenchTask, MadeClips, repeated, run_bench
    from gpu_saliency.files import check_output, publish, writing
    from gpu_saliency.process.temporary import temporary_folder
    from gpu_saliency.source.probe import probe_clip
    from gpu_saliency.source.sampling import KEYFRAME

    made = MadeClips(_sizes("--size", size), _words("--codec", codec, CLIP_CODECS), _number("--frames", str(frames), 1, 10**6))
    batches = [_number("--batch", text, 1, 1024) for text in batch.split(",")]
    inputs = [] if input_size is None else _sizes("--input-size", input_size)
    task = BenchTask(batches, inputs, _number("--rounds", str(rounds), 1, 1000))
    _number("--repeat", str(repeat), 1, 10_000)
    settings = analysis.settings(gpu)
    if settings.every == KEYFRAME:
        cure = "give a number of frames"
        raise UsageError("is not measured by this command", setting="every", value=KEYFRAME, cure=cure)
    with ExitStack() as kept:
        if output is not None:
            check_output(output, None, overwrite=overwrite)
            temporary = kept.enter_context(publish(output, overwrite=overwrite))
        folder = kept.enter_context(temporary_folder())
        reporter = report.reporter()
        clips = [probe_clip(path) for path in files or ()] or list(made.generate(folder, reporter))
        if repeat > 1:
            clips = list(repeated(clips, repeat, folder, reporter))
        measured = run_bench(clips, settings, task, reporter)
        result = measured.json
        if output is not None:
            with writing(output):
                temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if report.as_json:
        print(json.dumps(result, indent=2))
        return
    title = f"{result['device']} ({result['device_reason']}), {result['provider']}, {result['model']['name']}"
    terminal = Console()
    is_narrow = terminal.is_terminal and terminal.width < _LEAST_WIDTH
    console = terminal if is_narrow else Console(width=_TABLE_WIDTH)
    (show_rows_narrow if is_narrow else show_rows)(measured.rows, title, console)
    if measured.inference:
        show_inference(measured.inference, console)


def _sizes(flag: str, text: str) -> list[tuple[int, int]]:
    sizes = []
    for one in text.split(","):
        sides = one.split("x")
        if len(sides) != 2 or not all(is_whole(side, 16, MAX_SIDE) for side in sides):
            cure = "give WIDTHxHEIGHT, such as 1920x1080 or 1280x720,3840x2160"
            raise UsageError(f"{flag} {shortened(text)}: {shortened(one)} is not a size", cure=cure)
        if any(int(side) % 2 for side in sides):
            cure = "give even sides, because generated clips have 4:2:0 chroma"
            raise UsageError(f"{flag} {shortened(text)}: {shortened(one)} has an odd side", cure=cure)
        sizes.append((int(sides[0]), int(sides[1])))
    return sizes


def _words(flag: str, text: str, known: tuple[str, ...]) -> list[str]:
    for word in text.split(","):
        if word not in known:
            raise UsageError(f"{flag} {shortened(text)}: {shortened(word)} is unknown", cure="one or more of " + ", ".join(known))
    return text.split(",")


def _number(flag: str, text: str, low: int, high: int) -> int:
    if not is_whole(text, low, high):
        raise UsageError(f"{flag} {shortened(text)}: out of range", cure=f"{low} to {high}")
    return int(text)
