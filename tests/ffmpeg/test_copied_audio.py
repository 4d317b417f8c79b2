"""Damaged audio is copied as it is and reported, with ``--strict`` refused; intact audio gives no warning."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from clips import ffmpeg
from program import leftovers, run

BROKEN = range(20, 25)
"""Numbers of the packets of audio whose content is replaced by bytes of 255."""
KINDS: dict[str, tuple[object, ...]] = {
    "aac.mp4": ("-c:a", "aac"),
    "fragments.mp4": ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"),
    "aac.mkv": ("-c:a", "aac"),
    "flac.mkv": ("-c:a", "flac"),
    "ac3.mkv": ("-c:a", "ac3"),
    "opus.mkv": ("-c:a", "libopus"),
}
REDUNDANT = [name for name in KINDS if name != "opus.mkv"]
"""Opus decodes any bytes to some sound."""
FAST = ("--preset", "ultrafast", "--prove", "none", "--no-equal-size")


def _made(folder: Path, name: str) -> Path:
    """2 s of moving figures at 24 fps, 160x96, with noise as sound."""
    path = folder / name
    inputs = ("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=24:duration=2", "-f", "lavfi", "-i", "anoisesrc=d=2:r=48000")
    ffmpeg(*inputs, "-c:v", "libx264", "-preset", "ultrafast", *KINDS[name], path)
    return path


def _packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]


def _damaged(path: Path) -> Path:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.audio[0]) if packet.size]
        data = bytearray(path.read_bytes())
        for packet in packets[BROKEN.start : BROKEN.stop]:
            at = data.index(bytes(packet))
            data[at : at + packet.size] = b"\xff" * packet.size
    damaged = path.with_name(f"damaged.{path.name}")
    damaged.write_bytes(data)
    return damaged


@pytest.mark.parametrize("name", REDUNDANT)
def test_damaged_audio_is_reported_and_copied(name: str, tmp_path: Path) -> None:
    path = _made(tmp_path, name)
    intact = run("encode", "--src", path, "--output", tmp_path / "intact.mkv", *FAST, "--json")
    assert intact.code == 0, intact.err
    assert intact.json["warnings"] == []
    source = _damaged(path)
    done = run("encode", "--src", source, "--output", tmp_path / "o.mkv", *FAST, "--json")
    assert done.code == 0, done.err
    count, total = len(BROKEN), len(_packets(source))
    text = f"{count} of {total} packets of the source's stream 1 (audio) cannot be decoded; they are copied as they are"
    assert done.json["output"]["lost"] == [text]
    assert [text in line for line in done.json["warnings"]] == [True]
    assert _packets(tmp_path / "o.mkv") == _packets(source)


@pytest.mark.parametrize("start", [(), ("--start", "0.5", "--duration", "1")], ids=["whole", "part"])
def test_strict_refuses_damaged_audio(start: tuple[str, ...], tmp_path: Path) -> None:
    source = _damaged(_made(tmp_path, "aac.mkv"))
    before = {path.name for path in tmp_path.iterdir()}
    done = run("encode", "--src", source, "--output", tmp_path / "o.mkv", *FAST, *start, "--strict")
    # Packets 20 to 24 lie at 0.43 to 0.53 s; the first ones of a range are not judged.
    if start:
        assert done.code == 0, done.err
        return
    assert done.code == 65
    assert "5 of " in done.err
    assert "--strict" in done.err
    assert leftovers(tmp_path, before) == set()


@pytest.mark.parametrize("name", KINDS)
def test_a_part_of_intact_audio_gives_no_warning(name: str, tmp_path: Path) -> None:
    done = run(
        "encode", "--src", _made(tmp_path, name), "--output", tmp_path / "o.mkv", *FAST, "--start", "0.7", "--strict", "--json"
    )
    assert done.code == 0, done.err
    assert done.json["warnings"] == []


def test_leaving_the_audio_out_leaves_its_damage_out(tmp_path: Path) -> None:
    source = _damaged(_made(tmp_path, "flac.mkv"))
    done = run("encode", "--src", source, "--output", tmp_path / "o.mkv", *FAST, "--no-audio", "--strict", "--json")
    assert done.code == 0, done.err
    assert done.json["warnings"] == []
