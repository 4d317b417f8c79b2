"""``serve`` from start to end: real requests, real encodes; cancelled jobs, attacked paths, ended and killed servers."""

from __future__ import annotations

import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")
from clips import make_clip
from jsonschema import Draft202012Validator
from kills import strays
from program import run
from schemas import validator
from service import QUICK, Service
from waiting import HANG_SECONDS, wait_until

from gpu_saliency.batch.queue.queue import Queue


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip of 12 frames, and one whose encode takes long with the slowest preset."""
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "short.mp4", size="96x64", rate=12, seconds=1, audio=True)
    make_clip(folder / "long.mp4", size="320x180", seconds=20)
    return folder


LONG: dict[str, Any] = {"preset": "placebo", "every": 1000}


@pytest.fixture(scope="module")
def service(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with one encode at a time."""
    folder = tmp_path_factory.mktemp("service")
    shutil.copytree(clips, folder / "root")
    with Service(folder, "--encode-workers", 1, "--plan-workers", 1) as service:
        yield service


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_job_from_submission_to_download(service: Service, clips: Path, tmp_path: Path) -> None:
    with service.events() as events:
        number = service.submit("short.mp4", "made/short.mp4", priority=3)
        seen = []
        for kind, facts in events:
            if kind == "job" and facts["id"] == number:
                seen.append((facts["state"], facts["stage"]))
                if facts["state"] == "done":
                    break
    in_order = [("queued", "plan"), ("running", "plan"), ("queued", "encode"), ("running", "encode"), ("done", "encode")]
    # The first may come in either order: the scheduler can be faster than the answer to the submission.
    assert sorted(seen) == sorted(in_order)
    assert [one for one in seen if one != ("queued", "plan")] == in_order[1:]
    job = service.job(number)
    assert (job["state"], job["frames"], job["priority"], job["tries"]) == ("done", 12, 3, 0)

    status, result = service.ask("GET", f"/api/jobs/{number}/result")
    assert status == 200
    assert not list(validator("encode").iter_errors(result))
    flags = [word for name, value in QUICK.items() for word in ([f"--{name}"] if value is True else [f"--{name}", value])]
    assert run("encode", "--src", clips / "short.mp4", "--output", tmp_path / "same.mp4", *flags).code == 0
    status, headers, content = service.send("GET", f"/api/jobs/{number}/output")
    assert (status, content) == (200, (tmp_path / "same.mp4").read_bytes())
    assert headers["content-disposition"] == 'attachment; filename="short.mp4"'
    part = service.send("GET", f"/api/jobs/{number}/output", headers=service.headers | {"Range": "bytes=4-7"})
    assert (part[0], part[2]) == (206, b"ftyp")
    for given, expected in (
        ("bytes=9-3", 200),
        ("bytes=0-1,4-5", 200),
        ("lines=1-2", 200),
        ("bytes=-4", 206),
        (f"bytes={10**9}-", 416),
    ):
        assert service.send("GET", f"/api/jobs/{number}/output", headers=service.headers | {"Range": given})[0] == expected

    # The same again is not done again; other options need the word.
    same: dict[str, Any] = {"source": "short.mp4", "output": "made/short.mp4", "options": QUICK}
    status, taken = service.ask("POST", "/api/jobs", same)
    assert (status, taken["new"], taken["jobs"][0]["id"]) == (200, 0, number)
    assert service.ask("POST", "/api/jobs", same | {"options": QUICK | {"crf": 40}})[0] == 409
    assert service.ask("POST", f"/api/jobs/{number}/retry")[0] == 409
    assert service.ask("POST", f"/api/jobs/{number}/cancel")[0] == 409
    assert service.metric('gpu_saliency_jobs_ended_total{state="done"}') >= 1
    assert service.metric('gpu_saliency_stage_seconds_count{outcome="done",stage="encode"}') >= 1
    assert service.metric('gpu_saliency_free_bytes{folder="' + str(service.root) + '"}') > 0


def test_a_ladder_from_submission_to_download(service: Service, tmp_path: Path) -> None:
    """Two outputs; bad rungs, and paths that lead out."""
    job: dict[str, Any] = {"source": "short.mp4", "output": "ladder/{name}.{rung}.mp4", "options": QUICK}
    rungs: list[object] = [{"scale": "64x48", "crf": 30.0}, "source:name=full"]
    status, taken = service.ask("POST", "/api/jobs", job | {"rungs": rungs})
    assert (status, taken["new"]) == (201, 1)
    number = taken["jobs"][0]["id"]
    names = ["short.64x48.mp4", "short.full.mp4"]
    assert [one["path"] for one in taken["jobs"][0]["outputs"]] == [str(service.root / "ladder" / name) for name in names]
    for bad, expected, words in (
        (["64x48:crf=99"], 422, "rung 64x48: crf=99: out of range"),
        (["64x48:speed=1"], 422, "has no key speed"),
        ([{"speed": 1}], 422, "speed"),
        (["64x48", "64x48"], 422, "two are named 64x48"),
        (["64x48:name=../../x"], 422, "is no name of a file"),
        (["64x48:encoder=libvvenc"], 2, "rung 64x48-libvvenc"),
        ("64x48", 422, ""),
    ):
        status, refused = service.ask("POST", "/api/jobs", job | {"output": "bad/{rung}.mp4", "rungs": bad})
        assert status in (expected, 422), refused
        assert words in refused["error"]["message"]
    for output in ("../{rung}.mp4", f"{tmp_path}/{{rung}}.mp4"):
        assert service.ask("POST", "/api/jobs", job | {"output": output, "rungs": rungs})[0] == 403
    # A single encode must not take an output of a ladder that waits or is done.
    assert service.ask("POST", "/api/jobs", job | {"output": f"ladder/{names[1]}"})[0] == 409
    done = service.wait_for(number, "done", "failed")
    assert [(one["number"], one["rung"], one["done"]) for one in done["outputs"]] == [(1, "64x48", True), (2, "full", True)]
    status, result = service.ask("GET", f"/api/jobs/{number}/result")
    assert not list(validator("ladder").iter_errors(result))
    assert [(one["output"]["width"], one["output"]["height"]) for one in result["rungs"]] == [(64, 48), (96, 64)]
    for one, name in enumerate(names, 1):
        status, headers, content = service.send("GET", f"/api/jobs/{number}/outputs/{one}")
        assert (status, content) == (200, (service.root / "ladder" / name).read_bytes())
        assert headers["content-disposition"] == f'attachment; filename="{name}"'
    assert service.send("GET", f"/api/jobs/{number}/output")[2] == (service.root / "ladder" / names[0]).read_bytes()
    for one in (0, 3, 10**30):
        assert service.send("GET", f"/api/jobs/{number}/outputs/{one}")[0] == 404
    assert service.ask("POST", "/api/jobs", job | {"rungs": rungs})[1]["new"] == 0


@pytest.mark.slow
def test_a_cancelled_ladder_goes_on_after_what_is_finished(service: Service) -> None:
    slow = {"source": "long.mp4", "options": QUICK | {"every": 1000}, "rungs": ["64x36", "source:preset=placebo"]}
    number = service.ask("POST", "/api/jobs", slow)[1]["jobs"][0]["id"]
    service.wait_for_step(number, "rung 2 of 2: encoding")
    first = service.root / "long.roi-64x36.mp4"
    made = first.stat().st_mtime_ns
    assert service.ask("POST", f"/api/jobs/{number}/cancel")[0] == 200
    cancelled = service.wait_for(number, "cancelled", "done", "failed")
    assert [(one["path"], one["done"]) for one in cancelled["outputs"]] == [
        (str(first), True),
        (str(service.root / "long.roi-source.mp4"), False),
    ]
    assert service.send("GET", f"/api/jobs/{number}/outputs/1")[0] == 200
    assert service.send("GET", f"/api/jobs/{number}/outputs/2")[0] == 409
    wait_until(lambda: strays(service.root) == [], "temporary files are removed")
    assert not [name for name in _files(service.root) if name.startswith("long.roi-source")]
    assert _files(service.state / "maps") == set()
    # Tried again, it goes on with the second.
    service.ask("POST", f"/api/jobs/{number}/retry")
    service.wait_for_step(number, "rung 2 of 2: encoding")
    service.ask("POST", f"/api/jobs/{number}/cancel")
    service.wait_for(number, "cancelled", "done", "failed")
    assert first.stat().st_mtime_ns == made
    for path in service.root.glob("long.roi-*"):
        path.unlink()


def test_cancel_in_mid_encode_and_a_folder_that_becomes_a_link(service: Service, tmp_path: Path) -> None:
    """One job encodes, another waits with its maps; then the other's folder leads elsewhere, and the first is cancelled."""
    before = _files(service.root)
    number = service.submit("long.mp4", "cancelled/long.mp4", **LONG)
    service.wait_for_step(number, "encoding")
    assert service.ask("POST", "/api/jobs", {"source": "short.mp4", "output": "cancelled/long.mp4"})[0] == 409
    attacked = service.submit("short.mp4", "swapped/short.mp4", priority=9)
    waiting = service.submit("short.mp4", "kept/waiting.mp4", priority=5)
    for one in (attacked, waiting):
        service.wait_for(one, "queued", stage="encode")
    last = service.submit("short.mp4", "kept/last.mp4")
    outside = tmp_path / "outside"
    outside.mkdir()
    (service.root / "swapped").rmdir()
    (service.root / "swapped").symlink_to(outside)
    # A job that only waits is cancelled at once, and its maps go.
    assert service.ask("POST", f"/api/jobs/{waiting}/cancel")[1]["state"] == "cancelled"
    assert service.ask("POST", f"/api/jobs/{number}/cancel")[0] == 200
    assert service.wait_for(number, "cancelled", "done", "failed")["state"] == "cancelled"

    failed = service.wait_for(attacked, "failed", "done")
    assert failed["state"] == "failed"
    assert "not below an allowed folder" in failed["error"]["message"]
    assert list(outside.iterdir()) == []
    done = service.wait_for(last, "done", "failed")
    assert done["state"] == "done"
    assert done["started"] is not None
    (service.root / "swapped").unlink()
    wait_until(lambda: strays(service.root / "cancelled") == [], "temporary files are removed")
    assert _files(service.root) - before == {"kept/last.mp4", "kept/last.mp4.saliency.npz"}
    assert _files(service.state / "maps") == set()

    # The folder is mended, and the job tried again.
    (service.root / "swapped").mkdir()
    assert service.ask("POST", f"/api/jobs/{attacked}/retry")[0] == 200
    assert service.wait_for(attacked, "done", "failed")["state"] == "done"
    assert (service.root / "swapped/short.mp4").exists()
    # Its output becomes a link to a file elsewhere: it is not sent.
    shutil.move(service.root / "swapped/short.mp4", outside / "secret")
    (service.root / "swapped/short.mp4").symlink_to(outside / "secret")
    assert service.send("GET", f"/api/jobs/{attacked}/output")[0] in (403, 422)


def test_attacked_paths(service: Service, tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    shutil.copy(service.root / "short.mp4", secret)
    (service.root / "link.mp4").symlink_to(secret)
    (service.root / "out-link").symlink_to(tmp_path)
    (service.root / "beside.mp4").symlink_to(tmp_path / "new.mp4")
    (service.root / "x.mp4.saliency.npz").symlink_to(tmp_path / "x.npz")
    maps = service.root / "maps"
    maps.mkdir()
    (maps / "0.png").symlink_to("/etc/passwd")
    good: dict[str, object] = {"source": "short.mp4", "output": "new.mp4"}
    bad: list[dict[str, object]] = [
        good | {"source": str(secret)},
        good | {"source": f"../../{tmp_path.name}/secret.mp4"},
        good | {"source": f"{service.root}/../secret.mp4"},
        good | {"source": "link.mp4"},
        good | {"source": "out-link/secret.mp4"},
        good | {"source": str(service.state / "token")},
        good | {"source": f"{service.root}-other/short.mp4"},
        good | {"source": "/proc/self/root/etc/passwd"},
        good | {"output": str(tmp_path / "new.mp4")},
        good | {"output": "../new.mp4"},
        good | {"output": "out-link/new.mp4"},
        good | {"output": "beside.mp4"},
        good | {"output": "x.mp4"},
        good | {"output": str(service.state / "queue.sqlite")},
        good | {"options": {"sidecar": "../x.npz"}},
        good | {"options": {"sidecar": "out-link/x.npz"}},
        good | {"options": {"maps": "/etc"}},
        good | {"options": {"maps": "maps"}},
        good | {"options": {"saliency-model": "/etc/passwd"}},
        good | {"options": {"saliency-model": "out-link/model.onnx"}},
    ]
    for one in bad:
        status, answer = service.ask("POST", "/api/jobs", one)
        assert (status, answer["error"]["kind"]) == (403, "outside"), (one, answer)
    for options in ({"ffmpeg-bin": "/bin/sh"}, {"allow-playlists": True}, {"overwrite": "yes"}, {"crf": 99}, {"no": 1}):
        assert service.ask("POST", "/api/jobs", good | {"options": options})[0] == 422
    assert service.ask("POST", "/api/jobs", good | {"source": "a\0b"})[0] == 400
    # In a list the good ones are taken.
    status, taken = service.ask("POST", "/api/jobs", [bad[0], good | {"options": QUICK}, good])
    assert status == 201
    assert [one["number"] for one in taken["refused"]] == [0, 2]
    assert service.wait_for(taken["jobs"][0]["id"], "done", "failed")["state"] == "done"
    assert _files(tmp_path) == {"secret.mp4"}


def test_who_may_ask_and_how_much(service: Service) -> None:
    assert service.token is not None
    assert (service.state / "token").stat().st_mode & 0o777 == 0o600
    assert service.token not in Path(f"/proc/{service.process.pid}/cmdline").read_text()
    guarded = ["/api/jobs", "/api/jobs/1", "/api/jobs/1/result", "/api/jobs/1/output", "/api/events", "/api/status", "/metrics"]
    wrong = [{}, {"Authorization": "Bearer "}, {"Authorization": service.token}, {"Authorization": f"Bearer {service.token}x"}]
    for path in guarded:
        for headers in wrong:
            status, answered, _ = service.send("GET", path, headers=headers)
            assert (status, answered["www-authenticate"]) == (401, "Bearer")
    assert service.send("POST", "/api/jobs", {}, headers={"Content-Type": "application/json"})[0] == 401
    for path in ("/", "/app.js", "/healthz", "/readyz", "/openapi.json"):
        assert service.send("GET", path, headers={})[0] == 200
    assert service.send("GET", "/healthz", headers={"Host": "evil.example"})[0] == 403
    assert service.send("GET", "/api/status", headers=service.headers | {"Origin": "http://evil.example"})[0] == 403
    assert service.send("POST", "/api/jobs", headers=service.headers, data=b"[" + b" " * (1 << 20) + b"]")[0] == 413
    assert service.send("POST", "/api/jobs", headers=service.headers | {"Content-Type": "text/plain"}, data=b"{}")[0] == 415
    assert service.send("POST", "/api/jobs", headers=service.headers, data=b"{")[0] == 400
    assert service.send("DELETE", "/api/jobs/1")[0] == 405
    assert service.ask("GET", "/api/jobs/999999")[0] == 404
    assert service.ask("GET", f"/api/jobs/{10**30}")[0] == 404
    document = service.ask("GET", "/openapi.json")[1]
    Draft202012Validator.check_schema(document["components"]["schemas"]["Options"])
    assert "crf" in document["components"]["schemas"]["Options"]["properties"]
    assert "ffmpeg-bin" not in document["components"]["schemas"]["Options"]["properties"]


def test_pages_of_jobs_by_state(service: Service) -> None:
    listed, before = [], None
    while True:
        query = "state=done&state=failed&state=cancelled&limit=2" + (f"&before={before}" if before else "")
        status, page = service.ask("GET", f"/api/jobs?{query}")
        assert status == 200
        listed += [job["id"] for job in page["jobs"]]
        if (before := page["next"]) is None:
            break
    assert listed == sorted(listed, reverse=True)
    assert sum(service.ask("GET", "/api/status")[1]["counts"].values()) == len(listed)
    for bad in ("state=none", "limit=0", "limit=501", "limit=x", "before=-1", "before=null", "more=1", "limit=1&limit=2"):
        assert service.ask("GET", f"/api/jobs?{bad}")[0] == 422


@pytest.mark.slow
def test_fifty_clients_with_a_slow_one_and_one_that_vanishes(clips: Path, tmp_path: Path) -> None:
    """Each client submits a job of its own, and follows it by events; all files are made, and nobody is kept waiting."""
    shutil.copytree(clips, tmp_path / "root")
    with Service(tmp_path, "--encode-workers", 2) as service:
        slow = [service.connect() for _ in range(20)]
        for number, one in enumerate(slow):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            head = f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\nAuthorization: Bearer {service.token}\r\n"
            one.sendall((head + ("\r\n" if number % 2 else "")).encode())  # half of them never end their request
        for number in range(20):
            gone = service.connect()
            gone.sendall(f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n".encode())
            if number % 2:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            gone.close()

        def client(number: int) -> str:
            with service.events() as events:
                job = service.submit("short.mp4", f"out/{number}.mp4", priority=number % 5)
                for _ in range(5):
                    assert service.ask("PATCH", f"/api/jobs/{job}", {"priority": number % 7})[0] == 200
                    assert service.ask("GET", "/api/jobs?limit=20")[0] == 200
                for kind, facts in events:
                    if kind == "reset" or (kind == "job" and facts["id"] == job and facts["state"] in ("done", "failed")):
                        break
                return str(service.wait_for(job, "done", "failed")["state"])

        with ThreadPoolExecutor(50) as pool:
            assert list(pool.map(client, range(50))) == ["done"] * 50
        assert len({path.read_bytes() for path in (service.root / "out").glob("*.mp4")}) == 1
        assert service.ask("GET", "/readyz")[0] == 200
        for one in slow:
            one.close()
        wait_until(lambda: service.metric("gpu_saliency_event_clients") == 0, "the clients are forgotten")


@pytest.mark.slow
def test_killed_with_jobs_in_flight_it_goes_on(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips, tmp_path / "root")
    with Service(tmp_path, "--encode-workers", 2) as service:
        first = service.submit("short.mp4", "first.mp4")
        service.wait_for(first, "done")
        long = service.submit("long.mp4", "out/long.mp4", **LONG)
        others = [service.submit("short.mp4", f"{number}.mp4") for number in range(6)]
        service.wait_for_step(long, "encoding")
        token = service.token
        assert service.end(signal.SIGKILL)[0] == -signal.SIGKILL
    with Service(tmp_path, "--encode-workers", 2) as service:
        assert service.token == token
        service.wait_for(long, "running", "done")
        for number in others:
            assert service.wait_for(number, "done", "failed")["state"] == "done"
        assert service.job(first)["finished"] < service.job(others[0])["finished"]
        service.ask("POST", f"/api/jobs/{long}/cancel")
        service.wait_for(long, "cancelled", "done")
    made = {path.read_bytes() for path in service.root.glob("[0-9].mp4")}
    assert made == {(service.root / "first.mp4").read_bytes()}
    wait_until(lambda: strays(service.root, service.root / "out") == [], "temporary files are removed")
    assert _files(service.state / "maps") == set()


@pytest.mark.slow
def test_sigterm_finishes_what_runs_and_the_second_one_does_not(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips, tmp_path / "root")
    with Service(tmp_path, "--encode-workers", 1, "--plan-workers", 1) as service:
        running = service.submit("long.mp4", "running.mp4", preset="veryslow", every=1000)
        service.wait_for_step(running, "encoding")
        waiting = service.submit("short.mp4", "waiting.mp4")
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: service.ask("GET", "/readyz")[0] == 503, "it is not ready any more")
        assert service.ask("POST", "/api/jobs", {"source": "short.mp4"})[0] == 503
        assert service.job(running)["state"] == "running"
        assert service.end(None)[0] == 0
    with Queue(service.state / "queue.sqlite") as queue:
        states = {job.id: job.state for job in queue.jobs()}
    assert states == {running: "done", waiting: "queued"}
    with Service(tmp_path) as service:
        assert service.wait_for(waiting, "done", "failed")["state"] == "done"
        again = service.submit("long.mp4", "again.mp4", **LONG)
        service.wait_for_step(again, "encoding")
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: service.ask("GET", "/readyz")[0] == 503, "the first signal is handled")
        assert service.end()[0] == 130
    assert "again.mp4" not in _files(tmp_path / "root")
    wait_until(lambda: strays(tmp_path / "root") == [], "temporary files are removed")


@pytest.mark.slow
def test_a_watched_folder(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips, tmp_path / "root")
    watched, out = tmp_path / "root/in", tmp_path / "root/in/done"
    (watched / "sub").mkdir(parents=True)
    flags = [word for name, value in QUICK.items() for word in ([f"--{name}"] if value is True else [f"--{name}", value])]
    arguments = ("--watch", watched, "--watch-out", out, "--watch-still", 1, *flags)
    content = (clips / "short.mp4").read_bytes()
    with Service(tmp_path, *arguments) as service:
        growing = watched / "growing.mp4"
        (watched / "note.txt").write_text("no clip")
        (watched / "outside.mp4").symlink_to(clips / "short.mp4")
        shutil.copy(clips / "short.mp4", watched / "sub/one.mp4")
        for share in range(1, 12):
            growing.write_bytes(content[: len(content) * share // 20])
            time.sleep(0.25)  # less than the time for which it must be still, so that it is not
            assert all("growing" not in job["source"] for job in service.ask("GET", "/api/jobs")[1]["jobs"])
        growing.write_bytes(content)
        wait_until(lambda: (out / "growing.mp4").exists() and (out / "sub/one.mp4").exists(), "both are encoded")
        wait_until(lambda: service.ask("GET", "/api/status")[1]["counts"]["done"] == 2, "both are done")
    before = (out / "growing.mp4").stat().st_mtime_ns
    with Service(tmp_path, *arguments) as service:
        shutil.copy(clips / "short.mp4", watched / "new.mp4")
        wait_until(lambda: (out / "new.mp4").exists(), "the new one is encoded")
        wait_until(lambda: service.ask("GET", "/api/status")[1]["counts"]["done"] == 3, "it is done")
        jobs = service.ask("GET", "/api/jobs")[1]["jobs"]
    assert len(jobs) == 3
    assert (out / "growing.mp4").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_full_disk_and_a_queue_that_cannot_be_written(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips, tmp_path / "root")
    with Service(tmp_path, "--min-free", "900000G") as service:
        status, ready = service.ask("GET", "/readyz")
        assert (status, ready["ready"], ready["checks"]["disk"]) == (503, False, False)
        assert ready["checks"]["queue"]
        status, refused = service.ask("POST", "/api/jobs", {"source": "short.mp4"})
        assert (status, refused["error"]["kind"]) == (507, "output")
    with Service(tmp_path) as service:
        wait_until(lambda: service.ask("GET", "/readyz")[0] == 200, "it is ready")
        # Another process holds the database: requests wait, and end with a clear answer or the right one.
        with sqlite3.connect(service.state / "queue.sqlite", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            assert service.ask("GET", "/api/jobs")[0] == 200
            assert service.ask("GET", "/healthz")[0] == 200
            other.execute("ROLLBACK")
        assert service.wait_for(service.submit("short.mp4", "a.mp4"), "done", "failed")["state"] == "done"


@pytest.mark.slow
def test_the_openapi_document_holds_for_generated_requests(clips: Path, tmp_path: Path) -> None:
    """Schemathesis makes requests from the document, good and bad, and compares each answer with it."""
    pytest.importorskip("schemathesis")
    shutil.copytree(clips, tmp_path / "root")
    with Service(tmp_path) as service:
        service.wait_for(service.submit("short.mp4", "short.out.mp4"), "done")
        command = [Path(sys.executable).with_name("schemathesis"), "run", f"{service.url}openapi.json"]
        command += ["-H", f"Authorization: Bearer {service.token}", "--exclude-path", "/api/events", "--max-examples", "10"]
        command += ["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--seed", "1", "--no-color"]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=tmp_path, timeout=4 * HANG_SECONDS)
        assert done.returncode == 0, done.stdout
        assert service.ask("GET", "/healthz")[0] == 200


def test_refused_command_lines(tmp_path: Path) -> None:
    inner = tmp_path / "root/inner"
    inner.mkdir(parents=True)
    root = tmp_path / "root"
    weak = tmp_path / "weak"
    weak.write_text("x" * 20)
    short = tmp_path / "short"
    short.write_text("short")
    short.chmod(0o600)
    state = ("--state", tmp_path / "state")
    for arguments, words in (
        (("--root", tmp_path / "none", *state), "--root"),
        (("--root", root, "--state", inner), "lie in each other"),
        (("--root", inner, "--state", root), "lie in each other"),
        (("--root", root, *state, "--no-token", "--host", "0.0.0.0"), "--no-token"),
        (("--root", root, *state, "--token-file", weak), "chmod 600"),
        (("--root", root, *state, "--token-file", short), "no token"),
        (("--root", root, *state, "--watch", inner), "--watch-out"),
        (("--root", root, *state, "--watch", tmp_path, "--watch-out", inner), "not below an allowed folder"),
        (("--root", root, *state, "--min-free", "much"), "--min-free"),
        (("--root", root, *state, "--port", 99999), "--port"),
    ):
        done = run("serve", *arguments)
        assert done.code == 64, (arguments, done.err)
        assert len(done.errors) == 1
        assert words in done.errors[0]
    assert list(inner.iterdir()) == []
