"""Reports a benchmark: facts about the machine, and the table of rates."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gpu_saliency._version import __version__
from gpu_saliency.bench.measure import BenchRow, InferRate, Rate
from gpu_saliency.bench.stages import ONE_DECODER, STAGES
from gpu_saliency.model.runtime import installed_runtimes
from gpu_saliency.texts import printable

_PACKAGES = ("numpy", "av", "cupy-cuda13x", "PyNvVideoCodec")


def about_machine(gpu: dict[str, Any] | None) -> dict[str, Any]:
    """Facts about the machine and its software; ``gpu`` is the result of `describe_gpu`, or ``None``."""
    return {
        "version": __version__,
        "date": str(datetime.date.today()),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name)) is not None} | installed_runtimes(),
        "gpu": gpu,
    }


def show_rows(rows: Sequence[BenchRow], title: str, console: Console) -> None:
    """Print one line per row; rates in frames of the clip per second, so that stages can be compared."""
    table = Table(
        title=escape(printable(title)),
        caption="Frames of the clip per second: median of the rounds (95 % of them reached). An analysis runs at the speed of "
        "'whole'; the stages, timed alone, say what holds it back.",
    )
    several = any(ONE_DECODER in row.stages for row in rows)
    named = (ONE_DECODER, *STAGES) if several else STAGES
    stages = tuple(name for name in named if any(row.stages.get(name) is not None for row in rows))
    on_gpu = any(row.facts["device_peak_bytes"] is not None or row.facts["bytes_to_device"] for row in rows)
    heads = ["decode,\n1 decoder" if name == ONE_DECODER else name for name in stages]
    heads += ["whole /\nmin(decode,\ninfer)", "first map s,\ncold, warm", "host MB"]
    heads += ["device MB", "to device", "to host"] if on_gpu else []
    for head in ("clip", "batch", *heads):
        is_clip = head == "clip"
        table.add_column(head, justify="left" if is_clip else "right", no_wrap=not is_clip, min_width=20 if is_clip else None)
    for row in rows:
        rates = [_fps(row.stages.get(name)) for name in stages]
        cold, warm = (row.first_map_seconds[name] for name in ("cold", "warm"))
        starts = "-" if cold is None else f"{cold:.2f}"
        ratios = [f"{row.whole_by_ceiling[0]:.2f}", f"{starts}, {warm:.2f}"]
        memory = [_megabytes(row.host_peak_bytes), _megabytes(row.facts["device_peak_bytes"])]
        copied = [_bytes(row.facts[key]) for key in ("bytes_to_device", "bytes_to_host")]
        name = f"{escape(printable(row.clip))}\n{row.width}x{row.height} {row.codec} {row.pix_fmt}"
        table.add_row(name, str(row.batch_size), *rates, *ratios, *(memory + copied if on_gpu else memory[:1]))
    console.print(table)


def show_rows_narrow(rows: Sequence[BenchRow], title: str, console: Console) -> None:
    """Print what `show_rows` does below each other, for terminals that are too narrow for its table."""
    console.print(escape(printable(title)))
    for row in rows:
        table = Table(title=f"{escape(printable(row.clip))}, {row.width}x{row.height} {row.codec}, batches of {row.batch_size}")
        table.add_column("stage")
        table.add_column("frames per second", justify="right")
        for name in (ONE_DECODER, *STAGES):
            if row.stages.get(name) is not None:
                table.add_row("decode, 1 decoder" if name == ONE_DECODER else name, _fps(row.stages.get(name)))
        table.add_row("host memory, MB", _megabytes(row.host_peak_bytes))
        console.print(table)
    console.print("An analysis runs at the speed of 'whole'; the stages, timed alone, say what holds it back.")


def show_inference(rates: Sequence[InferRate], console: Console) -> None:
    """Print a table of the model alone: batches down, input sizes across, in samples per second."""
    table = Table(title="inference alone", caption="samples per second: median of the rounds")
    sizes = dict.fromkeys((rate.width, rate.height) for rate in rates)
    table.add_column("batch", justify="right")
    for width, height in sizes:
        table.add_column(f"{width}x{height}", justify="right")
    found = {(rate.batch_size, rate.width, rate.height): rate for rate in rates}
    for batch in dict.fromkeys(rate.batch_size for rate in rates):
        table.add_row(str(batch), *(f"{found[batch, *size].fps_p50:,.0f}" for size in sizes))
    console.print(table)


def _fps(rate: Rate | None) -> str:
    return "-" if rate is None else f"{rate.clip_fps:,.0f} ({rate.fps_p95 * rate.clip_fps / rate.fps_p50:,.0f})"


def _megabytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e6:,.0f}"


def _bytes(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _cpu_name() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
