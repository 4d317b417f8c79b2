"""The table of a campaign, and its failures with what is needed to repeat them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from fuzzing.case import APART, CLEAN, FAILED, RIGHT, SKIPPED, WARNED, Verdict

_COLUMNS = (CLEAN, RIGHT, WARNED, APART, SKIPPED, FAILED)
_MOST_OF_A_KIND = 5


def summary_lines(verdicts: Sequence[Verdict], *, most: int = _MOST_OF_A_KIND) -> Iterator[str]:
    """Lines of text: a row for each kind of case, then the failures by kind with ``most`` examples each."""
    kinds = sorted({verdict.name.partition(":")[0] for verdict in verdicts})
    rows = [(kind, [one for one in verdicts if one.name.startswith(kind + ":")]) for kind in kinds]
    yield f"{'kind':10}{'tried':>8}" + "".join(f"{column:>14}" for column in _COLUMNS) + f"{'s a case':>10}"
    for kind, some in [*rows, ("all", list(verdicts))]:
        counts = Counter(one.result for one in some)
        mean = sum(one.seconds for one in some) / max(1, len(some))
        yield f"{kind:10}{len(some):8}" + "".join(f"{counts[column]:14}" for column in _COLUMNS) + f"{mean:10.2f}"
    for reason, number in Counter(one.reason for one in verdicts if one.result == SKIPPED).items():
        yield f"skipped {number}: {reason}"
    failures = [one for one in verdicts if one.result == FAILED]
    for failure, number in Counter(one.failure for one in failures).most_common():
        yield ""
        yield f"{failure}: {number}"
        for one in [one for one in failures if one.failure == failure][:most]:
            yield f"  {one.name}  {one.what[:200]}"
            yield f"    {one.reason[:300]}"
            yield f"    again: scripts/fuzz --case {one.name}" + (f"   files: {one.kept}" if one.kept else "")
