"""Clips that begin within their file: the frames are told by the numbers that they show."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import ffmpeg
from numbered import make_numbered, number_of, numbers
from packets import video_times
from program import leftovers, run

from gpu_saliency.analysis.load import load_saliency_sidecar
from gpu_saliency.analysis.sidecar import read_sidecar
from gpu_saliency.encode.ffmpeg import probe_ffmpeg
from gpu_saliency.encode.parts import Part
from gpu_saliency.encode.prepare import EncodeSettings, prepare_encode
from gpu_saliency.encode.run import encode_part
from gpu_saliency.score import score_encode
from gpu_saliency.source.clip import Clip
from gpu_saliency.source.decode import DecodeTally, decode_frames
from gpu_saliency.source.probe import probe_clip
from gpu_saliency.source.seek import FrameReader

ROOT = Path(__file__).parents[2]
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "25")
FAST = ("--analysis-fps", "4", "--preset", "ultrafast", "--no-cache")
KINDS: dict[str, tuple[object, ...]] = {
    "b.mp4": X264,
    "b.ts": X264,
    "open-h264.mp4": (*X264, "-x264-params", "open-gop=1:b-pyramid=normal"),
    "open-hevc.mkv": ("-c:v", "libx265", "-x265-params", "open-gop=1:keyint=25:min-keyint=25:bframes=4:log-level=0"),
    "open-mpeg2.ts": ("-c:v", "mpeg2video", "-bf", "2", "-g", "15", "-q:v", "2"),
    "refresh.ts": ("-c:v", "libx264", "-x264-params", "intra-refresh=1:keyint=25:bframes=2"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25"),
    "vfr.mkv": (*X264, "-fps_mode", "passthrough"),
    "b.avi": X264,
    "bare.h264": X264,
    "raw.yuv": ("-f", "rawvideo"),
}
VFR = ",setpts='(N+mod(N*7,5)/5)/24/TB'"
RANGES = [("0.01", "0.31"), ("1", None), ("1.37", "2.57"), ("00:02.5", "3.2"), ("3.99", None), ("4.9", None)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of 120 frames at 24 a second, key frames 15 or 25 frames apart; those of vfr.mkv are up to 0.8 frames late."""
    made = tmp_path_factory.mktemp("numbered")
    for name, codec in KINDS.items():
        make_numbered(made / name, *codec, before=VFR if name == "vfr.mkv" else "")
    beeps = "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.1)':s=48000:d=5"
    words = made / "words.srt"
    words.write_text("1\n00:00:00,500 --> 00:00:02,000\nearly\n\n2\n00:00:02,100 --> 00:00:04,000\nlate\n")
    chapters = made / "chapters.txt"
    lines = [
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={a}\nEND={b}\ntitle={t}\n"
        for a, b, t in ((0, 1000, "a"), (1000, 2000, "b"), (2000, 5000, "c"))
    ]
    chapters.write_text(";FFMETADATA1\n" + "".join(lines))
    inputs = ("-i", made / "b.mp4", "-f", "lavfi", "-i", beeps, "-i", words, "-i", chapters)
    ffmpeg(
        *inputs,
        "-map",
        "0",
        "-map",
        "1",
        "-map",
        "2",
        "-c:v",
        "copy",
        "-c:a",
        "aac",
        "-c:s",
        "srt",
        "-map_chapters",
        "3",
        made / "full.mkv",
    )
    return made


def size_of(name: str) -> dict[str, Any]:
    return {"width": 160, "height": 96} if name.endswith(".yuv") else {}


def flags_of(name: str) -> list[str]:
    return ["--width", "160", "--height", "96"] if name.endswith(".yuv") else []


def shown(clip: Clip) -> list[int]:
    return [number_of(frame) for frame in decode_frames(clip, DecodeTally())]


def wanted(path: Path, start: str, end: str | None) -> list[int]:
    """The numbers of the frames of which the time stamp, relative to the first one's, lies in the range."""
    clip, tally = probe_clip(path, **size_of(path.name)), DecodeTally()
    count = sum(1 for _ in decode_frames(clip, tally))
    pts = tally.stamps()[0]
    counted = pts is None or path.suffix == ".avi"
    times = [
        n / clip.frame_rate if counted or pts is None else Fraction(int(pts[n] - pts[0])) * tally.time_base for n in range(count)
    ]
    low, high = seconds(start), Fraction(10**9) if end is None else seconds(end)
    return [number for number, time in enumerate(times) if low <= time < high]


def seconds(text: str) -> Fraction:
    return sum((60**place * Fraction(word) for place, word in enumerate(reversed(text.split(":")))), Fraction(0))


@pytest.mark.parametrize("name", KINDS)
def test_the_frames_of_the_range_are_decoded(folder: Path, name: str) -> None:
    """B-frames, open GOPs, gradual refresh, variable rate, no time stamps; starts at key frames and between. None looks damaged."""
    for start, end in RANGES:
        length = 0.0 if end is None else float(seconds(end) - seconds(start))
        clip = probe_clip(folder / name, start=float(seconds(start)), duration=length, **size_of(name))
        tally = DecodeTally()
        found = [number_of(frame) for frame in decode_frames(clip, tally)]
        assert found == wanted(folder / name, start, end), (start, end)
        assert tally.shortfall(clip) is None


def test_a_late_start_does_not_decode_what_is_before(folder: Path) -> None:
    """The last key frame is frame 100 or later."""
    span = probe_clip(folder / "b.mp4", start=4.95).span
    assert span is not None
    assert span.packets_before >= 100


@pytest.mark.parametrize("name", KINDS)
def test_the_frames_of_the_range_are_encoded(folder: Path, tmp_path: Path, name: str) -> None:
    """From 1.37 s, between key frames, to 2.5 s; the output begins at 0 and keeps the distances of the time stamps."""
    output = tmp_path / "out.mkv"
    done = run(
        "encode", "--src", folder / name, "--output", output, "--start", "1.37", "--end", "00:00:02.5", *FAST, *flags_of(name)
    )
    assert done.code == 0, done.err
    assert numbers(output) == wanted(folder / name, "1.37", "2.5")
    times = sorted(video_times(output))
    assert times[0] == 0
    assert times[-1] == pytest.approx((len(times) - 1) / 24, abs=0.05)


@pytest.mark.parametrize("name", ["b.mp4", "vfr.mkv", "b.ts", "open-hevc.mkv", "open-h264.mp4", "raw.yuv", "bare.h264"])
def test_parts_and_single_frames_of_a_range(folder: Path, tmp_path: Path, name: str) -> None:
    """Parts after the first, which ffmpeg reaches by a seek; and frames at any place, as the preview reads them."""
    clip = probe_clip(folder / name, start=1.1, **size_of(name))
    sidecar, _ = load_saliency_sidecar(clip)
    every = shown(clip)
    job = prepare_encode(clip, EncodeSettings(preset="ultrafast"), plain=True).timed_like(sidecar)
    for number, (start, end) in enumerate(((0, 7), (5, 20), (30, 31), (60, len(every)))):
        part = tmp_path / str(number)
        part.mkdir()
        assert numbers(encode_part(job, None, Part(start, end), part)) == every[start:end]
    reader = FrameReader(clip)
    for number in (0, 40, 3, 90, 89, 20):
        assert number_of(reader.read(number, sidecar.track.seek_pts)) == every[number]
    reader.close()


def beep_times(path: Path) -> list[float]:
    """Seconds at which a beep begins: the loudness of 1 ms rises above a tenth of the loudest."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        frames = [(float(f.pts * (f.time_base or 0)), f.to_ndarray()[0]) for f in container.decode(audio=0) if f.pts is not None]
    first = round(frames[0][0] * rate)
    sound = np.concatenate([np.zeros(max(0, first)), *(samples for _, samples in frames)])
    loud = np.abs(sound[: len(sound) // 48 * 48]).reshape(-1, 48).max(axis=1) > 0.05
    return [float(at) / 1000 for at in np.flatnonzero(loud) if at and not loud[max(0, at - 100) : at].any()]


@pytest.mark.parametrize("plain", [False, True])
def test_sound_subtitles_and_chapters_keep_step(folder: Path, tmp_path: Path, plain: bool) -> None:
    """Beeps at 2 s and 3 s, from 1.37 s on; a subtitle until 2 s is cut; three chapters, of which the first ends before."""
    output = tmp_path / "out.mkv"
    choice = ("--encoder", "mpeg4", "--saliency-fallback-plain") if plain else FAST
    done = run("encode", "--src", folder / "full.mkv", "--output", output, "--start", "1.37", "--end", "3.5", *choice)
    assert done.code == 0, done.err
    found = numbers(output)
    assert found == wanted(folder / "full.mkv", "1.37", "3.5")
    assert min(video_times(output)) == 0
    first = found[0] / 24
    assert beep_times(output) == pytest.approx([2 - first, 3 - first], abs=0.003)
    with av.open(str(output)) as container:
        assert [c["metadata"]["title"] for c in container.chapters()] == ["b", "c"]
        assert [float(c["start"] * (c["time_base"] or 0)) for c in container.chapters()] == pytest.approx([0, 2 - first], abs=0.01)
        words = {
            bytes(p): float((p.pts or 0) * (p.time_base or 0)) for p in container.demux(container.streams.subtitles[0]) if p.size
        }
        assert words[b"late"] == pytest.approx(2.1 - first, abs=0.01)
        assert plain or words[b"early"] == 0


@pytest.mark.parametrize("name", ["b.mp4", "vfr.mkv", "b.ts", "raw.yuv", "bare.h264"])
def test_a_plain_encode_has_the_same_frames(folder: Path, tmp_path: Path, name: str) -> None:
    """An encoder without a channel, and no analysis."""
    output = tmp_path / "out.mkv"
    chosen = ("--encoder", "mpeg4", "--saliency-fallback-plain", "--start", "1.37", "--end", "2.5")
    done = run("encode", "--src", folder / name, "--output", output, *chosen, *flags_of(name))
    assert done.code == 0, done.err
    assert numbers(output) == wanted(folder / name, "1.37", "2.5")


def test_the_overlay_has_the_frames(folder: Path, tmp_path: Path) -> None:
    """The picture of the style `heat` is upright and whole; its darkest and lightest columns keep their order."""
    output = tmp_path / "out.mp4"
    done = run("preview", folder / "vfr.mkv", "--output", output, "--start", "1.37", "--end", "2.5")
    assert done.code == 0, done.err
    assert len(video_times(output)) == len(wanted(folder / "vfr.mkv", "1.37", "2.5"))
    assert min(video_times(output)) == 0


@pytest.mark.skipif(not (ROOT / ".svtav1/bin/SvtAv1EncApp").exists(), reason="needs scripts/install-svtav1")
def test_an_encoder_behind_a_pipe(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SvtAv1EncApp gets the frames of the range."""
    monkeypatch.setenv("PATH", f"{ROOT / '.svtav1/bin'}:{os.environ['PATH']}")
    output = tmp_path / "out.mkv"
    chosen = (
        "--encoder",
        "libsvtav1",
        "--preset",
        "12",
        "--start",
        "1.37",
        "--end",
        "2.5",
        "--analysis-fps",
        "4",
        "--prove",
        "none",
    )
    done = run("encode", "--src", folder / "b.mp4", "--output", output, *chosen)
    assert done.code == 0, done.err
    assert numbers(output) == wanted(folder / "b.mp4", "1.37", "2.5")


def test_a_sidecar_is_of_its_range(folder: Path, tmp_path: Path) -> None:
    """The same range reuses it, by any spelling; another start, another end and the whole clip do not."""
    sidecar = tmp_path / "a.saliency"
    source = ("--src", folder / "b.mp4", "--output", tmp_path / "out.mp4", "--sidecar", sidecar, "--overwrite", *FAST)
    planned = run(
        "plan", "--src", folder / "b.mp4", "--sidecar", sidecar, "--start", "1.5", "--end", "3", "--analysis-fps", "4", "--json"
    )
    assert planned.code == 0, planned.err
    assert planned.json["frames"] == 36
    same = run("encode", *source, "--start", "00:00:01.500", "--duration", "1.5", "--json")
    assert same.code == 0, same.err
    assert same.json["analysis"]["reused"]
    for other in (("--start", "1.4", "--end", "3"), ("--start", "1.5", "--end", "2.9"), ()):
        refused = run("encode", *source, *other)
        assert refused.code == 65
        assert "was made for 1.5 s to 3 s" in refused.err


def test_a_range_is_scored_against_its_encode(folder: Path, tmp_path: Path) -> None:
    """Each frame against the same one: the quality is that of the encode, not of other frames."""
    if "psnr" not in probe_ffmpeg(shutil.which("ffmpeg") or _bundled(), "asked for").filters:
        pytest.skip("needs an ffmpeg with psnr")
    output = tmp_path / "out.mkv"
    assert run("encode", "--src", folder / "vfr.mkv", "--output", output, "--start", "1.37", "--end", "2.5", *FAST).code == 0
    reference = probe_clip(folder / "vfr.mkv", start=1.37, duration=1.13)
    score = score_encode(reference, output)
    assert score.frames == 27
    assert score.metrics["psnr_y"].pooled > 30


@pytest.mark.parametrize("name", ["vfr.mkv", "b.mp4", "raw.yuv"])
@pytest.mark.parametrize(
    "part",
    [("--start", "1.37", "--end", "2.5"), ("--start", "0:01.5", "--duration", "0:00:01"), ("--duration", "1"), ("--end", "0:01")],
)
def test_the_command_scores_a_range_against_its_encode(folder: Path, tmp_path: Path, name: str, part: tuple[str, ...]) -> None:
    """The same options as of the encode."""
    if "psnr" not in probe_ffmpeg(shutil.which("ffmpeg") or _bundled(), "asked for").filters:
        pytest.skip("needs an ffmpeg with psnr")
    output, source = tmp_path / "out.mkv", folder / name
    assert run("encode", "--src", source, "--output", output, *part, *FAST, *flags_of(name)).code == 0
    done = run("score", "--ref", source, "--dist", output, *part, *flags_of(name), "--sidecar", f"{output}.saliency.npz", "--json")
    assert done.code == 0, done.err
    assert done.json["frames"] == frame_count(output)
    quality = done.json["metrics"]["psnr_y"]["pooled"]
    assert quality is None or quality > 30  # None: no error at all


def frame_count(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_given_maps_count_from_the_first_used_frame(folder: Path, tmp_path: Path) -> None:
    """Map 0 belongs to the first frame of the part: its left half is salient up to map 11, then the right half."""
    clip = probe_clip(folder / "b.mp4")
    maps = np.zeros((24, clip.height, clip.width), np.uint8)
    maps[:12, :, : clip.width // 2] = 255
    maps[12:, :, clip.width // 2 :] = 255
    np.savez(tmp_path / "maps.npz", saliency=maps)
    sidecar = tmp_path / "s.npz"
    count = len(wanted(folder / "b.mp4", "1", "2"))
    assert count == 24
    source = ("--src", folder / "b.mp4", "--start", "1", "--end", "2", "--maps", tmp_path / "maps.npz")
    done = run("plan", *source, "--sidecar", sidecar, "--every", 4, "--json")
    assert done.code == 0, done.err
    track = read_sidecar(sidecar).track
    left = track.saliency[:, :, 0].mean(axis=1) > track.saliency[:, :, -1].mean(axis=1)
    assert left.tolist() == [number < 12 for number in track.sample_frame]
    np.savez(tmp_path / "maps.npz", saliency=maps[:20])
    few = run("plan", *source, "--sidecar", tmp_path / "few.npz")
    assert few.code == 65
    assert "20" in few.err


def _bundled() -> str:
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--end", "2", "--duration", "1"), 64, "cannot be combined"),
        (("--start", "2", "--end", "2"), 64, "not after the start"),
        (("--start", "3", "--end", "1:00:00.5", "--duration", "1"), 64, "cannot be combined"),
        (("--start=-1",), 64, "is negative"),
        (("--start", "1:75"), 64, "is no time"),
        (("--end", "0"), 64, "not after the start"),
        (("--start", "5"), 65, "ends before --start"),
        (("--start", "1:00:00"), 65, "ends before --start"),
        (("--start", "1.01", "--end", "1.02"), 65, "has no frame"),
    ],
)
@pytest.mark.parametrize("name", ["b.mp4", "raw.yuv"])
def test_errors_are_one_line(folder: Path, tmp_path: Path, name: str, flags: tuple[str, ...], code: int, words: str) -> None:
    """And nothing is written."""
    done = run("encode", "--src", folder / name, "--output", tmp_path / "out.mp4", *flags, *flags_of(name))
    assert done.code == code, done.err
    assert len(done.errors) == 1
    assert words in done.errors[0]
    assert not leftovers(tmp_path, set())
