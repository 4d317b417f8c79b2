"""Measures the rates of the stages, in rounds that interleave them: medians, percentiles, and ratios within each round."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_saliency.bench.stages import STAGES, Stages
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Rate:
    """The speed of one stage over the rounds."""

    fps_p50: float
    """Median over the rounds: frames per second for ``decode`` and ``whole``, pictures for the two others."""
    fps_p95: float
    """The rate that 95 % of the rounds reached or exceeded."""
    clip_fps: float
    """The median rate converted to frames of the clip per second; one frame in ``step`` becomes a picture."""


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
    """Frames per picture."""
    rounds: int
    stages: dict[str, Rate]
    whole_by_slowest: tuple[float, float, float]
    """Rate of the whole divided by that of the slowest stage in the same round: median, minimum, maximum; 1 is full overlap."""
    whole_by_decode: tuple[float, float, float]
    """Rate of the whole divided by that of decoding in the same round: median, minimum, maximum."""
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
    rounds: int,
    on_round: Callable[[int, int], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> BenchRow:
    """Run each stage of ``stages`` ``rounds`` times, after one warm-up round.

    Each round runs all stages, so that other load on the machine affects them equally. ``on_round`` is called with the number of
    rounds done and the total; ``clock`` returns seconds.
    """
    _reset_peak()
    step = float(sampling.step)
    per_picture = {"decode": 1.0, "preprocess": step, "infer": step, "whole": 1.0}
    rates: dict[str, list[float]] = {name: [] for name in STAGES}
    frames = 0
    for number in range(rounds + 1):
        for name in STAGES:
            started = clock()
            done = getattr(stages, name)()
            seconds = clock() - started
            if name == "whole":
                frames = done
            if number:
                rates[name].append(done / seconds)
        if on_round is not None:
            on_round(number, rounds)
    in_frames = {name: np.array(values) * per_picture[name] for name, values in rates.items()}
    slowest = np.min([in_frames[name] for name in STAGES if name != "whole"], axis=0)
    return BenchRow(
        clip=clip.path.name,
        codec=clip.codec,
        pix_fmt=clip.pix_fmt,
        width=clip.width,
        height=clip.height,
        frames=frames,
        batch_size=batch_size,
        step=step,
        rounds=rounds,
        stages={name: _rate(rates[name], per_picture[name]) for name in STAGES},
        whole_by_slowest=_spread(in_frames["whole"] / slowest),
        whole_by_decode=_spread(in_frames["whole"] / in_frames["decode"]),
        host_peak_bytes=_peak(),
        facts=stages.facts(),
    )


def _rate(values: list[float], frames: float) -> Rate:
    median = float(np.median(values))
    return Rate(median, float(np.percentile(values, 5)), median * frames)


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
