"""``batch --ray`` on real Ray nodes in network namespaces: the same files, lost workers and machines, nodes that cannot work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bad_input import stub_ffmpeg
from clips import make_clip
from kills import strays
from ray_nodes import ROOT, RayNodes, ancestors, missing_namespaces, one_node, two_machines
from schemas import validator
from waiting import HANG_SECONDS, wait_until

from gpu_saliency.batch.place import STATE_FOLDER, Place
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.errors import QueueError

pytestmark = pytest.mark.slow

QUICK = ("--preset", "ultrafast", "--every", "12", "--prove", "none", "--no-equal-size", "--no-cache", "--threads", "1")
COUNT = 4
_JOIN = ("--address=10.77.0.1:6379", "--node-ip-address=10.77.0.2", "--num-cpus=1")
_STORE = """
import sys, threading, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
name, most, ends = "object_store_memory", 0.0, threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ends.set()), daemon=True).start()
print("ready", flush=True)
while not ends.wait(0.1):
    most = max(most, ray.cluster_resources()[name] - ray.available_resources().get(name, 0))
print(int(most), flush=True)
"""
"""Prints the most bytes of the object store that were in use until its stdin ends."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of 12 to 21 frames of 96x64, one with sound."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(COUNT):
        make_clip(folder / f"c{number}.mp4", size="96x64", rate=12, seconds=1 + number / 4, audio=number == 1)
    return folder


@pytest.fixture(scope="module")
def undisturbed(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a batch without Ray."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    done = subprocess.run(_command(clips, out), capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.returncode == 0, done.stderr
    return _files(out)


@pytest.fixture(scope="module")
def node() -> Iterator[RayNodes]:
    """One node with 2 cores, and one GPU that is not there."""
    _need_nodes()
    with one_node("--num-gpus=1") as nodes:
        yield nodes


@pytest.fixture
def machines() -> Iterator[RayNodes]:
    _need_nodes()
    with two_machines() as nodes:
        yield nodes


def _need_nodes() -> None:
    pytest.importorskip("ray")
    if reason := missing_namespaces():
        pytest.skip(reason)


def _command(jobs: Path, out: Path, *more: object) -> list[str]:
    command = [sys.executable, "-m", "gpu_saliency", "batch", str(jobs), "--out-dir", str(out), "--json", "--tries", "3"]
    return [*command, *QUICK, *map(str, more)]


@dataclass(frozen=True)
class _Done:
    code: int
    lines: list[dict[str, Any]]
    err: str

    @property
    def states(self) -> list[str]:
        return sorted(line["state"] for line in self.lines)


_started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def no_batch_remains() -> Iterator[None]:
    """End the batches of a test that failed."""
    yield
    while _started:
        with _started.pop() as process:
            process.kill()


class _Batch:
    """A batch that runs in the namespace ``a`` of ``nodes``."""

    def __init__(self, nodes: RayNodes, jobs: Path, out: Path, *more: object) -> None:
        command = nodes.inside("a", *_command(jobs, out, "--ray", nodes.address, *more))
        self._errors = out.with_name(f"{out.name}.stderr")
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                command, env=nodes.environment(), stdout=subprocess.PIPE, stderr=errors, text=True, cwd="/"
            )
        self.out = out
        _started.append(self._process)

    @property
    def pid(self) -> int:
        return self._process.pid  # ip netns exec replaces itself

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def runs(self, stage: str) -> bool:
        """Whether a job is in ``stage``, and this run's."""
        return any(job == ("running", stage, self.pid) for job in _jobs(self.out))

    def end(self) -> _Done:
        out, _ = self._process.communicate(timeout=HANG_SECONDS)
        lines = [json.loads(line) for line in out.splitlines()]
        if lines and "error" in lines[-1] and "state" not in lines[-1]:
            assert validator("error").is_valid(lines.pop())
        for line in lines:
            assert not list(validator("batch").iter_errors(line))
        return _Done(self._process.returncode, lines, self._errors.read_text())

    def says(self, words: str) -> bool:
        return words in self._errors.read_text()


def _jobs(out: Path) -> list[tuple[str, str, int | None]]:
    """State, stage and the run's process of the jobs in a queue that may not be there yet."""
    try:
        with Queue(Place.of(out).queue, create=False) as queue:
            return [(job.state, job.stage, None if job.owner is None else job.owner.pid) for job in queue.jobs()]
    except QueueError:
        return []


def _files(out: Path) -> dict[str, bytes]:
    """The visible files; there must be no hidden ones but the state, no maps, and no file of a node's check."""
    wait_until(lambda: strays(out) == [STATE_FOLDER], "temporary folders are removed")
    place = Place.of(out)
    assert list(place.maps.iterdir()) == []
    assert {path.name.partition("-")[0] for path in place.maps.parent.iterdir()} <= {"maps", "queue.sqlite", "queue.sqlite.lock"}
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("[!.]*"))
        if path.is_file() and STATE_FOLDER not in path.parts
    }


def _nothing_runs(nodes: RayNodes) -> None:
    wait_until(lambda: not nodes.work(), "no process of the batch remains")


def _hanging(folder: Path, times: int) -> Path:
    """An ffmpeg of which the first encodes write their process number into ``hangs-N`` and hang; later ones work."""
    body = f"""
if '-c:v' in a:
    import time
    for number in range({times}):
        try:
            with open({str(folder)!r} + f'/hangs-{{number}}', 'x') as file: file.write(str(os.getpid()))
        except FileExistsError: continue
        time.sleep(1000)
real()
"""
    return stub_ffmpeg(folder, body)


def _hangs(folder: Path, number: int) -> int | None:
    try:
        return int((folder / f"hangs-{number}").read_text())
    except (OSError, ValueError):
        return None


def _is_hanging(folder: Path, number: int) -> bool:
    return _hangs(folder, number) is not None


def _is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_two_workers_make_the_same_files(node: RayNodes, clips: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """Two plan workers share a GPU, two encode workers the cores; Ray's object store holds nothing."""
    watch = node.inside("a", sys.executable, "-c", _STORE, node.address)
    with subprocess.Popen(watch, env=node.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as store:
        assert store.stdin is not None
        assert store.stdout is not None
        assert store.stdout.readline() == "ready\n"
        batch = _Batch(node, clips, tmp_path / "out", "--plan-workers", 2, "--gpus-per-worker", 0.5)
        seen: set[tuple[str, str | None]] = set()

        def is_over() -> bool:
            seen.update(_workers_gpus(node))
            return not batch.is_alive()

        wait_until(is_over, "the batch ends")
        done = batch.end()
        store.stdin.close()
        most = int(store.stdout.readline())
    assert (done.code, done.states) == (0, ["done"] * COUNT), done.err
    assert _files(tmp_path / "out") == undisturbed
    assert most == 0
    assert "2 plan and 2 encode workers" in done.err
    assert not [line for line in done.err.splitlines() if "ray" in line.lower()], "Ray prints nothing"
    assert {gpu for _, gpu in seen} == {"0", None}
    _nothing_runs(node)

    # The same command again has nothing to do.
    again = _Batch(node, clips, tmp_path / "out").end()
    assert (again.code, again.lines) == (0, [])


def test_ladders_are_the_same_files(node: RayNodes, clips: Path, tmp_path: Path) -> None:
    rungs = ("--rung", "source:crf=26", "--rung", "64x48:crf=30", "--keyint", 6)
    plain = subprocess.run(_command(clips, tmp_path / "plain", *rungs), capture_output=True, text=True, timeout=HANG_SECONDS)
    assert plain.returncode == 0, plain.stderr
    done = _Batch(node, clips, tmp_path / "out", *rungs).end()
    assert (done.code, done.states) == (0, ["done"] * COUNT), done.err
    assert all(one["done"] for line in done.lines for one in line["outputs"])
    files = _files(tmp_path / "out")
    assert files == _files(tmp_path / "plain")
    assert len(files) == 2 * 2 * COUNT
    _nothing_runs(node)


def _workers_gpus(node: RayNodes) -> set[tuple[str, str | None]]:
    found = set()
    for pid in node.work():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"gpu_saliency.cli.batch_worker" in command:
            gpu = next((one.partition(b"=")[2].decode() for one in variables if one.startswith(b"CUDA_VISIBLE_DEVICES=")), None)
            found.add((str(pid), gpu))
    return found


def test_a_killed_worker(node: RayNodes, clips: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """An actor is killed in mid-encode, then the process below another one; both jobs run again, and nothing is left."""
    stub = _hanging(tmp_path, 2)
    batch = _Batch(node, clips, tmp_path / "out", "--ffmpeg-bin", stub, "--gpus-per-worker", 0)
    for number, level in enumerate((1, 0)):
        wait_until(partial(_is_hanging, tmp_path, number), "an encode hangs", alive=batch.is_alive)
        encoder = _hangs(tmp_path, number)
        assert encoder is not None
        victim = ancestors(encoder)[level]
        os.kill(victim, signal.SIGKILL)
        wait_until(partial(_is_gone, encoder), "its encoder is ended", alive=batch.is_alive)
    done = batch.end()
    assert (done.code, done.states) == (0, ["done"] * COUNT), done.err
    assert sum(line["tries"] for line in done.lines) == 2
    assert "worker on node 127.0.0.1 ended" in done.err
    assert "was killed by SIGKILL" in done.err
    _nothing_runs(node)
    assert _files(tmp_path / "out") == undisturbed


def test_cancel_limits_and_signals(node: RayNodes, clips: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """A running job is cancelled, one exceeds its time; SIGTERM lets what runs end; a killed batch leaves no process."""
    out = tmp_path / "out"
    stub = _hanging(tmp_path, 2)
    batch = _Batch(node, clips / "c0.mp4", out, "--ffmpeg-bin", stub)
    wait_until(partial(_is_hanging, tmp_path, 0), "an encode hangs", alive=batch.is_alive)
    cancel = [sys.executable, "-m", "gpu_saliency", "batch", "cancel", "--all", "--out-dir", str(out)]
    assert subprocess.run(cancel, capture_output=True, cwd=ROOT).returncode == 0
    done = batch.end()
    assert (done.code, done.states) == (0, ["cancelled"]), done.err
    _nothing_runs(node)
    assert _files(out) == {}

    done = _Batch(node, clips / "c1.mp4", out, "--ffmpeg-bin", stub, "--job-timeout", 20, "--tries", 1).end()
    assert (done.code, done.states) == (1, ["quarantined"]), done.err
    assert "took longer than 20 s" in done.err
    _nothing_runs(node)
    assert _files(out) == {}

    for number, codes in ((signal.SIGKILL, (-9,)), (signal.SIGTERM, (130, 0))):
        batch = _Batch(node, clips, tmp_path / "killed")
        wait_until(partial(batch.runs, "encode"), "an encode runs", alive=batch.is_alive)
        os.kill(batch.pid, number)
        assert batch.end().code in codes
        _nothing_runs(node)
    assert all(state != "running" for state, _, _ in _jobs(tmp_path / "killed"))
    done = _Batch(node, clips, tmp_path / "killed").end()
    assert done.code == 0, done.err
    assert _files(tmp_path / "killed") == undisturbed


def test_a_machine_is_lost(machines: RayNodes, clips: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """The second machine joins while both encodes of the first hang, gets the others, and is lost."""
    batch = _Batch(machines, clips, tmp_path / "out", "--ffmpeg-bin", _hanging(tmp_path, 2))
    wait_until(partial(_is_hanging, tmp_path, 1), "two encodes hang", alive=batch.is_alive)
    first = machines.raylets()
    machines.start("b", *_JOIN)
    (second,) = set(machines.raylets()) - set(first)

    def has_work() -> bool:
        return any(second in ancestors(pid) for pid in machines.work())

    wait_until(has_work, "the second machine works", alive=batch.is_alive)
    os.kill(second, signal.SIGKILL)
    wait_until(partial(batch.says, "node 10.77.0.2 has left"), "the loss is noticed", alive=batch.is_alive)
    for number in (0, 1):
        encoder = _hangs(tmp_path, number)
        assert encoder is not None
        os.kill(encoder, signal.SIGKILL)
    done = batch.end()
    assert (done.code, done.states) == (0, ["done"] * COUNT), done.err
    assert "node 10.77.0.2 has joined" in done.err
    _nothing_runs(machines)
    assert _files(tmp_path / "out") == undisturbed


def _refusal(machines: RayNodes, clips: Path, out: Path) -> tuple[int, str]:
    """Exit code and only line of a batch that must not begin."""
    done = _Batch(machines, clips, out).end()
    (line,) = [line for line in done.err.splitlines() if line.strip()]
    assert _files(out) == {}
    return done.code, line


def test_a_node_with_another_version(machines: RayNodes, clips: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "gpu_saliency"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    (other / "_version.py").write_text('__version__ = "0.1.7"\n')
    machines.start("b", *_JOIN, PYTHONPATH=str(other.parent))
    code, line = _refusal(machines, clips, tmp_path / "out")
    assert code == 69
    assert line.startswith("ERROR: node 10.77.0.2 has gpu-saliency 0.1.7, this machine ")


def test_a_node_that_does_not_see_the_folder(machines: RayNodes, clips: Path, tmp_path: Path) -> None:
    """On the second machine an empty file system lies over the output folder."""
    out = tmp_path / "out"
    out.mkdir()
    machines.start("b", *_JOIN, wrapper=("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {out} && exec "$@"', "sh"))
    code, line = _refusal(machines, clips, out)
    assert code == 64
    assert line.startswith(f"ERROR: --out-dir {out}: node 10.77.0.2 does not see this folder")
