"""The collector finds each form of a message in source text, with gaps for what the source does not tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from error_messages import ErrorMessage, collect

USAGE = (64, "usage")
CASES = {
    'raise UsageError("is empty", cure="give a name")': [(*USAGE, "is empty", "give a name")],
    'raise UsageError(f"{path}: is {x} long")': [(*USAGE, "…: is … long", "")],
    'raise UsageError("unknown", setting="crf", value=9)': [(*USAGE, "--crf …: unknown", "")],
    'raise UsageError("is odd", setting="mapping")': [(*USAGE, "--roi-mapping: is odd", "")],
    'raise UsageError("unknown", setting="kind", value=9)': [(*USAGE, "kind=…: unknown", "")],
    'raise UsageError("a" if x else "b")': [(*USAGE, "a", ""), (*USAGE, "b", "")],
    'raise SourceError("no", cure=_CURE)': [(65, "source", "no", "give a file")],
    'why = f"ends at {x}"\n    raise SourceError(why)': [(65, "source", "ends at …", "")],
    "raise UsageError(\"x\", cure=f\"use {setting('crf', 3)} or {setting('overwrite', True)}\")": [
        (*USAGE, "x", "use --crf 3 or --overwrite")
    ],
    'raise UsageError(problem, setting="crf", value=9)': [(*USAGE, "--crf …: …", "")],
    "raise UsageError(problem)": [],
    'raise ValueError("not ours")': [],
}


@pytest.mark.parametrize("body", CASES, ids=range(len(CASES)))
def test_messages_of_a_function(tmp_path: Path, body: str) -> None:
    (tmp_path / "a.py").write_text(f'_CURE = "give a file"\n\ndef f(x, path, problem):\n    {body}\n', encoding="utf-8")
    assert collect(tmp_path) == sorted(ErrorMessage(*one) for one in CASES[body])


def test_real_messages_are_found() -> None:
    found = collect()
    assert len(found) > 200
    assert ErrorMessage(64, "usage", "--bitrate and --crf cannot be combined", "give one of them") in found
