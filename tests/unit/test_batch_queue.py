"""The queue of a batch: claims by several processes, processes that are killed, retries, and the lock of a run."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from waiting import wait_until

from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.outcome import FINAL, FULL, LONGEST_WAIT, PASSING, judge, kind_of
from gpu_saliency.batch.queue.owner import Owner, only_run
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.errors import EncodeError, OutputError, QueueError, SourceError, ToolMissingError, UsageError

_IMPORTS = """
import sys
from pathlib import Path
from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.queue.owner import Owner, only_run
from gpu_saliency.batch.queue.queue import Queue
path = Path(sys.argv[1])
"""
_CLAIM_ALL = """
with Queue(path) as queue:
    while (job := queue.claim("plan", Owner.current())) is not None:
        print(job.id, flush=True)
"""
_WORK_FOREVER = """
with only_run(path.with_name("lock")), Queue(path) as queue:
    for number in range(1_000_000):
        queue.add([(JobSpec("s", f"o{number}"), None)])
        job = queue.claim("plan", Owner.current())
        queue.advance(job.id, "encode", 5)
        job = queue.claim("encode", Owner.current())
        print(number, flush=True)
        queue.finish(job.id, {"number": number}, "1:2:3")
"""


def _program(text: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", _IMPORTS + text, *map(str, arguments)]


def _specs(count: int) -> list[tuple[JobSpec, str | None]]:
    return [(JobSpec(f"/in/{number}.mp4", f"/out/{number}.mp4", {"crf": "30"}), "1:2:3") for number in range(count)]


def test_no_job_is_claimed_by_two_processes(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    with Queue(path) as queue:
        jobs = queue.add(_specs(100))
    claimers = [subprocess.Popen(_program(_CLAIM_ALL, path), stdout=subprocess.PIPE, text=True) for _ in range(4)]
    claimed = Counter(int(line) for claimer in claimers for line in claimer.communicate()[0].split())
    assert all(claimer.returncode == 0 for claimer in claimers)
    assert claimed == Counter(jobs)


def test_what_a_killed_process_had_finished_is_kept_and_what_it_ran_is_found(tmp_path: Path) -> None:
    """Killed at three moments of a loop in which every step is a transaction; each time the lock is free at once."""
    for number in range(3):
        path = tmp_path / f"queue{number}.sqlite"
        with subprocess.Popen(_program(_WORK_FOREVER, path), stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            for line in worker.stdout:
                printed = int(line)
                if printed >= 7:
                    break
            with pytest.raises(UsageError, match=f"worked on by process {worker.pid}"), only_run(tmp_path / "lock"):
                pass
            worker.send_signal(signal.SIGKILL)
        with only_run(tmp_path / "lock"), Queue(path) as queue:
            assert queue._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            counts = queue.counts()
            left = queue.left_running()
            # The line comes before its job is finished: all of the lines before were.
            assert counts["done"] >= 7
            assert len(left) <= 1
            assert all(job.owner is not None and job.owner.pid == worker.pid and not job.owner.is_alive for job in left)
            done = queue.jobs(["done"])
            assert all(job.result is not None and job.frames == 5 for job in done)


def test_an_owner_is_told_from_a_later_process_with_its_number() -> None:
    own = Owner.current()
    assert own.is_alive
    assert own.is_of_this_boot
    assert not Owner(own.boot, own.pid, own.started + 1).is_alive
    assert not Owner("another machine", own.pid, own.started).is_alive
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        started = int(Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[19])
        ended = Owner(own.boot, other.pid, started)
        assert ended.is_alive
        other.kill()
        wait_until(lambda: not ended.is_alive, "a zombie counts as dead")


def test_states(tmp_path: Path) -> None:
    own = Owner.current()
    with Queue(tmp_path / "queue.sqlite") as queue, Queue(tmp_path / "queue.sqlite") as other:
        first, second, third, fourth = queue.add(_specs(4))
        job = queue.claim("plan", own)
        assert job is not None
        assert (job.id, job.owner, job.spec.options) == (first, own, {"crf": "30"})
        queue.advance(first, "encode", 24)
        assert [one.id for one in other.jobs(["queued"])] == [first, second, third, fourth]
        # What waits for its back-off is not claimed before its time.
        queue.put_back(first, tries=1, not_before=2e10, is_lost=True, error={"message": "m"})
        assert queue.claim("encode", own) is None
        assert other.match("0.mp4") == other.match("/out/0.mp4") == other.match(str(first)) == [first]
        queue.fail(second, "failed", {"message": "bad"}, ["last", "words"], 1)
        queue.fail(third, "quarantined", {"message": "poison"}, [], 3)
        assert queue.claim("plan", own) is not None
        assert other.cancel([first, fourth]) == [first, fourth]
        assert queue.cancelled() == [fourth]
        bad = {"cancelled": 1, "failed": 1, "quarantined": 1}
        assert queue.counts() == bad | {"running": 1, "running/plan": 1}
        assert other.retry([]) == [second, third]
        assert other.retry([first, second]) == [first]
        again = queue.jobs(["queued"])
        assert [(one.id, one.tries, one.stage, one.error) for one in again] == [
            (id, 0, "plan", None) for id in (first, second, third)
        ]
        queue.finish(fourth, {"size": 1}, "1:2:3")
        assert other.cancel([]) == [first, second, third]
        found = other.find(JobSpec("", "/out/3.mp4").place)
        assert found is not None
        assert (found[0].state, found[0].result, found[2]) == ("done", {"size": 1}, "1:2:3")


def test_a_database_that_is_none_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(QueueError, match="does not exist"):
        Queue(tmp_path / "no.sqlite", create=False)
    (tmp_path / "text.sqlite").write_text("no database " * 200)
    with pytest.raises(QueueError, match="not a database"):
        Queue(tmp_path / "text.sqlite")
    with sqlite3.connect(tmp_path / "new.sqlite") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(QueueError, match="another version"):
        Queue(tmp_path / "new.sqlite")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SourceError("no video"), FINAL),
        (UsageError("out of range"), FINAL),
        (OutputError("exists"), FINAL),
        (ToolMissingError("no ffmpeg"), FINAL),
        (EncodeError("did not follow", evidence={"proof": {}}), FINAL),
        (EncodeError("ffmpeg failed"), PASSING),
        (ToolMissingError("the analysis is out of memory"), PASSING),
        (MemoryError(), PASSING),
        (ZeroDivisionError(), PASSING),
        (OutputError(f"/out: {os.strerror(28)}"), FULL),
        (OSError(30, "read-only"), FULL),
    ],
)
def test_which_failures_may_pass(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


def test_the_cause_of_an_error_counts() -> None:
    error = SourceError("cannot be read")
    error.__cause__ = OSError(12, "Cannot allocate memory")
    assert kind_of(error) == PASSING


def test_retries_wait_longer_each_time_and_end_in_quarantine() -> None:
    verdicts = [judge(PASSING, tries, 20) for tries in range(20)]
    assert [one.state for one in verdicts] == ["queued"] * 19 + ["quarantined"]
    for one, doubled in itertools.pairwise(verdicts[:-1]):
        # Each wait is doubled and then varied by a quarter, up to the longest.
        assert one.wait * 1.19 < doubled.wait or doubled.wait >= LONGEST_WAIT * 0.75
        assert doubled.wait <= LONGEST_WAIT * 1.25
    assert judge(FINAL, 0, 20).state == "failed"
    full = judge(FULL, 2, 3)
    assert (full.state, full.tries, full.stops) == ("queued", 2, True)
