"""Runs the benchmark of ``bench``: generates the clips, and measures each with each batch size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_saliency.analysis.settings import AnalysisSettings
from gpu_saliency.bench import BenchRow, about_machine, measure_clip
from gpu_saliency.bench.generate import FRAME_RATE, generate_clip
from gpu_saliency.bench.load import load_stages
from gpu_saliency.progress import Reporter
from gpu_saliency.source.clip import Clip
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


def run_bench(
    clips: Sequence[Clip], settings: AnalysisSettings, batches: Sequence[int], rounds: int, reporter: Reporter
) -> tuple[dict[str, Any], list[BenchRow]]:
    """Measure each clip with each batch size. Returns the object that ``--json`` prints, and its rows."""
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
                    reporter.say(f"GPU not benchmarked: {loaded.reason}")
            with reporter.stage(f"measuring {clip.path.name}, batches of {batch_size}") as advance:
                rows.append(measure_clip(clip, loaded.stages, sampling, batch_size, rounds=rounds, on_round=advance))
    return about | {"rows": [row.to_json() for row in rows]}, rows
