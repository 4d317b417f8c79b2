"""The parts of ``batch --ray`` that need no Ray: rules of the queue actor, places of workers, what is refused at the start."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from program import run

from gpu_saliency._version import __version__
from gpu_saliency.batch.engine import Advanced, Ended, Lost
from gpu_saliency.batch.local.wire import read_report, report_line
from gpu_saliency.fleet import disks, probe, queue_actor
from gpu_saliency.fleet.queue_actor import CANCEL, LEAVE, QueueActor
from gpu_saliency.fleet.seats import Node, Seat, place_workers, suited_threads


def _actor() -> QueueActor:
    return QueueActor(["plan", "encode"])


def _ended(job: int) -> str:
    return report_line(Ended(job, "encode", {"frames": 12}))


async def _reports(actor: QueueActor) -> list[tuple[str, object]]:
    events, _ = await actor.news(0.01)
    return [(worker, read_report(line)) for worker, line in events]


def test_an_order_goes_to_one_worker_and_its_reports_come_back() -> None:
    async def scenario() -> None:
        actor = _actor()
        waiting = [asyncio.create_task(actor.pull(name, "encode")) for name in ("a", "b")]
        await asyncio.sleep(0)
        assert (await actor.news(0.01))[1] == {"encode": 2}
        await actor.post("encode", 7, "order 7")
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == ["order 7"]
        worker = "a" if waiting[0] in done else "b"
        assert await actor.tell(worker, [report_line(Advanced(7, "encode", "encoding", 3, 12))]) == ""
        assert await actor.tell(worker, [_ended(7)]) == ""
        assert await _reports(actor) == [
            (worker, Advanced(7, "encode", "encoding", 3, 12)),
            (worker, Ended(7, "encode", {"frames": 12})),
        ]
        await actor.close()
        assert await waiting["ab".index("b" if worker == "a" else "a")] is None
        assert await actor.pull(worker, "encode") is None

    asyncio.run(scenario())


def test_a_dead_worker_gives_its_job_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One dies with a job, one while it waits: an order that comes later goes to a third. What the dead ones tell is not heard."""
    monkeypatch.setattr(queue_actor, "_PULL_SECONDS", 0.2)

    async def scenario() -> None:
        actor = _actor()
        await actor.post("plan", 1, "order 1")
        assert await actor.pull("a", "plan") == "order 1"
        idle = asyncio.create_task(actor.pull("b", "plan"))
        await asyncio.sleep(0)
        assert await actor.bury("a") == (1, "plan")
        assert await actor.bury("b") is None
        assert await actor.tell("a", [_ended(1)]) == LEAVE
        await actor.post("plan", 2, "order 2")
        assert await idle is None
        assert await actor.pull("c", "plan") == "order 2"
        assert await actor.pull("a", "plan") is None
        events, ready = await actor.news(0.01)
        assert (events, ready) == ([], {"plan": 1})
        assert await actor.tell("c", [report_line(Lost(2, "plan", "was killed"))]) == ""
        assert await actor.bury("c") is None, "its end was told before"

    asyncio.run(scenario())


def test_cancelled_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no worker has, and one that runs."""
    monkeypatch.setattr(queue_actor, "_PULL_SECONDS", 0.05)

    async def scenario() -> None:
        actor = _actor()
        for job in (1, 2, 3):
            await actor.post("encode", job, f"order {job}")
        assert await actor.pull("a", "encode") == "order 1"
        await actor.cancel(1)
        await actor.cancel(2)
        ((worker, report),) = await _reports(actor)
        assert isinstance(report, Lost)
        assert (worker, report.job, report.by_user) == ("", 2, True)
        assert await actor.tell("a", []) == CANCEL
        assert await actor.tell("a", [report_line(Lost(1, "encode", "cancelled", by_user=True))]) == ""
        assert await actor.pull("a", "encode") == "order 3"
        assert await actor.tell("a", [_ended(3)]) == ""
        assert await actor.pull("a", "encode") == "", "it asks again"

    asyncio.run(scenario())


def _counts(seats: list[Seat]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for seat in seats:
        found[seat.node.name, seat.stage] = found.get((seat.node.name, seat.stage), 0) + 1
    return found


def test_places_of_workers() -> None:
    small, large = Node("1", "small", 2), Node("2", "large", 64, memory=256 << 30)
    with_gpus = Node("3", "gpus", 16, gpus=2)
    head = Node("4", "head", 0)
    assert _counts(place_workers([small, head], None, None, 1)) == {("small", "plan"): 1, ("small", "encode"): 2}
    assert [seat.cores for seat in place_workers([small], None, None, 1)] == [0.666] * 3
    found = place_workers([large], None, None, 1)
    assert _counts(found) == {("large", "plan"): 8, ("large", "encode"): 8}
    assert {seat.cores for seat in found} == {4.0}
    # With GPUs, plan workers sit there only; two share one.
    found = place_workers([large, with_gpus], None, None, 0.5)
    assert _counts(found) == {("large", "encode"): 8, ("gpus", "plan"): 4, ("gpus", "encode"): 2}
    assert {(seat.stage, seat.gpus) for seat in found} == {("plan", 0.5), ("encode", 0.0)}
    assert _counts(place_workers([with_gpus], None, None, 2)) == {("gpus", "plan"): 1, ("gpus", "encode"): 2}
    assert _counts(place_workers([with_gpus], None, None, 0))["gpus", "plan"] == 2
    # Totals are spread by cores; GPUs limit the plan workers.
    found = place_workers([small, large, with_gpus], 5, 9, 1)
    assert _counts(found) == {("large", "encode"): 8, ("gpus", "encode"): 1, ("gpus", "plan"): 2}
    for node in (small, large, with_gpus):
        of_node = [seat for seat in found if seat.node is node]
        assert sum(seat.cores for seat in of_node) <= node.cores
        assert sum(seat.gpus for seat in of_node) <= node.gpus
    assert (suited_threads([small, head]), suited_threads([small, large]), suited_threads([])) == (2, 16, 1)


def test_what_a_node_answers(tmp_path: Path) -> None:
    (tmp_path / "head-1").write_text("head-1")
    (tmp_path / "sample").write_text("four")
    found = probe.look(str(tmp_path), "head-1", "node-1", [str(tmp_path / "sample"), str(tmp_path / "none")])
    assert found["wrote"] == (tmp_path / "node-1").read_text()
    assert found | {"wrote": ""} == {
        "version": __version__,
        "import_error": "",
        "saw": True,
        "wrote": "",
        "write_error": "",
        "sizes": [4, None],
    }
    (tmp_path / "head-1").write_text("of another batch")
    assert not probe.look(str(tmp_path), "head-1", "node-2", [])["saw"]
    assert not (tmp_path / "node-2").exists()


def test_file_systems(tmp_path: Path) -> None:
    assert disks.file_system(Path("/proc")) == "proc"
    disks.check_local(tmp_path / "queue.sqlite")
    assert all(disks._REMOTE.fullmatch(name) for name in ("nfs", "nfs4", "cifs", "lustre", "fuse.sshfs", "9p", "beegfs"))
    assert not any(disks._REMOTE.fullmatch(name) for name in ("ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk"))


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--ray", "local"), 69, "pip install 'gpu-saliency[fleet]'"),
        (("--ray", "auto"), 69, "Ray cannot be imported"),
        (("--ray", "nowhere"), 64, "--ray nowhere: is not an address (give HOST:PORT, auto, or local)"),
        (("--ray", "10.0.0.1:99999"), 64, "is not an address"),
        (("--ray", "10.0.0.1:six"), 64, "is not an address"),
        (("--ray", "127.0.0.1:1"), 64, "--ray 127.0.0.1:1: there is no Ray: Connection refused"),
        (("--ray", "ray://10.0.0.1:10001"), 64, "run this on the head node"),
        (("--gpus-per-worker", "1"), 64, "has no effect without --ray"),
        (("--ray", "local", "--gpus-per-worker", "1.5"), 64, "--gpus-per-worker 1.5: out of range"),
        (("--ray", "local", "--gpus-per-worker", "-1"), 64, "out of range"),
        (("--ray", "local", "--gpus-per-worker", "nan"), 64, "out of range"),
    ],
)
def test_refused(words: tuple[str, ...], code: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Ray, which the import system is told here, or with wrong options: one line, and nothing is written."""
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"clip")
    done = run("batch", tmp_path / "clips", "--out-dir", tmp_path / "out", *words)
    assert done.code == code
    assert len(done.err.splitlines()) == 1
    assert text in done.err
    assert not (tmp_path / "out").exists()
    assert run("batch", "status", "--out-dir", tmp_path, "--ray", "local").code == 64


def test_ray_is_imported_by_nothing_else() -> None:
    code = "import sys, json, gpu_saliency.cli.batch_run, gpu_saliency.cli.batch_worker; print(json.dumps('ray' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False
