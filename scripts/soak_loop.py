"""Runs plan, encode and preview in one process in a loop, and samples what the process holds.

    scripts/soak --minutes 30 [--settle 5] [--out DIR]

Each round plans a generated clip, encodes it, writes the overlay of the preview, serves the preview's page to a client that reads
pictures, and meets an error. A thread samples memory (RSS, PSS and its anonymous part), descriptors, threads, child processes and
files in the folders for output and temporary files. The PSS also changes when other processes begin or end to use the same
libraries; the anonymous part does not. Between two rounds, when no thread or child works, the main thread notes what is held: the
bytes that the C library has given out and the blocks of Python's allocator. A leak raises these; free memory that the C library
keeps does not.

DIR (default: soak-out) receives ``soak.json`` and ``soak.svg``; the table on stdout has the slope of each series by least squares
over the samples after ``--settle`` minutes. The exit status is 1 if the PSS or what is held rises by more than ``--most`` MiB a
minute, or files are left.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests" / "helpers"), str(_ROOT / "benchmarks")]

import numpy as np  # noqa: E402
from clips import make_clip  # noqa: E402
from svg_plot import Line, Plot, draw  # noqa: E402
from waiting import wait_until  # noqa: E402

from gpu_saliency.process.arenas import limit_arenas  # noqa: E402

PICTURES = 10
"""Pictures that the client of the page reads in each round."""
_SAMPLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process holds at one moment."""

    minute: float
    rss_mib: float
    pss_mib: float
    anonymous_mib: float
    """The part of the PSS that comes from no file."""
    descriptors: int
    threads: int
    children: int
    files: int
    """In the folders for temporary files and for output, those between two steps included."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is in use between two rounds."""

    minute: float
    held_mib: float
    """Given out by the C library and not freed."""
    python_blocks: int
    """Blocks of Python's allocator, each at most 512 bytes."""


@dataclass(slots=True)
class Rounds:
    """Counts of what was done."""

    plans: int = 0
    encodes: int = 0
    overlays: int = 0
    pages: int = 0
    errors: int = 0
    """Errors that were provoked."""


def take_sample(minute: float, folders: list[Path]) -> Sample:
    """Read the state of this process from /proc."""
    rollup = dict(line.split(":", 1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    rss, pss, anonymous = (int(rollup[name].split()[0]) / 1024 for name in ("Rss", "Pss", "Pss_Anon"))
    own = Path("/proc/self")
    tasks = list((own / "task").iterdir())
    children = sum(len((task / "children").read_text().split()) for task in tasks)
    files = sum(len(found) for folder in folders for _, _, found in os.walk(folder))
    return Sample(minute, rss, pss, anonymous, len(list((own / "fd").iterdir())), len(tasks), children, files)


class _MallInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc's malloc.h."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    )


def take_held(minute: float) -> Held:
    """Collect Python's garbage and read what is left in use (all heaps and single mappings)."""
    gc.collect()
    read = ctypes.CDLL(None).mallinfo2
    read.restype = _MallInfo
    info = read()
    return Held(minute, (info.uordblks + info.hblkhd) / 2**20, sys.getallocatedblocks())


class Sampler(threading.Thread):
    """Takes a sample every two seconds until it is stopped."""

    def __init__(self, folders: list[Path]) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._folders, self._end, self._begun = folders, threading.Event(), time.monotonic()

    def run(self) -> None:
        while not self._end.wait(_SAMPLE_SECONDS):
            # A thread's folder in /proc may vanish between listing and reading.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                self.samples.append(take_sample((time.monotonic() - self._begun) / 60, self._folders))

    def stop(self) -> None:
        self._end.set()
        self.join()


def command(*arguments: object) -> None:
    """Run a command of the program in this process; its output is dropped."""
    from gpu_saliency.cli import app

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        app([str(one) for one in arguments], standalone_mode=False)


def serve_page(clip: Path, port: int) -> None:
    """Serve the page of ``clip``, let a client read pictures, and end the server as Ctrl-C does."""
    failed: list[BaseException] = []

    def look() -> None:
        try:
            _read_pictures(port)
        except BaseException as error:
            failed.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    client = threading.Thread(target=look)
    client.start()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            command("preview", clip, "--web", "--port", port)
            # Ctrl-C is the regular end; where the server ended before the signal came, it arrives here.
            client.join()
            time.sleep(0.1)
    finally:
        client.join()
    if failed:
        raise RuntimeError("the client of the page failed") from failed[0]


def _read_pictures(port: int) -> None:
    import socket

    from websockets.sync.client import connect

    def listening() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    wait_until(listening, "the page's server")
    with connect(f"ws://127.0.0.1:{port}/viewer", max_size=None, proxy=None, compression=None, ping_interval=None) as page:
        seen = 0
        while seen < PICTURES:
            message = page.recv(timeout=300)
            if isinstance(message, bytes):
                length = int.from_bytes(message[:4], "little")
                page.send(json.dumps({"type": "ack", "number": json.loads(message[4 : 4 + length])["frame"]}))
                seen += 1


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def one_round(clip: Path, folder: Path, rounds: Rounds) -> None:
    """Do everything once; what it writes is removed at the end."""
    from gpu_saliency.errors import GpuSaliencyError

    command("plan", "--src", clip, "--sidecar", folder / "plan.npz")
    rounds.plans += 1
    encoder = ("libx264", "libx265")[rounds.encodes % 2]
    command(
        "encode",
        "--src",
        clip,
        "--output",
        folder / "o.mp4",
        "--encoder",
        encoder,
        "--preset",
        "ultrafast",
        "--sidecar",
        folder / "plan.npz",
    )
    command("encode", "--src", clip, "--output", folder / "p.mkv", "--preset", "ultrafast", "--segments", 2)
    rounds.encodes += 2
    command("preview", clip, "--output", folder / "overlay.mp4")
    rounds.overlays += 1
    serve_page(clip, free_port())
    rounds.pages += 1
    broken = folder / "broken.mp4"
    broken.write_bytes(clip.read_bytes()[:3000])
    with contextlib.suppress(GpuSaliencyError):
        command("encode", "--src", broken, "--output", folder / "q.mp4", "--ffmpeg-bin", "/nowhere")
    rounds.errors += 1
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def slopes(samples: Sequence[Sample | Held], settle: float) -> dict[str, float]:
    """Rise of each series per minute, by least squares over the samples after ``settle`` minutes; empty with fewer than 10."""
    late = [one for one in samples if one.minute >= settle]
    if len(late) < 10:
        return {}
    minutes = np.array([one.minute for one in late])
    names = [one.name for one in fields(late[0]) if one.name != "minute"]
    return {name: float(np.polyfit(minutes, [getattr(one, name) for one in late], 1)[0]) for name in names}


def picture(samples: list[Sample], held: list[Held], rising: dict[str, float], settle: float) -> str:
    """The SVG with a panel for memory and one for counts."""
    points = [(one.minute, one) for one in samples]
    slope = rising.get("pss_mib")
    text = "" if slope is None else f", PSS {slope:+.3f} MiB a minute after minute {settle:g}"

    def line(name: str, key: str, colour: int) -> Line:
        return Line(name, [(minute, float(getattr(one, key))) for minute, one in points], colour=colour)

    lines = [line("RSS", "rss_mib", 0), line("PSS", "pss_mib", 1), line("anonymous", "anonymous_mib", 2)]
    lines.append(Line("in use between rounds", [(one.minute, one.held_mib) for one in held], colour=3))
    memory = Plot(f"Memory of the process{text}", "minutes", "MiB", lines, legend_top=False)
    keys = ("descriptors", "threads", "children", "files")
    counts = Plot(
        "Descriptors, threads, child processes, files", "minutes", "number", [line(key, key, at) for at, key in enumerate(keys)]
    )
    return draw([memory, counts], columns=1, width=900).replace('r="4"', 'r="1.2"')


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--settle", type=float, default=5, help="minutes whose samples the slope leaves out")
    parser.add_argument("--most", type=float, default=1.0, help="largest allowed rise of the PSS, MiB a minute")
    parser.add_argument("--out", type=Path, default=Path("soak-out"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="soak-"))
    output, temporary = place / "out", place / "tmp"
    for folder in (output, temporary):
        folder.mkdir()
    os.environ |= {"TMPDIR": str(temporary), "XDG_CACHE_HOME": str(place / "cache")}
    tempfile.tempdir = str(temporary)
    # A shell starts programs in the background with Ctrl-C ignored; here it ends the page's server.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    limit_arenas()  # as the program does at its start
    rounds, held, started = Rounds(), list[Held](), time.monotonic()
    try:
        clip = make_clip(place / "clip.mkv", size="320x192", seconds=2, audio=True)
        sampler = Sampler([output, temporary])
        sampler.start()
        while time.monotonic() - started < 60 * asked.minutes:
            one_round(clip, output, rounds)
            held.append(take_held((time.monotonic() - started) / 60))
            now = sampler.samples[-1] if sampler.samples else None
            memory = "" if now is None else f", {now.pss_mib:.0f} MiB PSS, {now.descriptors} descriptors, {now.threads} threads"
            done = f"{time.monotonic() - started:.0f} s: {rounds.plans} rounds, {held[-1].held_mib:.2f} MiB in use between them"
            print(done + memory, file=sys.stderr, flush=True)
        sampler.stop()
        left = sorted(str(path.relative_to(place)) for folder in (output, temporary) for path in folder.rglob("*"))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    rising = slopes(sampler.samples, asked.settle) | slopes(held, asked.settle)
    facts = {"minutes": asked.minutes, "settle": asked.settle, "rounds": asdict(rounds), "slope_per_minute": rising, "left": left}
    facts["samples"] = [asdict(one) for one in sampler.samples]
    facts["held"] = [asdict(one) for one in held]
    (asked.out / "soak.json").write_text(json.dumps(facts, indent=1) + "\n")
    (asked.out / "soak.svg").write_text(picture(sampler.samples, held, rising, asked.settle))
    print(f"{rounds}; left behind: {', '.join(left) or 'nothing'}")
    for name, slope in rising.items():
        values = [getattr(one, name) for one in (sampler.samples if hasattr(sampler.samples[0], name) else held)]
        span = f"from {values[0]:9.1f} to {values[-1]:9.1f}, at most {max(values):9.1f}"
        print(f"{name:13} {span}; {slope:+8.3f} a minute after minute {asked.settle:g}")
    return int(bool(left) or any(rising.get(name, 0.0) > asked.most for name in ("pss_mib", "held_mib")))


if __name__ == "__main__":
    sys.exit(main())
