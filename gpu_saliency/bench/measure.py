"""Measures the rates of the stages, in rounds that interleave them: medians, percentiles, and ratios within each round."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_saliency.bench.stages import ONE_DECODER, Stages, Timed
from gpu_saliency.model.contract import InputSize
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Rate:
    """The speed of one stage over the rounds."""

    fps_p50: float
    """Median over the rounds: frames per second for decoding and ``whole``, samples for the others."""
    fps_p95: float
    """The rate that 95 % of the rounds reached or exceeded."""
    clip_fps: float
    """The median rate converted to frames of the clip per second; one frame in ``step`` becomes a sample."""
    host_us: float | None = None
    """Median of the host's microseconds per frame or sample to launch the work; ``None`` where the host's clock timed the stage."""


@dataclass(frozen=True, slots=True)
class InferRate:
    """The speed of the model alone at one batch and input size."""

    batch_size: int
    width: int
    height: int
    """Of the model's input, in pixels."""
    fps_p50: float
    fps_p95: float
    """Samples per second: median, and the rate that 95 % of the rounds reached or exceeded."""
    host_us: float | None

    def to_json(self) -> dict[str, Any]:
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded


@dataclass(frozen=True, slots=True)
class BenchRow:
    """The measurements of one clip with one batch size on one device."""

    clip: str
    codec: str
    pix_fmt: str
    width: int
    height: int
    frames: int
    batch_size: int
    step: float
    """Frames per sample."""
    input_width: int
    input_height: int
    """Of the model's input, in pixels."""
    rounds: int
    stages: dict[str, Rate]
    whole_by_slowest: tuple[float, float, float]
    """Rate of the whole divided by that of the slowest stage in the same round: median, minimum, maximum; 1 is full overlap."""
    whole_by_decode: tuple[float, float, float]
    """Rate of the whole divided by that of decoding in the same round: median, minimum, maximum."""
    whole_by_ceiling: tuple[float, float, float]
    """Rate of the whole divided by min(decode, infer), the least that a pipeline waits for: median, minimum, maximum."""
    first_map_seconds: dict[str, float | None]
    """From the file's name to the first batch of maps on the host: ``warm``, with the model and the device in use (median of the
    rounds), and ``cold``, from the start of a new process (once; ``None``: not measured)."""
    host_peak_bytes: int | None
    """Peak resident memory of the process during this row's measurement; ``None`` where the system does not report it."""
    facts: dict[str, Any]
    """Facts of the device; see `Stages.facts`."""

    def to_json(self) -> dict[str, Any]:
        """All fields as plain types, floats rounded to 4 places."""
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded


def measure_clip(
    clip: Clip,
    stages: Stages,
    sampling: Sampling,
    batch_size: int,
    *,
    input_size: InputSize,
    rounds: int,
    on_round: Callable[[int, int], None] | None = None,
    cold_first_map: Callable[[], float | None] | None = None,
) -> BenchRow:
    """Run each stage of ``stages`` ``rounds`` times, after one warm-up round.

    Each round runs all stages, so that other load on the machine affects them equally. ``on_round`` is called with the number of
    rounds done and the total; ``cold_first_map`` returns seconds.
    """
    _reset_peak()
    step = float(sampling.step)
    frames_of = {name: 1.0 if name in ("decode", ONE_DECODER, "whole") else step for name in stages.names}
    taken: dict[str, list[Timed]] = {name: [] for name in stages.names}
    warm: list[float] = []
    for number in range(rounds + 1):
        for name in stages.names:
            one = getattr(stages, name)()
            if number:
                taken[name].append(one)
        first = stages.first_map().seconds
        if number:
            warm.append(first)
        if on_round is not None:
            on_round(number, rounds)
    host_peak = _peak()
    in_frames = {name: _rates(taken[name]) * frames_of[name] for name in stages.names}
    slowest = np.min([rates for name, rates in in_frames.items() if name not in (ONE_DECODER, "whole")], axis=0)
    ceiling = np.minimum(in_frames["decode"], in_frames["infer"])
    return BenchRow(
        clip=clip.path.name,
        codec=clip.codec,
        pix_fmt=clip.pix_fmt,
        width=clip.width,
        height=clip.height,
        frames=taken["whole"][-1].count,
        batch_size=batch_size,
        step=step,
        input_width=input_size.padded[0],
        input_height=input_size.padded[1],
        rounds=rounds,
        stages={name: _rate(taken[name], frames_of[name]) for name in stages.names},
        whole_by_slowest=_spread(in_frames["whole"] / slowest),
        whole_by_decode=_spread(in_frames["whole"] / in_frames["decode"]),
        whole_by_ceiling=_spread(in_frames["whole"] / ceiling),
        first_map_seconds={"warm": float(np.median(warm)), "cold": None if cold_first_map is None else cold_first_map()},
        host_peak_bytes=host_peak,
        facts=stages.facts(),
    )


def measure_inference(
    stages: Stages,
    shapes: Sequence[tuple[int, InputSize]],
    *,
    rounds: int,
    on_round: Callable[[int, int], None] | None = None,
) -> list[InferRate]:
    """Run the model alone at each of ``shapes``, a batch and an input size, ``rounds`` times in turn after a warm-up round."""
    taken: dict[tuple[int, InputSize], list[Timed]] = {shape: [] for shape in shapes}
    for number in range(rounds + 1):
        for shape in taken:
            one = stages.infer_at(*shape)
            if number:
                taken[shape].append(one)
        if on_round is not None:
            on_round(number, rounds)
    rates = {shape: _rate(runs, 1.0) for shape, runs in taken.items()}
    return [
        InferRate(batch_size, *size.padded, rate.fps_p50, rate.fps_p95, rate.host_us) for (batch_size, size), rate in rates.items()
    ]


def _rates(runs: Sequence[Timed]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([one.count / one.seconds for one in runs])


def _rate(runs: Sequence[Timed], frames: float) -> Rate:
    rates = _rates(runs)
    host = [1e6 * one.host_seconds / one.count for one in runs if one.host_seconds is not None]
    median = float(np.median(rates))
    return Rate(median, float(np.percentile(rates, 5)), median * frames, float(np.median(host)) if host else None)


def _spread(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float, float]:
    return float(np.median(values)), float(values.min()), float(values.max())


def _reset_peak() -> None:
    """Reset the kernel's count of this process's peak memory (proc(5), clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int | None:
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) * 1024 if found else None
    return None


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
