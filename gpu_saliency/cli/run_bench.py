"""Runs the benchmark of ``bench``: generates the clips, and measures each with each batch size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av

from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.analysis.source_notes import warn_of_shortfall
from gpu_saliency.bench import BenchRow, InferRate, about_machine, measure_clip, measure_inference
from gpu_saliency.bench.first_map import cold_first_map
from gpu_saliency.bench.generate import FRAME_RATE, generate_clip, repeat_clip
from gpu_saliency.bench.load import LoadedStages, load_stages
from gpu_saliency.errors import SourceError, ToolMissingError, UsageError
from gpu_saliency.model.contract import InputSize
from gpu_saliency.progress import Reporter
from gpu_saliency.source.clip import Clip, libav_reason
from gpu_saliency.source.completeness import shortfall_of_packets
from gpu_saliency.source.probe import probe_clip


@dataclass(frozen=True, slots=True)
class MadeClips:
    """The clips to generate: one for each of ``sizes`` (width, height) and each of ``codecs``, of ``frames`` frames."""

    sizes: list[tuple[int, int]]
    codecs: list[str]
    frames: int

    def generate(self, folder: Path, reporter: Reporter) -> Iterator[Clip]:
        """Write the clips to ``folder`` one by one, and yield each."""
        for codec in self.codecs:
            for width, height in self.sizes:
                path = folder / f"generated-{codec}-{height}p.mp4"
                with reporter.stage(f"generating {path.name}, {self.frames / FRAME_RATE:.0f} s"):
                    generate_clip(path, width, height, self.frames, codec)
                yield probe_clip(path)


def repeated(clips: Sequence[Clip], times: int, folder: Path, reporter: Reporter) -> Iterator[Clip]:
    """Write each of ``clips``, ``times`` times after one another, to ``folder``, and yield it. Raises `SourceError`."""
    for number, clip in enumerate(clips):
        (folder / str(number)).mkdir()
        path = folder / str(number) / clip.path.name
        with reporter.stage(f"repeating {clip.path.name}, {times} times"):
            try:
                repeat_clip(clip.path, path, times)
            except (av.FFmpegError, ValueError) as error:
                cure = "leave --repeat out, or give a clip in MP4 or Matroska"
                raise SourceError(f"{clip.path}: cannot be repeated: {libav_reason(error)}", cure=cure) from error
        yield probe_clip(path)


@dataclass(frozen=True, slots=True)
class BenchTask:
    """What to measure: each batch size, the sizes of the model's input for inference alone, and the number of rounds."""

    batches: Sequence[int]
    input_sizes: Sequence[tuple[int, int]]
    rounds: int


@dataclass(frozen=True, slots=True)
class BenchResult:
    """The object that ``--json`` prints, and its rows."""

    json: dict[str, Any]
    rows: list[BenchRow]
    inference: list[InferRate]


def run_bench(clips: Sequence[Clip], settings: AnalysisSettings, task: BenchTask, reporter: Reporter) -> BenchResult:
    """Measure each clip with each batch size, then inference alone. Raises `UsageError` for an input size of another model."""
    rows: list[BenchRow] = []
    inference: list[InferRate] = []
    about: dict[str, Any] = {}
    earlier = len(reporter.warnings)
    for clip in clips:
        sampling = settings.sampling(clip)
        for batch_size in task.batches:
            loaded = load_stages(clip, settings, sampling, batch_size)
            input_size = loaded.model.input_size(clip.upright_aspect)
            sizes = [_input_size(loaded, width, height) for width, height in task.input_sizes]
            if not about:
                about = about_machine(loaded.gpu) | {
                    "device": loaded.device,
                    "device_reason": loaded.reason,
                    "provider": loaded.model.provider,
                    "model": loaded.model.describe(),
                }
                if loaded.gpu is None:
                    reporter.say(f"GPU not benchmarked: {loaded.reason}")
            with reporter.stage(f"measuring {clip.path.name}, batches of {batch_size}") as advance:
                cold = partial(_cold, clip, settings, loaded.device, batch_size, reporter)
                row = measure_clip(
                    clip,
                    loaded.stages,
                    sampling,
                    batch_size,
                    input_size=input_size,
                    rounds=task.rounds,
                    on_round=advance,
                    cold_first_map=cold,
                )
                rows.append(row)
        warn_of_shortfall(clip, shortfall_of_packets(clip, rows[-1].frames), reporter)
    if sizes:
        shapes = [(batch_size, size) for batch_size in task.batches for size in sizes]
        with reporter.stage("measuring inference alone") as advance:
            inference = measure_inference(loaded.stages, shapes, rounds=task.rounds, on_round=advance)
    found = about | {"rows": [row.to_json() for row in rows], "inference": [rate.to_json() for rate in inference]}
    found["warnings"] = reporter.warnings[earlier:]
    return BenchResult(found, rows, inference)


def _cold(clip: Clip, settings: AnalysisSettings, device: str, batch_size: int, reporter: Reporter) -> float | None:
    """`cold_first_map`; a failure costs this figure and no other."""
    try:
        return cold_first_map(clip.path, settings, device, batch_size)
    except ToolMissingError as error:
        reporter.say(f"no cold start: {error.problem}")
        return None


def _input_size(loaded: LoadedStages, width: int, height: int) -> InputSize:
    contract = loaded.model.contract
    if contract.fixed is not None and (width, height) != contract.fixed:
        fixed = "{}x{}".format(*contract.fixed)
        raise UsageError(f"--input-size {width}x{height}: the model takes {fixed} only", cure=f"give {fixed} or another model")
    if contract.fixed is None and (width % contract.multiple or height % contract.multiple):
        raise UsageError(
            f"--input-size {width}x{height}: the model takes multiples of {contract.multiple}", cure="give such a size, as 384x224"
        )
    return InputSize((width, height), (width, height))
