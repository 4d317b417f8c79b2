"""``batch`` from start to end: good and bad jobs, killed runs that go on, limits, a full disk."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bad_input import stub_ffmpeg
from clips import make_clip
from kills import processes_with, strays
from program import run
from schemas import validator
from waiting import HANG_SECONDS, wait_until

from gpu_saliency.batch.place import STATE_FOLDER, Place
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.errors import QueueError

QUICK = ("--preset", "ultrafast", "--every", "12", "--prove", "none", "--no-equal-size", "--no-cache", "--threads", "1")
"""Options of short jobs: little analysis, and no further encodes."""
_COUNT = 3


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of 12 to 18 frames of 96x64, one with sound."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(_COUNT):
        make_clip(folder / f"c{number}.mp4", size="96x64", rate=12, seconds=1 + number / 4, audio=number == 1)
    return folder


def _command(jobs: Path | str, out: Path, *more: object) -> list[str]:
    command = [sys.executable, "-m", "gpu_saliency", "batch", str(jobs), "--out-dir", str(out), "--json", "--tries", "2"]
    return [*command, "--results", f"{out}.ndjson", *QUICK, *map(str, more)]


@dataclass(frozen=True)
class _Done:
    code: int
    lines: list[dict[str, Any]]
    err: str

    @property
    def states(self) -> dict[str, str]:
        return {Path(line.get("source", "")).name: line["state"] for line in self.lines}


def _batch(jobs: Path | str, out: Path, *more: object, **variables: str) -> _Done:
    command = _command(jobs, out, *more)
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, env=os.environ | variables)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 or "state" not in lines[-1], "the last line is the error of the run"
    assert done.returncode == 0 or validator("error").is_valid(lines.pop())
    for line in lines:
        problems = [error.message for error in validator("batch").iter_errors(line)]
        assert not problems
        if line.get("result") and "version" in line["result"]:
            assert not list(validator("encode").iter_errors(line["result"]))
    return _Done(done.returncode, lines, done.stderr)


def _files(out: Path) -> dict[str, bytes]:
    """The visible files; there must be no hidden ones but the state, and no maps."""
    # The guardian of a killed worker removes its folder a moment after the run has gone on.
    wait_until(lambda: strays(out) == [STATE_FOLDER], "temporary folders are removed")
    assert list(Place.of(out).maps.iterdir()) == []
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("[!.]*"))
        if path.is_file() and STATE_FOLDER not in path.parts
    }


@pytest.fixture(scope="module")
def undisturbed(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing disturbs."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    done = _batch(clips, out)
    assert done.code == 0, done.err
    assert done.states == {f"c{number}.mp4": "done" for number in range(_COUNT)}
    # The encode stage takes its maps from the plan stage.
    assert all(line["result"]["analysis"]["reused"] for line in done.lines)
    return _files(out)


def test_the_files_are_those_of_encode(clips: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    assert run("encode", "--src", clips / "c1.mp4", "--output", tmp_path / "c1.mp4", *QUICK).code == 0
    assert (tmp_path / "c1.mp4").read_bytes() == undisturbed["c1.mp4"]
    assert set(undisturbed) == {f"c{number}.mp4{end}" for number in range(_COUNT) for end in ("", ".saliency.npz")}


def test_good_jobs_beside_bad_ones(clips: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """One clip that is none, one with a wrong option, one that no job can be, and two whose workers are killed or hang."""
    killer = stub_ffmpeg(tmp_path, "import signal\nif '-i' in a: os.kill(os.getppid(), signal.SIGKILL)\n")
    (tmp_path / "junk.mp4").write_bytes(b"junk" * 1000)
    rows = [
        {"src": str(clips / "c0.mp4")},
        {"src": "junk.mp4"},
        {"src": str(clips / "c1.mp4"), "output": "wrong.mp4", "crf": 99},
        {"src": str(clips / "c2.mp4"), "output": "poison.mp4", "ffmpeg-bin": str(killer)},
        {"src": "none.mp4"},
        {"src": str(clips / "c2.mp4"), "output": "more/c2.mkv", "crf": 40},
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out"
    done = _batch(tmp_path / "list.jsonl", out)
    assert done.code == 1
    assert Counter(line["state"] for line in done.lines) == {"done": 2, "failed": 1, "quarantined": 1, "refused": 2}
    by_output = {Path(line.get("output", "none")).name: line for line in done.lines}
    assert by_output["junk.mp4"]["error"]["exit_code"] == 65
    assert by_output["junk.mp4"]["tries"] == 1
    assert by_output["poison.mp4"]["error"]["kind"] == "worker-lost"
    assert "SIGKILL" in by_output["poison.mp4"]["error"]["message"]
    assert by_output["poison.mp4"]["tries"] == 2
    errors = [line for line in done.err.splitlines() if line.startswith("ERROR")]
    assert len(errors) == 5
    assert errors[-1].startswith("ERROR: 2 of 4 jobs failed, 2 listed jobs were refused")
    assert [json.loads(line) for line in Path(f"{out}.ndjson").read_text().splitlines()] == done.lines
    files = _files(out)
    assert files["c0.mp4"] == undisturbed["c0.mp4"]
    assert set(files) == {"c0.mp4", "c0.mp4.saliency.npz", "more/c2.mkv", "more/c2.mkv.saliency.npz"}

    status = run("batch", "status", "--out-dir", out, "--json")
    assert {key: value for key, value in status.json["counts"].items() if value} == {"done": 2, "failed": 1, "quarantined": 1}
    assert [Path(one["source"]).name for one in status.json["bad"]] == ["junk.mp4", "c2.mp4"]
    assert "junk.mp4" in run("batch", "status", "--out-dir", out).out

    # The clip is mended, and tried again; what was done is not done again.
    shutil.copy(clips / "c1.mp4", tmp_path / "junk.mp4")
    assert run("batch", "retry", "junk.mp4", "--out-dir", out, "--json").json["jobs"] == [2]
    again = _batch(tmp_path / "list.jsonl", out)
    assert [(line["state"], Path(line.get("source", "")).name) for line in again.lines if line["state"] != "refused"] == [
        ("done", "junk.mp4")
    ]
    assert again.code == 1
    assert run("batch", "cancel", "poison.mp4", "--out-dir", out, "--json").json["jobs"] == []
    assert run("batch", "cancel", "no.mp4", "--out-dir", out).code == 64
    assert run("batch", "status", "--out-dir", tmp_path).code == 73


_HUNGRY = "import time\nif '-i' in a: data = b'x' * (900 << 20); time.sleep(1000)\n"
"""An ffmpeg that takes 900 MB and then hangs."""


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (("--job-memory", "800M"), "MiB of memory, 800 are allowed"),
        pytest.param(("--job-timeout", "0.2"), "took longer than 0.2 s", marks=pytest.mark.slow),
    ],
)
def test_limits_of_a_job(clips: Path, tmp_path: Path, limit: tuple[str, ...], words: str) -> None:
    mark = f"LIMIT_TEST_{random.Random(str(tmp_path)).getrandbits(64):x}"
    stub = stub_ffmpeg(tmp_path, _HUNGRY)
    done = _batch(clips / "c0.mp4", tmp_path / "out", *limit, "--tries", 1, "--ffmpeg-bin", stub, **{mark: "1"})
    assert (done.code, done.states) == (1, {"c0.mp4": "quarantined"})
    assert words in done.err
    wait_until(lambda: not processes_with(mark), "no process remains")
    assert _files(tmp_path / "out") == {}


def _jobs(place: Place) -> list[Job]:
    """The jobs in a queue that may not be there yet."""
    try:
        with Queue(place.queue, create=False) as queue:
            return queue.jobs()
    except QueueError:
        return []


def _check_unchanged(out: Path, finished: dict[str, tuple[int, int]]) -> None:
    """No output that was there before, as ``finished`` has it, was written again."""
    for path in out.glob("*.mp4"):
        facts = path.stat().st_ino, path.stat().st_mtime_ns
        assert finished.setdefault(path.name, facts) == facts


def _check_done_once(out: Path) -> None:
    """No job was reported twice, and none as anything but done."""
    lines = [json.loads(line) for line in Path(f"{out}.ndjson").read_text().splitlines()]
    assert max(Counter(line["job"] for line in lines).values()) == 1
    assert {line["state"] for line in lines} == {"done"}


def _is_alive(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def test_a_killed_batch_goes_on(clips: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """SIGKILL when an encode runs; then SIGTERM, which lets the running jobs end."""
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    mark = f"BATCH_TEST_{random.Random(str(tmp_path)).getrandbits(64):x}"
    environment = os.environ | {"TMPDIR": str(temporary), mark: "1"}
    place = Place.of(out)
    finished: dict[str, tuple[int, int]] = {}

    def runs(job: Job, process: subprocess.Popen[bytes]) -> bool:
        return job.state == "running" and job.owner is not None and job.owner.pid == process.pid

    for number, moment in ((signal.SIGKILL, "encode"), (signal.SIGTERM, "running")):
        with subprocess.Popen(_command(clips, out, "--encode-workers", 1), env=environment, stdout=subprocess.DEVNULL) as process:

            def has_come(process: subprocess.Popen[bytes] = process, moment: str = moment) -> bool:
                return any(runs(job, process) and moment in ("running", job.stage) for job in _jobs(place))

            wait_until(has_come, moment, alive=partial(_is_alive, process))
            process.send_signal(number)
        # A run whose last jobs were running when the signal came has nothing left.
        assert process.returncode in ((-9,) if number == signal.SIGKILL else (130, 0))
        wait_until(lambda: not processes_with(mark), "no process remains")
        _check_unchanged(out, finished)
    assert all(job.state != "running" for job in _jobs(place))
    assert strays(temporary) == []
    done = _batch(clips, out, TMPDIR=str(temporary))
    assert done.code == 0, done.err
    assert _files(out) == undisturbed
    assert strays(temporary) == []
    _check_unchanged(out, finished)
    _check_done_once(out)


@pytest.mark.slow
def test_random_kills_of_a_batch(clips: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """20 kills, each a random time after the start of a run; a run that ends before its kill starts the batch anew.

    Equal bytes are equal frames and equal payload of the packets.
    """
    chance = random.Random(7)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    mark = f"BATCH_TEST_{random.Random(str(tmp_path)).getrandbits(64):x}"
    environment = os.environ | {"TMPDIR": str(temporary), mark: "1"}
    began = time.monotonic()
    assert _batch(clips, tmp_path / "first").code == 0
    longest = 1.2 * (time.monotonic() - began)
    batches = kills = 0
    finished: dict[str, tuple[int, int]] = {}
    while True:
        out = tmp_path / f"out{batches}"
        with subprocess.Popen(_command(clips, out), env=environment, stdout=subprocess.DEVNULL) as process:
            if kills < 20:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0.1, longest))
            else:
                process.wait(HANG_SECONDS)
            if process.poll() is None:
                process.kill()
                kills += 1
        wait_until(lambda: not processes_with(mark), "no process remains")
        _check_unchanged(out, finished)
        if process.returncode == -signal.SIGKILL:
            continue
        assert process.returncode == 0
        assert _files(out) == undisturbed
        _check_done_once(out)
        assert strays(temporary) == []
        if kills >= 20:
            break
        batches, finished = batches + 1, {}


def _in_namespace(script: str) -> str:
    """Run a shell script with mounts of its own; returns what it wrote to stderr. Skips where no mount can be made."""
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=HANG_SECONDS)
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"no mount namespace, or no such mount in it: {done.stderr.strip()}")
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("has_queue", [True, False])
def test_a_full_disk(clips: Path, undisturbed: dict[str, bytes], tmp_path: Path, has_queue: bool) -> None:
    """The outputs are on a disk of their own, with or without the queue; it is full in the first run and larger in the second."""
    disk, out = tmp_path / "disk", tmp_path / "disk" / "out"
    disk.mkdir()
    command = " ".join(_command(clips, out, *(() if has_queue else ("--queue", tmp_path / "queue.sqlite"))))
    err = _in_namespace(f"""
        mount -t tmpfs -o size={_FULL[has_queue]}k none {disk} || exit 99
        {command} > {tmp_path}/first; echo $? > {tmp_path}/codes
        mount -o remount,size=8m {disk}
        {command} > {tmp_path}/second; echo $? >> {tmp_path}/codes
        cp -r {out} {tmp_path}/copy
    """)
    assert (tmp_path / "codes").read_text().split() == ["73", "0"], err
    words = _last_error(tmp_path / "first")
    assert "full" in words or "No space left" in words
    assert _files(tmp_path / "copy") == undisturbed


_FULL = {True: 190, False: 48}
"""Size of the disk in KiB, too small for all outputs, with and without the queue."""


def _last_error(path: Path) -> str:
    """The message of the error with which a run's output in ``path`` ends."""
    message: str = json.loads(path.read_text().splitlines()[-1])["error"]["message"]
    return message


@pytest.mark.slow
def test_a_queue_whose_disk_becomes_read_only(clips: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """After the first job ext4 finds an error on the queue's disk, a loop device, and makes it read-only; then it is repaired.

    A remount would be refused: the database is open for writing.
    """
    disk, image, out = tmp_path / "disk", tmp_path / "image", tmp_path / "out"
    disk.mkdir()
    command = " ".join(_command(clips, out, "--encode-workers", 1, "--queue", disk / "queue.sqlite"))
    err = _in_namespace(f"""
        truncate -s 16M {image} && mkfs.ext4 -q {image} && mount -o loop,errors=remount-ro {image} {disk} || exit 99
        trigger=/sys/fs/ext4/$(basename $(findmnt -no SOURCE {disk}))/trigger_fs_error
        test -w $trigger || exit 99
        {command} > {tmp_path}/first & run=$!
        until [ -s {out}.ndjson ] || ! kill -0 $run; do sleep 0.05; done
        echo 1 > $trigger
        wait $run; echo $? > {tmp_path}/codes
        touch {disk}/probe 2> /dev/null && echo writable >> {tmp_path}/codes
        ls {out} > {tmp_path}/finished
        umount {disk}; e2fsck -fy {image} > /dev/null; mount -o loop {image} {disk} || exit 98
        {command} > {tmp_path}/second; echo $? >> {tmp_path}/codes
        umount {disk}
    """)
    assert (tmp_path / "codes").read_text().split() == ["73", "0"], err
    words = _last_error(tmp_path / "first")
    assert "queue.sqlite: the queue cannot be used: its disk is read-only" in words
    assert _files(out) == undisturbed
    _check_done_once(out)
