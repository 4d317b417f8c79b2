"""A source, a reference, an encode or a map that names other files is refused, and what it names is never read.

Each file stands for a way in which FFmpeg can be led to another file or to the network: a playlist under its own name or under that
of a video, with an absolute path, ``../`` or the same folder, a picture pattern, a session description, a data reference.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from clips import FFMPEG, ffmpeg, make_clip
from program import run

from gpu_saliency import probe_clip
from gpu_saliency.errors import SourceError
from gpu_saliency.source.formats import FORMATS, PLAYLISTS, refused_head

HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile '{}'\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT0.5S" '
    'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet contentType="video"><Representation id="0" '
    'mimeType="video/mp2t" bandwidth="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>'
)
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 0.0.0.0\nt=0 0\nm=video 50123 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
PLACES: dict[str, Callable[[Path], str]] = {
    "absolute": lambda other: str(other),
    "parent": lambda other: f"../{other.parent.name}/{other.name}",
    "same folder": lambda other: other.name,
}
NAMES = ["in.m3u8", "in.mp4", "in.mkv", "in.ts", "in"]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Another user's video, which has a size of its own: a result with 96x64 shows that it was read."""
    (tmp_path / "other").mkdir()
    return make_clip(tmp_path / "other" / "secret.ts", size="96x64", seconds=0.5, extra=("-c:v", "libx264"))


def _lists(folder: Path, secret: Path) -> list[Path]:
    """Every kind of list in ``folder``, each pointing to ``secret``."""
    made = []
    for kind, text in {"hls": HLS, "concat": CONCAT, "dash": DASH}.items():
        for place, spell in PLACES.items():
            target = secret
            if place == "same folder":
                target = folder / "beside.ts"
                if not target.exists():
                    target.hardlink_to(secret)
            path = folder / f"{kind} {place}.mp4"
            path.write_text(text.format(spell(target)))
            made.append(path)
    return made


def _forget_access(path: Path) -> None:
    """Set the time of access of ``path`` far back, so that any file system but one without such times notes the next one."""
    os.utime(path, (1, path.stat().st_mtime))


def _was_read(path: Path) -> bool:
    return path.stat().st_atime != 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", [HLS, CONCAT, DASH], ids=["hls", "concat", "dash"])
def test_a_playlist_is_refused_under_any_name(tmp_path: Path, secret: Path, name: str, text: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    path = folder / name
    path.write_text(text.format(secret))
    done = run("encode", "--src", path, "--output", folder / "o.mp4", "--json")
    assert done.code == 65, done.err
    assert done.errors == [f"ERROR: {done.json['error']['message']} ({done.json['error']['cure']})"]
    assert "which reads other files or the network" in done.errors[0]
    assert "--allow-playlists" in done.errors[0]
    assert [entry.name for entry in folder.iterdir()] == [name]


def test_no_command_reads_what_a_playlist_names(tmp_path: Path, secret: Path) -> None:
    """Every command gets every list in every role. The clip that the lists name is 96x64, so a result cannot hide it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    good = make_clip(folder / "good.mp4", size="96x64", seconds=0.5)
    sidecar = folder / "good.npz"
    assert run("plan", "--src", good, "--sidecar", sidecar).code == 0
    out = folder / "out.mp4"
    for path in _lists(folder, secret):
        _forget_access(secret)
        commands: list[list[object]] = [
            ["encode", "--src", path, "--output", out],
            ["encode", "--src", path, "--output", out, "--encoder", "mpeg4", "--saliency-fallback-plain"],
            ["encode", "--src", good, "--output", out, "--maps", path],
            ["plan", "--src", path],
            ["preview", path, "--output", out],
            ["preview", path, "--live", "--web"],
            ["score", "--ref", path, "--dist", good],
            ["score", "--ref", good, "--dist", path],
            ["score", "--ref", good, "--dist", good, "--masks", path],
            ["score", "--ref", good, "--dist", good, "--gaze", path],
            ["compare", "--src", path, "--output", folder / "compared"],
            ["inspect", path, "--sidecar", sidecar],
            ["inspect", good, "--sidecar", sidecar, "--src", path],
            ["bench", path],
        ]
        for command in commands:
            done = run(*command)
            assert done.code == 65, (command, done.err)
            assert len(done.errors) == 1, (command, done.err)
            assert "Traceback" not in done.err
            assert not out.exists()
            assert not _was_read(secret), command


@pytest.mark.parametrize("kind", ["hls", "concat", "sdp"])
def test_a_playlist_on_stdin_is_refused(secret: Path, kind: str) -> None:
    text = {"hls": HLS.format(secret), "concat": CONCAT.format(secret), "sdp": SDP}[kind]
    command = [sys.executable, "-m", "gpu_saliency", "preview", "-", "--web"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=120, check=False)
    assert done.returncode == 65, done.stderr
    error = [line for line in done.stderr.decode().splitlines() if line.startswith("ERROR")]
    assert len(error) == 1
    assert "stdin: cannot be opened: is " in error[0]


@pytest.mark.parametrize("name", ["img%03d.png", "img%d.jpg", "%05d.bmp"])
def test_the_name_of_a_picture_is_never_a_pattern(tmp_path: Path, name: str) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=96x64", "-frames:v", 1, "-update", 1, tmp_path / (name % 1))
    (tmp_path / name).write_bytes((tmp_path / (name % 1)).read_bytes())
    done = run("encode", "--src", tmp_path / name, "--output", tmp_path / "o.mp4")
    assert done.code == 65, done.err
    assert "its name is a pattern of numbered pictures" in done.errors[0]
    assert "rename it" in done.errors[0]


@pytest.mark.parametrize(
    "name", ["100%.png", "a%b.mp4", "50%d.mp4", "[a]*?.mkv", "a|b.mp4", "concat:a.mp4", "subfile,,start,0,,:x.mp4"]
)
def test_a_name_with_ffmpeg_s_signs_is_a_name(tmp_path: Path, name: str) -> None:
    if name.endswith(".png"):
        ffmpeg("-f", "lavfi", "-i", "testsrc2=size=96x64", "-frames:v", 1, "-update", 1, f"file:{tmp_path}/x.png")
        (tmp_path / "x.png").rename(tmp_path / name)
    else:
        make_clip(tmp_path / f"x{Path(name).suffix}", size="96x64", seconds=0.25).rename(tmp_path / name)
    done = run("encode", "--src", tmp_path / name, "--output", tmp_path / "o.mp4", "--prove", "none")
    assert done.code == 0, done.err


def _alias(target: Path) -> bytes:
    """A QuickTime data reference of type alias to ``target``, by its absolute path (Inside Macintosh: Files, alias records)."""
    name, path = target.name.encode()[:63], str(target).encode()
    record = bytes(10) + bytes([6]) + b"volume".ljust(27, b"\0") + bytes(12)
    record += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">hh", 1, 1) + bytes(16)
    record += struct.pack(">hh", 2, len(path)) + path + bytes(len(path) % 2) + struct.pack(">hh", -1, 0)
    return struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record


def _grow_boxes(data: bytes, at: int, by: int) -> bytes:
    """``data`` of an MP4 in which every box around the byte ``at`` is larger by ``by`` bytes."""
    grown, start, end = bytearray(data), 0, len(data)
    while start + 8 <= end:
        size, kind = struct.unpack(">I4s", data[start : start + 8])
        if start < at < start + size:
            grown[start : start + 4] = struct.pack(">I", size + by)
            start, end = start + (16 if kind == b"dref" else 8), start + size
            if kind == b"dref":
                break
        else:
            start += size
    return bytes(grown)


def test_the_data_reference_of_a_movie_is_not_followed(tmp_path: Path, secret: Path) -> None:
    path = make_clip(tmp_path / "in.mov", size="64x48", seconds=0.5, extra=("-c:v", "libx264"))
    data = path.read_bytes()
    own = b"\0\0\0\x0curl \0\0\0\x01"
    alias = _alias(secret)
    path.write_bytes(_grow_boxes(data, data.index(own), len(alias) - len(own)).replace(own, alias))
    found = subprocess.run([FFMPEG, "-v", "debug", "-i", path], capture_output=True, text=True, check=False).stderr
    assert f"opening external track: stream 0, alias: path='{secret}'" in found  # libavformat sees the reference
    _forget_access(secret)
    done = run("plan", "--src", path)
    assert done.code in (0, 65), done.err
    assert not _was_read(secret)


def test_the_lists_hold_no_format_that_opens_another() -> None:
    others = f"{PLAYLISTS},sdp,rtsp,rtp,sap,tty,lavfi,avisynth,svg_pipe,vobsub,dvdvideo,rawvideo,v4l2,x11grab,fbdev"
    assert not set(FORMATS.split(",")) & set(others.split(","))


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (HLS.encode(), "an HLS playlist"),
        (b"\xef\xbb\xbf" + HLS.encode(), "an HLS playlist"),
        (CONCAT.encode(), "a list of files (ffconcat)"),
        (DASH.encode(), "a DASH manifest"),
        (SDP.encode(), "a session description (SDP)"),
        (SDP.replace("\n", "\r\n").encode(), "a session description (SDP)"),
        (b'<?xml version="1.0"?>\n<cpl:CompositionPlaylist xmlns="x">', "an IMF playlist"),
        (b'<svg xmlns="x"><image href="file:///etc/passwd"/></svg>', "an SVG picture"),
    ],
)
def test_the_error_names_the_kind(head: bytes, kind: str) -> None:
    error = refused_head("x", head)
    assert error is not None
    assert error.message == f"x: is {kind}, which reads other files or the network"
    assert refused_head("x", b"\x00\x00\x00\x20ftypisom") is None


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", [HLS, CONCAT], ids=["hls", "concat"])
def test_the_flag_allows_a_playlist(tmp_path: Path, secret: Path, text: str, place: str) -> None:
    """ffconcat itself refuses absolute paths and ``..``, also where playlists are allowed."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / secret.name).hardlink_to(secret)
    path = folder / "in.m3u8"
    path.write_text(text.format(PLACES[place](folder / secret.name if place == "same folder" else secret)))
    if text == CONCAT and place != "same folder":
        with pytest.raises(SourceError):
            probe_clip(path, allow_playlists=True)
        return
    clip = probe_clip(path, allow_playlists=True)
    assert (clip.width, clip.height) == (96, 64)
    done = run("encode", "--src", path, "--output", folder / "o.mp4", "--allow-playlists", "--json")
    assert done.code == 0, done.err
    assert done.json["output"]["frames"] == 12
    score = run("score", "--ref", path, "--dist", folder / "o.mp4", "--frames", 1, "--allow-playlists", "--json")
    assert score.code == 0, score.err
    assert run("inspect", folder / "o.mp4", "--allow-playlists").code == 0
    assert run("inspect", folder / "o.mp4").code == 65


def test_an_allowed_playlist_cannot_name_the_network(tmp_path: Path) -> None:
    path = tmp_path / "in.m3u8"
    path.write_text(HLS.format("http://127.0.0.1:9/a.ts"))
    done = run("encode", "--src", path, "--output", tmp_path / "o.mp4", "--allow-playlists")
    assert done.code == 65, done.err
    assert len(done.errors) == 1
