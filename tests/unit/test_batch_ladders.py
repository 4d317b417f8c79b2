"""Ladders as jobs: how rungs are written and named, which are refused, what a second call makes again, and the journal."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpu_saliency.batch.job import JobSpec, RungSpec, file_states, split_states
from gpu_saliency.batch.journal import Journal, move_journal, read_journal
from gpu_saliency.batch.lists import read_jobs
from gpu_saliency.batch.names import LADDER_TEMPLATE
from gpu_saliency.batch.place import journal_file, maps_file
from gpu_saliency.batch.queue.owner import Owner
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.batch.rungs import make_rungs
from gpu_saliency.batch.submit import Submission, Submitted, submit
from gpu_saliency.cli.batch_options import job_option_names
from gpu_saliency.cli.batch_worker import check_job
from gpu_saliency.errors import GpuSaliencyError, UnsupportedEncoderError, UsageError
from gpu_saliency.rungs import KEYS, read_rungs


def test_how_rungs_are_written() -> None:
    asked = [
        {"scale": "1280x720", "crf": "23"},
        {"scale": "854:-2", "bitrate": "900k", "audio_codec": "aac"},
        {"encoder": "libx265"},
    ]
    text = "1280x720:crf=23 854:-2:bitrate=900k:acodec=aac; source:encoder=libx265"
    assert read_rungs(text) == asked
    assert read_rungs(text.split()[:1]) == asked[:1]
    assert read_rungs(json.dumps(asked)) == asked
    assert read_rungs([{"scale": "1280x720", "--crf": "23", "preset": None}, asked[1]]) == asked[:2]
    assert read_rungs({"encoder-params": "ref=4"}) == [{"encoder_params": "ref=4"}]
    bad: list[object] = [
        "",
        [],
        7,
        None,
        [7],
        [[]],
        "[",
        {"crf": True},
        {"speed": 1},
        ["1x1:speed=2"],
        ["1x1"] * 65,
        [{"crf": [1]}],
    ]
    for wrong in bad:
        with pytest.raises(UsageError, match=r"^[^\n]+\)$"):
            read_rungs(wrong)


def _named(asked: object, name: Callable[[str, Any], str] = lambda rung, _: f"/out/{rung}.mp4", **shared: str) -> list[RungSpec]:
    return list(make_rungs(read_rungs(asked), shared, name))


def test_names_and_options_of_rungs() -> None:
    rungs = _named("source 1280x720 640:-2 -2:360:encoder=libx265 320x180:name=tiny", encoder="libx264")
    assert [rung.name for rung in rungs] == ["source", "1280x720", "640w", "h360-libx265", "tiny"]
    rungs = _named("64x48:bitrate=1M 32x32:crf=30:preset=slow")
    spec = JobSpec("/in/a", rungs[0].output, {"crf": "20", "preset": "fast"}, tuple(rungs))
    assert [dict(one.options) for one in spec.encodes()] == [
        {"preset": "fast", "scale": "64x48", "bitrate": "1M"},
        {"crf": "30", "preset": "slow", "scale": "32x32"},
    ]
    assert JobSpec.from_json(spec.to_json()) == spec
    assert dict(_named([{"crf": 23.0, "bitrate": 5}])[0].options) == {"crf": "23", "bitrate": "5"}
    for wrong, words in (
        ("1x1:name=a/b", "is no name of a file"),
        ([{"name": "a\nb"}], "is no name of a file"),
        ("1x1:name=..", "is no name of a file"),
        ("1x1 1x1:crf=2", "two are named 1x1"),
    ):
        with pytest.raises(UsageError, match=words):
            _named(wrong)
    with pytest.raises(UsageError, match=r"the rungs 1x1 and 2x2 have the same output /a"):
        _named("1x1 2x2", lambda *_: "/a")


def test_every_key_of_a_rung_is_an_option_of_encode() -> None:
    values: dict[str, object] = {"scale": "64x48", "crop": "64:48:0:0", "encoder": "libx264", "preset": "fast", "crf": 20}
    values |= {"encoder_params": "ref=2", "output_pix_fmt": "yuv420p", "audio_codec": "aac", "audio_bitrate": "64k", "name": "x"}
    assert {*values, "bitrate"} == set(KEYS)
    check_job(JobSpec("/s", "/o", {}, tuple(_named([values]))))
    check_job(JobSpec("/s", "/o", {"crf": "20"}, tuple(_named([{"bitrate": "1M"}]))))
    for wrong in ({"scale": "x"}, {"crop": "1"}, {"preset": "none"}, {"crf": 99}, {"crf": "low"}, {"encoder": "libvvenc"}):
        with pytest.raises(GpuSaliencyError, match=r"^rung bad: [^\n]+\)$"):
            check_job(JobSpec("/s", "/o", {}, tuple(_named([{"name": "good"}, {"name": "bad", **wrong}]))))
    with pytest.raises(UnsupportedEncoderError, match="rung a: "):
        check_job(JobSpec("/s", "/o", {"saliency-fallback-plain": True}, tuple(_named([{"name": "a", "encoder": "mpeg4"}]))))


@pytest.fixture
def rules(tmp_path: Path) -> Submission:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"in/{name}.mp4").write_text(name)
    known = job_option_names()
    return Submission(out_dir=tmp_path / "out", template="{folder}/{name}.mp4", options={}, known=known, check=check_job, threads=4)


def _submit(tmp_path: Path, rules: Submission, *rows: dict[str, object]) -> tuple[Submitted, list[Job]]:
    (tmp_path / "list.jsonl").write_text("\n".join(json.dumps({"src": "in/a.mp4"} | row) for row in rows))
    with Queue(tmp_path / "queue.sqlite") as queue:
        done = submit(queue, read_jobs(str(tmp_path / "list.jsonl")).jobs, rules)
        return done, queue.jobs()


def test_the_outputs_are_named_by_templates(tmp_path: Path, rules: Submission) -> None:
    assert rules.template == "{folder}/{name}.mp4"
    assert LADDER_TEMPLATE == "{folder}/{name}-{rung}.mp4"
    rules = replace(rules, rungs=tuple(read_rungs("64x48:crf=20 32x32")))
    done, jobs = _submit(
        tmp_path,
        rules,
        {},
        {"src": "in/b.mp4", "output": "x/{number}.{crf}.{scale}.{rung}.mkv"},
        {"src": "in/b.mp4", "rungs": False, "output": "plain{}.mp4"},
        {"src": "in/b.mp4", "rung": "source"},
    )
    assert not done.refused
    assert [[str(Path(path).relative_to(rules.out_dir)) for path in job.spec.outputs] for job in jobs] == [
        ["a-64x48.mp4", "a-32x32.mp4"],
        ["x/00002.20.64x48.64x48.mkv", "x/00002.default.32x32.32x32.mkv"],
        ["plain{}.mp4"],
        ["b-source.mp4"],
    ]
    assert (rules.out_dir / "x").is_dir()
    wrong: tuple[dict[str, object], ...] = (
        {"output": "../{rung}.mp4"},
        {"output": "{rung}/../../x.mp4"},
        {"output": "one.mp4"},
        {"output": "{no}.mp4"},
        {"output": "{"},
    )
    done, _ = _submit(tmp_path, rules, *({"src": "in/b.mp4", **one} for one in wrong))
    assert [where.rpartition(":")[2] for where, _ in done.refused] == ["1", "2", "3", "4", "5"]
    # Another job of the list writes one of the outputs.
    with pytest.raises(UsageError, match=r"have the same output .*a-32x32\.mp4"):
        _submit(tmp_path, rules, {}, {"rungs": False, "output": "a-32x32.mp4"})


def test_what_a_second_call_makes_again(tmp_path: Path, rules: Submission) -> None:
    ladder: dict[str, object] = {"rungs": "64x48:crf=20 32x32"}
    assert _submit(tmp_path, rules, ladder)[0].new == 1
    outputs = [rules.out_dir / f"a-{name}.mp4" for name in ("64x48", "32x32")]
    # A job that was not begun is replaced; outputs of two jobs cannot become those of one.
    assert _submit(tmp_path, rules, {"rungs": "64x48:crf=21 32x32"})[0].new == 1
    done, jobs = _submit(tmp_path, rules, ladder, {"rungs": False, "output": "other.mp4"})
    assert (done.new, len(jobs)) == (2, 2)
    both: dict[str, object] = {"rungs": [{"name": "a-32x32"}, {"name": "other"}], "output": "{rung}.mp4"}
    done, _ = _submit(tmp_path, rules, both)
    assert "its outputs belong to the jobs 1 and 2 of the queue" in str(done.refused[0][1])
    with Queue(tmp_path / "queue.sqlite") as queue:
        assert queue.match("a-32x32.mp4") == [1]
        for path in outputs:
            path.write_text("encoded")
        assert queue.claim("plan", Owner.current()) is not None
        queue.finish(1, {}, file_states(map(str, outputs)))
    done, jobs = _submit(tmp_path, replace(rules, threads=9), ladder)
    assert (done.new, done.known, done.notes, jobs[0].state) == (0, 1, [], "done")
    done, jobs = _submit(tmp_path, rules, {"rungs": "64x48:crf=22 32x32"})
    assert "a-64x48.mp4: was encoded with other options before" in str(done.refused[0][1])
    done, _ = _submit(tmp_path, rules, {"rungs": False, "output": "a-32x32.mp4", "scale": "32x32"})
    assert "was encoded with other options before" in str(done.refused[0][1])
    # Fewer rungs: there is nothing to do. More: the job goes on, and keeps its threads.
    done, jobs = _submit(tmp_path, rules, {"rungs": "64x48:crf=20"})
    assert (done.new, done.known, jobs[0].state, len(jobs[0].spec.rungs)) == (0, 1, "done", 2)
    (rules.out_dir / "a-16x16.mp4").write_text("of another")
    done, _ = _submit(tmp_path, rules, {"rungs": "64x48:crf=20 32x32 16x16"})
    assert "exists" in str(done.refused[0][1])
    (rules.out_dir / "a-16x16.mp4").unlink()
    done, jobs = _submit(tmp_path, replace(rules, threads=9), {"rungs": "64x48:crf=20 32x32 16x16"})
    assert (done.new, jobs[0].state, jobs[0].spec.options["threads"], len(jobs[0].spec.rungs)) == (1, "queued", "4", 3)
    with Queue(tmp_path / "queue.sqlite") as queue:
        queue.finish(1, {}, file_states(jobs[0].spec.outputs))
    outputs[1].unlink()
    done, jobs = _submit(tmp_path, rules, {"rungs": "64x48:crf=20 32x32 16x16"})
    assert (done.new, jobs[0].state) == (1, "queued")
    assert "a-16x16.mp4" in done.notes[0]


def test_shards_have_whole_ladders(tmp_path: Path, rules: Submission) -> None:
    rows: list[dict[str, object]] = [{"rungs": "64x48 32x32", "output": f"{number}-{{rung}}.mp4"} for number in range(20)]
    counts = []
    for index in (1, 2):
        with Queue(tmp_path / f"{index}.sqlite") as queue:
            (tmp_path / "list.jsonl").write_text("\n".join(json.dumps({"src": "in/a.mp4"} | row) for row in rows))
            listed = read_jobs(str(tmp_path / "list.jsonl")).jobs
            done = submit(queue, listed, replace(rules, shard=(index, 2)))
            counts.append((done.new, done.elsewhere))
    assert counts[0] == counts[1][::-1]
    assert sum(counts[0]) == 20
    assert min(counts[0]) > 0


def test_the_journal(tmp_path: Path) -> None:
    """Finished encodes are known by their file; what began and did not end, or was asked differently, is not finished."""
    (tmp_path / "a").write_text("source")
    rungs = tuple(_named("64x48 32x32", lambda rung, _: str(tmp_path / f"{rung}.mp4")))
    job = JobSpec(str(tmp_path / "a"), rungs[0].output, {"crf": "20"}, rungs)
    first, second = job.encodes()
    file = journal_file(maps_file(tmp_path, 1))
    journal = Journal(file, {})
    journal.begin(first)
    assert journal.finished(first) is None
    Path(first.output).write_text("encoded")
    assert journal.finished(first) is None  # no sidecar says that it is whole
    journal.finish(first, {"encoder": "libx264"})
    journal.begin(second)

    again = Journal(file, {})
    assert (again.finished(first), again.finished(second)) == ({"encoder": "libx264"}, None)
    assert again.finished(replace(first, options={**first.options, "overwrite": True})) is not None
    assert again.finished(replace(first, options={**first.options, "crf": "21"})) is None
    with Queue(tmp_path / "queue.sqlite") as queue:
        queue.add([(job, None)])
        made = move_journal(queue, queue.jobs()[0], tmp_path)
        assert not file.exists()
        assert [one.done for one in made.outputs] == [True, False]
        assert [one.done for one in queue.jobs()[0].outputs] == [True, False]
        assert Journal(file, queue.jobs()[0].made).finished(first) is not None
    assert not Journal(file, made.made).is_of_others(first)
    Path(first.output).write_text("something else")
    assert Journal(file, made.made).finished(first) is None
    assert Journal(file, made.made).is_of_others(first)
    file.write_text("{")
    assert read_journal(file) == {}
    assert split_states(file_states(job.outputs), 2)[1] is None
    assert split_states(None, 2) == [None, None]
