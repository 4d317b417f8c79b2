"""Damage that only ffmpeg's log names is a warning of each command, and an error with ``--strict``; intact clips have none."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from clips import ffmpeg
from decoded import ffmpeg_frames
from program import Run, leftovers, run

from gpu_saliency.encode.source_log import LogCheck, SourceLog
from gpu_saliency.source.probe import probe_clip

KINDS: dict[str, tuple[object, ...]] = {
    "ffv1.nut": ("-c:v", "ffv1", "-level", 3),
    "ffv1.mkv": ("-c:v", "ffv1", "-level", 3),
    "picture.gif": (),
    "theora.ogv": ("-c:v", "libtheora", "-q:v", 6),
    "wmv2.wmv": ("-c:v", "wmv2", "-q:v", 4),
    "huffyuv.nut": ("-c:v", "ffvhuff"),
    "h264.mp4": ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
    "av1.mkv": ("-c:v", "libsvtav1", "-preset", 12),
}
"""Files by name: arguments of ffmpeg. The decoders of FFV1 and GIF, and the demuxer of NUT, report some damage nowhere else."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of `KINDS`: half a second of moving figures with noise at 24 fps, 160x96."""
    folder = tmp_path_factory.mktemp("made")
    paths = {name: folder / name for name in KINDS}
    for name, arguments in KINDS.items():
        ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=24:duration=0.5,noise=alls=12:allf=t", *arguments, paths[name])
    return paths


def damaged(source: Path, path: Path) -> Path:
    """``source`` with one bit flipped in the middle of its sixth frame's packet, or of the file if it has none."""
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        contents = [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]
    at = data.find(contents[5])
    data[at + len(contents[5]) // 2 if at >= 0 else len(data) // 2] ^= 0x10
    path.write_bytes(data)
    return path


def damage(done: Run) -> list[str]:
    """The warnings of damage; GIF has transparency, of which another one tells."""
    return [text for text in done.json["warnings"] if "damaged" in text]


@pytest.mark.parametrize("name", KINDS)
def test_the_log_of_an_intact_clip_has_no_error(name: str, made: dict[str, Path], tmp_path: Path) -> None:
    done = run("plan", "--src", made[name], "--sidecar", tmp_path / "p.npz", "--strict", "--json", "--no-cache")
    assert damage(done) == []
    output = tmp_path / "o.mkv"
    done = run("encode", "--src", made[name], "--output", output, "--preset", "ultrafast", "--strict", "--json", "--no-cache")
    assert damage(done) == []
    assert done.json["output"]["frames"] == ffmpeg_frames(made[name])


@pytest.mark.parametrize("name", ["ffv1.nut", "ffv1.mkv"])
@pytest.mark.parametrize("command", ["encode", "plan", "preview", "dry run"])
def test_an_error_that_is_only_logged_is_a_warning_and_with_strict_an_error(
    command: str, name: str, made: dict[str, Path], tmp_path: Path
) -> None:
    path = damaged(made[name], tmp_path / name)
    output = tmp_path / ("o.npz" if command == "plan" else "o.mkv")
    arguments = {
        "encode": ["encode", "--output", output, "--preset", "ultrafast"],
        "plan": ["plan", "--sidecar", output],
        "preview": ["preview", "--output", output],
        "dry run": ["encode", "--output", output, "--dry-run"],
    }[command]
    arguments += [path] if command == "preview" else ["--src", path]
    refused = run(*arguments, "--strict", "--json")
    assert refused.code == 65
    assert "ffmpeg reports: slice CRC mismatch" in refused.json["error"]["message"]
    assert leftovers(tmp_path, {name}) == set()
    done = run(*arguments, "--json")
    assert done.code == 0
    [warning] = done.json["warnings"]
    assert "damaged or incomplete" in warning
    assert "ffmpeg reports: slice CRC mismatch" in warning
    if command in ("encode", "plan"):
        assert done.json["analysis"]["shortfall"]["decoded_frames"] == 12


def test_an_error_of_the_demuxer_is_found_without_decoding(made: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "cut.nut"
    data = made["huffyuv.nut"].read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 2000 :])
    done = run("plan", "--src", path, "--sidecar", tmp_path / "p.npz", "--json")
    assert done.code == 0
    assert len(done.json["warnings"]) == 1


def test_lines_of_the_encoder_and_of_filters_are_not_of_the_source(made: dict[str, Path]) -> None:
    log = SourceLog(probe_clip(made["ffv1.nut"]))
    log.add("[libx264 @ 0x55d0] width not divisible by 2")
    log.add("[Parsed_addroi_0 @ 0x55d0] something")
    log.add("[out#0/matroska @ 0x55d0] Error muxing a packet")
    log.add("Conversion failed!")
    assert log.reasons() == ()
    for number in range(5):
        log.add(f"[vist#0:0/ffv1 @ 0x55d{number}] [dec:ffv1 @ 0x55] slice {number} is damaged\x1b")
    log.add("[in#0/nut @ 0x55d0] no main startcode")
    assert log.reasons() == ("ffmpeg reports: slice 0 is damaged\\x1b", "ffmpeg reports: no main startcode")


def test_the_end_of_the_block_ends_the_reading(made: dict[str, Path]) -> None:
    with LogCheck(probe_clip(made["h264.mp4"])) as check:
        pass
    assert not check._thread.is_alive()
