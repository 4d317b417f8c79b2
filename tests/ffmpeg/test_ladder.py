"""Ladders: one analysis, several outputs, key frames at the same times; read back from the files."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest
from clips import make_clip
from packets import video_times
from program import leftovers, run


def _key_times(path: Path) -> list[float]:
    first = video_times(path)[0]
    with av.open(str(path)) as container:
        keys = [packet for packet in container.demux(video=0) if packet.size and packet.is_keyframe]
    times = [float(key.pts * key.time_base) for key in keys if key.pts is not None and key.time_base is not None]
    return sorted(round(at - first, 3) for at in times)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("ladder") / "in.mp4", size="320x192", seconds=3, audio=True)


def test_key_frames_of_all_outputs_are_at_the_same_times(clip: Path, tmp_path: Path) -> None:
    """Two sizes and encoders by flags, a third by a file; the second and third use the analysis of the first."""
    rungs = tmp_path / "rungs.json"
    rungs.write_text(json.dumps([{"scale": "160:-2", "crf": 30, "name": "small", "encoder_params": "ref=1"}]), encoding="utf-8")
    out = tmp_path / "out"
    arguments = ("--rung", "source:crf=26", "--rung", "240x144:encoder=libx265:crf=30", "--rungs", rungs)
    fast = ("--preset", "ultrafast", "--keyint", 30, "--prove", "none")
    done = run("ladder", "--src", clip, "--out-dir", out, *arguments, *fast, "--json", "--no-cache")
    assert done.code == 0, done.err
    assert leftovers(out, set()) == {"in-source.mp4", "in-240x144-libx265.mp4", "small.mp4", "in.mp4.saliency.npz"}
    assert done.json["key_frames"] == [0, 1.25, 2.5]
    found = {path.name: _key_times(path) for path in out.glob("*.mp4")}
    assert all(times == [0, 1.25, 2.5] for times in found.values()), found
    assert [one["analysis"]["reused"] for one in done.json["rungs"]] == [False, True, True]
    sizes = [(one["output"]["width"], one["output"]["height"], one["output"]["codec"]) for one in done.json["rungs"]]
    assert sizes == [(320, 192, "h264"), (240, 144, "hevc"), (160, 96, "h264")]


@pytest.mark.parametrize(
    ("rungs", "words"),
    [
        ((), "--rung"),
        (("--rung", "160x96", "--rung", "160x96"), "two are named in-160x96"),
        (("--rung", "160x96:crf=low"), "--crf low: is not a number"),
        (("--rung", "160x96:speed=1"), "has no key speed"),
        (("--rung", "160x96:crf=99"), "--crf 99: out of range"),
        (("--rung", "160x96", "--rung", "80x48:encoder=libvvenc"), "--keyint"),
        (("--rung", "160x96", "--rung", "322x193"), "would be 322x193"),
        (("--rung", "160x96:name=../x"), "is no name of a file"),
    ],
)
def test_rungs_that_cannot_be_are_refused_before_the_analysis(
    clip: Path, tmp_path: Path, rungs: tuple[str, ...], words: str
) -> None:
    done = run("ladder", "--src", clip, "--out-dir", tmp_path / "out", *rungs)
    assert done.code == 64, done.err
    assert words in done.err
    assert "finding saliency" not in done.err
    assert not list((tmp_path / "out").glob("*"))
