"""Sidecars of any origin beside real clips: what they claim is compared with the clip before anything is decoded or published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import ffmpeg, make_clip
from program import leftovers, run

from gpu_saliency import AnalysisSettings, Sidecar, load_saliency_sidecar, probe_clip
from gpu_saliency.analysis.sidecar import read_sidecar, save_sidecar
from gpu_saliency.errors import SidecarError

SETTINGS = AnalysisSettings(device="cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second, 24 frames with B frames."""
    folder = tmp_path_factory.mktemp("clip")
    return make_clip(folder / "in.mp4", extra=("-preset", "medium"))


@pytest.fixture(scope="module")
def made(clip: Path) -> Sidecar:
    return load_saliency_sidecar(probe_clip(clip), SETTINGS)[0]


def with_track(made: Sidecar, **changes: object) -> Sidecar:
    return replace(made, track=replace(made.track, **changes))  # type: ignore[arg-type]


def stamps(made: Sidecar) -> np.ndarray:
    assert made.track.frame_pts is not None
    return made.track.frame_pts


def _frames(made: Sidecar, count: int) -> Sidecar:
    """Only the first ``count`` frames."""
    kept = made.track.sample_frame < count
    parts = {name: getattr(made.track, name)[kept] for name in ("saliency", "activity", "sample_frame", "motion")}
    gaze = None if made.track.gaze is None else made.track.gaze[kept]
    return with_track(made, **parts, gaze=gaze, frame_count=count, frame_pts=stamps(made)[:count])


WRONG: dict[str, tuple[Callable[[Sidecar], Sidecar], str]] = {
    "stamps doubled": (lambda m: with_track(m, frame_pts=stamps(m) * 2), "its time stamps are not those"),
    "stamps halved": (lambda m: with_track(m, frame_pts=stamps(m) // 2), "its time stamps are not those"),
    "stamps a tick late": (lambda m: with_track(m, frame_pts=stamps(m) + 1), "its time stamps are not those"),
    "one stamp moved": (lambda m: with_track(m, frame_pts=stamps(m) + (np.arange(24) == 12)), "its time stamps are not those"),
    "time base doubled": (lambda m: with_track(m, time_base=m.track.time_base * 2), "its time stamps are not those"),
    "time base of 1": (lambda m: with_track(m, time_base=Fraction(1)), "its time stamps are not those"),
    "half the frames": (lambda m: _frames(m, 12), "it has 12 frames, .* has 24"),
    "every other frame": (
        lambda m: with_track(m, frame_count=12, frame_pts=stamps(m)[1::2], sample_frame=m.track.sample_frame // 2, cuts=()),
        "it has 12 frames, .* has 24",
    ),
    "no stamps": (lambda m: with_track(m, frame_pts=None), "its time stamps are not those"),
    "far more frames": (
        lambda m: with_track(m, frame_count=1000, frame_pts=np.arange(1000) * 512),
        "it claims 1000 frames, .* has 24 packets",
    ),
    "more frames": (lambda m: with_track(m, frame_count=48, frame_pts=np.arange(48) * 512), "it has 48 frames, .* has 24"),
    "another rate": (lambda m: replace(m, source=replace(m.source, frame_rate=Fraction(48))), "was made for 48 frames per second"),
    "another length": (lambda m: replace(m, source=replace(m.source, duration=0.5)), "was made for its first 0.5 s"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_time_axis_of_another_clip_is_refused(name: str, clip: Path, made: Sidecar, tmp_path: Path) -> None:
    change, words = WRONG[name]
    save_sidecar(change(made), tmp_path / "s.npz")
    with pytest.raises(SidecarError, match=words):
        load_saliency_sidecar(probe_clip(clip), SETTINGS, tmp_path / "s.npz")
    done = run("encode", "--src", clip, "--output", tmp_path / "o.mp4", "--sidecar", tmp_path / "s.npz", "--json")
    assert (done.code, len(done.errors)) == (65, 1), done.err
    assert leftovers(tmp_path, {"s.npz"}) == set()


MAKERS: dict[str, tuple[str, tuple[object, ...]]] = {
    "B frames in mp4": ("a.mp4", ("-preset", "medium")),
    "B frames in mkv": ("a.mkv", ("-preset", "medium")),
    "transport stream": ("a.ts", ("-c:v", "libx264", "-bf", 3)),
    "B frames in avi": ("a.avi", ("-c:v", "libx264", "-bf", 2)),
    "MPEG-4 in avi": ("a.avi", ("-c:v", "mpeg4", "-bf", 2)),
    "VP9": ("a.webm", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-auto-alt-ref", 1, "-lag-in-frames", 16)),
    "VP8": ("a.webm", ("-c:v", "libvpx", "-auto-alt-ref", 1, "-lag-in-frames", 16)),
    "open GOPs": ("a.mp4", ("-x264-params", "open-gop=1:keyint=8")),
    "HEVC": ("a.mp4", ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=8:log-level=0")),
    "MPEG-2": ("a.mpg", ("-c:v", "mpeg2video", "-bf", 2)),
    "FLV": ("a.flv", ("-c:v", "flv1")),
    "GIF": ("a.gif", ()),
    "uneven times": ("a.mkv", ("-vf", "setpts='(N+0.3*mod(N,3))/24/TB'", "-fps_mode", "passthrough", "-preset", "medium")),
    "raw": ("a.y4m", ("-pix_fmt", "yuv420p")),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("duration", [0.0, 0.6])
def test_the_programs_own_sidecars_are_accepted(name: str, duration: float, tmp_path: Path) -> None:
    file, arguments = MAKERS[name]
    clip = probe_clip(make_clip(tmp_path / file, extra=arguments), duration=duration)
    load_saliency_sidecar(clip, SETTINGS, tmp_path / "s.npz")
    assert load_saliency_sidecar(clip, SETTINGS, tmp_path / "s.npz")[1]


@pytest.mark.parametrize("name", ["cut off", "edit list", "cut in the middle"])
def test_sidecars_of_unusual_clips_are_accepted(name: str, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.mp4"
    if name == "cut off":  # a transport stream without its last third
        ffmpeg("-i", clip, "-c", "copy", tmp_path / "b.ts")
        path = tmp_path / "b.ts"
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    elif name == "edit list":
        ffmpeg("-ss", 0.4, "-i", clip, "-c", "copy", path)
    else:
        data = bytearray(clip.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
        path.write_bytes(data)
    found = probe_clip(path)
    load_saliency_sidecar(found, SETTINGS, tmp_path / "s.npz")
    assert load_saliency_sidecar(found, SETTINGS, tmp_path / "s.npz")[1]


def test_inspect_follows_no_path_of_a_sidecar(clip: Path, tmp_path: Path) -> None:
    """The recorded source is looked for beside the encode and the sidecar only, and by its content before it is decoded."""
    output = tmp_path / "out.mp4"
    assert run("encode", "--src", clip, "--output", output, "--prove", "none").code == 0
    done = run("inspect", output)
    assert done.code == 66
    assert "was made from in.mp4, which is not in " in done.errors[0]
    assert "--src" in done.errors[0]
    assert run("inspect", output, "--src", clip).code == 0
    (tmp_path / "in.mp4").write_bytes(b"junk that is never decoded")
    done = run("inspect", output)
    assert (done.code, "has other content" in done.errors[0]) == (65, True)
    (tmp_path / "in.mp4").write_bytes(clip.read_bytes())
    assert run("inspect", output).code == 0
    elsewhere = tmp_path / "sidecars"
    elsewhere.mkdir()
    (tmp_path / "in.mp4").rename(elsewhere / "in.mp4")
    (tmp_path / "out.mp4.saliency.npz").rename(elsewhere / "s.npz")
    assert run("inspect", output, "--sidecar", elsewhere / "s.npz").code == 0


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/dev/zero", "../../etc/passwd", "..", "", "/", "out.mp4", "/proc/self/mem", "http://x/y"]
)
def test_what_a_recorded_path_may_name(path: str, clip: Path, tmp_path: Path) -> None:
    output, sidecar = tmp_path / "out.mp4", tmp_path / "out.mp4.saliency.npz"
    assert run("encode", "--src", clip, "--output", output, "--prove", "none").code == 0
    kept = read_sidecar(sidecar)
    save_sidecar(replace(kept, source=replace(kept.source, path=path)), sidecar)
    done = run("inspect", output, "--json")
    assert (done.code, len(done.errors)) == ((65, 1) if path == "out.mp4" else (66, 1)), done.err


@pytest.mark.parametrize(
    "change",
    [
        {"crf": "x"},
        {"crf": 10**20},
        {"preset": 3},
        {"offset": None},
        {"asked_segments": ["1"]},
        {"encoder": None},
        {"bitrate": -1},
        {"bitrate": True},
    ],
)
def test_a_record_of_an_encode_is_checked(change: dict[str, object], clip: Path, tmp_path: Path) -> None:
    output, sidecar = tmp_path / "out.mp4", tmp_path / "out.mp4.saliency.npz"
    assert run("encode", "--src", clip, "--output", output, "--prove", "none").code == 0
    kept = read_sidecar(sidecar)
    kept.encodes["out.mp4"].update(change)
    save_sidecar(kept, sidecar)
    done = run("inspect", output, "--src", clip, "--json")
    assert (done.code, len(done.errors)) == (65, 1), done.err
    assert "its record of out.mp4 cannot be used" in done.errors[0]
