"""Checks ``memory``: analyses one clip six times in one process, and prints the GPU memory in use after each time.

The memory in use is that of the whole GPU, so nothing else may run on it. Exit status 1 if it grows steadily: if the median growth
from the second analysis on is more than 64 MiB. What is freed at the end, step by step, tells who held the memory.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import statistics
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from gpu_saliency.analysis.devices import choose_device
from gpu_saliency.analysis.run import analyse_clip
from gpu_saliency.analysis.settings import GpuSettings
from gpu_saliency.bench.generate import repeat_clip
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.sampling import Sampling

TIMES = 6
_REPEATED = 16
LIMIT_MIB = 64
_BATCH = 32


def used_mib() -> float:
    """MiB in use on the GPU, by all processes."""
    import cupy

    free, total = cupy.cuda.runtime.memGetInfo()
    return float(total - free) / 2**20


def growth(used: Sequence[float]) -> float:
    """The median growth from one analysis to the next, from the second on: one late allocation is no leak."""
    return statistics.median(after - before for before, after in itertools.pairwise(used[1:]))


def measure(path: Path, decoders: str) -> list[float]:
    """Analyse the clip `TIMES` times; returns the MiB in use after each."""
    device, model, _ = choose_device("cuda", DEFAULT_MODEL, GpuSettings(batch_size=_BATCH, decoders=decoders))
    clip = probe_clip(path)
    # Imported here: without a GPU the error above has the reason.
    import cupy

    pool = cupy.get_default_memory_pool()

    def report(moment: str) -> float:
        used, held, busy = used_mib(), pool.total_bytes() / 2**20, pool.used_bytes() / 2**20
        print(f"{moment}: {used:.0f} MiB in use; CuPy's pool holds {held:.0f} MiB, {busy:.0f} of them in use", flush=True)
        return used

    used = []
    for number in range(1, TIMES + 1):
        facts = analyse_clip(clip, model, device, Sampling(Fraction(6))).facts
        used.append(report(f"analysis {number} ({facts['decoder']}, {facts['decoders']} decoders)"))
    report(f"after gc.collect() of {gc.collect()} objects")
    pool.free_all_blocks()
    report("after the pool's free blocks are freed")
    return used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--decoders", default="1")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            # Four decoders need many key frames.
            repeat_clip(options.clip, long := Path(folder, options.clip.name), _REPEATED)
            used = measure(long, options.decoders)
    except GpuSaliencyError as error:
        raise SystemExit(str(error)) from error
    found = growth(used)
    print(f"{used[1]:.0f} MiB after the second analysis, {used[-1]:.0f} after the last: {found:+.0f} MiB an analysis (median)")
    raise SystemExit(1 if found > LIMIT_MIB else 0)


if __name__ == "__main__":
    main()
