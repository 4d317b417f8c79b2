"""The judge: what it lets pass and what it finds, with runs made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clips import ffmpeg
from fuzzing.campaign import Bench, run_campaign
from fuzzing.case import APART, CLEAN, FAILED, RIGHT, WARNED, Case, Fault, Name, Run, Verdict
from fuzzing.facts import read_facts
from fuzzing.make_source import PAIRS, pair
from fuzzing.nursery import CONTAINERS, FRAMES, Container
from fuzzing.oracle import judge

NAME = Name("source", 1, 1)
BY_NAME = {one.name: one for one in CONTAINERS}
WARNING = "WARNING: clip.mkv: 5 frames decoded, the file declares 12"


def _run(code: int = 0, *, out: str = "", err: str = "", files: tuple[str, ...] = ("out/o.mkv",)) -> Run:
    return Run(code, out, err, 0.1, 100.0, files=list(files))


def _case(folder: Path, source: Path, **more: object) -> Case:
    (folder / "out").mkdir(exist_ok=True)
    return Case("test", ["encode"], source, folder / "out" / "o.mkv", **more)  # type: ignore[arg-type]


def _judge(folder: Path, case: Case, run: Run) -> Verdict:
    return judge(NAME, case, run, folder, 60)


def _encode(source: Path, folder: Path, *arguments: object) -> None:
    (folder / "out").mkdir(exist_ok=True)
    ffmpeg(
        "-i",
        source,
        *arguments,
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "demux",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-c:a",
        "copy",
        folder / "out" / "o.mkv",
    )


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda one: one.name)
def test_an_intact_clip_is_known_to_be_complete(container: Container, bench: Bench) -> None:
    """Both readers find all frames, and nothing is missing or damaged."""
    facts = read_facts(bench.nursery.clip(container), 60)
    assert (facts.frames, facts.cli_frames) == (FRAMES, FRAMES)
    assert (facts.missing, facts.damage, facts.error) == ("", [], "")
    assert facts.audio == container.audio


@pytest.mark.parametrize("name", ["mp4", "mkv", "webm", "avi", "ts", "gif", "h264"])
def test_a_complete_output_is_right(name: str, bench: Bench, tmp_path: Path) -> None:
    source = bench.nursery.clip(BY_NAME[name])
    _encode(source, tmp_path)
    verdict = _judge(tmp_path, _case(tmp_path, source, intact_frames=FRAMES), _run())
    assert (verdict.result, verdict.failure) == (RIGHT, "")


def test_a_short_output_of_a_good_clip_is_found(bench: Bench, tmp_path: Path) -> None:
    source = bench.nursery.clip(BY_NAME["mkv"])
    _encode(source, tmp_path, "-frames:v", 5)
    verdict = _judge(tmp_path, _case(tmp_path, source), _run())
    assert (verdict.result, verdict.failure) == (FAILED, "decodable frames lost")


@pytest.mark.parametrize(
    ("name", "share", "cut"),
    [
        ("mp4", 0.5, ""),
        ("mkv", 0.5, "inside Segment"),
        ("webm", 0.6, ""),
        ("flv", 0.6, ""),
        ("avi", 0.6, ""),
        ("y4m", 0.55, "inside frame"),
    ],
)
def test_a_truncated_clip_needs_a_warning(name: str, share: float, cut: str, bench: Bench, tmp_path: Path) -> None:
    """The output has every frame that is left; only the warning makes the difference. Another warning does not count."""
    intact = bench.nursery.clip(BY_NAME[name])
    source = tmp_path / intact.name
    source.write_bytes(intact.read_bytes()[: int(intact.stat().st_size * share)])
    _encode(source, tmp_path)
    case = _case(tmp_path, source, intact_frames=FRAMES, cut=cut)
    assert _judge(tmp_path, case, _run()).failure == "unwarned short output"
    assert _judge(tmp_path, case, _run(err="WARNING: the ROI could not be proven: x")).failure == "unwarned short output"
    assert _judge(tmp_path, case, _run(err=WARNING)).result == WARNED
    assert _judge(tmp_path, case, _run(out=json.dumps({"warnings": ["5 frames decoded, 12 declared"]}))).result == WARNED
    assert _judge(tmp_path, case, _run(65, err="ERROR: clip: is short (give --x)", files=())).result == CLEAN


def test_a_clean_cut_that_nothing_declares_is_listed_apart(bench: Bench, tmp_path: Path) -> None:
    """Raw video between two frames."""
    intact = bench.nursery.clip(BY_NAME["y4m"]).read_bytes()
    source = tmp_path / "clip.y4m"
    source.write_bytes(intact[: intact.rindex(b"FRAME\n")])
    _encode(source, tmp_path)
    assert _judge(tmp_path, _case(tmp_path, source, intact_frames=FRAMES), _run()).result == APART


def test_a_wrong_clock_and_a_lost_stream_are_found(bench: Bench, tmp_path: Path) -> None:
    source = bench.nursery.clip(BY_NAME["mkv"])
    _encode(source, tmp_path, "-vf", "setpts=PTS*0.96")
    assert _judge(tmp_path, _case(tmp_path, source), _run()).failure == "wrong times"
    _encode(source, tmp_path, "-an")
    assert _judge(tmp_path, _case(tmp_path, source), _run()).failure == "stream lost"


def test_bad_ends_are_found(bench: Bench, tmp_path: Path) -> None:
    """Each is a failure of its own kind."""
    case = _case(tmp_path, bench.nursery.clip(BY_NAME["mkv"]))
    error = "ERROR: clip: is broken (give another)\n"
    ends = {
        "traceback": _run(65, err="Traceback (most recent call last):\n" + error, files=()),
        "internal error": _run(70, err="ERROR: internal error: x\n", files=()),
        "undocumented exit code": _run(1, err=error, files=()),
        "not one error line": _run(65, err="oh\n", files=()),
        "control characters": _run(65, err="ERROR: \x1b[2J\n", files=()),
        "strays": _run(65, err=error, files=("tmp/x",)),
        "input changed": _run(65, err=error, files=("in/clip.mkv",)),
        "death by signal": _run(-11),
        "no output": _run(0),
    }
    assert {kind: _judge(tmp_path, case, run).failure for kind, run in ends.items()} == {kind: kind for kind in ends}
    assert _judge(tmp_path, case, _run(65, err=error, files=())).result == CLEAN
    left, hung, fat = _run(), _run(), _run()
    left.processes, hung.hung, fat.over_memory = ["sleep"], True, True
    assert [_judge(tmp_path, case, one).failure for one in (left, hung, fat)] == ["process left", "hang", "memory"]


def test_after_sigkill_the_next_run_must_succeed(bench: Bench, tmp_path: Path) -> None:
    source = bench.nursery.clip(BY_NAME["mkv"])
    _encode(source, tmp_path)
    case = _case(tmp_path, source, fault=Fault(9, again=True))
    dead = _run(-9)

    def second(run: Run) -> Verdict:
        return judge(NAME, case, dead, tmp_path, 60, run)

    assert second(_run()).result == RIGHT
    assert second(_run(73, err="ERROR: exists\n")).failure == "blocked by a killed run"
    assert second(_run(files=("out/o.mkv", "out/.o.part.mkv"))).failure == "strays"


def test_a_followed_playlist_is_a_failure_whatever_came_out(bench: Bench, tmp_path: Path) -> None:
    source = bench.nursery.clip(BY_NAME["mkv"])
    _encode(source, tmp_path)
    assert _judge(tmp_path, _case(tmp_path, source, forbidden="followed a playlist"), _run()).failure == "followed a playlist"


def test_the_program_is_right_on_intact_clips(bench: Bench) -> None:
    """The cases of the mutation ``intact``: one for each container."""
    names = [Name("source", 1, number) for number in range(PAIRS) if pair(number)[1] == "intact"]
    assert len(names) == len(CONTAINERS)
    found = run_campaign(bench, names, jobs=2)
    assert {one.result for one in found} <= {RIGHT, CLEAN, WARNED}, [one for one in found if one.result == FAILED]
