"""A few minutes of scripts/fuzz with a fixed seed: no run of the program may end badly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fuzzing.campaign import Bench, run_campaign
from fuzzing.case import FAILED, SKIPPED, Name
from fuzzing.summary import summary_lines

SEED = 1
CASES = {
    "source": 60,
    "options": 24,
    "sidecar": 24,
    "model": 20,
    "playlist": 18,
    "signal": 8,
    "kill": 4,
    "disk": 6,
    "limit": 6,
    "stream": 5,
}
"""Number of cases by kind: each container meets 3 mutations. ``scripts/fuzz`` runs as many as one likes."""

ONCE_FAILED = ("source:1:122", "signal:1:6")
"""Cases of longer campaigns."""


@pytest.mark.parametrize("kind", CASES)
def test_every_run_ends_cleanly_or_is_right_or_warns(kind: str, bench: Bench, tmp_path: Path) -> None:
    """The failures' files stay in the test's temporary folder; ``scripts/fuzz --case NAME`` repeats one."""
    names = [Name(kind, SEED, number) for number in range(CASES[kind])]
    found = run_campaign(bench, names, jobs=len(os.sched_getaffinity(0)), keep=tmp_path)
    assert len(found) == len(names)
    text = "\n".join(summary_lines(found, most=20))
    print(text)
    assert not [one for one in found if one.result == FAILED], text
    if all(one.result == SKIPPED for one in found):
        pytest.skip(found[0].reason)


@pytest.mark.parametrize("name", ONCE_FAILED)
def test_a_case_that_once_failed(name: str, bench: Bench, tmp_path: Path) -> None:
    (verdict,) = run_campaign(bench, [Name.parse(name)], jobs=1, keep=tmp_path)
    assert verdict.result != FAILED, f"{verdict.failure}: {verdict.reason}"
