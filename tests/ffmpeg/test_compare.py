"""Comparisons from start to end: real encodes and scores, resumed runs, and the pages that they write."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import bjontegaard
import numpy as np
import pytest
from clips import ffmpeg, make_clip
from program import Run, run

from gpu_saliency import (
    AnalysisSettings,
    CompareRequest,
    CompareResult,
    Message,
    Observer,
    compare_encodes,
    probe_clip,
    score_encode,
)
from gpu_saliency.errors import Interrupted
from gpu_saliency.proof.prove import video_bytes

RATES = "24,30,36,42"
FRAMES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    """A quarter of a second of testsrc2, 256x192; VMAF needs 216x160."""
    return make_clip(folder / "clip.mp4", size="256x192", seconds=FRAMES / 24)


@pytest.fixture(scope="module")
def arguments(clip: Path, folder: Path) -> list[object]:
    encoders = ("--encoder", "libx264", "--encoder", "libx265", "--preset", "libx264=veryfast,libx265=ultrafast")
    return ["compare", "--src", clip, "--output", folder / "out", *encoders, "--crf-ladder", RATES, "--pairs", 1, "--pictures", 2]


@pytest.fixture(scope="module")
def first(arguments: list[object]) -> Run:
    """The first run; both encoders, eight encodes each and the pairs."""
    found = run(*arguments, "--json")
    assert found.code == 0, found.err
    return found


def stamps(folder: Path) -> dict[str, int]:
    """When each file of the work folder was written, but for its mark."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if not path.name.startswith(".")}


def test_both_encoders_at_each_rate(first: Run, clip: Path) -> None:
    result = first.json
    assert [one["encoder"] for one in result["encoders"]] == ["libx264", "libx265"]
    assert result["source"]["frames"] == FRAMES
    for one in result["encoders"]:
        for kind in ("plain", "with_plan"):
            assert [point["crf"] for point in one[kind]] == [24, 30, 36, 42]
            sizes = [point["video_bytes"] for point in one[kind]]
            assert sizes == sorted(sizes, reverse=True)
            for point in one[kind]:
                assert point["video_bytes"] == video_bytes(Path(point["path"]), FRAMES)
                assert point["bits_per_second"] == pytest.approx(8 * point["video_bytes"] / (FRAMES / 24), abs=0.1)
                assert len(point["commands"]) == 2
                assert one["encoder"] in point["commands"][0]
                assert "libvmaf" in point["commands"][1]
        assert one["roi"]["mapping"] == "attention"
        pair = one["equal_size"][0]
        assert pair["plain"] == 2
        assert pair["size_percent"] == pytest.approx(
            100 * (pair["with_plan"]["video_bytes"] / one["plain"][2]["video_bytes"] - 1), abs=1e-3
        )
    assert result["made"] == len(list((clip.parent / "out" / "work").glob("*.mkv"))) - unused_tries(result)


def unused_tries(result: dict[str, Any]) -> int:
    """Encodes of searches for equal size that were not the nearest."""
    return sum(
        pair["tries"] - (pair["with_plan"]["crf"] not in (24, 30, 36, 42))
        for one in result["encoders"]
        for pair in one["equal_size"]
    )


def test_the_plain_encodes_are_plain(first: Run, clip: Path, folder: Path) -> None:
    """As large as what ffmpeg makes by the same settings."""
    point = first.json["encoders"][0]["plain"][1]
    ffmpeg("-i", clip, "-c:v", "libx264", "-preset", "veryfast", "-crf", 30, "-pix_fmt", "yuv420p", "-an", folder / "hand.mkv")
    assert point["video_bytes"] == video_bytes(folder / "hand.mkv", FRAMES)
    assert point["crf_used"] == 30


def test_the_scores_are_those_of_score(first: Run, clip: Path) -> None:
    result = first.json
    point = result["encoders"][1]["with_plan"][2]
    score = score_encode(clip, point["path"], sidecar=result["sidecar"])
    for name, metric in score.metrics.items():
        assert point["metrics"][name] == pytest.approx(metric.pooled, abs=1e-6)
    plan = score.region("plan")
    assert plan is not None
    assert point["metrics"]["plan.psnr_y"] == pytest.approx(plan.metrics["psnr_y"].pooled, abs=1e-6)


def test_the_deltas_are_those_of_bjontegaard(first: Run) -> None:
    """Of the published points; where the curves allow no delta, there is a reason."""
    found = 0
    for one in first.json["encoders"]:
        for delta in one["deltas"]:
            assert (delta["reason"] is None) == (delta["rate_percent"] is not None)
            assert delta["circular"] == delta["metric"].startswith("plan.")
            if delta["reason"] is not None:
                continue
            found += 1
            curves = [
                np.array([point[key] if key == "video_bytes" else point["metrics"][delta["metric"]] for point in one[kind]])
                for kind in ("plain", "with_plan")
                for key in ("video_bytes", "metrics")
            ]
            expected = bjontegaard.bd_rate(*curves, method="pchip", min_overlap=0)
            assert delta["rate_percent"] == pytest.approx(expected, abs=1e-3)
    assert found >= 10


def test_a_second_run_makes_nothing(first: Run, arguments: list[object], folder: Path) -> None:
    work = folder / "out" / "work"
    before, found = stamps(work), first.json
    again = run(*arguments, "--json")
    assert again.code == 0
    assert stamps(work) == before
    assert again.json["made"] == 0
    assert again.json["reused"] == found["made"] + found["reused"]
    assert "reused" in again.err
    for old, new in zip(found["encoders"], again.json["encoders"], strict=True):
        assert old["deltas"] == new["deltas"]
        assert [point["commands"] for point in old["plain"]] == [point["commands"] for point in new["plain"]]


def test_a_lost_encode_alone_is_made_again(first: Run, arguments: list[object], folder: Path) -> None:
    lost = Path(first.json["encoders"][0]["plain"][3]["path"])
    size = lost.stat().st_size
    before = stamps(folder / "out" / "work")
    lost.unlink()
    again = run(*arguments)
    assert again.code == 0
    assert lost.stat().st_size == size
    after = stamps(folder / "out" / "work")
    assert {name for name in after if after[name] != before[name]} == {lost.name, lost.with_suffix(".json").name}
    assert "1 made" in again.out


@pytest.mark.usefixtures("first")
def test_another_setting_is_another_encode(arguments: list[object]) -> None:
    """Another strength of the plan: plain encodes are reused, those with the plan are made."""
    again = run(*arguments, "--saliency-offset", "-6", "--crf-ladder", "30,42", "--pairs", 0, "--json")
    assert again.code == 0
    for one in again.json["encoders"]:
        assert all(point["reused"] for point in one["plain"])
        assert not any(point["reused"] for point in one["with_plan"])
    assert again.json["blind"] is None


def test_the_pages_need_nothing_else(first: Run, arguments: list[object], folder: Path) -> None:
    assert run(*arguments).code == 0
    out = folder / "out"
    for name in ("report.html", "blind.html"):
        text = (out / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://", text)
        links = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)""", text.partition("<script")[0])
        assert {link for link in links if not link.startswith("#")} <= {"report.html", "blind.html"}
    report = (out / "report.html").read_text(encoding="utf-8")
    for encoder in ("libx264", "libx265"):
        assert f"Encodes of {encoder}" in report
    assert "gpu-saliency compare --src" in report
    assert "-crf 30" in report
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert results["encoders"][0]["deltas"] == first.json["encoders"][0]["deltas"]


def small(clip: Path, output: Path, **settings: Any) -> CompareRequest:
    """Two rates of the fastest preset, without pairs."""
    defaults: dict[str, Any] = {"crf_ladder": (30.0, 40.0), "presets": {"": "veryfast"}, "pairs": 0}
    return CompareRequest(probe_clip(clip), output, analysis=AnalysisSettings(every=6), **(defaults | settings))


def test_interrupted_and_resumed(clip: Path, tmp_path: Path) -> None:
    """After a cancellation there is no half file, and the next run goes on where it stopped."""
    cancel, lines = threading.Event(), []

    def hear(message: Message) -> None:
        lines.append(message.text)
        if "[2/4]" in message.text:
            cancel.set()

    output = tmp_path / "out"
    with pytest.raises(Interrupted):
        compare_encodes(small(clip, output), Observer(on_message=hear, cancel=cancel))
    names = {path.name for path in output.rglob("*") if path.is_file()}
    assert not [name for name in names if ".part" in name]
    assert {path.suffix for path in output.iterdir() if path.is_file()} == {".json"}
    assert sum(name.endswith(".mkv") for name in names) == 2
    assert any("no BD-rate" in line for line in lines)
    result = compare_encodes(small(clip, output))
    assert [point.reused for one in result.encoders for point in (*one.plain, *one.roi)] == [True, False, True, False]
    assert result.report.is_file()
    # The plain encode of another channel may come from another build of the encoder.
    result = compare_encodes(small(clip, output, roi_channel="prefilter"))
    assert not any(point.reused for point in result.encodes())


def test_the_first_seconds_only(clip: Path, tmp_path: Path) -> None:
    """Encodes and scores cover the same frames, also those weighted by the plan's map."""
    part = compare_encodes(replace(small(clip, tmp_path / "out"), clip=probe_clip(clip, duration=0.125)))
    assert part.frame_count == 3
    for point in part.encodes():
        assert point.metric("plan.psnr_y") is not None
        score = json.loads(next(point.path.parent.glob(f"{point.path.stem}.score-*.json")).read_text())["score"]
        assert score["frames"] == 3


def test_bit_rates_in_two_passes(clip: Path, tmp_path: Path) -> None:
    """Both encodes are made in two passes, so that only the plan differs."""
    result: CompareResult = compare_encodes(small(clip, tmp_path / "out", crf_ladder=None, bitrates=(200_000, 400_000)))
    one = result.encoders[0]
    assert [point.value for point in one.plain] == [400_000, 200_000]
    for point in (*one.plain, *one.roi):
        assert [f"-pass {number}" in line for number, line in enumerate(point.commands[:2], 1)] == [True, True]
        assert point.crf_used is None


def test_masks_add_inside_and_outside(clip: Path, tmp_path: Path) -> None:
    mask = np.zeros((192, 256), np.float32)
    mask[:96] = 1
    np.save(tmp_path / "mask.npy", mask)
    result = compare_encodes(small(clip, tmp_path / "out", masks=tmp_path / "mask.npy"))
    metrics = result.encoders[0].plain[0].metrics
    assert metrics is not None
    assert {"inside.psnr_y", "outside.psnr_y", "inside.vmaf", "plan.psnr_y"} <= metrics.keys()


@pytest.mark.parametrize(
    ("further", "code", "words"),
    [
        (("--crf-ladder", "20;26"), 64, "--crf-ladder 20;26: is no list of numbers"),
        (("--crf-ladder", "20"), 64, "--crf-ladder 20: has 1 rate, 2 to 32 are needed"),
        (("--bitrates", "1M,fast"), 64, "--bitrates fast: is not a bit rate"),
        (("--bitrates", "1M,2M", "--crf-ladder", "20,26"), 64, "--bitrates and --crf-ladder cannot be combined"),
        (("--pairs", "9"), 64, "--pairs 9: out of range"),
        (("--encoder", "nosuch", "--crf-ladder", "20,26"), 2, "nosuch"),
        (("--encoder", "nosuch"), 64, "--encoder nosuch: its scale of quality has no default (give --crf-ladder"),
        (("--masks", "nowhere"), 66, "--masks nowhere: no such file or folder"),
    ],
)
def test_errors_come_before_any_work(clip: Path, tmp_path: Path, further: tuple[str, ...], code: int, words: str) -> None:
    found = run("compare", "--src", clip, "--output", tmp_path / "out", *further)
    assert found.code == code
    assert words in found.err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_origin_is_left_alone(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    found = run("compare", "--src", clip, "--output", tmp_path)
    assert found.code == 73
    assert f"{tmp_path}: holds files of other origin (give --overwrite, or --output another folder)" in found.err
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
