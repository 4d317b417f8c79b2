"""``--every keyframe``: key frames alone are decoded, and the time axis is that of a decode of all frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import ffmpeg, make_clip
from damage import cut, zeroed
from packets import video_times
from program import run

from gpu_saliency.analysis.sidecar import read_sidecar
from gpu_saliency.errors import UsageError
from gpu_saliency.plan.build import plan_track
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.key_frames import key_frame_batches
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.sampling import Sampling

_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "10")
_OPEN = (*_X264, "-x264-params", "open-gop=1:bframes=3:b-pyramid=2")
_MADE: dict[str, tuple[str, ...]] = {
    "closed.mp4": _X264,
    "open.mkv": _OPEN,
    "open.ts": _OPEN,
    "open-hevc.ts": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=10:open-gop=1:log-level=error"),
    "fields.ts": (*_X264, "-flags", "+ilme+ildct", "-x264-params", "tff=1"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-g", "10", "-bf", "2"),
    "hidden.webm": ("-c:v", "libvpx", "-g", "20", "-lag-in-frames", "16", "-auto-alt-ref", "1", "-cpu-used", "8"),
    "intra.mov": ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"),
    "uneven.mkv": ("-vf", "setpts=PTS+if(gt(N\\,15)\\,0.4/TB)", "-fps_mode", "passthrough", *_X264),
    "whole.mp4": (*_X264[:-1], "9999"),
    "bare.h264": _X264,
    "stampless.avi": _OPEN,
    "raw.yuv": (),
}
_KINDS = ("closed.mp4", "open.mkv", "open.ts", "open-hevc.ts", "fields.ts", "mpeg2.mpg", "hidden.webm", "intra.mov", "uneven.mkv")
_PARTS: dict[str, dict[str, Any]] = {
    "": {},
    "first 1.2 s": {"duration": 1.2},
    "from 0.3 s": {"start": 0.3},
    "0.3 to 1.3 s": {"start": 0.3, "duration": 1.0},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes clips of 40 frames of 96x64, 24 a second, of which every tenth is a key frame."""
    folder = tmp_path_factory.mktemp("kinds")

    def clip(name: str) -> Path:
        path = folder / name
        if not path.exists():
            graph = "testsrc2=s=96x64:r=24:d=1.66"
            ffmpeg("-f", "lavfi", "-i", graph, *(("-pix_fmt", "yuv420p") if "mov" not in name else ()), *_MADE[name], path)
        return path

    return clip


def _sampled(path: Path, **part: Any) -> tuple[list[int], DecodeTally]:
    clip, tally = probe_clip(path, **part), DecodeTally()
    sampling = Sampling.choose(clip.frame_rate, every="keyframe")
    numbers = [batch.index for batch in key_frame_batches(clip, sampling, (48, 32), 3, tally)]
    return np.concatenate(numbers).tolist(), tally


@pytest.mark.parametrize("part", _PARTS)
@pytest.mark.parametrize("name", _KINDS)
def test_the_time_axis_is_that_of_all_frames(clips: Callable[[str], Path], name: str, part: str) -> None:
    clip, whole = probe_clip(clips(name), **_PARTS[part]), DecodeTally()
    keys = [number for number, frame in enumerate(decode_frames(clip, whole)) if frame.key_frame]
    if len(keys) < 2:
        with pytest.raises(UsageError, match="has one key frame"):
            _sampled(clips(name), **_PARTS[part])
        return
    numbers, tally = _sampled(clips(name), **_PARTS[part])
    # Of the key frames of an intra codec one each quarter of a second.
    assert numbers == (keys[::6] if name == "intra.mov" else keys)
    assert tally.frames == whole.frames
    assert (tally.pts, tally.time_base) == (whole.pts, whole.time_base)
    assert tally.stamps()[1] == whole.stamps()[1]
    assert tally.variable_frame_rate == whole.variable_frame_rate
    assert tally.shortfall(clip) is whole.shortfall(clip) is None
    assert tally.key_frames == len(numbers)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("whole.mp4", "has one key frame in 40 frames"),
        ("bare.h264", "does not give one frame with its time stamp for each packet"),
        ("stampless.avi", "does not give one frame with its time stamp for each packet"),
        ("raw.yuv", "is raw video, which has no key frames"),
    ],
)
def test_a_clip_without_a_usable_key_frame_index_is_refused(
    clips: Callable[[str], Path], tmp_path: Path, name: str, reason: str
) -> None:
    raw = ("--width", 96, "--height", 64, "--framerate", 24) if name == "raw.yuv" else ()
    done = run("plan", clips(name), tmp_path / "s.npz", "--every", "keyframe", "--no-cache", *raw)
    assert done.code == 64
    assert [line for line in done.errors if reason in line and "leave it out, or give a number of frames" in line]
    assert list(tmp_path.iterdir()) == []


def test_a_clip_that_begins_between_key_frames_is_refused(clips: Callable[[str], Path], tmp_path: Path) -> None:
    whole = clips("open.ts").read_bytes()
    late = tmp_path / "late.ts"
    late.write_bytes(whole[188 * (len(whole) // 188 // 8) :])
    with pytest.raises(UsageError, match=r"does not begin with a key frame|does not give one frame"):
        _sampled(late)


def test_damage_that_can_be_known_is_reported_truly(clips: Callable[[str], Path], tmp_path: Path) -> None:
    short = cut(clips("open.ts"), tmp_path / "short.ts", 0.7)
    numbers, tally = _sampled(short)
    found = tally.shortfall(probe_clip(short))
    assert found is not None
    assert (found.decoded_frames, found.read_frames) == (len(numbers), tally.frames)
    assert f"{tally.frames} were read and {len(numbers)} were decoded" in found.text()
    # Between the key frames nothing was decoded, so that the encode finds the damage, and says so.
    bad = zeroed(clips("closed.mp4"), tmp_path / "bad.mp4", 0.55, 1500)
    done = run("encode", "--src", bad, "--output", tmp_path / "o.mp4", "--every", "keyframe", "--no-cache", "--preset", "ultrafast")
    assert done.code == 65
    assert "frames between its key frames are damaged: ffmpeg reports" in done.errors[0]
    assert not (tmp_path / "o.mp4").exists()


def test_an_encode_by_key_frames(tmp_path: Path) -> None:
    """The clip has two scenes, and a key frame where the second begins."""
    clip, out, sidecar = tmp_path / "c.mkv", tmp_path / "o.mp4", tmp_path / "s.npz"
    graph = "testsrc2=s=160x96:r=24:d=1.3,trim=end_frame=30[a];mandelbrot=s=160x96:r=24,trim=end_frame=30[b];[a][b]concat"
    keys = ("-force_key_frames", "expr:eq(n,0)+eq(n,30)+eq(n,50)", "-g", "999", "-sc_threshold", "0")
    ffmpeg("-filter_complex", graph, "-pix_fmt", "yuv420p", *_X264[:4], *keys, clip)
    options = ("--no-cache", "--preset", "ultrafast", "--json")
    done = run("encode", "--src", clip, "--output", out, "--sidecar", sidecar, "--every", "keyframe", *options)
    assert done.code == 0, done.err
    facts = done.json["analysis"]
    assert (facts["at_key_frames"], facts["sampled_frames"], facts["device"], facts["shortfall"]) == (True, 3, "cpu", None)
    assert done.json["warnings"] == []
    assert len(video_times(out)) == 60
    found = read_sidecar(sidecar)
    assert found.track.sample_frame.tolist() == [0, 30, 50]
    assert found.track.sample_starts().tolist() == [0, 30, 50]
    assert set(plan_track(found.track, (160, 96)).segment_start.tolist()) <= {0, 30, 50}
    assert plan_track(found.track, (160, 96)).segment_of(30) == plan_track(found.track, (160, 96)).segment_of(29) + 1

    # The sidecar is one of key frames: taken where no sampling is asked for, and by no other.
    again = run("encode", "--src", clip, "--output", out, "--sidecar", sidecar, "--overwrite", *options)
    assert (again.json["analysis"]["reused"], again.json["analysis"]["at_key_frames"]) == (True, True)
    reasons = {("--every", 6): "for each key frame, not for every 6", ("--strict",): "the maps are of key frames"}
    for asked, reason in reasons.items():
        refused = run("encode", "--src", clip, "--output", out, "--sidecar", sidecar, "--overwrite", *options, *asked)
        assert refused.code == 65
        assert reason in refused.err


def test_the_cache_keeps_maps_of_key_frames_apart(
    clips: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_SALIENCY_CACHE_DIR", str(tmp_path / "cache"))
    made = []
    for number, every in enumerate(("keyframe", "6", "keyframe")):
        done = run("plan", clips("closed.mp4"), tmp_path / f"{number}.npz", "--every", every, "--json")
        made.append((done.json["reused_from"] is not None, done.json["analysis"]["sampled_frames"]))
    assert made == [(False, 4), (False, 7), (True, 4)]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--strict",), "contradicts --strict"),
        (("--device", "cuda"), "contradicts --device cuda"),
        (("--maps", "{clip}"), "contradicts --maps"),
        (("--analysis-fps", "2"), "contradicts --analysis-fps"),
    ],
)
def test_options_that_need_other_frames_are_refused(
    clips: Callable[[str], Path], tmp_path: Path, more: tuple[str, ...], reason: str
) -> None:
    clip = clips("closed.mp4")
    done = run("plan", clip, tmp_path / "s.npz", "--every", "keyframe", *(word.format(clip=clip) for word in more))
    assert (done.code, reason in done.err) == (64, True), done.err


def test_a_long_wait_for_a_key_frame_is_a_warning(tmp_path: Path) -> None:
    """Two frames a second for 50 s, with key frames at 0 and 40 s."""
    keys = ("-force_key_frames", "expr:eq(n,0)+eq(n,80)", "-g", "999")
    clip = make_clip(tmp_path / "slow.mkv", size="64x64", rate=2, seconds=50, extra=keys)
    done = run("plan", clip, tmp_path / "s.npz", "--every", "keyframe", "--no-cache", "--json")
    assert done.json["analysis"]["sampled_frames"] == 2
    assert [line for line in done.json["warnings"] if "has no key frame for 40 s" in line]


def test_other_commands_by_key_frames(clips: Callable[[str], Path], tmp_path: Path) -> None:
    clip = clips("closed.mp4")
    batch = ("--every", "keyframe", "--preset", "ultrafast", "--no-cache", "--prove", "none", "--no-equal-size")
    done = run("batch", clip, "--out-dir", tmp_path / "batch", "--results", tmp_path / "results", *batch)
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "results").read_text())["result"]["analysis"]["at_key_frames"]
    rungs = ("--rung", "96x64", "--rung", "48x32", "--keyint", 12, "--preset", "ultrafast", "--no-cache", "--prove", "none")
    done = run("ladder", "--src", clip, "--out-dir", tmp_path / "ladder", "--every", "keyframe", "--json", *rungs)
    assert done.code == 0, done.err
    sheet = tmp_path / "sheet.png"
    done = run("preview", clip, "--output", sheet, "--every", "keyframe", "--no-cache")
    assert done.code == 0, done.err
    assert sheet.exists()
