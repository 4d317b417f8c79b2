"""Dynamic HDR metadata are refused, or left out on request; static ones are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import ffmpeg
from dynamic_hdr import HDR, MESSAGES, hevc, insert_obus, insert_units, remux, sei, with_record
from program import leftovers, run

from gpu_saliency.source.dynamic_hdr import dynamic_hdr
from gpu_saliency.source.probe import probe_clip

X265 = ("--encoder", "libx265", "--preset", "ultrafast", "--prove", "none")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("name", MESSAGES)
def test_messages_in_hevc_are_found(name: str, suffix: str, tmp_path: Path) -> None:
    path = remux(insert_units(hevc(tmp_path), sei(MESSAGES[name])), tmp_path / f"in{suffix}")
    assert dynamic_hdr(probe_clip(path)) == (name,)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_the_units_of_dolby_vision_are_found(suffix: str, tmp_path: Path) -> None:
    path = remux(insert_units(hevc(tmp_path), bytes([62 << 1, 1, 0x19, 8, 9, 0x80])), tmp_path / f"in{suffix}")
    assert dynamic_hdr(probe_clip(path)) == ("Dolby Vision",)


def test_several_kinds_are_named_together(tmp_path: Path) -> None:
    units = insert_units(hevc(tmp_path), sei(MESSAGES["HDR10+"]) + b"\0\0\0\1" + bytes([62 << 1, 1, 0x19, 8, 0x80]))
    assert dynamic_hdr(probe_clip(remux(units, tmp_path / "in.mkv"))) == ("Dolby Vision", "HDR10+")


@pytest.mark.parametrize("name", ["dvcC", "dvvC", "dvwC"])
def test_a_record_without_metadata_is_found(name: str, tmp_path: Path) -> None:
    path = with_record(tmp_path, name)
    assert dynamic_hdr(probe_clip(path)) == ("Dolby Vision",)


def test_a_record_is_found_in_matroska_and_after_the_data(tmp_path: Path) -> None:
    path = with_record(tmp_path)
    mkv, late = tmp_path / "in.mkv", tmp_path / "late.mp4"
    for output in (mkv, late):
        ffmpeg("-i", path, "-c", "copy", "-strict", "unofficial", output)
        assert dynamic_hdr(probe_clip(output)) == ("Dolby Vision",), output.suffix


def test_messages_in_av1_are_found(tmp_path: Path) -> None:
    base = tmp_path / "base.obu"
    codec = ("-c:v", "libsvtav1", "-preset", 12, "-pix_fmt", "yuv420p10le", *HDR)
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=24:duration=0.5", *codec, base)
    message = bytes([4]) + MESSAGES["HDR10+"] + b"\x80"
    made = tmp_path / "made.obu"
    made.write_bytes(insert_obus(base.read_bytes(), bytes([5 << 3 | 2, len(message)]) + message))
    for suffix in (".mp4", ".mkv"):
        assert dynamic_hdr(probe_clip(remux(made, tmp_path / f"in{suffix}"))) == ("HDR10+",), suffix


def test_static_metadata_and_captions_are_no_dynamic_ones(tmp_path: Path) -> None:
    """HDR10's mastering display; closed captions, which are T.35 messages too."""
    plain = hevc(tmp_path)
    assert dynamic_hdr(probe_clip(remux(plain, tmp_path / "a.mp4"))) == ()
    captions = insert_units(plain, sei(bytes.fromhex("b5003147413934" + "03c1fffc8080ff")))
    assert dynamic_hdr(probe_clip(remux(captions, tmp_path / "b.mkv"))) == ()


def test_such_a_source_is_refused_before_the_analysis(tmp_path: Path) -> None:
    source = remux(insert_units(hevc(tmp_path), sei(MESSAGES["HDR10+"])), tmp_path / "in.mp4")
    before = {path.name for path in tmp_path.iterdir()}
    for more in ((), ("--dry-run",)):
        done = run("encode", "--src", source, "--output", tmp_path / "out.mp4", *X265, *more)
        assert done.code == 65
        assert "HDR10+" in done.errors[0]
        assert "--drop-dynamic-hdr" in done.errors[0]
    assert leftovers(tmp_path, before) == set()
    assert run("plan", "--src", source).code == 0


def test_it_is_encoded_without_them_on_request(tmp_path: Path) -> None:
    source = remux(insert_units(hevc(tmp_path), bytes([62 << 1, 1, 0x19, 8, 9, 0x80])), tmp_path / "in.mp4")
    output = tmp_path / "out.mp4"
    done = run("encode", "--src", source, "--output", output, *X265, "--drop-dynamic-hdr", "--json")
    assert done.code == 0, done.err
    assert done.json["output"]["dropped_hdr"] == ["Dolby Vision"]
    assert "WARNING" in done.err
    assert "Dolby Vision" in done.err
    clip = probe_clip(output)
    assert dynamic_hdr(clip) == ()
    assert clip.color == probe_clip(source).color
