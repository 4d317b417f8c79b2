"""The program that encodes by the library of SVT-AV1 that comes with PyAV, against ffmpeg's wrapper of the same library."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import pytest
from clips import ffmpeg, make_clip

from gpu_saliency import EncodeSettings, prepare_encode, probe_clip
from gpu_saliency.encode.channels.svtav1_child import Failure, load
from gpu_saliency.encode.channels.svtav1_library import find_library, library_command
from gpu_saliency.encode.channels.svtav1_program import PROGRAM_VARIABLE
from gpu_saliency.encode.opening import try_encoder
from gpu_saliency.encode.piped import run_piped
from gpu_saliency.errors import EncodeError, UsageError

pytestmark = pytest.mark.skipif(find_library() is None, reason="this PyAV brought no library of SVT-AV1 4.1 or 4.2")


@pytest.fixture(autouse=True)
def _no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PROGRAM_VARIABLE, raising=False)


def encode(source: bytes, output: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = library_command()
    assert command is not None
    return subprocess.run([*command, *arguments, "-b", output], input=source, capture_output=True, timeout=100, check=False)


def y4m(path: Path, size: str, pix_fmt: str) -> Path:
    """Ten frames of testsrc2 at 30000/1001 frames a second."""
    return make_clip(path, size=size, rate="30000/1001", seconds=0.33, extra=("-pix_fmt", pix_fmt, "-strict", "-1"))


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def by_wrapper(path: Path, options: dict[str, str]) -> list[bytes]:
    """The packets of ffmpeg's wrapper of the library, as PyAV has it."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        context = av.CodecContext.create("libsvtav1", "w")
        assert isinstance(context, av.VideoCodecContext)
        rate = stream.average_rate
        assert rate is not None
        context.width, context.height, context.pix_fmt = stream.width, stream.height, stream.codec_context.pix_fmt
        context.framerate, context.time_base, context.options = rate, 1 / rate, options
        found = []
        for number, frame in enumerate(source.decode(stream)):
            frame.pts, frame.time_base, frame.pict_type = number, 1 / rate, av.video.frame.PictureType.NONE
            found += context.encode(frame)
        return [bytes(packet) for packet in [*found, *context.encode(None)]]


@pytest.mark.parametrize(("size", "pix_fmt"), [("151x91", "yuv420p"), ("160x96", "yuv420p10le")])
def test_without_a_map_it_writes_the_bytes_of_ffmpegs_wrapper(tmp_path: Path, size: str, pix_fmt: str) -> None:
    source = y4m(tmp_path / "in.y4m", size, pix_fmt)
    done = encode(source.read_bytes(), tmp_path / "out.ivf", "--preset", "10", "--crf", "30.25", "--tune", "0")
    assert done.returncode == 0, done.stderr
    found = packets(tmp_path / "out.ivf")
    assert found == by_wrapper(source, {"preset": "10", "svtav1-params": "crf=30.25:tune=0"})
    flat = tmp_path / "roi.map"
    flat.write_text("0 " + " ".join(["0"] * 6) + "\n5 " + " ".join(["0", "90"] * 3) + "\n", encoding="ascii")
    arguments = ("--preset", "10", "--crf", "30.25", "--tune", "0", "--roi-map-file", str(flat))
    assert encode(source.read_bytes(), tmp_path / "roi.ivf", *arguments).returncode == 0
    assert len(packets(tmp_path / "roi.ivf")) == len(found)
    assert packets(tmp_path / "roi.ivf") != found


def test_it_reports_what_is_wrong(tmp_path: Path) -> None:
    source = y4m(tmp_path / "in.y4m", "64x64", "yuv420p").read_bytes()
    out = tmp_path / "out.ivf"
    (tmp_path / "nine.map").write_text("0 1 2 3 4 5 6 7 8 9\n", encoding="ascii")
    for given, arguments, said in (
        (source, ("--nope", "3"), b"Unprocessed tokens: --nope 3"),
        (source, ("--tune", "77"), b"bad parameter"),
        (b"RIFF", (), b"is not y4m"),
        (source, ("--library", "/no/such/library.so"), b"Unprocessed tokens: --library"),
        (source, ("--roi-map-file", str(tmp_path / "nine.map")), b"9 offsets from frame 0"),
        (source, ("--roi-map-file", str(tmp_path / "no.map")), b"No such file"),
    ):
        done = encode(given, out, *arguments)
        assert (done.returncode, said in done.stderr) == (1, True), (arguments, done.stderr)
    empty = encode(source.partition(b"FRAME")[0], out)
    assert (empty.returncode, out.stat().st_size) == (0, 32)
    full = encode(source, Path("/dev/full"))
    assert (full.returncode, full.stderr.strip().endswith(os.strerror(errno.ENOSPC).encode())) == (1, True)


def test_only_known_versions_are_loaded() -> None:
    """The C library is a library, but not that of SVT-AV1."""
    for path, said in (("/no/such/library.so", "cannot be loaded"), ("libc.so.6", "cannot be loaded")):
        with pytest.raises(Failure, match=said):
            load(path)


def test_a_crash_names_the_library(tmp_path: Path) -> None:
    """A program that ends by SIGSEGV."""
    ffmpeg("-f", "lavfi", "-i", "color=size=64x64:duration=0.1", tmp_path / "in.y4m")
    job = prepare_encode(probe_clip(tmp_path / "in.y4m"), EncodeSettings("libsvtav1"))
    crash = f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})"
    reader = [job.ffmpeg.path, "-v", "error", "-y", "-i", str(tmp_path / "in.y4m"), "-f", "yuv4mpegpipe"]
    with pytest.raises(EncodeError, match=r"^libSvtAv1Enc\.so failed \(killed by SIGSEGV\)"):
        run_piped(reader, [sys.executable, "-c", crash, "--library", "/somewhere/libSvtAv1Enc.so"])


def test_settings_are_tried_before_the_analysis(grain_path: Path) -> None:
    job = prepare_encode(probe_clip(grain_path), EncodeSettings("libsvtav1", "10", encoder_params="no-such-option=1"))
    assert job.channel is not None
    assert job.channel.name == "svtav1-map"
    with pytest.raises(UsageError, match="no-such-option"):
        try_encoder(job)
    try_encoder(replace(job, params={"tune": "0"}))


def test_no_thread_gets_real_time_priority(tmp_path: Path) -> None:
    """As root the library asks for priority 99, with which an encode would starve the machine."""
    source = y4m(tmp_path / "a.y4m", "320x180", "yuv420p").read_bytes()
    command = library_command()
    assert command is not None
    with subprocess.Popen([*command, "--preset", "8", "-b", str(tmp_path / "a.ivf")], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(source)
        child.stdin.flush()  # the library is loaded, and waits for more
        threads = Path(f"/proc/{child.pid}/task")
        while len(list(threads.iterdir())) < 3:
            assert child.poll() is None
        seen = {os.sched_getscheduler(int(thread.name)) for thread in threads.iterdir()}
        child.stdin.close()
    assert child.returncode == 0
    assert seen == {os.SCHED_OTHER}


def test_a_generated_clip_leaves_the_priority_as_it_was(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from gpu_saliency.bench.lavfi import encode_lavfi
encode_lavfi(Path(sys.argv[1]), "testsrc2=size=64x64:rate=8,trim=end_frame=4", "yuv420p", "libsvtav1", {"preset": "12"})
print(os.sched_getscheduler(0) == os.SCHED_OTHER)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.mp4"], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
