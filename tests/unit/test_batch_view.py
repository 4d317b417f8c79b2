"""What a batch shows: a dashboard on a terminal, few lines elsewhere, and its results as lines of JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from gpu_saliency.batch.engine import Advanced
from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.queue.owner import Owner
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.cli.batch_view import BatchView
from gpu_saliency.cli.reporter import CliReporter
from gpu_saliency.errors import UsageError


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job of a clip whose name is markup to rich, and not printable."""
    with Queue(tmp_path / "queue.sqlite") as queue:
        queue.add([(JobSpec("/in/[red]a\x1b[2J.mp4", "/out/a.mp4"), None)])
        claimed = queue.claim("plan", Owner.current())
    assert claimed is not None
    return replace(claimed, frames=240)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_is_shown(job: Job, is_terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CliReporter, "current", None)  # of this run; it is the last one made
    shown, results = io.StringIO(), io.BytesIO()
    console = Console(file=shown, force_terminal=is_terminal, width=150, color_system=None)
    counts = {"done": 3, "failed": 1, "queued": 7, "running": 1}
    reporter = CliReporter()
    reporter.console = console
    with BatchView(reporter, json_lines=True, results=results) as view:
        view.started(job, "encode")
        view.advanced(Advanced(job.id, "encode", "encoding with libx264", 120, 240))
        view.tick(counts)
        assert ("encoding with libx264" in shown.getvalue()) == is_terminal
        assert ("120 of 240" in shown.getvalue()) == is_terminal
        view.put_back(job, "ffmpeg failed", 2.4)
        view.ended(replace(job, state="done", result={"x": 1}))
        error = {"message": "/in/[red]a\x1b[2J.mp4: no video", "cure": "give a video"}
        view.ended(replace(job, state="quarantined", error=error, last_words=("one", "two")))
        view.refused("list.csv:3", UsageError("list.csv:3: has no src"))
        view.tick(counts)
        assert view.bad == 2
        assert view.summary(counts).startswith("3 done, 1 failed, 7 queued, 1 running; ")
        assert " left" in view.summary(counts)
    text = shown.getvalue()
    assert "again in 2 s: ffmpeg failed" in text
    assert "[red]a" in text
    assert "\x1b[2J.mp4" not in text
    assert "quarantined: no video (give a video); its last words: two" in text
    lines = [json.loads(line) for line in results.getvalue().splitlines()]
    assert [line["state"] for line in lines] == ["done", "quarantined", "refused"]
    assert capsys.readouterr().out.encode() == results.getvalue()
