"""Feeds the program damaged inputs and disturbs it, and judges each run without the program's own code.

    scripts/fuzz --minutes 60 --seed 1 [--kind source,sidecar] [--keep DIR] [--json OUT] [--jobs N]
    scripts/fuzz --cases 200 --seed 1
    scripts/fuzz --case source:1:42 --keep DIR

The cases of a seed are always the same, in the same order; ``--minutes`` ends the list. A run must end as a clean error, as a
complete and right output, or with a warning. The table goes to stdout, progress to stderr; ``--keep`` stores the files of failures.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests" / "helpers")]

from fuzzing.campaign import prepared, run_campaign  # noqa: E402
from fuzzing.case import FAILED, Name, Verdict  # noqa: E402
from fuzzing.summary import summary_lines  # noqa: E402

SHARES = {
    "source": 12,
    "options": 5,
    "sidecar": 3,
    "model": 2,
    "playlist": 1,
    "signal": 1,
    "kill": 1,
    "disk": 1,
    "limit": 1,
    "stream": 1,
}
"""Cases of each kind in a round; the kinds with signals take the longest."""


def case_names(seed: int, kinds: list[str]) -> Iterator[Name]:
    """The endless list of the cases of ``seed``: the kinds mixed by `SHARES`."""
    for turn in itertools.count():
        for kind in kinds:
            for number in range(SHARES[kind]):
                yield Name(kind, seed, turn * SHARES[kind] + number)


class Progress:
    """Prints a line of counts every few seconds, and each failure when it is found."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._started = self._shown = time.monotonic()

    def add(self, verdict: Verdict) -> None:
        self._counts[verdict.result] += 1
        if verdict.result == FAILED:
            _say(f"FAILED {verdict.name} {verdict.failure}: {verdict.what[:120]} | {verdict.reason[:160]}")
        now = time.monotonic()
        if now - self._shown > 10:
            self._shown = now
            counts = ", ".join(f"{number} {result}" for result, number in sorted(self._counts.items()))
            _say(f"{now - self._started:.0f} s, {self._counts.total()} cases: {counts}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=None, help="begin no case after this time (default: 5, without --cases)")
    parser.add_argument("--cases", type=int, default=None, help="number of cases")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default=",".join(SHARES), help="kinds of cases, separated by commas")
    parser.add_argument("--case", action="append", help="KIND:SEED:INDEX of a case to repeat")
    parser.add_argument("--keep", type=Path, help="folder for the files of failed cases")
    parser.add_argument("--json", type=Path, help="file for all verdicts")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="cases at a time (default: the cores)")
    asked = parser.parse_args()
    kinds = asked.kind.split(",")
    if unknown := set(kinds) - set(SHARES):
        parser.error(f"--kind {','.join(sorted(unknown))}: unknown (choose from {', '.join(SHARES)})")
    names: Iterator[Name] = map(Name.parse, asked.case) if asked.case else case_names(asked.seed, kinds)
    if asked.cases is not None:
        names = itertools.islice(names, asked.cases)
    minutes = 5.0 if asked.minutes is None and asked.cases is None and not asked.case else asked.minutes
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
    _say("making the intact inputs and measuring this machine")
    with prepared() as bench:
        _say(f"a run takes {bench.usual:.1f} s here; one of more than {bench.limit:.0f} s hangs")
        until = None if minutes is None else time.monotonic() + 60 * minutes
        progress = Progress()
        keep = None if asked.keep is None else asked.keep.resolve()
        found = run_campaign(bench, names, jobs=asked.jobs, keep=keep, until=until, on_verdict=progress.add)
    lines = list(summary_lines(found))
    print("\n".join(lines))
    if asked.json is not None:
        asked.json.write_text(json.dumps({"seed": asked.seed, "verdicts": [one.to_json() for one in found]}, indent=1) + "\n")
    return int(any(one.result == FAILED for one in found))


if __name__ == "__main__":
    sys.exit(main())
