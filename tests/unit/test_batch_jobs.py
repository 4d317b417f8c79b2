"""What a batch is asked to do: lists, names of outputs, options, shards, and what is added to the queue."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpu_saliency.batch.job import JobSpec, file_state
from gpu_saliency.batch.lists import read_jobs
from gpu_saliency.batch.local.machine import Sizes, memory_of
from gpu_saliency.batch.names import check_template, fill_template
from gpu_saliency.batch.place import parse_shard
from gpu_saliency.batch.queue.owner import Owner
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.submit import Submission, Submitted, submit
from gpu_saliency.cli.batch_options import job_option_names
from gpu_saliency.cli.batch_worker import check_job, parse_job
from gpu_saliency.errors import GpuSaliencyError, SourceMissingError, UnsupportedEncoderError, UsageError


def _clips(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(path.name))
    return paths


def test_a_folder_with_those_below(tmp_path: Path) -> None:
    _clips(tmp_path, "b.mkv", "a.MP4", "notes.txt", ".hidden.mp4", "more/c.webm", ".dot/d.mp4", "a.mp4.saliency.npz")
    found = read_jobs(str(tmp_path))
    assert [(one.source.name, one.folder) for one in found.jobs] == [("a.MP4", ""), ("b.mkv", ""), ("c.webm", "more")]
    assert found.passed_over == 3
    assert all(one.source.is_absolute() for one in found.jobs)


def test_a_pattern_and_a_clip(tmp_path: Path) -> None:
    _clips(tmp_path, "a.bin", "b.bin", "c.mp4")
    assert [one.source.name for one in read_jobs(f"{tmp_path}/*.bin").jobs] == ["a.bin", "b.bin"]
    assert [one.source.name for one in read_jobs(f"{tmp_path}/c.mp4").jobs] == ["c.mp4"]
    for wrong in (f"{tmp_path}/*.avi", f"{tmp_path}/none", str(tmp_path / "empty")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(SourceMissingError):
            read_jobs(wrong)


def test_lists_with_options(tmp_path: Path) -> None:
    rows = [
        {"src": "a.mp4", "crf": 30, "no_audio": True, "--target-vmaf": 93.5},
        {"src": "/b.mp4", "output": "x/y.mkv", "strict": False},
        {"output": "no source"},
        {"src": "c.mp4", "crf": [1]},
        17,
    ]
    (tmp_path / "list.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows) + "\n{\n" + '{"src": "d", "src": "e"}')
    jobs = read_jobs(str(tmp_path / "list.jsonl")).jobs
    assert [one.bad is None for one in jobs] == [True, True, False, False, False, False, False]
    assert dict(jobs[0].options) == {"crf": "30", "no-audio": True, "target-vmaf": "93.5"}
    assert (jobs[0].source, jobs[1].source, jobs[1].output) == (tmp_path / "a.mp4", Path("/b.mp4"), "x/y.mkv")
    assert [one.where.rpartition(":")[2] for one in jobs] == ["1", "3", "5", "7", "9", "10", "11"]

    (tmp_path / "list.csv").write_text('\ufeffsrc,crf,no-audio,output\n"a, b.mp4",30,true,\nc.mp4,,,o.mp4\n\nd.mp4,1\n', "utf-8")
    jobs = read_jobs(str(tmp_path / "list.csv")).jobs
    assert [(one.source.name, dict(one.options), one.output) for one in jobs[:2]] == [
        ("a, b.mp4", {"crf": "30", "no-audio": True}, None),
        ("c.mp4", {}, "o.mp4"),
    ]
    assert jobs[2].bad == "has 2 values for 4 columns"
    for text in ("", "crf\n30\n", "src,src\na,b\n", 'src\n"a\n'):
        (tmp_path / "list.csv").write_text(text)
        with pytest.raises(UsageError):
            read_jobs(str(tmp_path / "list.csv"))


def test_names_of_outputs() -> None:
    known = job_option_names()
    source = Path("/in/sub/clip.one.mkv")

    def name(template: str, **options: str | bool) -> str:
        check_template(template)
        given = {key.replace("_", "-"): value for key, value in options.items()}
        return str(fill_template(template, source, "sub", 7, given, known))

    assert name("{folder}/{name}.mp4") == "sub/clip.one.mp4"
    assert name("{number}.{ext}.{encoder}.{crf}.webm") == "00007.mkv.libx264.default.webm"
    assert name("{encoder}/{name}-{roi_channel}-{no-audio}.mp4", encoder="libx265", no_audio=True) == "libx265/clip.one-best-on.mp4"
    for wrong in ("out.mp4", "{name}", "{name!r}.mp4", "{name:5}.mp4", "{name.mp4", "{}.mp4", "{name}.mp4/", "{name}{size}.mp4"):
        with pytest.raises(UsageError):
            name(wrong)
    for wrong in ("../{name}.mp4", "/{name}.mp4", "{name}/{maps}.mp4"):
        with pytest.raises(UsageError):
            name(wrong, maps="../../etc/x")


def test_options_are_those_of_encode_and_are_checked(tmp_path: Path) -> None:
    options: dict[str, str | bool] = {
        "crf": "30.5",
        "encoder": "libx265",
        "no-audio": True,
        "saliency-offset": "-3",
        "threads": "2",
    }
    spec = JobSpec(str(tmp_path / "-a.mp4"), str(tmp_path / "o.mp4"), options)
    assert JobSpec.from_json(spec.to_json()) == spec
    call = parse_job(spec)
    settings = call.options.settings.settings()
    assert (settings.crf, settings.encoder, settings.audio, settings.threads) == (30.5, "libx265", False, 2)
    assert call.src == tmp_path / "-a.mp4"
    check_job(spec)
    for wrong in (
        {"crf": "x"},
        {"crf": "99"},
        {"threads": "0"},
        {"prove": "maybe"},
        {"framerate": "-1"},
        {"start": "1:2:3:4"},
        {"target-vmaf": "93", "crf": "20"},
        {"encoder-params": "qp=3"},
        {"saliency-model": str(tmp_path / "none.onnx")},
    ):
        with pytest.raises(GpuSaliencyError, match=r"^[^\n]+$"):
            check_job(replace(spec, options=wrong))
    with pytest.raises(UnsupportedEncoderError):
        check_job(replace(spec, options={"encoder": "mpeg4"}))
    check_job(replace(spec, options={"encoder": "mpeg4", "saliency-fallback-plain": True}))


def test_each_job_is_in_one_shard_and_stays_there() -> None:
    specs = [JobSpec("s", f"/out/{number}.mp4") for number in range(200)]
    shards = [[spec.output for spec in specs if spec.in_shard(index, 5)] for index in range(1, 6)]
    assert sorted(output for shard in shards for output in shard) == sorted(spec.output for spec in specs)
    assert min(map(len, shards)) > 20
    assert parse_shard("3/16") == (3, 16)
    for wrong in ("0/4", "5/4", "3", "a/b", "1/0"):
        with pytest.raises(UsageError):
            parse_shard(wrong)


@pytest.fixture
def rules(tmp_path: Path) -> Submission:
    known = job_option_names()
    return Submission(out_dir=tmp_path / "out", template="{name}.mp4", options={}, known=known, check=check_job, threads=4)


def _submit(tmp_path: Path, rules: Submission, given: object = "in") -> tuple[Submitted, dict[str, Any]]:
    with Queue(tmp_path / "queue.sqlite") as queue:
        done = submit(queue, read_jobs(str(tmp_path / str(given))).jobs, rules)
        return done, {Path(job.spec.output).name: job for job in queue.jobs()}


def test_bad_jobs_are_named_and_the_good_ones_added(tmp_path: Path, rules: Submission) -> None:
    _clips(tmp_path / "in", "a.mp4", "b.mp4")
    _clips(tmp_path / "out", "taken.mp4")
    rows = [
        {"src": "in/a.mp4", "crf": 20},
        {"src": "in/none.mp4"},
        {"src": "in", "output": "folder.mp4"},
        {"src": "in/b.mp4", "crf": 99},
        {"src": "in/b.mp4", "output": "taken.mp4"},
        {"src": "in/b.mp4", "output": "../b.mp4"},
        {"src": "in/b.mp4", "json": True},
        {"src": "in/b.mp4", "output": "deep/er/b.mp4", "overwrite": True},
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done, jobs = _submit(tmp_path, rules, "list.jsonl")
    assert (done.new, len(done.refused)) == (2, 6)
    assert jobs["a.mp4"].spec.options == {"crf": "20", "threads": "4"}
    assert (tmp_path / "out/deep/er").is_dir()
    reasons = [str(error) for _, error in done.refused]
    for reason, words in zip(
        reasons, ("No such file", "is a folder", "out of range", "exists", "not below", "json is no option"), strict=True
    ):
        assert words in reason
        assert "\n" not in reason


def test_outputs_that_collide_are_refused_before_any_is_added(tmp_path: Path, rules: Submission) -> None:
    _clips(tmp_path / "in", "a.mp4", "b.mp4", "a.mkv")
    with pytest.raises(UsageError, match=r"same output .*a\.mp4"):
        _submit(tmp_path, rules)
    with Queue(tmp_path / "queue.sqlite") as queue:
        assert queue.counts() == {}
    done, _ = _submit(tmp_path, replace(rules, template="{name}.{ext}.mp4"))
    assert done.new == 3


def test_a_second_call_skips_what_is_known(tmp_path: Path, rules: Submission) -> None:
    (source,) = _clips(tmp_path / "in", "a.mp4")
    output = tmp_path / "out/a.mp4"
    assert _submit(tmp_path, rules)[0].new == 1
    # Another machine would choose other threads; the job keeps its own.
    done, jobs = _submit(tmp_path, replace(rules, threads=64))
    assert (done.new, done.known, jobs["a.mp4"].spec.options["threads"]) == (0, 1, "4")
    # Before it is done, other options replace it.
    done, jobs = _submit(tmp_path, replace(rules, options={"crf": "30"}))
    assert (done.new, jobs["a.mp4"].spec.options["crf"], len(jobs)) == (1, "30", 1)

    rules = replace(rules, options={"crf": "30"})
    output.write_text("encoded")
    with Queue(tmp_path / "queue.sqlite") as queue:
        assert queue.claim("plan", Owner.current()) is not None
        queue.finish(1, {}, file_state(output))
    done, jobs = _submit(tmp_path, rules)
    assert (done.new, done.known, done.notes, jobs["a.mp4"].state) == (0, 1, [], "done")
    done, jobs = _submit(tmp_path, replace(rules, options={"crf": "31"}))
    assert [str(error) for _, error in done.refused] == [
        f"{output}: was encoded with other options before (give overwrite=True, or another name)"
    ]
    source.write_text("another clip")
    done, _ = _submit(tmp_path, rules)
    assert (done.new, done.known, len(done.notes)) == (0, 1, 1)
    done, jobs = _submit(tmp_path, replace(rules, options={"crf": "30", "overwrite": True}))
    assert (done.new, jobs["a.mp4"].state, jobs["a.mp4"].is_lost) == (1, "queued", True)
    with Queue(tmp_path / "queue.sqlite") as queue:
        queue.finish(1, {}, file_state(output))
    output.unlink()
    done, jobs = _submit(tmp_path, rules)
    assert (done.new, jobs["a.mp4"].state) == (1, "queued")
    assert "is gone" in done.notes[0]


def test_names_that_are_no_text(tmp_path: Path, rules: Submission) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    _clips(tmp_path / "in", name)
    done, jobs = _submit(tmp_path, rules)
    assert (done.new, list(jobs)) == (1, [name])


def test_sizes_for_this_machine() -> None:
    chosen = Sizes.suited()
    assert min(chosen.plan, chosen.encode, chosen.threads) >= 1
    assert (Sizes.suited(3, 5).plan, Sizes.suited(3, 5).encode) == (3, 5)
    assert memory_of(os.getpid()) > 1 << 20
