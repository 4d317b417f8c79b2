"""Options of the output: part, size, rate, pixel format, key frames, audio. Read back from the files."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from clips import FFMPEG, ffmpeg
from packets import video_times
from program import Run, leftovers, run

from gpu_saliency.encode.channels import addroi
from gpu_saliency.proof.qp import read_qp

FAST = ("--preset", "ultrafast", "--no-equal-size", "--json", "--overwrite")
UNPROVEN = (*FAST, "--prove", "none")


def _encode(source: Path, output: Path, *arguments: object) -> Run:
    return run("encode", "--src", source, "--output", output, *arguments)


def _lumas(path: Path) -> list[int]:
    """Mean luma of each frame."""
    with av.open(str(path)) as container:
        return [round(float(frame.to_ndarray(format="gray").mean())) for frame in container.decode(video=0)]


def _key_frames(path: Path) -> list[int]:
    """Numbers, in presentation order, of the packets that are flagged as key frames."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    shown = sorted(packet.pts for packet in packets if packet.pts is not None)
    return sorted(shown.index(packet.pts) for packet in packets if packet.is_keyframe and packet.pts is not None)


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of grain at 24 fps, 640x384, with a bright square of 96x96 at (416, 176), an AAC tone from 0.5 s on."""
    path = tmp_path_factory.mktemp("square") / "square.mp4"
    picture = "color=0x404040:size=640x384:rate=24:duration=1,drawbox=x=416:y=176:w=96:h=96:color=0xe0e0e0:t=fill"
    tone = "aevalsrc='gte(t,0.5)*0.5*sin(2*PI*1000*t)':s=48000:d=1"
    source = ("-f", "lavfi", "-i", f"{picture},noise=alls=24:allf=t,format=yuv420p", "-f", "lavfi", "-i", tone)
    ffmpeg(*source, "-c:v", "libx264", "-preset", "ultrafast", "-crf", 8, "-c:a", "aac", path)
    return path


@pytest.fixture(scope="module")
def boxes(square: Path) -> Path:
    """Where the square is, as given maps."""
    path = square.with_name("boxes.json")
    path.write_text(json.dumps([{"x": 416, "y": 176, "w": 96, "h": 96}]), encoding="utf-8")
    return path


SHAPED = ("--crop", "480:288:128:64", "--scale", "720x432", "--fps", "30", "--keyint", "10", "--output-pix-fmt", "yuv420p10le")


def test_the_better_blocks_are_where_the_subject_is_in_the_output(square: Path, boxes: Path, tmp_path: Path) -> None:
    """The part from (128, 64) on is enlarged by 1.5: the square is at (432, 168), with a side of 144.

    Encodes with and without strength have the same pictures, so the QP of their blocks can be compared.
    """
    found = {}
    for strength in ("-6", "0"):
        out = tmp_path / f"{strength}.mp4"
        done = _encode(square, out, *SHAPED, *UNPROVEN, "--maps", boxes, "--saliency-offset", strength, "--acodec", "libopus")
        assert done.code == 0, done.err
        found[strength] = np.mean(list(read_qp(out)), axis=0)
        result = done.json
    change = found["-6"] - found["0"]
    rows, cols = slice(168 // 16 + 1, (168 + 144) // 16 - 1), slice(432 // 16, (432 + 144) // 16)
    inside = np.zeros(change.shape, bool)
    inside[rows, cols] = True
    near = np.zeros(change.shape, bool)
    near[168 // 16 - 1 : (168 + 144) // 16 + 2, 432 // 16 - 1 : (432 + 144) // 16 + 2] = True
    assert change[inside].max() < -2
    assert change[~near].mean() > 0
    assert result["roi"]["rows"] == 27
    assert result["roi"]["cols"] == 45
    output = result["output"]
    assert (output["width"], output["height"], output["pix_fmt"], output["frames"]) == (720, 432, "yuv420p10le", 30)
    assert result["warnings"] == []
    assert [result[key] for key in ("crop", "scale", "fps", "keyint", "audio_codec")] == [
        "480:288:128:64",
        "720x432",
        "30",
        10,
        "libopus",
    ]
    assert _key_frames(tmp_path / "0.mp4") == [0, 10, 20]


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_the_proof_and_inspect_compare_with_a_plain_encode_of_the_same_shape(
    square: Path, boxes: Path, tmp_path: Path, encoder: str
) -> None:
    """x264 is proven by QP, x265 by error against the source's pictures in the same shape, which is smaller: x265 is slow."""
    out = tmp_path / "o.mp4"
    shape = (*SHAPED[:-2], "--scale", "240x144") if encoder == "libx265" else SHAPED[:-2]
    done = _encode(square, out, *shape, *FAST, "--encoder", encoder, "--maps", boxes, "--saliency-offset", "-6", "--verify", "full")
    assert done.code == 0, done.err
    assert done.json["proof"]["moved"] is True
    assert done.json["proof"]["correlation"] > 0.5
    again = run("inspect", out, "--src", square, "--json", "--picture", tmp_path / "p.png")
    assert again.code == 0, again.err
    assert again.json["frames"] == 30
    assert again.json["moved"] is True


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames in Matroska, each brighter by 3 than the one before, at uneven times: two of three last 20 ms, the third 50."""
    path = tmp_path_factory.mktemp("counting") / "uneven.mkv"
    picture = "color=black:size=160x96:rate=25:duration=2.4,format=gray,geq=lum='16+3*N',settb=1/1000,setpts='N*20+floor(N/3)*30'"
    ffmpeg("-f", "lavfi", "-i", picture, "-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-c:v", "ffv1", path)
    return path


@pytest.mark.parametrize(("rate", "suffix"), [("10", ".mkv"), ("25", ".equal.mkv"), ("30000/1001", ".h264")])
def test_another_rate_shows_the_frames_that_ffmpeg_shows(
    counting: Path, tmp_path: Path, rate: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several parts too, each cut on the grid of key frames. The bare bitstream has no time stamps; frames are counted at 25.

    In one file pairs of frames have equal stamps: Matroska rounds to ms, and the analysis moves the second by a tick.
    """
    monkeypatch.setattr(addroi, "MAX_FILTERS", 5)
    source = counting
    if suffix == ".h264":
        source = tmp_path / "even.h264"
        ffmpeg("-i", counting, "-vf", "setpts=N/25/TB", "-r", 25, "-pix_fmt", "yuv420p", "-crf", 1, "-preset", "ultrafast", source)
    if suffix == ".equal.mkv":
        source = tmp_path / "equal.mkv"
        equal = ("-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-c:v", "ffv1")
        ffmpeg("-i", counting, "-vf", "settb=1/1000,setpts='20*floor(N/2)*2'", *equal, source)
    out = tmp_path / "o.mp4"
    settings = ("--crf", 8, "--fps", rate, "--keyint", 7, "--every", 4, "--segments", 5, "--verify", "full")
    done = _encode(source, out, *UNPROVEN, *settings)
    assert done.code == 0, done.err
    assert done.json["roi"]["parts"] > 1
    expected = tmp_path / "expected.mkv"
    ffmpeg("-i", source, "-vf", f"setpts=PTS-STARTPTS,fps={rate}", "-c:v", "ffv1", expected)
    own, theirs = _lumas(out), _lumas(expected)
    assert abs(len(own) - len(theirs)) <= 1, "ffmpeg takes the end from the duration of the last frame"
    # Of two frames with one stamp ffmpeg shows the second, and so does a stamp that is a tick later.
    assert max(abs(a - b) for a, b in zip(own, theirs, strict=False)) <= 1
    assert _key_frames(out) == list(range(0, len(own), 7))
    with av.open(str(out)) as container:
        packets = list(container.demux(video=0))
        times = sorted(one.pts * one.time_base for one in packets if one.pts is not None and one.time_base is not None)
        assert {b - a for a, b in pairwise(times)} == {1 / Fraction(rate)}


@pytest.mark.parametrize(
    ("encoder", "channel"), [("libsvtav1", None), ("libsvtav1", "prefilter"), ("libaom-av1", None), ("libvpx-vp9", "prefilter")]
)
def test_key_frames_are_where_they_were_asked_for(square: Path, tmp_path: Path, encoder: str, channel: str | None) -> None:
    """The encode itself reads them back: this reads them once more. SVT-AV1's program and ffmpeg's wrapper count alike."""
    preset = {"libsvtav1": "12", "libaom-av1": "8", "libvpx-vp9": "8"}[encoder]
    forced = () if channel is None else ("--roi-channel", channel)
    out = tmp_path / "o.mkv"
    arguments = ("--encoder", encoder, "--preset", preset, "--keyint", 9, "--scale", "160x96", *forced)
    done = _encode(square, out, *arguments, *UNPROVEN[2:])
    assert done.code == 0, done.err
    assert _key_frames(out) == [0, 9, 18]


def _onset(path: Path) -> float:
    """Seconds after the first picture at which the tone begins."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.abs(frame.to_ndarray().astype(np.float64)).max(axis=0)
            loud = loud / (1 if frame.format.is_planar and "flt" in frame.format.name else np.iinfo(np.int16).max)
            if loud.max() > 0.1:
                assert frame.time is not None
                return frame.time - video_times(path)[0] + int((loud > 0.1).argmax()) / frame.sample_rate
    raise AssertionError("silent")


@pytest.mark.parametrize(
    ("name", "codec", "found"),
    [
        ("o.mp4", "aac", "aac"),
        ("o.webm", "libopus", "opus"),
        ("o.ts", "libmp3lame", "mp3"),
    ],
)
def test_audio_is_encoded_in_step(square: Path, tmp_path: Path, name: str, codec: str, found: str) -> None:
    encoder = ("--encoder", "libvpx-vp9", "--preset", "8", *UNPROVEN[2:]) if name == "o.webm" else UNPROVEN
    done = _encode(square, tmp_path / name, "--acodec", codec, "--scale", "160:-2", *encoder)
    assert done.code == 0, done.err
    with av.open(str(tmp_path / name)) as container:
        assert [stream.codec_context.codec.canonical_name for stream in container.streams.audio] == [found]
    assert _onset(tmp_path / name) == pytest.approx(_onset(square), abs=0.012)


def test_what_cannot_be_is_refused_before_the_analysis(square: Path, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    vp9 = ("--encoder", "libvpx-vp9")
    for name, arguments, code, words in (
        (
            "o.webm",
            vp9,
            73,
            "webm cannot hold aac audio; it is the source's stream 1 (use .mkv, or --acodec libopus, or --no-audio)",
        ),
        ("o.webm", (*vp9, "--acodec", "aac"), 73, "--acodec libopus"),
        ("o.mp4", ("--output-pix-fmt", "yuv420p12le"), 64, "--output-pix-fmt yuv420p12le: is not supported by libx264 (one of"),
        ("o.mp4", ("--output-pix-fmt", "gbrp"), 64, "--output-pix-fmt gbrp"),
        ("o.mp4", ("--crop", "640:384:2:0"), 64, "--crop 640:384:2:0: reaches beyond the picture (stay within 640x384)"),
        ("o.mp4", ("--scale", "321x200"), 64, "the output would be 321x200"),
        ("o.mp4", ("--audio-bitrate", "64k"), 64, "--audio-bitrate 64000: has no effect on audio that is copied"),
        ("o.mp4", ("--encoder", "libkvazaar", "--keyint", "8"), 64, "--keyint 8"),
    ):
        done = _encode(square, tmp_path / name, *arguments)
        assert (done.code, words in done.err) == (code, True), done.err
        assert "finding saliency" not in done.err
    assert leftovers(tmp_path, before) == set()


def test_a_turned_clip_shows_the_asked_part(square: Path, tmp_path: Path) -> None:
    """Turned by a quarter the picture is 384x640; a player shows the square at its upper edge, cut out by itself it is bright."""
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", 90, "-i", square, "-c", "copy", turned)
    out = tmp_path / "o.mkv"
    done = _encode(turned, out, *UNPROVEN, "--crop", "96:96:176:128", "--no-audio")
    assert done.code == 0, done.err
    raw = subprocess.run([FFMPEG, "-v", "error", "-i", str(out), "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True)
    assert np.frombuffer(raw.stdout, np.uint8).min() > 120


def test_targets_and_plain_encodes_have_the_shape_too(square: Path, boxes: Path, tmp_path: Path) -> None:
    shape = ("--crop", "480:288:128:64", "--scale", "320:-2", "--fps", "12")
    done = _encode(square, tmp_path / "o.mp4", *shape, *UNPROVEN, "--maps", boxes, "--target-vmaf", "80")
    assert done.code == 0, done.err
    assert abs(done.json["intent"]["vmaf"] - 80) < 2
    assert done.json["output"]["frames"] == 12
    plain = _encode(
        square, tmp_path / "p.mkv", *shape, "--encoder", "mpeg4", "--saliency-fallback-plain", "--json", "--acodec", "flac"
    )
    assert plain.code == 0, plain.err
    found = plain.json["output"]
    assert (found["width"], found["height"], found["frames"]) == (320, 192, 12)
    assert found["streams"][0]["codec"] == "flac"
