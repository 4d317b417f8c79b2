"""Jobs of ``batch`` that are ladders: one analysis, key frames at the same times, kills, bad rungs, what is not made again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest
from clips import make_clip
from kills import processes_with, strays
from packets import video_times
from program import run
from schemas import validator
from waiting import HANG_SECONDS, wait_until

from gpu_saliency.batch.place import STATE_FOLDER, Place
from gpu_saliency.batch.queue.queue import Queue

QUICK = ("--preset", "ultrafast", "--every", "12", "--prove", "none", "--no-equal-size", "--no-cache", "--threads", "1")
"""Options of short jobs: little analysis, and no further encodes."""
RUNGS = ("--rung", "source:crf=26", "--rung", "64x48:crf=30", "--rung", "-2:32:bitrate=50k", "--keyint", "6")
NAMES = ("source", "64x48", "h32")
SIZES = {"source": (96, 64), "64x48": (64, 48), "h32": (48, 32), "small": (64, 48)}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of 18 and 21 frames of 96x64, one with sound."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(2):
        make_clip(folder / f"c{number}.mp4", size="96x64", rate=12, seconds=1.5 + number / 4, audio=number == 1)
    return folder


def _command(jobs: Path | str, out: Path, *more: object) -> list[str]:
    command = [sys.executable, "-m", "gpu_saliency", "batch", str(jobs), "--out-dir", str(out), "--json", "--results"]
    return [*command, f"{out}.ndjson", *QUICK, *map(str, more)]


def _batch(jobs: Path | str, out: Path, *more: object, **variables: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, the objects of the jobs, and stderr."""
    done = subprocess.run(
        _command(jobs, out, *more), capture_output=True, text=True, timeout=HANG_SECONDS, env=os.environ | variables
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode:
        assert validator("error").is_valid(lines.pop())
    for line in lines:
        assert not [error.message for error in validator("batch").iter_errors(line)]
        if line.get("result"):
            kind = "ladder" if "rungs" in line["result"] else "encode"
            assert not list(validator(kind).iter_errors(line["result"]))
    return done.returncode, lines, done.stderr


def _files(out: Path) -> dict[str, bytes]:
    """The visible files; there must be no hidden ones but the state, and no maps or journals."""
    wait_until(lambda: strays(out) == [STATE_FOLDER], "temporary folders are removed")
    assert list(Place.of(out).maps.iterdir()) == []
    found = (path for path in sorted(out.rglob("[!.]*")) if path.is_file() and STATE_FOLDER not in path.parts)
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def _facts(path: Path) -> tuple[tuple[int, int], list[float]]:
    """Size of the picture, and the times of the key frames after the first frame."""
    first = video_times(path)[0]
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        keys = [packet for packet in container.demux(video) if packet.size and packet.is_keyframe]
        size = video.width, video.height
    return size, sorted(round(float(key.pts * key.time_base) - first, 3) for key in keys if key.pts is not None)


@pytest.fixture(scope="module")
def undisturbed(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing disturbs."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    code, lines, err = _batch(clips, out, *RUNGS)
    assert code == 0, err
    assert [line["state"] for line in lines] == ["done"] * 2
    for line in lines:
        # The maps of the one plan stage serve all outputs.
        assert [one["analysis"]["reused_from"] for one in line["result"]["rungs"]] == [
            str(Place.of(out).maps / f"{line['job']}.saliency.npz")
        ] * 3
        assert [(one["rung"], one["done"]) for one in line["outputs"]] == [(name, True) for name in NAMES]
        assert line["outputs"][2]["options"] == {"scale": "-2:32", "bitrate": "50k"}
        last = 1.0 if line["source"].endswith("c0.mp4") else 1.5
        assert line["result"]["key_frames"] == [0, 0.5, 1, 1.5][: round(last / 0.5) + 1]
        for one in line["outputs"]:
            assert _facts(Path(one["path"])) == (SIZES[one["rung"]], line["result"]["key_frames"])
    return _files(out)


def test_the_files_are_those_of_encode(clips: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    assert set(undisturbed) == {f"c{i}-{name}.mp4{end}" for i in (0, 1) for name in NAMES for end in ("", ".saliency.npz")}
    one = ("--scale", "64x48", "--crf", "30", "--keyint", "6", *QUICK)
    assert run("encode", "--src", clips / "c1.mp4", "--output", tmp_path / "one.mp4", *one).code == 0
    assert (tmp_path / "one.mp4").read_bytes() == undisturbed["c1-64x48.mp4"]


def test_lists_bad_rungs_and_what_is_finished(clips: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """A list as JSONL and one as CSV; bad rungs beside good ones; then one rung more, and one output that is gone."""
    c0, c1 = str(clips / "c0.mp4"), str(clips / "c1.mp4")
    rows: list[dict[str, object]] = [
        {"src": c0, "rungs": [{"crf": 26, "name": "source"}, {"scale": "64x48", "crf": 30}, "-2:32:bitrate=50k"]},
        {"src": c1, "rungs": ["64x48:crf=99", "32x32"]},
        {"src": c1, "rungs": [{"scale": "64x48", "speed": 1}]},
        {"src": c1, "rungs": "64x48 64x48:crf=20"},
        {"src": c1, "rungs": ["64x48", "32x32"], "output": "same.mp4"},
        {"src": c1, "rungs": ["64x48:encoder=libvvenc"]},
        {"src": c1, "rungs": 7},
        {"src": c1, "rungs": ["64x48:crf=30", "65x49:crf=30"], "output": "odd/{name}.{rung}.mp4"},
        {"src": c1, "output": "plain.mp4", "rungs": False},
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out"
    code, lines, err = _batch(tmp_path / "list.jsonl", out, "--keyint", 6)
    assert code == 1
    assert Counter(line["state"] for line in lines) == {"done": 2, "failed": 1, "refused": 6}
    errors = [line for line in err.splitlines() if line.startswith("ERROR")]
    for number, words in (
        (2, "rung 64x48: --crf 99: out of range"),
        (3, "has no key speed (one of name, scale"),
        (4, "two are named 64x48 (give rungs of different sizes"),
        (5, "the rungs 64x48 and 32x32 have the same output"),
        (6, "rung 64x48-libvvenc: "),
        (7, "is neither text nor an object"),
    ):
        (line,) = [one for one in errors if f"list.jsonl:{number}" in one]
        assert words in line
        assert line.endswith(")"), "it names the cure"
    failed = next(line for line in lines if line["state"] == "failed")
    assert "would be 65x49" in failed["error"]["message"]
    files = _files(out)
    assert {name for name in files if name.endswith(".mp4")} == {"c0-source.mp4", "c0-64x48.mp4", "c0-h32.mp4", "plain.mp4"}
    assert all(files[name] == undisturbed[name] for name in files if name.startswith("c0"))

    # One rung more, in a list as CSV, and an output that is gone: these are made, and nothing else.
    assert "(0 of 2 outputs finished)" in run("batch", "status", "--out-dir", out).out
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.mp4")}
    (out / "c0-64x48.mp4").unlink()
    (tmp_path / "list.csv").write_text(
        f'src,rungs\n{c0},"source:crf=26:name=source\n64x48:crf=30\n-2:32:bitrate=50k\n32x32:name=tiny"\n'
    )
    code, lines, err = _batch(tmp_path / "list.csv", out, "--keyint", 6)
    assert [(line["state"], len(line["outputs"])) for line in lines] == [("done", 4)], err
    rungs = lines[0]["result"]["rungs"]
    assert [Path(one["output"]["path"]).name for one in rungs] == [f"c0-{name}.mp4" for name in (*NAMES, "tiny")]
    # The maps are those of an output that was finished: the clip is not analysed again.
    assert all(one["analysis"]["reused"] for one in rungs)
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("*.mp4")}
    assert {name for name in after if before.get(name) != after[name]} == {"c0-64x48.mp4", "c0-tiny.mp4"}
    assert (out / "c0-64x48.mp4").read_bytes() == undisturbed["c0-64x48.mp4"]
    # One that was changed by somebody else is not replaced when another one is made again.
    (out / "c0-64x48.mp4").unlink()
    (out / "c0-tiny.mp4").write_text("mine")
    code, lines, err = _batch(tmp_path / "list.csv", out, "--keyint", 6)
    assert [(line["state"], line["error"]["message"]) for line in lines] == [("failed", f"{out / 'c0-tiny.mp4'}: exists")]
    assert (out / "c0-tiny.mp4").read_text() == "mine"


def _runs(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


@pytest.mark.parametrize(("name", "kills"), [("c1.mp4", 1), pytest.param(".", 5, marks=pytest.mark.slow)])
def test_a_killed_ladder_goes_on(clips: Path, undisturbed: dict[str, bytes], tmp_path: Path, name: str, kills: int) -> None:
    """SIGKILL at the moment when an output has appeared, of which nothing may be noted yet; then each time that another has."""
    out = tmp_path / "out"
    mark = f"LADDER_TEST_{random.Random(str(tmp_path)).getrandbits(64):x}"
    finished: dict[str, tuple[int, int]] = {}

    def check_unchanged() -> None:
        for path in out.glob("*.mp4"):
            facts = path.stat().st_ino, path.stat().st_mtime_ns
            assert finished.setdefault(path.name, facts) == facts

    for number in range(1, kills + 1):

        def is_there(number: int = number) -> bool:
            return len(list(out.glob("*.mp4"))) >= number

        command = _command(clips / name, out, *RUNGS, "--encode-workers", 1)
        with subprocess.Popen(command, env=os.environ | {mark: "1"}, stdout=subprocess.DEVNULL) as process:
            wait_until(is_there, f"output {number}", alive=partial(_runs, process))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        wait_until(lambda: not processes_with(mark), "no process remains")
        check_unchanged()
    status = run("batch", "status", "--out-dir", out).out
    assert "of 3 outputs finished)" in status or "1 done" in status
    code, _, err = _batch(clips / name, out, *RUNGS)
    assert code == 0, err
    check_unchanged()
    assert _files(out) == {file: data for file, data in undisturbed.items() if name in (".", f"{file[:2]}.mp4")}
    assert len(finished) == (3 if name == "c1.mp4" else 6)
    results = [json.loads(line) for line in Path(f"{out}.ndjson").read_text().splitlines()]
    # A kill right after the end of a job can come before its line.
    assert {line["state"] for line in results} == {"done"}
    assert max(Counter(line["job"] for line in results).values()) == 1
    with Queue(Place.of(out).queue) as queue:
        jobs = queue.jobs()
    assert [job.state for job in jobs] == ["done"] * (len(finished) // 3)
    for job in jobs:
        assert job.result is not None
        assert [Path(one["output"]["path"]).name for one in job.result["rungs"]] == [Path(path).name for path in job.spec.outputs]
        assert set(job.made) == set(job.spec.outputs)
