"""The benchmark: rates and ratios of known stages, its output, and the input that it refuses."""

from __future__ import annotations

import json
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import make_clip
from program import run
from rich.console import Console

from gpu_saliency.bench import Timed, measure_clip, measure_inference, show_inference
from gpu_saliency.bench.generate import CODECS, generate_clip, repeat_clip
from gpu_saliency.bench.stages import ONE_DECODER, STAGES
from gpu_saliency.model.contract import InputSize
from gpu_saliency.model.onnx import SaliencyModel
from gpu_saliency.model.shipped import DEFAULT_MODEL
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.sampling import Sampling

SIZE = InputSize((256, 144), (256, 144))


class TimedStages:
    """Stages that take known times: 40 frames decoded in 40 ms, 10 samples each preprocessed and inferred in 30 and 60 ms."""

    names = (ONE_DECODER, *STAGES)

    def decode(self) -> Timed:
        return Timed(40, 0.04)

    def decode_one(self) -> Timed:
        return Timed(20, 0.04)

    def preprocess(self) -> Timed:
        return Timed(10, 0.03, 0.0004)

    def infer(self) -> Timed:
        return Timed(10, 0.06)

    def infer_at(self, batch_size: int, size: InputSize) -> Timed:
        return Timed(batch_size, size.padded[0] / 1000)

    def reduce(self) -> Timed:
        return Timed(10, 0.01)

    def whole(self) -> Timed:
        return Timed(40, 0.12)

    def first_map(self) -> Timed:
        return Timed(4, 0.5)

    def facts(self) -> dict[str, Any]:
        return {"decoder": "none"}


def test_rates_and_ratios_of_known_stages(tmp_path: Path) -> None:
    """One frame in two becomes a picture: inference keeps up with 333 frames a second and is the slowest; the whole runs at 333."""
    clip = probe_clip(make_clip(tmp_path / "in.mp4"))
    rounds: list[tuple[int, int]] = []
    stages = TimedStages()
    row = measure_clip(
        clip,
        stages,
        Sampling(Fraction(2)),
        4,
        input_size=SIZE,
        rounds=3,
        on_round=lambda done, total: rounds.append((done, total or 0)),
        cold_first_map=lambda: 2.5,
    )
    assert rounds == [(0, 3), (1, 3), (2, 3), (3, 3)]
    rates = {name: rate.clip_fps for name, rate in row.stages.items()}
    assert rates == pytest.approx(
        {"decode_one": 500, "decode": 1000, "preprocess": 2000 / 3, "infer": 1000 / 3, "reduce": 2000, "whole": 1000 / 3}
    )
    assert row.stages["preprocess"].host_us == pytest.approx(40)
    assert row.stages["decode"].host_us is None
    assert row.stages["infer"].fps_p50 == pytest.approx(500 / 3)
    assert row.whole_by_slowest[0] == pytest.approx(1)
    assert row.whole_by_decode[0] == pytest.approx(1 / 3)
    assert row.whole_by_ceiling[0] == pytest.approx(1)
    assert row.first_map_seconds == {"warm": 0.5, "cold": 2.5}
    assert row.frames == 40
    assert all(rate.fps_p95 <= rate.fps_p50 for rate in row.stages.values())


def test_the_model_alone_by_batch_and_input_size() -> None:
    other = InputSize((512, 288), (512, 288))
    rates = measure_inference(TimedStages(), [(batch, size) for batch in (1, 8) for size in (SIZE, other)], rounds=2)
    found = {(rate.batch_size, rate.width, rate.height): rate.fps_p50 for rate in rates}
    assert found == pytest.approx(
        {
            (1, 256, 144): 1000 / 256,
            (1, 512, 288): 1000 / 512,
            (8, 256, 144): 8000 / 256,
            (8, 512, 288): 8000 / 512,
        }
    )
    show_inference(rates, console := Console(record=True, width=80, file=StringIO()))
    shown = console.export_text()
    assert "512x288" in shown


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "libx264"), (".mkv", "libx264"), (".mp4", "libx265"), (".ts", "libx264")])
def test_a_clip_repeated_without_encoding(tmp_path: Path, suffix: str, codec: str) -> None:
    """With B frames, which are stored out of order; every picture comes three times, at a constant rate."""
    source = make_clip(tmp_path / f"in{suffix}", seconds=1, extra=("-c:v", codec, "-preset", "veryfast", "-bf", "2", "-g", "8"))
    repeat_clip(source, tmp_path / f"out{suffix}", 3)
    once, three = (decoded_sums(path) for path in (source, tmp_path / f"out{suffix}"))
    assert [number for _, number in three] == 3 * [number for _, number in once]
    times = [time for time, _ in three]
    assert np.diff(times) == pytest.approx(np.full(len(times) - 1, 1 / 24), abs=0.002)
    repeat_clip(source, tmp_path / f"cut{suffix}", 3, 60)
    assert probe_clip(tmp_path / f"cut{suffix}").width == 160


def decoded_sums(path: Path) -> list[tuple[float, int]]:
    """Time and sum of the luma of each frame."""
    with av.open(str(path)) as container:
        return [(frame.time or 0.0, int(frame.to_ndarray()[: frame.height].sum())) for frame in container.decode(video=0)]


def test_the_program_measures_a_clip(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", size="320x192", seconds=1)
    wanted = (
        "--batch",
        "1,2",
        "--rounds",
        2,
        "--every",
        4,
        "--repeat",
        2,
        "--input-size",
        "64x64,128x64",
        "--device",
        "cpu",
        "--output",
        tmp_path / "out.json",
        "--json",
    )
    done = run("bench", source, *wanted)
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "out.json").read_text()) == done.json
    assert (done.json["device"], done.json["gpu"], done.json["provider"]) == ("cpu", None, "CPUExecutionProvider")
    assert done.json["model"] == SaliencyModel(DEFAULT_MODEL).describe()
    assert [row["batch_size"] for row in done.json["rows"]] == [1, 2]
    for row in done.json["rows"]:
        assert (row["frames"], row["step"], row["width"], row["height"], row["codec"]) == (48, 4, 320, 192, "h264")
        assert (row["input_width"], row["input_height"]) == (240, 144)
        assert set(row["stages"]) == set(STAGES)
        assert min(rate["fps_p95"] for rate in row["stages"].values()) > 0
        assert 0 < row["whole_by_slowest"][1] <= row["whole_by_slowest"][0] <= row["whole_by_slowest"][2]
        assert row["host_peak_bytes"] > 30e6
        assert 0 < row["first_map_seconds"]["warm"] < row["first_map_seconds"]["cold"]
    shapes = [(one["batch_size"], one["width"], one["height"]) for one in done.json["inference"]]
    assert shapes == [(1, 64, 64), (1, 128, 64), (2, 64, 64), (2, 128, 64)]
    assert "GPU not benchmarked: asked for" in done.err


def test_without_a_gpu_a_notice_and_the_table_are_printed(tmp_path: Path) -> None:
    done = run("bench", make_clip(tmp_path / "in.mp4"), "--rounds", 1)
    if "cuda (" in done.out:
        pytest.skip("this machine has a GPU")
    assert done.code == 0, done.err
    assert "GPU not benchmarked: auto: " in done.err
    assert "in.mp4" in done.out
    assert "whole" in done.out


@pytest.mark.parametrize("codec", CODECS)
def test_generated_clips_have_the_requested_format(tmp_path: Path, codec: str) -> None:
    generate_clip(tmp_path / "out.mp4", 128, 96, 12, codec)
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        found = (context.width, context.height, context.pix_fmt, sum(1 for _ in container.decode(video=0)))
    assert found == (128, 96, CODECS[codec][1], 12)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--size", "big"), 64, "big is not a size"),
        (("--size", "641x360"), 64, "odd side"),
        (("--codec", "vvc"), 64, "vvc is unknown"),
        (("--batch", "0"), 64, "--batch 0: out of range"),
        (("--batch", "1,x"), 64, "--batch x: out of range"),
        (("--rounds", "0"), 64, "--rounds 0: out of range"),
        (("--repeat", "0"), 64, "--repeat 0: out of range"),
        (("--input-size", "100"), 64, "--input-size 100: 100 is not a size"),
        (("--input-size", "100x64", "--size", "64x64", "--frames", "4", "--device", "cpu"), 64, "takes multiples of 16"),
        (("--frames", "0"), 64, "--frames 0: out of range"),
        (("no.mp4",), 66, "no.mp4: no such file"),
        (("--output", "/no/such/folder/out.json"), 73, "its folder does not exist"),
        (("--saliency-model", "no.onnx", "--size", "64x64", "--frames", "4"), 65, "no.onnx: cannot be read"),
    ],
)
def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], code: int, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("bench", *flags)
    assert done.code == code, done.err
    assert len(done.errors) == 1
    assert words in done.errors[0]
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("mine")
    done = run("bench", "--output", tmp_path / "out.json", "--size", "64x64", "--frames", 4)
    assert done.code == 73
    assert "exists (give --overwrite" in done.errors[0]
    assert (tmp_path / "out.json").read_text() == "mine"
