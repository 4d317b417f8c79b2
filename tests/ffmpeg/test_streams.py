"""An encode keeps all streams that its container can hold, and names the others."""

from __future__ import annotations

import random
from pathlib import Path

import av
import pytest
from av.stream import AttachmentStream
from clips import ffmpeg, make_clip
from program import Run, leftovers, run
from streams import chapters_of, packets_of, rich_mkv, rich_mp4, streams_of, with_unknown_audio


def encode(source: Path, output: Path, *arguments: object) -> Run:
    fast = ("--preset", "veryfast") if "--encoder" not in arguments else ()
    return run("encode", "--src", source, "--output", output, *fast, "--json", *arguments)


@pytest.fixture(scope="module")
def mkv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rich_mkv(tmp_path_factory.mktemp("rich"))


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rich_mp4(tmp_path_factory.mktemp("rich"))


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libsvtav1"])
def test_matroska_keeps_everything(encoder: str, mkv: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    done = encode(mkv, output, "--encoder", encoder, "--prove", "none")
    assert done.code == 0, done.err
    assert done.json["source"]["left_out"] == done.json["output"]["lost"] == []
    assert streams_of(output) == streams_of(mkv)
    assert chapters_of(output) == chapters_of(mkv)
    assert [one["kind"] for one in done.json["output"]["streams"]] == [
        "audio",
        "audio",
        "subtitle",
        "subtitle",
        "attachment",
        "video",
    ]
    assert done.json["output"]["chapters"] == 2
    for index in range(1, 5):
        assert packets_of(output, index) == packets_of(mkv, index)
    with av.open(str(output)) as container, av.open(str(mkv)) as source:
        fonts = [file.streams[5] for file in (container, source)]
        assert isinstance(fonts[0], AttachmentStream)
        assert isinstance(fonts[1], AttachmentStream)
        assert fonts[0].data == fonts[1].data
        assert container.metadata["title"] == "Film"
        assert container.streams[2].metadata["title"] == "Zwei"


def test_mp4_keeps_what_it_can_and_names_the_rest(mkv: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    done = encode(mkv, output)
    assert done.code == 0, done.err
    left_out = done.json["source"]["left_out"]
    assert [(one["index"], one["kind"], one["codec"]) for one in left_out] == [
        (3, "subtitle", "subrip"),
        (4, "subtitle", "ass"),
        (5, "attachment", "font/ttf"),
    ]
    assert all("mp4 cannot hold" in one["reason"] for one in left_out)
    assert done.err.count("WARNING") == 3
    assert [one[:3] for one in streams_of(output)] == [("audio", "aac", "eng"), ("audio", "opus", "deu"), ("video", "png", None)]
    assert chapters_of(output) == chapters_of(mkv)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_mov_text_and_cover_stay_in_mp4(suffix: str, mp4: Path, tmp_path: Path) -> None:
    """QuickTime files have no cover pictures."""
    output = tmp_path / f"out{suffix}"
    done = encode(mp4, output)
    assert done.code == 0, done.err
    cover = [] if suffix == ".mov" else [("video", "mjpeg")]
    assert [one[:2] for one in streams_of(output)] == [("audio", "aac"), ("subtitle", "mov_text"), *cover]
    assert len(done.json["source"]["left_out"]) == (suffix == ".mov")
    assert done.json["output"]["lost"] == []
    assert chapters_of(output) == chapters_of(mp4)


def test_a_jpeg_cover_goes_to_matroska(mp4: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    done = encode(mp4, output)
    assert done.code == 0, done.err
    assert [one["codec"] for one in done.json["source"]["left_out"]] == ["mov_text"]
    assert streams_of(output)[-1][1] == "mjpeg"
    assert int(streams_of(output)[-1][3]) == av.stream.Disposition.attached_pic


def test_no_audio_leaves_only_audio_out_without_a_warning(mkv: Path, tmp_path: Path) -> None:
    done = encode(mkv, tmp_path / "out.mkv", "--no-audio")
    assert done.code == 0, done.err
    assert [one["kind"] for one in done.json["source"]["left_out"]] == ["audio", "audio"]
    assert "WARNING" not in done.err
    assert [one["kind"] for one in done.json["output"]["streams"]] == ["subtitle", "subtitle", "attachment", "video"]


def test_a_duration_cuts_all_streams(mkv: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    done = encode(mkv, output, "--duration", 0.45)
    assert done.code == 0, done.err
    assert len(packets_of(output, 3)) == 1
    assert len(chapters_of(output)) == 1


def test_a_plain_fallback_keeps_them_too(mkv: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    done = run("encode", "--src", mkv, "--output", output, "--encoder", "mpeg4", "--saliency-fallback-plain", "--json")
    assert done.code == 0, done.err
    assert sorted(str(one[:2]) for one in streams_of(output)) == sorted(str(one[:2]) for one in streams_of(mkv))


def test_a_dry_run_names_what_is_left_out(mkv: Path, tmp_path: Path) -> None:
    done = run("encode", "--src", mkv, "--output", tmp_path / "out.mp4", "--dry-run", "--json")
    assert done.code == 0, done.err
    assert len(done.json["source"]["left_out"]) == 3
    assert done.err.count("WARNING") == 3


@pytest.mark.parametrize("arguments", [(), ("--no-audio",)])
@pytest.mark.parametrize("fourcc", [b"zzzz", b"apac"])
def test_audio_of_an_unknown_codec_is_left_out(fourcc: bytes, arguments: tuple[str, ...], tmp_path: Path) -> None:
    source, output = with_unknown_audio(tmp_path, fourcc), tmp_path / "out.mp4"
    done = encode(source, output, *arguments)
    assert done.code == 0, done.err
    kinds = [(one["index"], one["codec"]) for one in done.json["source"]["left_out"]]
    assert (2, None) in kinds
    assert [one[:2] for one in streams_of(output)] == ([] if arguments else [("audio", "aac")])
    assert ("WARNING" in done.err) is not bool(arguments)
    assert run("plan", "--src", source).code == 0


def test_a_second_video_is_left_out(tmp_path: Path) -> None:
    base = make_clip(tmp_path / "base.mp4")
    ffmpeg("-i", base, "-i", base, "-map", 0, "-map", 1, "-c", "copy", tmp_path / "two.mkv")
    done = encode(tmp_path / "two.mkv", tmp_path / "out.mkv")
    assert done.code == 0, done.err
    assert [one["kind"] for one in done.json["source"]["left_out"]] == ["video"]


@pytest.mark.parametrize("suffix", [".ts", ".m2ts", ".avi", ".mov", ".flv", ".mkv", ".mp4", ".3gp", ".nut"])
def test_containers_that_work(suffix: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", audio=True, extra=("-bf", 2, "-c:a", "aac"))
    output = tmp_path / f"out{suffix}"
    done = encode(source, output)
    assert done.code == 0, done.err
    with av.open(str(output)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 24
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.streams.video[0].average_rate == 24


@pytest.mark.parametrize(
    ("audio", "suffix", "encoder", "reason"),
    [
        ("aac", ".webm", "libvpx-vp9", "webm cannot hold aac audio"),
        ("aac", ".mxf", "libx264", "Operation not permitted"),
        ("pcm_s16le", ".ts", "libx264", "mpegts cannot hold pcm_s16le audio"),
        ("pcm_s16le", ".3gp", "libx264", "3gp cannot hold pcm_s16le audio"),
        ("libopus", ".mov", "libx264", "opus audio cannot be copied to mov"),
        ("aac", ".avi", "libx265", "avi cannot hold hevc video"),
        ("aac", ".webm", "libx264", "webm cannot hold h264 video"),
        ("aac", ".wav", "libx264", "wav cannot hold h264 video"),
    ],
)
def test_containers_that_cannot_are_refused_before_the_analysis(
    audio: str, suffix: str, encoder: str, reason: str, tmp_path: Path
) -> None:
    source = make_clip(tmp_path / "in.mkv", audio=True, extra=("-c:a", audio))
    before = {path.name for path in tmp_path.iterdir()}
    done = run("encode", "--src", source, "--output", tmp_path / f"out{suffix}", "--encoder", encoder)
    assert done.code == 73, done.err
    assert reason in done.errors[0]
    assert "/." not in done.errors[0], "a hidden file"
    assert leftovers(tmp_path, before) == set()


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_pcm_without_a_layout(suffix: str, channels: int, tmp_path: Path) -> None:
    """AVI states the number of channels only; .mp4 needs a layout."""
    source = make_clip(tmp_path / "in.avi", audio=True, extra=("-c:v", "mjpeg", "-c:a", "pcm_s16le", "-ac", channels))
    output = tmp_path / f"out{suffix}"
    done = encode(source, output)
    assert done.code == 0, done.err
    assert b"".join(packets_of(output, 1)) == b"".join(packets_of(source, 1))
    with av.open(str(output)) as container:
        assert container.streams.audio[0].codec_context.channels == channels


def test_mxf_with_pcm(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mov", rate=25, audio=True, extra=("-c:v", "mjpeg", "-c:a", "pcm_s16le", "-ar", 48000))
    done = encode(source, tmp_path / "out.mxf")
    assert done.code == 0, done.err


def damage_audio(path: Path, share: float) -> Path:
    """Overwrite the payload of a share of the packets of PID 0x101, the audio."""
    noise, data = random.Random(1), bytearray(path.read_bytes())
    for at in range(0, len(data), 188):
        pid = (data[at + 1] & 0x1F) << 8 | data[at + 2]
        if pid == 0x101 and noise.random() < share:
            begin = at + (40 if data[at + 1] & 0x40 else 8)
            data[begin : at + 188] = noise.randbytes(at + 188 - begin)
    bad = path.with_name(f"bad{share}.ts")
    bad.write_bytes(data)
    return bad


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_damaged_packets_of_audio_are_left_out(suffix: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.ts", seconds=2, audio=True, extra=("-c:v", "libx264", "-c:a", "aac"))
    output = tmp_path / f"out{suffix}"
    done = encode(damage_audio(source, 0.3), output)
    assert done.code == 0, done.err
    assert "damaged packets" in done.json["output"]["lost"][0]
    assert "WARNING" in done.err
    assert len(packets_of(output, 1)) > 20


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_audio_without_an_intact_packet_is_refused_with_the_cure(suffix: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.ts", seconds=2, audio=True, extra=("-c:v", "libx264", "-c:a", "aac"))
    bad = damage_audio(source, 1)
    done = encode(bad, tmp_path / f"out{suffix}")
    assert done.code == 73
    assert "audio cannot be copied" in done.errors[0]
    assert "--no-audio" in done.errors[0]
    assert "/." not in done.errors[0]
    assert encode(bad, tmp_path / f"out{suffix}", "--no-audio").code == 0
