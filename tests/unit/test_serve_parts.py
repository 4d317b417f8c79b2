"""The parts of ``serve`` without a server: paths, options, events, tokens, the gate, priorities of the queue."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")
from gpu_saliency.batch.engine import Advanced, Ended, Failed, Report
from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.order import Order
from gpu_saliency.batch.queue.owner import Owner
from gpu_saliency.batch.queue.queue import VERSION, Queue
from gpu_saliency.cli.encode_call import SharedEncodeOptions
from gpu_saliency.cli.option_groups import flags_of
from gpu_saliency.cli.run_serve import spell_field
from gpu_saliency.cli.serve_options import described_options
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import DiskLowError, GpuSaliencyError, OutsideError, UsageError
from gpu_saliency.serve.access import VARIABLE, Access, find_token
from gpu_saliency.serve.disk import Disk
from gpu_saliency.serve.gate import Gate
from gpu_saliency.serve.hub import BUFFERED, KEPT, MOST_CLIENTS, Hub
from gpu_saliency.serve.openapi import openapi_document
from gpu_saliency.serve.options import REFUSED, JobOption, OptionTable
from gpu_saliency.serve.roots import Roots
from gpu_saliency.serve.server import accepted_hosts
from gpu_saliency.serve.shapes import JobShapes

OPTIONS = [JobOption(*one) for one in described_options(SharedEncodeOptions)]


def test_paths_are_resolved_before_they_are_compared(tmp_path: Path) -> None:
    for name in ("a", "a-b", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "a/inside").symlink_to(tmp_path / "b")
    (tmp_path / "a/outside").symlink_to(tmp_path / "c")
    (tmp_path / "a/loop").symlink_to(tmp_path / "a/loop")
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    roots = Roots([tmp_path / "linked", tmp_path / "b"])
    good = {"x": "a/x", "inside/y": "b/y", "../b/z": "b/z", "new/folder/z": "a/new/folder/z", f"{tmp_path}/linked/x": "a/x"}
    assert {given: roots.resolve(given) for given in good} == {given: str(tmp_path / path) for given, path in good.items()}
    for bad in (
        "..",
        ".",
        "../a-b/x",
        "outside/x",
        "outside",
        "/",
        "/etc",
        f"{tmp_path}/a-b/x",
        "inside/../../c/x",
        "a\0b",
        "../c",
    ):
        with pytest.raises(OutsideError):
            roots.resolve(bad)
    (tmp_path / "a/maps").mkdir()
    roots.check(["maps"])
    (tmp_path / "a/maps/1.png").symlink_to("/etc/passwd")
    with pytest.raises(OutsideError):
        roots.check(["maps"])
    with pytest.raises(UsageError):
        Roots([tmp_path / "none"])


def test_only_regular_files_below_a_root_are_opened(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    (root / "link").symlink_to(tmp_path / "b")
    (root / "way").symlink_to(tmp_path)
    roots = Roots([root])
    with roots.open(str(root / "a")) as file:
        assert file.read() == b"a"
    for bad in ("link", "way/b", "folder", "none"):
        with pytest.raises(GpuSaliencyError):
            roots.open(str(root / bad))


def test_every_option_of_encode_has_a_place() -> None:
    """New options must be looked at: a path has to be confined, and what runs programs refused."""
    assert {one.name for one in OPTIONS} == {flag.removeprefix("--") for flag in flags_of(SharedEncodeOptions)}
    assert {one.name for one in OPTIONS if one.kind is Path} == {"maps", "sidecar", "saliency-model"}
    assert {one.name for one in OPTIONS} >= REFUSED
    table = OptionTable.of(OPTIONS, {"maps": "/operator/maps"})
    shapes = JobShapes.of(table.shape())
    job: Any = msgspec.convert(
        {"source": "a", "options": {"crf": 26.0, "no-audio": True, "saliency-offset": -3, "maps": "m", "duration": "1:00"}},
        shapes.body,
    )
    texts = table.texts(job.options)
    assert texts == {"crf": "26", "no-audio": True, "saliency-offset": "-3", "maps": "m", "duration": "1:00"}
    assert list(table.paths(texts)) == [("maps", "m")]
    assert list(table.paths({"maps": "/operator/maps", "saliency-model": "saliency_fast_v3"})) == []
    assert table.files(JobSpec("/s", "/o.mp4", {"sidecar": "/x"})) == ["/s", "/o.mp4", "/x"]
    assert table.files(JobSpec("/s", "/o.mp4", {})) == ["/s", "/o.mp4", "/o.mp4.saliency.npz"]
    wrong: list[Any] = [
        {},
        {"source": ""},
        {"source": 1},
        {"source": "a", "priority": 101},
        {"source": "a", "x": 1},
        [],
        [{}] * 1001,
    ]
    for bad in wrong:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(bad, shapes.body)


def test_the_document_describes_every_endpoint_and_option() -> None:
    table = OptionTable.of(OPTIONS, {})
    document = openapi_document(JobShapes.of(table.shape()))
    assert set(document["components"]["schemas"]["Options"]["properties"]) == {one.name for one in table.allowed}
    assert document["components"]["schemas"]["NewJob"]["additionalProperties"] is False
    open_to_all = {path for path, methods in document["paths"].items() for one in methods.values() if one.get("security") == []}
    assert open_to_all == {"/healthz", "/readyz"}
    for methods in document["paths"].values():
        for one in methods.values():
            assert one["summary"]
            assert ("401" in one["responses"]) == (one.get("security") != [])


def _texts(data: bytes) -> list[str]:
    return [line.removeprefix("event: ") for line in data.decode().splitlines() if line.startswith("event")]


def test_a_client_that_does_not_read_keeps_a_bounded_buffer() -> None:
    async def follow() -> None:
        hub = Hub()
        hub.start()
        slow, quick = hub.join(None), hub.join(None)
        assert slow is not None
        assert quick is not None
        for number in range(10 * BUFFERED):
            hub.publish("job", id=number)
            await asyncio.sleep(0)
            assert _texts(await quick.take()) == ["job"]
        kinds = _texts(await slow.take())
        assert len(kinds) <= BUFFERED
        assert kinds[0] == "reset"
        # Connected again: from the last event on, or told to load everything.
        total = 10 * BUFFERED
        for last, expected in ((total, []), (total - 2, ["job", "job"]), (total - KEPT - 1, ["reset"]), (total + 5, ["reset"])):
            again = hub.join(last)
            assert again is not None
            hub.close() if last > total else None
            again.close()
            assert _texts(await again.take()) == expected
            hub.leave(again)
        assert hub.join(None) is None

    asyncio.run(follow())

    async def crowd() -> None:
        hub = Hub()
        hub.start()
        joined = [hub.join(None) for _ in range(MOST_CLIENTS)]
        assert None not in joined
        assert hub.join(None) is None
        assert joined[0] is not None
        hub.leave(joined[0])
        assert hub.join(None) is not None

    asyncio.run(crowd())


def test_tokens(tmp_path: Path) -> None:
    own = tmp_path / "token"
    token = find_token(None, {}, own)
    assert own.stat().st_mode & 0o777 == 0o600
    assert find_token(None, {}, own) == token
    assert find_token(None, {VARIABLE: "a" * 16}, own) == "a" * 16
    given = tmp_path / "given"
    given.write_text("b" * 32 + "\n")
    with pytest.raises(UsageError):
        find_token(given, {}, own)
    given.chmod(0o400)
    assert find_token(given, {VARIABLE: "a" * 16}, own) == "b" * 32
    for bad in ("", "short", "with a space in the token", "ä" * 20, "x" * 600):
        with pytest.raises(UsageError):
            find_token(None, {VARIABLE: bad}, own)
    access = Access("b" * 32)
    assert access.allows("Bearer " + "b" * 32)
    assert access.allows("bearer  " + "b" * 32)
    for header in (None, "", "Bearer", "b" * 32, "Basic " + "b" * 32, "Bearer " + "b" * 31, "Bearer " + "b" * 33, "Bearer ä"):
        assert not access.allows(header)
    assert Access(None).allows(None)


def test_hosts_behind_a_proxy() -> None:
    own = accepted_hosts("127.0.0.1", 80, ["Encodes.example"])
    assert own is not None
    assert {"encodes.example", "127.0.0.1", "localhost:80"} <= own
    assert accepted_hosts("0.0.0.0", 80, []) is None
    assert accepted_hosts("0.0.0.0", 80, ["a.example:80"]) == frozenset({"a.example:80"})


def test_the_disk_admits_jobs(tmp_path: Path) -> None:
    assert Disk(tmp_path, [str(tmp_path)], 1).admits
    Disk(tmp_path, [str(tmp_path)], 1).check(str(tmp_path / "new/folder/out.mp4"))
    full = Disk(tmp_path, [str(tmp_path)], 1 << 60)
    assert not full.admits
    with pytest.raises(DiskLowError):
        full.check(str(tmp_path / "out.mp4"))
    assert set(full.free()) == {str(tmp_path)}


class _Engine:
    """Ends each order at once."""

    def __init__(self) -> None:
        self.ready: list[Report] = []

    def free(self, _: str) -> int:
        return 2

    def start(self, order: Order) -> None:
        self.ready += [Advanced(order.job, order.stage, "step", 1, 2), Ended(order.job, order.stage, {})]

    def reports(self, _: float) -> list[Report]:
        found, self.ready = self.ready, []
        return found

    def cancel(self, job: int) -> None: ...

    def wake(self) -> None: ...

    def close(self) -> None: ...


def test_the_gate_checks_each_start_and_holds_jobs_back() -> None:
    measured: list[int] = []
    is_open = True

    def check(spec: JobSpec) -> None:
        if spec.source == "bad":
            raise OutsideError("bad: is not below an allowed folder")

    gate = Gate(_Engine(), check, lambda: is_open, lambda report, _: measured.append(report.job), spell_flag)
    assert gate.free("plan") == 2
    gate.start(Order(1, JobSpec("good", "o"), "plan", "m"))
    gate.start(Order(2, JobSpec("bad", "o"), "plan", "m"))
    reports = gate.reports(1.0)
    assert [type(one) for one in reports] == [Failed, Advanced, Ended]
    assert isinstance(reports[0], Failed)
    assert (reports[0].job, reports[0].kind) == (2, "final")
    assert measured == [2, 1]
    is_open = False
    assert gate.free("plan") == 0


def test_settings_in_errors_of_requests() -> None:
    assert spell_field("audio_codec", None) == "acodec"
    assert spell_field("crf", "99") == "crf=99"
    assert spell_field("overwrite", "True") == "overwrite=true"
    assert spell_field("audio", "False") == "no-audio=true"


def test_jobs_of_a_higher_priority_go_first(tmp_path: Path) -> None:
    with Queue(tmp_path / "q.sqlite") as queue:
        specs = [JobSpec("s", f"/out/{number}") for number in range(4)]
        numbers = queue.add([(spec, None) for spec in specs], {specs[2].place: 5})
        queue.prioritise(numbers[3], -1)
        queue.prioritise(numbers[1], 7)
        owner = Owner.current()
        claimed = [job.spec.output for _ in specs if (job := queue.claim("plan", owner)) is not None]
        assert claimed == ["/out/1", "/out/2", "/out/0", "/out/3"]
        assert [job.id for job in queue.page((), 2)] == numbers[:1:-1]
        assert [job.id for job in queue.page(["running"], 9, numbers[2])] == numbers[1::-1]
        assert queue.page(["done"], 9) == []
        queue.check_writable()


def test_a_queue_of_the_version_before_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    with Queue(path) as queue:
        queue.add([(JobSpec("s", "/out/0"), None)])
    with sqlite3.connect(path) as database:
        database.executescript("DROP INDEX next; ALTER TABLE jobs DROP COLUMN priority; PRAGMA user_version = 1;")
        database.executescript("DROP TABLE places; ALTER TABLE jobs DROP COLUMN made;")
        database.execute("CREATE INDEX next ON jobs (state, stage, id)")
    database.close()
    with Queue(path) as queue:
        assert [(job.spec.output, job.priority) for job in queue.jobs()] == [("/out/0", 0)]
        assert queue.find(JobSpec("s", "/out/0").place) is not None
        assert queue.claim("plan", Owner.current()) is not None
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone()[0] == VERSION
    database.close()
