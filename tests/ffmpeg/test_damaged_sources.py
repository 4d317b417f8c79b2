"""Sources that are cut or damaged are encoded as far as they can be decoded, with a warning; intact ones give none."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import ffmpeg
from damage import cut, with_noise, without, zeroed
from decoded import decode, ffmpeg_frames
from packets import video_times
from program import leftovers, run

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "400k")
FAST = ("-movflags", "faststart")

KINDS: dict[str, tuple[object, ...]] = {
    "faststart.mp4": (*X264, "-c:a", "aac", *FAST),
    "plain.mp4": (*X264, "-c:a", "aac"),
    "fragments.mp4": (*X264, "-c:a", "aac", "-g", 12, "-movflags", "frag_keyframe+empty_moov"),
    "hevc.mov": (*X265, "-c:a", "aac", *FAST),
    "h264.mkv": (*X264, "-c:a", "aac"),
    "live.mkv": (*X264, "-c:a", "aac", "-live", 1),
    "hevc.mkv": (*X265, "-c:a", "flac"),
    "ffv1.mkv": ("-c:v", "ffv1", "-an"),
    "vp8.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", 8, "-b:v", "400k", "-c:a", "libopus"),
    "vp9.webm": (*VP9, "-c:a", "libopus"),
    "vp9.ivf": (*VP9, "-an"),
    "h264.flv": (*X264, "-c:a", "aac"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-q:v", 4, "-bf", 2, "-c:a", "libmp3lame"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", 4, "-c:a", "pcm_s16le"),
    "h264.ts": (*X264, "-c:a", "aac"),
    "hevc.ts": (*X265, "-c:a", "aac"),
    "mpeg2.m2ts": ("-c:v", "mpeg2video", "-q:v", 4, "-c:a", "mp2", "-mpegts_m2ts_mode", 1, "-f", "mpegts"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-q:v", 4, "-bf", 2, "-c:a", "mp2"),
    "theora.ogv": ("-c:v", "libtheora", "-q:v", 5, "-c:a", "libvorbis"),
    "wmv2.wmv": ("-c:v", "wmv2", "-q:v", 4, "-c:a", "wmav2"),
    "picture.gif": ("-vf", "fps=12"),
    "ffv1.nut": ("-c:v", "ffv1", "-c:a", "pcm_s16le"),
    "raw.y4m": ("-pix_fmt", "yuv420p"),
    "raw10.y4m": ("-pix_fmt", "yuv422p10le", "-strict", -1),
    "bare.h264": (*X264, "-an"),
    "bare.hevc": (*X265, "-an"),
}
"""Files by name: container, and arguments of ffmpeg."""
NEEDS_END = frozenset({"plain.mp4"})
"""Their header is at the end, so a cut one cannot be opened."""
SILENT = frozenset({"bare.hevc"})
"""Nothing in such a file declares its length, and the decoder does not notice a slice that was cut."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of `KINDS`: 2 s of moving figures with noise at 24 fps, 160x96, with a tone."""
    folder = tmp_path_factory.mktemp("made")
    master = folder / "master.mkv"
    picture = "testsrc2=size=160x96:rate=24:duration=2,noise=alls=12:allf=t"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=duration=2", "-c:v", "ffv1", "-c:a", "pcm_s16le", master)
    paths = {}
    for name, arguments in KINDS.items():
        paths[name] = folder / name
        sound = () if name.endswith((".gif", ".y4m")) else ("-map", "0:a?")
        ffmpeg("-i", master, "-map", "0:v", *sound, *arguments, paths[name])
    return paths


@pytest.mark.parametrize("name", KINDS)
def test_an_intact_file_gives_no_warning(name: str, made: dict[str, Path]) -> None:
    found = decode(made[name])
    assert found.shortfall is None
    assert found.frames == (24 if name.endswith(".gif") else 48)


@pytest.mark.parametrize("share", [0.45, 0.8])
@pytest.mark.parametrize("name", sorted(KINDS.keys() - NEEDS_END - SILENT))
def test_a_cut_file_is_noticed_and_ffmpeg_decodes_as_many_frames(
    name: str, share: float, made: dict[str, Path], tmp_path: Path
) -> None:
    path = cut(made[name], tmp_path / name, share)
    found = decode(path)
    assert found.shortfall is not None
    assert found.shortfall.decoded_frames == found.frames < 48
    assert found.frames == ffmpeg_frames(path) or name == "fragments.mp4"  # the encode then has the frames of the analysis


@pytest.mark.parametrize("name", ["faststart.mp4", "h264.mkv", "h264.flv", "mpeg4.avi", "vp9.webm", "hevc.mov", "vp9.ivf"])
def test_the_declared_number_of_frames_is_that_of_the_whole_file(name: str, made: dict[str, Path], tmp_path: Path) -> None:
    found = decode(cut(made[name], tmp_path / name, 0.6)).shortfall
    assert found is not None
    assert found.declared_frames == 48


@pytest.mark.parametrize("damage", [zeroed, without, with_noise])
@pytest.mark.parametrize(
    "name", ["faststart.mp4", "h264.mkv", "h264.ts", "mpeg2.mpg", "theora.ogv", "raw.y4m", "h264.flv", "bare.h264"]
)
def test_damage_in_the_middle_is_noticed_where_frames_are_lost(
    name: str, damage: object, made: dict[str, Path], tmp_path: Path
) -> None:
    assert callable(damage)
    path = damage(made[name], tmp_path / name, 0.5)
    found = decode(path)
    assert found.frames == ffmpeg_frames(path)
    if found.frames < 48:
        assert found.shortfall is not None


@pytest.mark.parametrize("name", ["h264.ts", "hevc.ts"])
def test_a_transport_stream_that_is_cut_between_its_packets_ends_inside_a_frame(
    name: str, made: dict[str, Path], tmp_path: Path
) -> None:
    data, path = made[name].read_bytes(), tmp_path / "cut.ts"
    noticed = 0
    for packets in range(300, 310):
        path.write_bytes(data[: 188 * min(packets, len(data) // 188 - 200 + packets % 10)])
        noticed += decode(path).shortfall is not None
    assert noticed >= (8 if name == "h264.ts" else 0)  # by chance a cut lies between two frames; HEVC's decoder notices no cut


def test_the_warning_names_both_numbers_and_stands_in_the_result(made: dict[str, Path], tmp_path: Path) -> None:
    path, output = cut(made["faststart.mp4"], tmp_path / "cut.mp4", 0.5), tmp_path / "out.mp4"
    done = run("encode", "--src", path, "--output", output, "--preset", "ultrafast", "--json")
    assert done.code == 0
    frames = done.json["output"]["frames"]
    assert frames == ffmpeg_frames(path) < 48
    shortfall = done.json["analysis"]["shortfall"]
    assert (shortfall["declared_frames"], shortfall["decoded_frames"]) == (48, frames)
    [warning] = done.json["warnings"]
    assert f"it declares 48 frames, {frames} were decoded" in warning
    assert f"WARNING: {path}: damaged or incomplete" in done.err.replace("\n", "")


def test_a_reused_sidecar_gives_the_warning_again(made: dict[str, Path], tmp_path: Path) -> None:
    path, sidecar = cut(made["h264.mkv"], tmp_path / "cut.mkv", 0.5), tmp_path / "cut.npz"
    planned = run("plan", "--src", path, "--sidecar", sidecar, "--json")
    assert planned.code == 0
    [warning] = planned.json["warnings"]
    dry = run("encode", "--src", path, "--output", tmp_path / "o.mkv", "--sidecar", sidecar, "--dry-run", "--json")
    assert dry.json["analysis"]["reused"]
    assert dry.json["warnings"] == [warning]
    done = run("encode", "--src", path, "--output", tmp_path / "o.mkv", "--sidecar", sidecar, "--preset", "ultrafast", "--json")
    assert done.json["warnings"] == [warning]
    assert done.json["output"]["frames"] == planned.json["frames"]
    refused = run("encode", "--src", path, "--output", tmp_path / "p.mkv", "--sidecar", sidecar, "--strict")
    assert refused.code == 65


@pytest.mark.parametrize("command", ["encode", "plan", "preview", "dry run"])
def test_strict_refuses_and_leaves_nothing(command: str, made: dict[str, Path], tmp_path: Path) -> None:
    path = cut(made["vp9.webm"], tmp_path / "cut.webm", 0.5)
    arguments: dict[str, tuple[object, ...]] = {
        "encode": ("encode", "--src", path, "--output", tmp_path / "o.mkv"),
        "plan": ("plan", "--src", path),
        "preview": ("preview", path, "--output", tmp_path / "o.mp4"),
        "dry run": ("encode", "--src", path, "--output", tmp_path / "o.mkv", "--dry-run"),
    }
    done = run(*arguments[command], "--strict", "--json")
    assert done.code == 65
    assert "it declares 48 frames" in done.json["error"]["message"]
    assert done.json["error"]["shortfall"]["declared_frames"] == 48
    assert leftovers(tmp_path, {"cut.webm"}) == set()


def test_strict_accepts_an_intact_file(made: dict[str, Path], tmp_path: Path) -> None:
    done = run("plan", "--src", made["h264.mkv"], "--sidecar", tmp_path / "s.npz", "--strict", "--json")
    assert done.code == 0
    assert done.json["warnings"] == []
    assert done.json["analysis"]["shortfall"] is None


def test_a_preview_of_a_cut_file_warns(made: dict[str, Path], tmp_path: Path) -> None:
    path = cut(made["mpeg4.avi"], tmp_path / "cut.avi", 0.5)
    done = run("preview", path, "--output", tmp_path / "o.mp4", "--json")
    assert done.code == 0
    [warning] = done.json["warnings"]
    assert "it declares 48 frames" in warning


@pytest.mark.parametrize("name", ["raw.y4m", "h264.ts", "mpeg4.avi", "theora.ogv"])
def test_what_comes_before_an_error_of_the_demuxer_is_encoded(name: str, made: dict[str, Path], tmp_path: Path) -> None:
    path = with_noise(made[name], tmp_path / name, 0.5, 20000)
    done = run("encode", "--src", path, "--output", tmp_path / "o.mkv", "--preset", "ultrafast", "--no-audio", "--json")
    assert done.code == 0
    assert done.json["warnings"]
    assert done.json["output"]["frames"] == ffmpeg_frames(path)


def test_audio_that_lies_after_the_cut_is_left_out_with_a_warning(made: dict[str, Path], tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    ffmpeg("-i", made["h264.mkv"], "-c", "copy", "-movflags", "frag_keyframe+empty_moov", whole)  # one fragment, its audio last
    cut(whole, path, 0.5)
    done = run("encode", "--src", path, "--output", tmp_path / "o.mp4", "--preset", "ultrafast", "--json")
    assert done.code == 0
    assert done.json["output"]["audio_streams"] == 0
    assert done.json["output"]["frames"] == done.json["analysis"]["frames"] < 48
    assert any("0 of 1 copied streams of the kind audio" in line for line in done.json["warnings"])


def test_a_bare_bitstream_that_is_cut_inside_a_frame_is_encoded_with_a_warning(made: dict[str, Path], tmp_path: Path) -> None:
    path = cut(made["bare.h264"], tmp_path / "cut.h264", 0.7)
    done = run("encode", "--src", path, "--output", tmp_path / "o.mp4", "--preset", "ultrafast", "--json")
    assert done.code == 0
    assert len(done.json["warnings"]) == 1
    assert done.json["analysis"]["shortfall"]["declared_frames"] is None


def test_raw_video_with_part_of_a_frame_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "raw.yuv"
    path.write_bytes(bytes(64 * 48 * 3 // 2 * 4 + 100))
    done = run("plan", "--src", path, "--width", 64, "--height", 48)
    assert done.code == 65
    assert "100 bytes more" in done.err
    assert leftovers(tmp_path, {"raw.yuv"}) == set()


def test_a_part_of_an_intact_file_gives_no_warning(made: dict[str, Path]) -> None:
    for name in ("faststart.mp4", "h264.mkv", "mpeg4.avi", "h264.flv", "theora.ogv", "h264.ts"):
        found = decode(made[name], duration=0.5)
        assert (found.shortfall, found.frames) == (None, 12), name


def test_a_part_before_the_cut_gives_no_warning_and_one_beyond_it_does(made: dict[str, Path], tmp_path: Path) -> None:
    path = cut(made["h264.mkv"], tmp_path / "cut.mkv", 0.6)
    assert decode(path, duration=0.5).shortfall is None
    beyond = decode(path, duration=1.75).shortfall
    assert beyond is not None
    assert (beyond.declared_frames, beyond.decoded_frames < 42) == (42, True)


def test_a_frame_that_is_missing_from_an_apng(made: dict[str, Path], tmp_path: Path) -> None:
    """Its header, which says how many frames there are, is as before."""
    path = tmp_path / "o.apng"
    ffmpeg("-i", made["plain.mp4"], "-frames:v", 6, path)
    data = path.read_bytes()
    third = [place - 4 for place in range(len(data)) if data.startswith(b"fcTL", place)][2]
    path.write_bytes(data[:third] + data[third + 38 :])
    found = decode(path).shortfall
    assert found is not None
    assert found.reasons == ("it declares 6 frames and has 5",)


INTACT: dict[str, tuple[str, tuple[object, ...]]] = {
    "variable rate": ("o.mp4", ("-vf", "select='not(mod(n,3))+gt(n,30)'", "-fps_mode", "vfr", *X264)),
    "variable rate in Matroska": ("o.mkv", ("-vf", "select='lt(n,4)+gt(n,40)'", "-fps_mode", "vfr", *X264)),
    "variable rate in AVI": ("o.avi", ("-vf", "select='not(mod(n,3))+gt(n,30)'", "-fps_mode", "vfr", "-c:v", "mpeg4")),
    "variable rate in FLV": ("o.flv", ("-vf", "select='lt(n,4)+gt(n,40)'", "-fps_mode", "vfr", *X264, "-c:a", "aac")),
    "edit list": ("o.mp4", ("-c", "copy")),
    "edit list in MOV": ("o.mov", ("-c", "copy")),
    "open GOP": ("o.mp4", ("-c:v", "libx264", "-x264-params", "open-gop=1:keyint=12:bframes=3", "-pix_fmt", "yuv420p")),
    "open GOP in TS": ("o.ts", ("-c:v", "libx264", "-x264-params", "open-gop=1:keyint=12:bframes=3", "-pix_fmt", "yuv420p")),
    "open GOP of HEVC": ("o.mkv", ("-c:v", "libx265", "-x265-params", "open-gop=1:keyint=12:log-level=none")),
    "longer audio in Matroska": ("o.mkv", ("-af", "apad=pad_dur=3", *X264, "-c:a", "aac")),
    "longer audio in WebM": ("o.webm", ("-af", "apad=pad_dur=3", *VP9, "-c:a", "libopus")),
    "longer audio in MP4": ("o.mp4", ("-af", "apad=pad_dur=3", *X264, "-c:a", "aac")),
    "longer audio in FLV": ("o.flv", ("-af", "apad=pad_dur=3", *X264, "-c:a", "aac")),
    "longer audio in AVI": ("o.avi", ("-af", "apad=pad_dur=3", "-c:v", "mpeg4", "-c:a", "mp2")),
    "shorter audio": ("o.mkv", ("-af", "atrim=end=0.5", *X264, "-c:a", "aac")),
    "29.97 fps": ("o.mkv", ("-r", "30000/1001", *X264)),
    "29.97 fps in FLV": ("o.flv", ("-r", "30000/1001", *X264, "-c:a", "aac")),
    "1 fps": ("o.mkv", ("-r", "1", *X264)),
    "one frame": ("o.mkv", ("-frames:v", 1, *X264)),
    "one frame in MP4": ("o.mp4", ("-frames:v", 1, *X264)),
    "delayed video": ("o.mkv", ("-vf", "setpts=PTS+1.5/TB", *X264, "-c:a", "aac")),
    "delayed video in MP4": ("o.mp4", ("-vf", "setpts=PTS+1.5/TB", *X264, "-c:a", "aac")),
    "WebM to a pipe": ("o.webm", (*VP9, "-c:a", "libopus", "-f", "webm", "-live", 1)),
    "NUT": ("o.nut", (*X264, "-c:a", "aac")),
    "3GP": ("o.3gp", (*X264, "-c:a", "aac")),
    "MXF": ("o.mxf", ("-r", 25, "-s", "720x576", "-c:v", "mpeg2video", "-c:a", "pcm_s16le", "-ar", 48000)),
    "APNG": ("o.apng", ("-an",)),
    "hidden frames of VP8": (
        "o.webm",
        ("-c:v", "libvpx", "-auto-alt-ref", 1, "-lag-in-frames", 12, "-deadline", "good", "-cpu-used", 5, "-an"),
    ),
    "interlaced": ("o.ts", ("-vf", "setfield=tff", "-c:v", "libx264", "-flags", "+ildct+ilme", "-pix_fmt", "yuv420p")),
    "AV1": ("o.mp4", ("-c:v", "libaom-av1", "-cpu-used", 8, "-usage", "realtime", "-an")),
}
"""Files that no warning may be given for, though their declared and real lengths are not simply related."""


@pytest.mark.parametrize("name", INTACT)
def test_no_false_warning(name: str, made: dict[str, Path], tmp_path: Path) -> None:
    target, arguments = INTACT[name]
    path = tmp_path / target
    begin = ("-ss", 0.7) if name.startswith("edit list") else ()  # a copy then hides the frames since the key frame
    ffmpeg(*begin, "-i", made["plain.mp4"], *arguments, path)
    assert decode(path).shortfall is None


def test_a_file_written_to_a_pipe_declares_nothing_and_gives_no_warning(made: dict[str, Path], tmp_path: Path) -> None:
    for form, name in (("matroska", "o.mkv"), ("avi", "o.avi"), ("flv", "o.flv"), ("ivf", "o.ivf"), ("asf", "o.asf")):
        path = tmp_path / name
        codec = VP9 if form == "ivf" else ("-c:v", "mpeg4") if form in ("avi", "asf") else X264
        sound = ("-an",) if form == "ivf" else ("-c:a", "mp2") if form in ("avi", "asf") else ("-c:a", "aac")
        ffmpeg("-i", made["plain.mp4"], *codec, *sound, "-f", form, "pipe:1", stdout=path)
        assert decode(path).shortfall is None, form


def test_no_frame_is_hidden_where_the_demuxer_finds_the_start_late(made: dict[str, Path], tmp_path: Path) -> None:
    """An MP4 with garbage before it is read as a bare MPEG-4 stream, whose start is that of its last packet."""
    ffmpeg("-i", made["plain.mp4"], "-an", "-t", 0.5, "-c:v", "mpeg4", "-bf", 0, tmp_path / "good.mp4")
    path = tmp_path / "in.mp4"
    path.write_bytes(b"abc" + (tmp_path / "good.mp4").read_bytes())
    done = run("encode", "--src", path, "--output", tmp_path / "o.mp4", "--preset", "ultrafast", "--prove", "none", "--json")
    assert done.code == 0, done.err
    assert done.json["output"]["frames"] == 12
    times = video_times(tmp_path / "o.mp4")
    assert len(times) == 12
    assert min(times) >= 0
